use super::*;
use crate::display::vga::mode::Cursor;

fn mode(start: usize, at: usize) -> Text {
    Text {
        columns: 80,
        rows: 25,
        width: 9,
        height: 16,
        window: 0x1_8000,
        start,
        pitch: 160,
        cursor: Some(Cursor { at, first: 0, last: 15 }),
        colors: [0; 16],
        fonts: [0; 2],
        blink: false,
        line_graphics: false,
    }
}

#[test]
fn the_window_wraps() {
    assert_eq!(cell_in_row(&mode(0, 0), 0, 158), Some(79));
    assert_eq!(cell_in_row(&mode(0, 0), 0, 160), None);
    assert_eq!(cell_in_row(&mode(0x7ff0, 0), 0, 4), Some(10), "past the window's end");
    assert_eq!(cell_in_row(&mode(0x7ff0, 0), 1, 4), None);
}

#[test]
fn a_cursor_that_moves_is_no_other_mode() {
    assert!(mode(0, 0).differs_by_cursor(&mode(0, 2)));
    assert!(!mode(0, 0).differs_by_cursor(&mode(160, 0)));
}
