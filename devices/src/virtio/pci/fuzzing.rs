//! Fuzzes accesses to the transport's registers and contents of rings, while the device's threads serve them.

use std::{path::Path, sync::Arc, time::Duration};

use arch::memory::GuestRam;
use vm_memory::{Bytes, GuestAddress};

use super::VirtioPci;
use crate::{
    block::{BlockOptions, Lasting},
    bus::Effect,
    irq::{Msi, nobody::Nobody},
    pci::{Lifecycle, PciAddress, PciFunction},
    virtio::{
        balloon::{Balloon, Control},
        block::{Block, fuzzing::memory_disk},
        device::VirtioDevice,
        input::{Reports, Tablet},
        rng::{Rng, Source},
    },
};

const MEMORY: usize = 0x1_0000;
const SLOT: PciAddress = PciAddress::new(3, 0).expect("it is one");
/// A timeout that is longer than any request here takes.
const PATIENCE: Duration = Duration::from_secs(8);

/// The common configuration's fields and their lengths: virtio 1.3, "Common configuration structure layout".
const FIELDS: [(u64, usize); 17] = [
    (0, 4),
    (4, 4),
    (8, 4),
    (12, 4),
    (16, 2),
    (18, 2),
    (20, 1),
    (21, 1),
    (22, 2),
    (24, 2),
    (26, 2),
    (28, 2),
    (30, 2),
    (32, 8),
    (40, 8),
    (48, 8),
    (56, 2),
];
const STATUS: u64 = 20;
const DRIVER_OK: u8 = 4;

/// Steps of eight bytes, after a first byte that chooses the device: the action, how, the place, and a value.
///
/// # Panics
///
/// There are doorbells without a driver, or they change without the machine being told; or the device does not stop.
pub fn virtio_pci(data: &[u8]) {
    let Some((&setup, data)) = data.split_first() else { return };
    let memory = GuestRam::from_ranges(&[(GuestAddress(0), MEMORY)]).expect("a few pages");
    let device = new_device(setup);
    let vectors = (0..=device.queue_sizes().len()).map(|_| Arc::new(Nobody) as Arc<dyn Msi>).collect();
    let function = VirtioPci::new(SLOT, device, memory.clone(), Arc::new(Nobody), vectors);
    let mut function = function.expect("there are eventfds");
    let memory_bar = function.memory_bar;
    let mut rang = false;
    for &[what, how, low, high, a, b, c, d] in data.as_chunks::<8>().0 {
        let (at, value) = (u64::from(u16::from_le_bytes([low, high])), [a, b, c, d, 0, 0, 0, 0]);
        let width = 1 << (how & 3);
        let mut read = [0; 8];
        let effect = match what % 16 {
            0..=2 => {
                let (offset, len) = FIELDS[usize::from(how) % FIELDS.len()];
                function.bar_write(memory_bar, offset, &value[..len])
            }
            3 => set_up(&mut function, low, how),
            4 => function.bar_write(memory_bar, at % VirtioPci::BAR_SIZE, &value[..width]),
            5 => {
                function.bar_read(memory_bar, at % VirtioPci::BAR_SIZE, &mut read[..width]);
                Effect::None
            }
            6 => function.config_write(low.into(), &value[..width.min(4)]),
            7 => {
                function.config_read(low.into(), &mut read[..width.min(4)]);
                Effect::None
            }
            8 | 9 if memory_bar != 0 => function.bar_write(0, at % 128, &value[..width.min(4)]),
            10 if memory_bar != 0 => {
                function.bar_read(0, at % 128, &mut read[..width.min(4)]);
                Effect::None
            }
            // Notifications, and MSI-X entries.
            8 | 9 => function.bar_write(memory_bar, 0x3000 + u64::from(low & 7) * 4, &value[..2]),
            10 => function.bar_write(memory_bar, 0x4000 + u64::from(low & 0x3f) * 4, &value[..4]),
            11..=13 => {
                let len = usize::from(how % 8) + 1;
                let _ = memory.write_slice(&value[..len], GuestAddress(at));
                Effect::None
            }
            14 => {
                assert!(function.pause(PATIENCE), "it does not pause");
                // A device that needs a reset says so.
                drop(function.resume());
                Effect::None
            }
            _ => {
                drop(function.measure());
                Effect::None
            }
        };
        let mut status = [0];
        function.bar_read(memory_bar, STATUS, &mut status);
        let rings = !function.doorbells().is_empty();
        let is_used = status[0] & DRIVER_OK != 0 && !function.common.is_resetting();
        assert_eq!(rings, is_used, "{:#x}", status[0]);
        assert!(rings == rang || effect == Effect::Decode, "{effect:?}");
        rang = rings;
    }
    assert!(function.stop(PATIENCE), "it does not stop");
}

/// Does what a driver does up to its first request, for a queue with rings at addresses that depend on `how`.
fn set_up(function: &mut VirtioPci, queue: u8, how: u8) -> Effect {
    let bar = function.memory_bar;
    let mut effect = Effect::None;
    let mut write = |offset: u64, data: &[u8]| {
        if function.bar_write(bar, offset, data) == Effect::Decode {
            effect = Effect::Decode;
        }
    };
    write(STATUS, &[3]);
    // VERSION_1, and all or none of the device's own features.
    write(8, &1_u32.to_le_bytes());
    write(12, &1_u32.to_le_bytes());
    if how & 1 != 0 {
        write(8, &0_u32.to_le_bytes());
        write(12, &u32::MAX.to_le_bytes());
    }
    write(STATUS, &[0xb]);
    write(22, &u16::from(queue & 3).to_le_bytes());
    write(24, &(1_u16 << (how >> 1 & 7)).to_le_bytes());
    for (number, field) in (0_u64..).zip([32, 40, 48]) {
        write(field, &(u64::from(how >> 4) * 0x1000 + number * 0x400).to_le_bytes());
    }
    write(28, &1_u16.to_le_bytes());
    write(STATUS, &[0xf]);
    effect
}

fn new_device(setup: u8) -> Box<dyn VirtioDevice> {
    let block = |legacy| {
        let lasting = Lasting::from(BlockOptions { legacy, ..BlockOptions::default() });
        Box::new(Block::new(memory_disk(setup >> 4), &lasting))
    };
    match setup % 5 {
        0 => block(false),
        1 => block(true),
        2 => Box::new(Balloon::new(Arc::<Control>::default(), Arc::new(Nobody))),
        3 => Box::new(Tablet::new(Arc::new(Reports::new().expect("there are eventfds")))),
        _ => Box::new(Rng::new(Arc::new(Source::open(Path::new("/dev/zero")).expect("it is there")))),
    }
}
