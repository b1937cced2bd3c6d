//! Fuzzes accesses to PCI configuration space, by ports and by memory, and to BARs.

use std::sync::{Arc, Mutex, PoisonError};

use arch::memory::GuestRam;
use vm_memory::GuestAddress;

use super::{ConfigPorts, Decoded, Ecam, PciAddress, PciFunction, PciRoot, SharedFunction};
use crate::{
    ahci::{Ahci, Drive},
    block::{BlockOptions, Lasting},
    bus::{BusDevice, Effect},
    chipset::{HostBridge, Lpc},
    display::vga::{Monitor, Resolution, Vga},
    irq::{Msi, nobody::Nobody},
    virtio::{
        block::fuzzing::memory_disk,
        input::{Reports, Tablet},
        pci::VirtioPci,
    },
};

const MEMORY: usize = 0x11_0000;
const RESOLUTION: Resolution = Resolution { width: 1280, height: 800 };

/// Steps of eight bytes each: the kind of access, the function, a register, and a value.
///
/// # Panics
///
/// A write changed which BARs are decoded without telling the machine, or put a BAR at an impossible address.
pub fn pci(data: &[u8]) {
    let root = Arc::new(new_root());
    let (mut ports, mut ecam) = (ConfigPorts::new(Arc::clone(&root)), Ecam::new(Arc::clone(&root)));
    let functions: Vec<_> = root.iter().map(|(address, function)| (address, function.clone())).collect();
    let mut before = decoded(&functions);
    for &[what, which, low, high, a, b, c, d] in data.as_chunks::<8>().0 {
        let register = u16::from_le_bytes([low, high]);
        let (address, function) = &functions[usize::from(which) % functions.len()];
        let width = 1 << (what >> 4).min(2);
        let value = [a, b, c, d];
        let selected = u32::try_from(address.index()).unwrap_or_default() << 8 | u32::from(register & 0xfc);
        let data_port = 4 + u64::from(register & 3);
        let mut read = [0; 4];
        let effect = match what % 16 {
            // In the drivers' order: the address, then the data.
            0..=3 => {
                let _ = ports.write(0, &(0x8000_0000 | selected).to_le_bytes());
                ports.write(data_port, &value[..width])
            }
            4 => {
                let _ = ports.write(0, &(0x8000_0000 | selected).to_le_bytes());
                ports.read(data_port, &mut read[..width]);
                Effect::None
            }
            5 => ports.write(u64::from(register) % ConfigPorts::LEN, &value[..width]),
            6 => {
                ports.read(u64::from(register) % ConfigPorts::LEN, &mut read[..width]);
                Effect::None
            }
            7 | 8 => ecam.write(place(*address, register), &value[..width]),
            9 => {
                ecam.read(place(*address, register), &mut read[..width]);
                Effect::None
            }
            10 => ecam.write(u32::from_le_bytes(value).into(), &value[..width]),
            11..=13 => with(function, |function| {
                let bars: Vec<_> = function.config().bars().map(|decoded| decoded.bar).collect();
                let Some(bar) = bars.get(usize::from(which) / functions.len() % bars.len().max(1)) else {
                    return Effect::None;
                };
                let offset = u64::from(register) % bar.size().saturating_sub(3).max(1);
                match what % 16 {
                    11 => {
                        function.bar_read(bar.index(), offset, &mut read[..width]);
                        Effect::None
                    }
                    _ => function.bar_write(bar.index(), offset, &value[..width]),
                }
            }),
            _ => {
                with(function, |function| drop(function.doorbells()));
                Effect::None
            }
        };
        let after = decoded(&functions);
        assert!(after == before || effect == Effect::Decode, "{address}: {effect:?}");
        before = after;
    }
}

/// All functions' decoded BARs, after checking them.
fn decoded(functions: &[(PciAddress, SharedFunction)]) -> Vec<(PciAddress, Decoded)> {
    let mut all = Vec::new();
    for (address, function) in functions {
        with(function, |function| {
            for decoded in function.config().decoded() {
                let Decoded { bar, base } = decoded;
                assert!(bar.can_be_at(base) && base.is_multiple_of(bar.size()), "{decoded:?}");
                assert!(base.checked_add(bar.size() - 1).is_some(), "{decoded:?}");
                all.push((*address, decoded));
            }
            assert!(function.ecam().is_none_or(|range| range.start < range.end));
        });
    }
    all
}

fn with<T>(function: &SharedFunction, call: impl FnOnce(&mut dyn PciFunction) -> T) -> T {
    call(&mut *function.lock().unwrap_or_else(PoisonError::into_inner))
}

/// The offset of a register in ECAM.
fn place(address: PciAddress, register: u16) -> u64 {
    (u64::try_from(address.index()).unwrap_or_default() << 12) + u64::from(register & 0xfff)
}

/// Makes a bus with functions of all kinds.
fn new_root() -> PciRoot {
    let memory = GuestRam::from_ranges(&[(GuestAddress(0), MEMORY)]).expect("there is memory");
    let root = PciRoot::with_host_bridge(Arc::new(Mutex::new(HostBridge::new())));
    let mut slot = 1;
    let mut insert = |function: SharedFunction| {
        let address = PciAddress::new(slot, 0).expect("there are more");
        slot += 1;
        root.insert(address, function).expect("it is free");
    };
    insert(Arc::new(Mutex::new(Lpc::new())));
    let vga = Vga::new(&Arc::<Monitor>::default(), memory.clone(), Arc::new(Nobody), RESOLUTION);
    insert(Arc::new(Mutex::new(vga.expect("there is memory"))));
    let at = PciAddress::new(3, 0).expect("it is one");
    let lasting = Lasting::from(BlockOptions::default());
    let drives = vec![Drive::disk(memory_disk(0), &lasting)];
    let ahci = Ahci::new(at, drives, &memory, Arc::new(Nobody), Arc::new(Nobody));
    insert(Arc::new(Mutex::new(ahci.expect("there are eventfds"))));
    let tablet = Box::new(Tablet::new(Arc::new(Reports::new().expect("there are eventfds"))));
    let vectors = (0..3).map(|_| Arc::new(Nobody) as Arc<dyn Msi>).collect();
    let at = PciAddress::new(4, 0).expect("it is one");
    let tablet = VirtioPci::new(at, tablet, memory, Arc::new(Nobody), vectors);
    insert(Arc::new(Mutex::new(tablet.expect("there are eventfds"))));
    root
}
