use super::*;

#[test]
fn rows_are_dirty_by_the_pages_that_they_touch() {
    let dirty = [1 << 1, 1];
    let is_dirty = |start, len| is_dirty(&dirty, start, len);
    assert!(!is_dirty(0, 0x1000) && is_dirty(0, 0x1001) && is_dirty(0x1fff, 1) && !is_dirty(0x2000, 1));
    assert!(is_dirty(64 << 12, 1) && !is_dirty(65 << 12, 1));
    assert!(!is_dirty(usize::MAX, usize::MAX), "past the end");
}

#[test]
fn the_greatest_part_of_a_colour_is_255() {
    let color = |format, bytes: &[u8]| {
        let mut row = Vec::new();
        colors(format, None, bytes, &mut row);
        row[0]
    };
    assert_eq!(color(Format::Rgb555, &[0xff, 0xff]), 0x00ff_ffff);
    assert_eq!(color(Format::Rgb565, &[0xff, 0xff]), 0x00ff_ffff);
    assert_eq!(color(Format::Rgb565, &[0x01, 0x80]), 0x0084_0008);
    assert_eq!(color(Format::Indexed, &[9]), 0, "without a palette");
}
