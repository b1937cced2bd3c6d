use std::sync::Arc;

use arch::memory::GuestRam;
use proptest::{collection::vec, prelude::*};
use vm_memory::GuestAddress;

use super::{
    super::{super::Screen, DispiPorts, Monitor, Resolution, VgaPorts},
    *,
};
use crate::{
    bus::BusDevice,
    pci::{BarMemory, DirtyLog, PciFunction},
    state::{
        SaveState,
        testing::{carry_over, damage, saved},
    },
};

/// A log that records no writes.
#[derive(Debug)]
struct Nobody;

impl DirtyLog for Nobody {
    fn collect(&self, _memory: &BarMemory) {}
}

/// The adapter with its ports, and its monitor.
struct Pc(Vga, VgaPorts, VgaPorts, DispiPorts, Arc<Monitor>);

impl Pc {
    fn new() -> Self {
        let memory = GuestRam::from_ranges(&[(GuestAddress(0), 0x11_0000)]).unwrap();
        let monitor = Arc::new(Monitor::default());
        let vga = new(&monitor, memory);
        let (color, monochrome, dispi) = (vga.ports(0x3c0), vga.ports(0x3b0), vga.dispi_ports());
        Self(vga, color, monochrome, dispi, monitor)
    }

    /// An access: the place, the offset, and a value. Returns the value read.
    fn step(&mut self, &(place, offset, value): &(u8, u8, u16)) -> u16 {
        let (mut data, offset) = (value.to_le_bytes(), u64::from(offset));
        match place % 8 {
            0 => drop(self.1.write(offset % VgaPorts::LEN, &data[..1])),
            1 => drop(self.1.write(offset % VgaPorts::LEN, &data)),
            2 => drop(self.2.write(offset % VgaPorts::MONOCHROME_LEN, &data[..1])),
            3 => drop(self.3.write(offset % 2, &data)),
            4 => drop(self.0.bar_write(2, 0x500 + offset % 0x20, &data)),
            5 => self.1.read(offset % VgaPorts::LEN, &mut data[..1]),
            6 => self.3.read(offset % 2, &mut data),
            _ => self.0.bar_read(2, 0x400 + offset, &mut data),
        }
        u16::from_le_bytes(data)
    }

    /// The size of the picture.
    fn size(&self) -> (u16, u16) {
        let mut size = (0, 0);
        self.4.look(&mut |picture| size = picture.size());
        size
    }
}

fn new(monitor: &Arc<Monitor>, memory: GuestRam) -> Vga {
    Vga::new(monitor, memory, Arc::new(Nobody), Resolution { width: 1280, height: 800 }).unwrap()
}

fn steps() -> impl Strategy<Value = Vec<(u8, u8, u16)>> {
    vec((any::<u8>(), any::<u8>(), prop_oneof![any::<u16>(), 0..0x30_u16, Just(0x41), Just(640)]), 0..150)
}

proptest! {
    #[test]
    fn an_adapter_goes_on_where_it_was(before in steps(), after in steps()) {
        let (mut first, mut second) = (Pc::new(), Pc::new());
        for what in &before {
            first.step(what);
        }
        carry_over(&first.0, &mut second.0);
        prop_assert_eq!(saved(&second.0), saved(&first.0));
        for what in &after {
            prop_assert_eq!(first.step(what), second.step(what), "{:?}", what);
        }
        prop_assert_eq!(first.size(), second.size());
    }
}

#[test]
fn the_mode_is_shown_by_the_new_adapter() {
    let (first, mut second) = (Pc::new(), Pc::new());
    first.0.set_mode(Resolution { width: 800, height: 600 });
    carry_over(&first.0, &mut second.0);
    assert_eq!(second.size(), (800, 600));
}

#[test]
fn damaged_states_do_no_harm() {
    let mut first = Pc::new();
    for (index, value) in [(1, 640), (2, 480), (3, 8), (4, 0x41), (6, 1024), (8, 3), (9, 4)] {
        first.step(&(3, 0, index));
        first.step(&(3, 1, value));
    }
    first.step(&(0, 8, 7));
    first.step(&(0, 9, 33));
    let memory = GuestRam::from_ranges(&[(GuestAddress(0), 0x11_0000)]).unwrap();
    let monitor = Arc::new(Monitor::default());
    damage(
        &first.0.save_state().unwrap(),
        || new(&monitor, memory.clone()),
        |vga| {
            let (mut ports, mut dispi) = (vga.ports(0x3c0), vga.dispi_ports());
            lock(&vga.adapter).mode();
            for offset in 0..VgaPorts::LEN {
                ports.read(offset, &mut [0]);
                let _ = ports.write(offset, &[0x55]);
            }
            dispi.read(1, &mut [0; 2]);
            vga.bar_read(2, 0x500, &mut [0; 22]);
            monitor.look(&mut |picture| {
                let (width, height) = picture.size();
                assert!(u64::from(width) * u64::from(height) <= Vga::MEMORY / 4);
            });
        },
    );
}
