use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use vm_memory::{Bytes, GuestAddress};

use super::*;
use crate::pci::DirtyPages;

/// Logs nothing.
#[derive(Debug)]
struct Nobody;

impl DirtyLog for Nobody {
    fn collect(&self, _memory: &BarMemory) {}
}

fn vga() -> Vga {
    let memory = GuestRam::from_ranges(&[(GuestAddress(0), 2 << 20)]).unwrap();
    Vga::new(&Arc::default(), memory, Arc::new(Nobody), Resolution { width: 1280, height: 800 }).unwrap()
}

fn read<const N: usize>(vga: &mut Vga, offset: u64) -> [u8; N] {
    let mut data = [0x55; N];
    vga.bar_read(REGISTERS, offset, &mut data);
    data
}

#[test]
fn the_device_is_qemus_standard_vga() {
    let vga = vga();
    assert_eq!(vga.config().get(0), [0x34, 0x12, 0x11, 0x11]);
    assert_eq!(vga.config().get(8), [2, 0, 0, 3]);
    assert_eq!(vga.config().get(0x2c), [0xf4, 0x1a, 0x00, 0x11]);
    let bars: Vec<_> =
        vga.config().bars().map(|it| (it.bar.index(), it.bar.size(), it.bar.is_prefetchable())).collect();
    assert_eq!(bars, [(0, 16 << 20, true), (2, 4096, false)]);
    assert!(vga.bar_memory(0).is_some() && vga.bar_memory(2).is_none());
    assert_eq!(vga.video_memory(), None, "nobody has placed it");
}

#[test]
fn the_registers_are_behind_bar_2() {
    let mut vga = vga();
    assert_eq!(read(&mut vga, 0), [0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0]);
    assert_eq!(read(&mut vga, 0x7e), [0, vga.edid[127], 0, 0], "zeros follow the EDID");
    assert_eq!(read(&mut vga, 0x500), [0xc5, 0xb0]);
    assert_eq!(read(&mut vga, 0x514), [0, 1], "64 KiB each");
    assert_eq!(read(&mut vga, 0x516), [0, 0]);
    assert_eq!(read(&mut vga, 0x600), [8, 0, 0, 0, 0x1e, 0x1e, 0x1e, 0x1e]);
    assert_eq!(read(&mut vga, 0xffe), [0, 0]);
    assert_eq!(vga.bar_write(REGISTERS, 0x402, &[0x67]), Effect::None);
    assert_eq!(read(&mut vga, 0x40c), [0x67]);
    assert_eq!(vga.bar_write(REGISTERS, 0x502, &[0x00, 0x04]), Effect::None);
    assert_eq!(read(&mut vga, 0x502), [0, 4]);
    for (offset, data) in [
        (0x502, &[1][..]),
        (0x503, &[1, 1]),
        (0x502, &[1; 4]),
        (0, &[1, 1]),
        (0x600, &[1, 1]),
        (u64::MAX, &[1, 1]),
    ] {
        assert_eq!(vga.bar_write(REGISTERS, offset, data), Effect::None);
    }
    assert_eq!(read(&mut vga, 0x502), [0, 4], "of 16 bits, and nowhere else");
    assert_eq!(read(&mut vga, u64::MAX), [0, 0]);
}

#[test]
fn the_ports_reach_the_same_registers() {
    let mut vga = vga();
    let (mut ports, mut dispi) = (vga.ports(0x3c0), vga.dispi_ports());
    assert_eq!(ports.write(0xe, &[6, 0x0e]), Effect::None);
    assert_eq!(read(&mut vga, 0x40e), [6, 0x0e], "index and value at once");
    assert_eq!(dispi.write(0, &[1, 0]), Effect::None);
    assert_eq!(dispi.write(1, &[0x20, 3]), Effect::None);
    assert_eq!(read(&mut vga, 0x502), [0x20, 3]);
    let mut word = [0; 2];
    dispi.read(1, &mut word);
    assert_eq!(word, [0x20, 3]);
    dispi.read(0, &mut word);
    assert_eq!(word, [1, 0]);
    dispi.read(2, &mut word);
    assert_eq!(word, [0xff; 2]);
    assert_eq!(vga.ports(0x3b0).write(0xb, &[1, 1]), Effect::None);
    assert_eq!(vga.ports(0x3b0).write(u64::MAX, &[1]), Effect::None);
}

#[test]
fn setting_a_mode_clears_the_screen() {
    let mut vga = vga();
    let memory = vga.video.as_volatile_slice();
    memory.write_obj(0x55_u8, 640 * 480 - 1).unwrap();
    memory.write_obj(0x55_u8, 640 * 480).unwrap();
    for (index, value) in [(1, 640_u16), (2, 480), (3, 8), (4, 1)] {
        assert_eq!(vga.bar_write(REGISTERS, 0x500 + index * 2, &value.to_le_bytes()), Effect::None);
    }
    let memory = vga.video.as_volatile_slice();
    let around = [640 * 480 - 1, 640 * 480].map(|at| memory.read_obj::<u8>(at).unwrap());
    assert_eq!(around, [0, 0x55]);
    let dirty = vga.video.dirty().map(DirtyPages::take).unwrap();
    assert_eq!(dirty.iter().map(|word| word.count_ones()).sum::<u32>(), 75);
}

/// Waits for the moment when the registers' lock is free while 16 MiB are being cleared: the first byte is clear, the last is not.
#[test]
fn clearing_does_not_lock_the_registers() {
    let vga = vga();
    let mut ports = vga.dispi_ports();
    let last = 2560 * 1600 * 4 - 1;
    let is_seen = AtomicBool::new(false);
    let (vga, is_seen) = (&vga, &is_seen);
    thread::scope(|scope| {
        scope.spawn(move || {
            let memory = vga.video.as_volatile_slice();
            for _ in 0..10_000 {
                memory.write_obj(0x55_u8, 0).unwrap();
                memory.write_obj(0x55_u8, last).unwrap();
                for (index, value) in [(4, 0_u16), (1, 2560), (2, 1600), (3, 32), (4, 1)] {
                    let _ = ports.write(0, &u16::to_le_bytes(index));
                    let _ = ports.write(1, &value.to_le_bytes());
                }
                if is_seen.load(Ordering::Relaxed) {
                    return;
                }
            }
            panic!("nobody gets the lock while the screen is cleared");
        });
        scope.spawn(move || {
            let memory = vga.video.as_volatile_slice();
            let is_clearing = || {
                let _registers = lock(&vga.adapter);
                let [first, last] = [0, last].map(|at| memory.read_obj::<u8>(at).unwrap());
                (first, last) == (0, 0x55)
            };
            // The other thread uses the ports until it gives up.
            while !is_clearing() && Arc::strong_count(&vga.adapter) > 2 {
                thread::yield_now();
            }
            is_seen.store(true, Ordering::Relaxed);
        });
    });
}

#[test]
fn screens_have_sizes_that_there_is_memory_for() {
    for (width, height, is_possible) in [
        (640, 480, true),
        (2560, 1600, true),
        (2560, 1640, false),
        (1366, 768, false),
        (632, 480, false),
        (640, 472, false),
        (4096, 480, false),
    ] {
        assert_eq!(Resolution { width, height }.is_possible(), is_possible, "{width}x{height}");
    }
}
