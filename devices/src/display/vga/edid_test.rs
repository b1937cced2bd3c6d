use super::*;

const WIDE: Resolution = Resolution { width: 1280, height: 800 };

#[test]
fn the_sum_of_a_block_is_zero() {
    for (width, height) in [(640, 480), (1280, 800), (2560, 1600)] {
        let block = edid(Resolution { width, height });
        assert_eq!(block.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte)), 0, "{width}x{height}");
        assert_eq!(block[..8], [0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0]);
    }
}

#[test]
fn the_preferred_mode_is_the_first_timing() {
    let timing = &edid(WIDE)[54..72];
    let field = |low: usize, high: usize, shift: u8| {
        u32::from(timing[low]) | u32::from(timing[high] >> shift & 0xf) << 8
    };
    let (width, blank) = (field(2, 4, 4), field(3, 4, 0));
    let (height, lines) = (field(5, 7, 4), field(6, 7, 0));
    assert_eq!((width, blank, height), (1280, 160, 800));
    let clock = u32::from(u16::from_le_bytes([timing[0], timing[1]])) * 10_000;
    let refresh = f64::from(clock) / f64::from((width + blank) * (height + lines));
    assert!((59.9..=60.1).contains(&refresh), "{refresh} Hz");
    let microseconds = f64::from(lines) / (refresh * f64::from(height + lines)) * 1e6;
    assert!((450.0..500.0).contains(&microseconds), "{microseconds}");
}

#[test]
fn the_monitor_has_a_name() {
    let block = edid(WIDE);
    assert_eq!(&block[72..77], &[0, 0, 0, NAME, 0]);
    assert_eq!(&block[77..90], b"nvmm\n        ");
}
