use arch::layout;
use vm_memory::{Bytes, GuestAddress};

use super::*;
use crate::{
    bus::{BusDevice, Effect},
    display::{
        Rect, Stamp,
        vga::{Resolution, Vga},
    },
    pci::PciFunction,
};

const SIZE: Resolution = Resolution { width: 1024, height: 768 };
const TEXT: u64 = layout::VIDEO_MEMORY + 0x1_8000;

/// The guest's writes without an exit, by address.
#[derive(Debug, Default)]
struct Guest(Mutex<Vec<u64>>);

impl DirtyLog for Guest {
    fn collect(&self, memory: &BarMemory) {
        for at in lock(&self.0).drain(..) {
            memory.dirty().unwrap().add(at..at + 1);
        }
    }
}

/// A machine with a screen.
struct Machine {
    monitor: Arc<Monitor>,
    vga: Vga,
    memory: GuestRam,
    guest: Arc<Guest>,
}

impl Machine {
    fn new(monitor: &Arc<Monitor>) -> Self {
        let memory = GuestRam::from_ranges(&[(GuestAddress(0), 2 << 20)]).unwrap();
        let guest = Arc::new(Guest::default());
        let vga = Vga::new(monitor, memory.clone(), guest.clone(), SIZE).unwrap();
        Self { monitor: Arc::clone(monitor), vga, memory, guest }
    }

    /// With text: character 1 of the font is a single pixel at the upper left, 2 is all pixels.
    fn with_text() -> Self {
        let machine = Self::new(&Arc::default());
        super::super::registers::tests::text_mode(&mut lock(&machine.vga.adapter).registers);
        let font = |character: u64, line| layout::VIDEO_MEMORY + character * 32 + line;
        machine.memory.write_obj(0x80_u8, GuestAddress(font(1, 0))).unwrap();
        (0..16).for_each(|line| machine.memory.write_obj(0xff_u8, GuestAddress(font(2, line))).unwrap());
        (0..16).for_each(|line| machine.memory.write_obj(1_u8, GuestAddress(font(0xc4, line))).unwrap());
        machine
    }

    fn put(&self, row: u64, column: u64, character: u8, attribute: u8) {
        let at = GuestAddress(TEXT + (row * 80 + column) * 2);
        self.memory.write_slice(&[character, attribute], at).unwrap();
    }

    /// Sets a pixel of video memory as the guest.
    fn set_pixel(&self, x: u64, y: u64, color: u32) {
        let at = (y * u64::from(SIZE.width) + x) * 4;
        let offset = usize::try_from(at).unwrap();
        self.vga.video.as_volatile_slice().write_obj(color, offset).unwrap();
        lock(&self.guest.0).push(at);
    }

    fn stamp(&self) -> Stamp {
        let mut stamp = Stamp::default();
        self.monitor.look(&mut |picture| stamp = picture.stamp());
        stamp
    }

    fn changes(&self, since: Stamp) -> Vec<Rect> {
        let mut changes = Vec::new();
        self.monitor.look(&mut |picture| changes = picture.changes_since(since));
        changes
    }

    fn size(&self) -> (u16, u16) {
        let mut size = (0, 0);
        self.monitor.look(&mut |picture| size = picture.size());
        size
    }

    fn pixel(&self, x: u16, y: u16) -> u32 {
        let mut pixel = 0;
        self.monitor.look(&mut |picture| pixel = picture.row(y, x..x + 1)[0]);
        pixel
    }
}

/// The colour for an attribute's number, in the palette of the text mode.
fn red(number: u32) -> u32 {
    number << 18
}

#[test]
fn characters_are_drawn_with_their_colours() {
    let machine = Machine::with_text();
    machine.put(1, 2, 1, 0x1e);
    machine.put(1, 3, 2, 0x1e);
    machine.put(1, 4, 0xc4, 0x07);
    machine.put(1, 5, 1, 0x80);
    assert_eq!(machine.size(), (720, 400));
    assert_eq!(
        [machine.pixel(18, 16), machine.pixel(19, 16), machine.pixel(18, 17)],
        [red(14), red(1), red(1)]
    );
    assert_eq!(
        [machine.pixel(27, 31), machine.pixel(35, 31)],
        [red(14), red(1)],
        "the ninth column is the ground"
    );
    assert_eq!([machine.pixel(43, 20), machine.pixel(44, 20)], [red(7); 2], "but of lines");
    assert_eq!(machine.pixel(46, 20), red(0), "bit 7 blinks, and is no colour");
}

#[test]
fn only_rows_that_change_are_drawn_again() {
    let machine = Machine::with_text();
    let before = machine.stamp();
    assert_eq!(machine.changes(before), []);
    machine.put(3, 10, 2, 0x0f);
    assert_eq!(machine.changes(before), [Rect { x: 80, y: 48, width: 32, height: 16 }]);
    // The cursor moves there from the first character.
    machine.put(0, 0, 0, 0x07);
    machine.put(3, 3, 0, 0x07);
    let before = machine.stamp();
    super::super::registers::tests::pair(&mut lock(&machine.vga.adapter).registers, 0x3d4, 0xf, 243);
    let changes = machine.changes(before);
    assert_eq!(changes.iter().map(|rect| rect.y).collect::<Vec<_>>(), [0, 48], "{changes:?}");
}

#[test]
fn the_cursor_is_a_block_of_lines() {
    let machine = Machine::with_text();
    machine.put(0, 0, 0, 0x0e);
    assert_eq!([12, 13, 14, 15].map(|y| machine.pixel(3, y)), [red(0), red(14), red(14), red(0)]);
    assert_eq!(machine.pixel(9, 13), red(0));
}

#[test]
fn a_linear_mode_is_drawn_where_the_guest_has_written() {
    let machine = Machine::new(&Arc::default());
    assert_eq!(machine.size(), (0, 0));
    assert_eq!(machine.vga.set_mode(SIZE), 4096);
    machine.set_pixel(5, 7, 0xff12_3456);
    assert_eq!((machine.size(), machine.pixel(5, 7)), ((1024, 768), 0x0012_3456));
    let before = machine.stamp();
    assert_eq!(machine.changes(before), []);
    machine.set_pixel(1023, 767, 0x00ff_ffff);
    let corner = Rect { x: 1008, y: 752, width: 16, height: 16 };
    assert_eq!(machine.changes(before), [corner]);
    // A page that is not in the log is not read.
    machine.vga.video.as_volatile_slice().write_obj(1_u32, 0).unwrap();
    assert_eq!(machine.changes(before), [corner]);
}

#[test]
fn pixels_have_five_formats() {
    let mut machine = Machine::new(&Arc::default());
    let set = |vga: &mut Vga, bpp: u16| {
        for (index, value) in [(4, 0), (1, 640), (2, 480), (3, bpp), (4, 0x41)] {
            let _effect = vga.bar_write(2, 0x500 + index * 2, &u16::to_le_bytes(value));
        }
        let _effect = vga.bar_write(2, 0x400, &[0x20]);
        vga.bar_read(2, 0x41a, &mut [0]);
    };
    for part in [0x01, 0x3f, 0x00, 0x20] {
        let port = if part == 1 { 8 } else { 9 };
        assert_eq!(machine.vga.ports(0x3c0).write(port, &[part]), Effect::None);
    }
    for (bpp, bytes, color) in [
        (8, &[1][..], 0x00ff_0082),
        (15, &[0x1f, 0x7c], 0x00ff_00ff),
        (16, &[0xe0, 0x07], 0x0000_ff00),
        (24, &[1, 2, 3], 0x0003_0201),
        (32, &[1, 2, 3, 4], 0x0003_0201),
    ] {
        machine.vga.ports(0x3c0).read(0x1a, &mut [0]);
        set(&mut machine.vga, bpp);
        machine.vga.video.as_volatile_slice().write_slice(bytes, 0).unwrap();
        assert_eq!((machine.size(), machine.pixel(0, 0)), ((640, 480), color), "{bpp}");
    }
}

#[test]
fn pixels_past_video_memory_are_black() {
    let mut machine = Machine::new(&Arc::default());
    machine.vga.set_mode(SIZE);
    let video = machine.vga.video.as_volatile_slice();
    (0..video.len() / 4).step_by(1024).for_each(|at| video.write_obj(u32::MAX, at * 4).unwrap());
    // The last row of video memory is the first of the screen.
    let last = u16::try_from(video.len() / 4096 - 1).unwrap();
    assert_eq!(machine.vga.bar_write(2, 0x500 + 2 * 9, &last.to_le_bytes()), Effect::None);
    assert_eq!([machine.pixel(0, 0), machine.pixel(0, 1)], [0x00ff_ffff, 0]);
    assert_eq!(machine.vga.bar_write(2, 0x500 + 2 * 9, &[0xff; 2]), Effect::None);
    assert_eq!(machine.pixel(0, 0), 0);
}

#[test]
fn mode_13h_is_drawn_twice_as_large() {
    let machine = Machine::new(&Arc::default());
    super::super::registers::tests::chained_mode(&mut lock(&machine.vga.adapter).registers);
    machine.memory.write_obj(5_u8, GuestAddress(layout::VIDEO_MEMORY + 320 * 199 + 319)).unwrap();
    assert_eq!(machine.size(), (640, 400));
    assert_eq!([(638, 398), (639, 399), (637, 399)].map(|(x, y)| machine.pixel(x, y)), [red(5), red(5), 0]);
    let before = machine.stamp();
    machine.memory.write_obj(9_u8, GuestAddress(layout::VIDEO_MEMORY)).unwrap();
    assert_eq!(machine.changes(before), [Rect { x: 0, y: 0, width: 16, height: 16 }]);
}

#[test]
fn the_last_picture_stays_through_a_reset_and_a_mode_that_is_not_drawn() {
    let monitor = Arc::default();
    let machine = Machine::new(&monitor);
    machine.vga.set_mode(SIZE);
    machine.set_pixel(0, 0, 7);
    assert_eq!(machine.pixel(0, 0), 7);
    let Machine { vga, memory, .. } = machine;
    let video = Arc::downgrade(&vga.video);
    drop(vga);
    assert!(video.upgrade().is_none(), "the monitor holds nothing of the machine");
    drop(memory);

    let next = Machine::new(&monitor);
    assert_eq!(next.pixel(0, 0), 0, "the next one begins with a blank screen");
    next.vga.set_mode(SIZE);
    next.set_pixel(0, 0, 8);
    assert_eq!(next.pixel(0, 0), 8);
    let mut adapter = lock(&next.vga.adapter);
    super::super::registers::tests::text_mode(&mut adapter.registers);
    let _clear = adapter.dispi.write(4, 0);
    super::super::registers::tests::pair(&mut adapter.registers, 0x3ce, 6, 5);
    drop(adapter);
    assert_eq!((next.size(), next.pixel(0, 0)), ((1024, 768), 8));
}
