//! Fuzzes register accesses.

use std::sync::Arc;

use arch::memory::GuestRam;
use vm_memory::{Bytes, GuestAddress};

use super::{DispiPorts, Monitor, Resolution, Vga, VgaPorts};
use crate::{
    bus::{BusDevice, Effect},
    display::Screen,
    pci::{BarMemory, DirtyLog, PciFunction},
};

const MEMORY: usize = 0x11_0000;
const RESOLUTION: Resolution = Resolution { width: 1280, height: 800 };
/// The most pixels of a picture.
const MOST: u64 = Vga::MEMORY / 4;

/// Accesses to the adapter of four bytes each: a place, an offset, and a value. The picture is refreshed in between.
pub fn vga(data: &[u8]) {
    let memory = GuestRam::from_ranges(&[(GuestAddress(0), MEMORY)]).expect("there is memory");
    let monitor = Arc::new(Monitor::default());
    let mut vga = Vga::new(&monitor, memory.clone(), Arc::new(Nobody), RESOLUTION).expect("there is memory");
    let (mut ports, mut dispi) = (vga.ports(0x3c0), vga.dispi_ports());
    for &[place, offset, low, high] in data.as_chunks::<4>().0 {
        let mut read = [0; 2];
        let offset = u64::from(offset);
        let effect = match place % 8 {
            0 => ports.write(offset % VgaPorts::LEN, &[low]),
            1 => ports.write(offset % VgaPorts::LEN, &[low, high]),
            2 => dispi.write(offset % DispiPorts::LEN, &[low, high]),
            3 => vga.bar_write(2, 0x400 + offset, &[low, high]),
            4 => vga.bar_write(2, 0x500 + offset, &[low, high]),
            5 => {
                ports.read(offset % VgaPorts::LEN, &mut read);
                vga.bar_read(2, offset << 4 | u64::from(low & 0xf), &mut read);
                Effect::None
            }
            6 => {
                let at = GuestAddress(0xa_0000 + (offset << 9));
                memory.write_slice(&[low, high], at).expect("it is memory");
                Effect::None
            }
            _ => {
                monitor.look(&mut |picture| {
                    let (width, height) = picture.size();
                    assert!(u64::from(width) * u64::from(height) <= MOST, "{width}x{height}");
                });
                Effect::None
            }
        };
        assert_eq!(effect, Effect::None);
    }
    monitor.look(&mut |_| {});
}

/// A log that records no write.
#[derive(Debug)]
struct Nobody;

impl DirtyLog for Nobody {
    fn collect(&self, _memory: &BarMemory) {}
}
