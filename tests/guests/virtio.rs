//! A minimal virtio-pci driver that can violate the specification. It uses a transitional device as drivers did before virtio 1.0, by
//! ports.
#![allow(dead_code, reason = "no guest needs all of it")]

use crate::rt::{
    inb, outb, outl, outw,
    pci::{self, Function},
    read, write,
};

pub const QUEUE_SIZE: u16 = 8;
/// The address of the rings of a function's queue, and the distance to the next device's.
const RINGS: u64 = 0x40_0000;
const RINGS_LEN: u64 = 0x3000;
/// The size of a transitional device's queues by default. This driver places their rings like those of other devices.
const LEGACY_QUEUE_SIZE: u16 = 256;
/// Device IDs from here on belong to devices that are not transitional.
const MODERN: u16 = 0x1040;

/// virtio 1.3, "Legacy Interfaces: A Note on PCI Device Layout".
const LEGACY_FEATURES: u16 = 4;
const LEGACY_ADDRESS: u16 = 8;
const LEGACY_SELECT: u16 = 14;
const LEGACY_NOTIFY: u16 = 16;
const LEGACY_STATUS: u16 = 18;

/// A port without a device, whose access takes some time.
const UNUSED_PORT: u16 = 0x80;

pub const NEXT: u16 = 1;
pub const WRITE: u16 = 2;
pub const INDIRECT: u16 = 4;

const ACKNOWLEDGE: u8 = 1;
const DRIVER: u8 = 2;
const DRIVER_OK: u8 = 4;
const FEATURES_OK: u8 = 8;
pub const NEEDS_RESET: u8 = 64;

#[derive(Clone, Copy)]
#[repr(C)]
pub struct Descriptor {
    pub address: u64,
    pub len: u32,
    pub flags: u16,
    pub next: u16,
}

pub const fn descriptor(address: u64, len: u32, flags: u16, next: u16) -> Descriptor {
    Descriptor { address, len, flags, next }
}

pub struct Device {
    /// The index of the queue in use.
    queue: u16,
    /// The number of entries in its ring.
    size: u16,
    /// The first of the ports of a transitional device.
    ports: Option<u16>,
    common: u64,
    doorbell: u64,
    descriptors: u64,
    available: u64,
    used: u64,
}

impl Device {
    /// Finds the register blocks by the capability list.
    pub fn find(function: impl Into<Function>) -> Self {
        Self::find_queue(function, 0)
    }

    /// The same as [`Device::find`], for another queue than the first.
    pub fn find_queue(function: impl Into<Function>, queue: u16) -> Self {
        let function = function.into();
        let is_legacy = read::<u16>(pci::config(function, 2)) < MODERN;
        let ports = is_legacy.then(|| (pci::bar(function, 0) & 0xfffc) as u16);
        let size = if is_legacy { LEGACY_QUEUE_SIZE } else { QUEUE_SIZE };
        let (mut common, mut notify, mut multiplier) = (0, 0, 0);
        let mut at: u8 = read(pci::config(function, 0x34));
        while at != 0 {
            let field = |offset: u8| pci::config(function, u16::from(at + offset));
            if read::<u8>(field(0)) == 9 {
                let bar: u8 = read(field(4));
                let base = pci::bar(function, bar.into()) + u64::from(read::<u32>(field(8)));
                match read::<u8>(field(3)) {
                    1 => common = base,
                    2 => (notify, multiplier) = (base, read::<u32>(field(16))),
                    _ => {}
                }
            }
            at = read(field(1));
        }
        write(common + 0x16, queue);
        let offset: u16 = read(common + 0x1e);
        let doorbell = notify + u64::from(offset) * u64::from(multiplier);
        let number = u64::from(queue) << 8 | u64::from(function.number) << 5 | u64::from(function.device);
        let rings = RINGS + number * RINGS_LEN;
        let (available, used) = (rings + 0x1000, rings + 0x2000);
        Self { queue, size, ports, common, doorbell, descriptors: rings, available, used }
    }

    /// Resets the device and starts it with one queue, whose rings are empty.
    pub fn start(&self) {
        self.start_with(0);
    }

    /// [`Device::start`], with the device's own `features` besides those of its queue.
    pub fn start_with(&self, features: u32) {
        self.start_sized(features, QUEUE_SIZE);
    }

    /// Resets the device, and waits until that is done.
    pub fn reset(&self) {
        match self.ports {
            Some(ports) => outb(ports + LEGACY_STATUS, 0),
            None => write(self.common + 0x14, 0_u8),
        }
        while self.status() != 0 {}
    }

    /// The same as [`Device::start_with`], with a queue of up to 256 descriptors.
    pub fn start_sized(&self, features: u32, size: u16) {
        self.begin(features);
        self.enable(size);
        self.end();
    }

    /// The first part of a start: resets the device, and negotiates features.
    pub fn begin(&self, features: u32) {
        self.reset();
        if let Some(ports) = self.ports {
            outb(ports + LEGACY_STATUS, ACKNOWLEDGE);
            outb(ports + LEGACY_STATUS, ACKNOWLEDGE | DRIVER);
            return outl(ports + LEGACY_FEATURES, features | 3 << 28);
        }
        for status in [ACKNOWLEDGE, ACKNOWLEDGE | DRIVER] {
            write(self.common + 0x14, status);
        }
        // Features 28, 29 (indirect descriptors, event index) and 32 (version 1).
        for (select, bits) in [(0_u32, features | 3 << 28), (1, 1)] {
            write(self.common + 0x8, select);
            write(self.common + 0xc, bits);
        }
        write(self.common + 0x14, ACKNOWLEDGE | DRIVER | FEATURES_OK);
    }

    /// Empties the rings of the queue, and enables it.
    pub fn enable(&self, size: u16) {
        (self.descriptors..self.used + 0x1000).step_by(8).for_each(|at| write(at, 0_u64));
        if let Some(ports) = self.ports {
            outw(ports + LEGACY_SELECT, self.queue);
            return outl(ports + LEGACY_ADDRESS, (self.descriptors >> 12) as u32);
        }
        write(self.common + 0x16, self.queue);
        write(self.common + 0x18, size);
        for (offset, ring) in [(0x20, self.descriptors), (0x28, self.available), (0x30, self.used)] {
            write(self.common + offset, ring as u32);
            write(self.common + offset + 4, 0_u32);
        }
        write(self.common + 0x1c, 1_u16);
    }

    /// The last part of a start, when all queues are enabled.
    pub fn end(&self) {
        match self.ports {
            Some(ports) => outb(ports + LEGACY_STATUS, ACKNOWLEDGE | DRIVER | DRIVER_OK),
            None => write(self.common + 0x14, ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK),
        }
    }

    /// The status. These registers show more of it, also on a transitional device.
    pub fn status(&self) -> u8 {
        read(self.common + 0x14)
    }

    pub fn write_descriptors(&self, at: u64, descriptors: &[Descriptor]) {
        for (at, descriptor) in (at..).step_by(16).zip(descriptors) {
            write(at, *descriptor);
        }
    }

    /// Writes `descriptors` to the table, makes `heads` available with this index, and notifies the device.
    pub fn submit(&self, descriptors: &[Descriptor], heads: &[u16], index: u16) {
        self.offer(descriptors, heads, index);
        self.ring();
    }

    /// [`Device::submit`] without notifying.
    pub fn offer(&self, descriptors: &[Descriptor], heads: &[u16], index: u16) {
        self.write_descriptors(self.descriptors, descriptors);
        for (at, head) in (self.available + 4..).step_by(2).zip(heads) {
            write(at, *head);
        }
        write(self.available + 2, index);
    }

    /// Makes the chain in `descriptors` the next one of the queue, in which `index` were available, and notifies the device.
    pub fn submit_next(&self, descriptors: &[Descriptor], index: &mut u16) {
        self.write_descriptors(self.descriptors, descriptors);
        write(self.available + 4 + 2 * u64::from(*index % self.size), 0_u16);
        *index = index.wrapping_add(1);
        write(self.available + 2, *index);
        self.ring();
    }

    /// Requests an interrupt once more chains than `index` are used, for a queue with [`QUEUE_SIZE`] descriptors. virtio 1.3, "Available
    /// Buffer Notification Suppression".
    pub fn interrupt_after(&self, index: u16) {
        write(self.available + 4 + 2 * u64::from(QUEUE_SIZE), index);
    }

    pub fn ring(&self) {
        match self.ports {
            Some(ports) => outw(ports + LEGACY_NOTIFY, self.queue),
            None => write(self.doorbell, self.queue),
        }
    }

    /// Makes `descriptor`, a whole chain, available as the one before `index`, and notifies the device.
    pub fn push(&self, descriptor: Descriptor, index: u16) {
        let slot = u64::from(index.wrapping_sub(1) % self.size);
        self.write_descriptors(self.descriptors + 16 * slot, &[descriptor]);
        write(self.available + 4 + 2 * slot, slot as u16);
        write(self.available + 2, index);
        self.ring();
    }

    /// The number of chains that the device has used.
    pub fn used(&self) -> u16 {
        read(self.used + 2)
    }

    /// The number of bytes that the device has written to the chain used before `index`.
    pub fn used_len(&self, index: u16) -> u32 {
        read(self.used + 8 + 8 * u64::from(index.wrapping_sub(1) % self.size))
    }

    /// Waits until the device has used this many chains or needs a reset; `false` if neither happens.
    pub fn wait(&self, used: u16) -> bool {
        (0..100_000).any(|_| read::<u16>(self.used + 2) == used || self.status() & NEEDS_RESET != 0)
    }

    /// Waits, without limit, until the device has used one more chain than `used`, and returns its head and length.
    pub fn next_used(&self, used: u16) -> (u32, u32) {
        while read::<u16>(self.used + 2) == used {
            inb(UNUSED_PORT);
        }
        let entry = self.used + 4 + 8 * u64::from(used % self.size);
        (read(entry), read(entry + 4))
    }

    /// Returns whether the device uses this many chains within a while, without any access to its registers.
    pub fn has_used(&self, used: u16) -> bool {
        (0..1000).any(|_| {
            inb(UNUSED_PORT);
            read::<u16>(self.used + 2) == used
        })
    }
}

/// Finds the address of a function's structure of this type.
pub fn structure(function: impl Into<Function>, kind: u8) -> u64 {
    let function = function.into();
    let mut at: u8 = read(pci::config(function, 0x34));
    while at != 0 {
        let field = |offset: u8| pci::config(function, u16::from(at + offset));
        if read::<u8>(field(0)) == 9 && read::<u8>(field(3)) == kind {
            let bar: u8 = read(field(4));
            return pci::bar(function, bar.into()) + u64::from(read::<u32>(field(8)));
        }
        at = read(field(1));
    }
    panic!()
}
