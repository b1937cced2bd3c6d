use super::{
    super::{pixels::PixelFormat, test_viewer::unpack},
    *,
};

#[test]
fn each_number_of_colours_comes_out_as_it_went_in() {
    let converter = Converter::new(PixelFormat::default());
    for colours in [1, 2, 3, 4, 5, 16, 17, 1000] {
        for (width, height) in [(1, 1), (7, 3), (64, 64), (65, 70), (131, 1), (1, 131)] {
            let pixels: Vec<u32> = (0..u32::try_from(width * height).unwrap())
                .map(|at| at.wrapping_mul(0x9e37_79b9) % colours * 0x1234)
                .collect();
            let mut bytes = Vec::new();
            tiles(&pixels, width, &converter, &mut bytes);
            assert_eq!(unpack(&bytes, width, height), pixels, "{colours} in {width}x{height}");
        }
    }
}

#[test]
fn text_is_small() {
    let pixels: Vec<u32> = (0..64 * 64).map(|at| if at % 5 == 0 { 0x00aa_aaaa } else { 0 }).collect();
    let mut bytes = Vec::new();
    tiles(&pixels, 64, &Converter::new(PixelFormat::default()), &mut bytes);
    assert_eq!(bytes.len(), 1 + 2 * 3 + 64 * 8);
}
