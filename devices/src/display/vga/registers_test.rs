use super::*;

/// The registers of mode 3, 80 by 25 characters of 9 by 16 pixels, as a VGA's BIOS sets them.
pub(in super::super) fn text_mode(registers: &mut Registers) {
    registers.write(0x3c2, 0x67);
    for (index, value) in [(1, 0x00), (3, 0x00), (4, 0x02)] {
        pair(registers, 0x3c4, index, value);
    }
    let crtc = [
        0x5f, 0x4f, 0x50, 0x82, 0x55, 0x81, 0xbf, 0x1f, 0x00, 0x4f, 0x0d, 0x0e, 0x00, 0x00, 0x00, 0x00, 0x9c,
        0x8e, 0x8f, 0x28, 0x1f, 0x96, 0xb9, 0xa3, 0xff,
    ];
    pair(registers, 0x3d4, 0x11, 0);
    for (index, value) in (0..).zip(crtc) {
        pair(registers, 0x3d4, index, value);
    }
    pair(registers, 0x3ce, 5, 0x10);
    pair(registers, 0x3ce, 6, 0x0e);
    registers.read(0x3da);
    for index in 0..16 {
        attribute(registers, index, index);
    }
    for (index, value) in [(0x10, 0x0c), (0x12, 0x0f), (0x14, 0)] {
        attribute(registers, index, value);
    }
    // The red value of each colour is its number.
    registers.write(0x3c8, 0);
    for number in 0..64 {
        [number, 0, 0].into_iter().for_each(|part| registers.write(0x3c9, part));
    }
    registers.write(0x3c0, 0x20);
    registers.read(0x3da);
}

/// Sets the registers of mode 13H.
pub(in super::super) fn chained_mode(registers: &mut Registers) {
    text_mode(registers);
    pair(registers, 0x3c4, 4, 0x0e);
    pair(registers, 0x3ce, 5, 0x40);
    pair(registers, 0x3ce, 6, 0x05);
}

pub(in super::super) fn pair(registers: &mut Registers, port: u16, index: u8, value: u8) {
    registers.write(port, index);
    registers.write(port + 1, value);
}

fn attribute(registers: &mut Registers, index: u8, value: u8) {
    registers.write(0x3c0, index);
    registers.write(0x3c0, value);
}

fn text(registers: &Registers) -> Text {
    match registers.mode(None, false) {
        Mode::Text(text) => *text,
        mode => panic!("{mode:?}"),
    }
}

fn registers() -> Registers {
    let mut registers = Registers::new();
    text_mode(&mut registers);
    registers
}

#[test]
fn the_screen_is_blank_after_a_reset() {
    assert_eq!(Registers::new().mode(None, false), Mode::Blank);
}

#[test]
fn a_bioss_text_mode_is_80_by_25_characters() {
    let text = text(&registers());
    assert_eq!((text.columns, text.rows, text.width, text.height), (80, 25, 9, 16));
    assert_eq!((text.window, text.start, text.pitch), (COLOR, 0, 160));
    assert_eq!(text.cursor, Some(Cursor { at: 0, first: 13, last: 14 }));
    assert_eq!((text.fonts, text.blink, text.line_graphics), ([0; 2], true, true));
    assert_eq!(text.colors[..3], [0, 0x0004_0000, 0x0008_0000]);
    assert_eq!(text.colors[15], 0x003c_0000);
}

#[test]
fn text_modes_differ_by_the_crt_controllers_registers() {
    let mut registers = registers();
    pair(&mut registers, 0x3d4, 0x11, 0x0e);
    for (index, value) in [(9, 0x47), (0xc, 0x01), (0xd, 0x02), (0xe, 0x03), (0xf, 0x04), (0xa, 0x2d)] {
        pair(&mut registers, 0x3d4, index, value);
    }
    let fifty = text(&registers);
    assert_eq!((fifty.rows, fifty.height, fifty.start, fifty.cursor), (50, 8, 0x204, None));
    pair(&mut registers, 0x3d4, 0xa, 0x0d);
    assert_eq!(text(&registers).cursor.map(|cursor| cursor.at), Some(0x608));
    pair(&mut registers, 0x3d4, 1, 39);
    pair(&mut registers, 0x3c4, 1, 9);
    pair(&mut registers, 0x3ce, 6, 0x0a);
    let forty = text(&registers);
    assert_eq!((forty.columns, forty.width, forty.window), (40, 8, MONOCHROME));
    // A font is being loaded.
    pair(&mut registers, 0x3ce, 6, 0x04);
    assert_eq!(registers.mode(None, false), Mode::Loading);
}

#[test]
fn fonts_are_selected_by_the_character_map_select() {
    let mut registers = registers();
    for (select, fonts) in
        [(0x00, [0, 0]), (0x04, [0, 0x4000]), (0x01, [0x4000, 0]), (0x10, [0x2000, 0]), (0x3f, [0xe000; 2])]
    {
        pair(&mut registers, 0x3c4, 3, select);
        assert_eq!(text(&registers).fonts, fonts, "{select:#x}");
    }
}

#[test]
fn the_attribute_controllers_port_takes_index_and_value_in_turn() {
    let mut registers = registers();
    registers.write(0x3c0, 0x21);
    registers.write(0x3c0, 0x3f);
    registers.write(0x3c0, 0x22);
    // Reading the status switches back to the index.
    assert_eq!([registers.read(0x3da), registers.read(0x3da)], [9, 0]);
    registers.write(0x3c0, 0x21);
    assert_eq!([registers.read(0x3c0), registers.read(0x3c1)], [0x21, 0x3f]);
    assert_eq!(text(&registers).colors[1], 0x00ff_0000);
    // An index without bit 5 disconnects the palette from the screen.
    registers.read(0x3da);
    registers.write(0x3c0, 0x01);
    assert_eq!(registers.mode(None, false), Mode::Blank);
}

#[test]
fn protected_registers_keep_what_they_have() {
    let mut registers = registers();
    for index in 0..8 {
        pair(&mut registers, 0x3d4, index, 0xee);
    }
    assert_eq!(text(&registers).columns, 80);
    pair(&mut registers, 0x3d4, 7, 0x00);
    assert_eq!(registers.read(0x3d5), 0x0f, "bit 4 alone can change");
}

#[test]
fn the_crt_controller_is_at_the_ports_of_its_screen() {
    let mut registers = registers();
    pair(&mut registers, 0x3b4, 0xf, 7);
    assert_eq!(registers.read(0x3b5), 0xff);
    registers.write(0x3c2, 0x66);
    assert_eq!(registers.read(0x3cc), 0x66);
    assert_eq!(registers.read(0x3d5), 0xff);
    pair(&mut registers, 0x3b4, 0xf, 7);
    assert_eq!(registers.read(0x3b5), 7);
}

#[test]
fn colours_have_six_bits_or_eight() {
    let mut registers = registers();
    registers.write(0x3c8, 255);
    [0x3f, 0x20, 0x00, 0x01].into_iter().for_each(|part| registers.write(0x3c9, part));
    registers.write(0x3c7, 255);
    assert_eq!([0; 4].map(|_: u8| registers.read(0x3c9)), [0x3f, 0x20, 0x00, 0x01], "it wraps");
    assert_eq!([registers.read(0x3c7), registers.read(0x3c8)], [3, 0]);
    chained_mode(&mut registers);
    let palette = |wide| match registers.mode(None, wide) {
        Mode::Chained(Chained { start: 0, pitch: 320 }, palette) => palette[255],
        mode => panic!("{mode:?}"),
    };
    assert_eq!([palette(false), palette(true)], [0x00ff_8200, 0x003f_2000]);
}

#[test]
fn planar_modes_are_not_drawn() {
    let mut registers = registers();
    pair(&mut registers, 0x3ce, 6, 0x05);
    assert_eq!(registers.mode(None, false), Mode::Planar);
    chained_mode(&mut registers);
    pair(&mut registers, 0x3c4, 4, 0x06);
    assert_eq!(registers.mode(None, false), Mode::Planar, "mode X");
}

#[test]
fn a_linear_mode_goes_first_and_is_blank_without_the_palette() {
    let linear = Linear { width: 640, height: 480, format: Format::Xrgb8888, start: 0, pitch: 2560 };
    let mut registers = registers();
    assert_eq!(registers.mode(Some(linear.clone()), false), Mode::Linear(linear.clone(), None));
    registers.write(0x3c0, 0);
    assert_eq!(registers.mode(Some(linear.clone()), false), Mode::Blank);
    let mut fresh = Registers::new();
    fresh.unblank();
    let indexed = Linear { format: Format::Indexed, ..linear };
    assert!(matches!(fresh.mode(Some(indexed), false), Mode::Linear(_, Some(_))));
}

#[test]
fn missing_registers_read_as_nothing() {
    let mut registers = registers();
    pair(&mut registers, 0x3d4, 0xf0, 1);
    assert_eq!(registers.read(0x3d5), 0);
    pair(&mut registers, 0x3c4, 5, 1);
    assert_eq!(registers.read(0x3c5), 0);
    assert_eq!([0x3c3, 0x3d8, 0x3b0, 0xffff].map(|port| registers.read(port)), [0xff; 4]);
}
