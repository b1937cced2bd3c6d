use super::*;

fn format(bits: u8, depth: u8, big_endian: u8, max: [u16; 3], shift: [u8; 3]) -> [u8; 16] {
    let [[r, r_], [g, g_], [b, b_]] = max.map(u16::to_be_bytes);
    let [red, green, blue] = shift;
    [bits, depth, big_endian, 1, r, r_, g, g_, b, b_, red, green, blue, 0, 0, 0]
}

#[test]
fn a_pixel_has_its_bytes_in_each_format() {
    let pixels = [0x00ff_8001];
    for (name, bytes, whole, compact) in [
        ("the server's", PixelFormat::default().to_bytes(), &[1, 0x80, 0xff, 0][..], &[1, 0x80, 0xff][..]),
        (
            "of the other order",
            format(32, 24, 1, [255; 3], [16, 8, 0]),
            &[0, 0xff, 0x80, 1],
            &[0xff, 0x80, 1],
        ),
        ("blue above", format(32, 24, 0, [255; 3], [0, 8, 16]), &[0xff, 0x80, 1, 0], &[0xff, 0x80, 1]),
        (
            "in the high bytes",
            format(32, 24, 0, [255; 3], [24, 16, 8]),
            &[0, 1, 0x80, 0xff],
            &[1, 0x80, 0xff],
        ),
        (
            "in the high bytes, of the other order",
            format(32, 24, 1, [255; 3], [24, 16, 8]),
            &[0xff, 0x80, 1, 0],
            &[0xff, 0x80, 1],
        ),
        (
            "across all bytes",
            format(32, 24, 0, [255; 3], [24, 8, 0]),
            &[1, 0x80, 0, 0xff],
            &[1, 0x80, 0, 0xff],
        ),
        ("of 30 bits", format(32, 30, 0, [1023; 3], [20, 10, 0]), &[4, 8, 0xf8, 0x3f], &[4, 8, 0xf8, 0x3f]),
        ("of 16 bits", format(16, 16, 0, [31, 63, 31], [11, 5, 0]), &[0x00, 0xfc], &[0x00, 0xfc]),
        (
            "of 16 bits, of the other order",
            format(16, 16, 1, [31, 63, 31], [11, 5, 0]),
            &[0xfc, 0x00],
            &[0xfc, 0x00],
        ),
        ("of 15 bits", format(16, 15, 1, [31; 3], [10, 5, 0]), &[0x7e, 0x00], &[0x7e, 0x00]),
        ("of 8 bits", format(8, 8, 0, [7, 7, 3], [0, 3, 6]), &[0x27], &[0x27]),
        ("of 6 bits", format(8, 6, 1, [3; 3], [4, 2, 0]), &[0x38], &[0x38]),
    ] {
        let converter = Converter::new(PixelFormat::parse(&bytes).unwrap());
        let (mut given, mut given_compact) = (Vec::new(), Vec::new());
        converter.append(&pixels, &mut given);
        converter.append_compact(&pixels, &mut given_compact);
        assert_eq!(given, whole, "{name}");
        assert_eq!(given_compact, compact, "{name}");
    }
}

#[test]
fn black_and_white_are_the_ends_of_each_colour() {
    for max in [1, 3, 7, 31, 255, 1023] {
        let converter =
            Converter::new(PixelFormat::parse(&format(32, 24, 0, [max; 3], [0, 10, 20])).unwrap());
        let mut bytes = Vec::new();
        converter.append(&[0, 0x00ff_ffff], &mut bytes);
        let max = u32::from(max);
        assert_eq!(bytes, [0_u32.to_le_bytes(), (max | max << 10 | max << 20).to_le_bytes()].concat());
    }
}

#[test]
fn a_format_that_can_not_be_is_refused() {
    let map = [8, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    for (bytes, why) in [
        (map, "it wants a colour map, which nvmm does not have"),
        (format(24, 24, 0, [255; 3], [16, 8, 0]), "it wants pixels of 24 bits; 8, 16 and 32 can be had"),
        (format(0, 0, 0, [255; 3], [16, 8, 0]), "it wants pixels of 0 bits; 8, 16 and 32 can be had"),
        (format(32, 24, 0, [255, 0, 255], [16, 8, 0]), "it wants colours that don't fit into a pixel"),
        (format(32, 24, 0, [255; 3], [25, 8, 0]), "it wants colours that don't fit into a pixel"),
        (format(16, 16, 0, [65535; 3], [255, 255, 255]), "it wants colours that don't fit into a pixel"),
        (format(8, 8, 0, [7, 7, 256], [0, 3, 0]), "it wants colours that don't fit into a pixel"),
    ] {
        assert_eq!(PixelFormat::parse(&bytes).unwrap_err().to_string(), why, "{bytes:?}");
    }
    // Every other byte is accepted or refused, without a panic.
    for byte in 0..16 {
        for value in 0..=255 {
            let mut bytes = PixelFormat::default().to_bytes();
            bytes[byte] = value;
            if let Ok(format) = PixelFormat::parse(&bytes) {
                let mut pixels = Vec::new();
                Converter::new(format).append(&[0x00ff_ffff], &mut pixels);
                assert_eq!(pixels.len(), usize::from(bytes[0] / 8));
            }
        }
    }
}
