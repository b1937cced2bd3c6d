//! Fuzzes accesses, and compares memory with a model, which can't write past memory.

use std::{collections::BTreeMap, io};

use arch::memory::GuestRam;
use vm_memory::{Bytes, GuestAddress};
use zerocopy::{
    FromBytes, Immutable, KnownLayout, Unaligned,
    little_endian::{U16, U32},
};

use super::{Content, FwCfg, Key};
use crate::bus::{BusDevice, Effect};

/// Memory: two adjacent regions, a hole, and another region.
const REGIONS: [(u64, usize); 3] = [(0, 0x800), (0x800, 0x800), (0x2000, 0x800)];
const MEMORY_END: usize = 0x2800;

/// Length of a descriptor, and of its control field.
const DESCRIPTOR: usize = 16;
const CONTROL: usize = 4;

/// An access in a few bytes, most of which make sense.
#[derive(Clone, Copy, Debug, FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Access {
    /// 0: selects `key`. 1: reads the data port. 2: writes `len` to the register `key` in a width of `flags`, and reads it. All others:
    /// DMA.
    what: u8,
    flags: u8,
    key: U16,
    len: U32,
    /// The descriptor's address.
    at: U16,
    address: U16,
}

/// Makes the accesses in `data`.
pub fn fw_cfg(data: &[u8]) {
    let regions = REGIONS.map(|(start, len)| (GuestAddress(start), len));
    let memory = GuestRam::from_ranges(&regions).expect("a few pages");
    let mut device = FwCfg::new(memory.clone());
    let mut model = Model::new(&mut device);
    let mut rest = data;
    // Limited, as each may copy all of memory several times.
    for _ in 0..256 {
        let Ok((access, behind)) = Access::read_from_prefix(rest) else { break };
        rest = behind;
        let (key, at) = (access.key.get(), access.at.get());
        match access.what {
            0 => {
                write(&mut device, 0, &key.to_le_bytes());
                model.select(key);
            }
            1 => {
                let mut byte = [0x55];
                device.read(1, &mut byte);
                assert_eq!(byte[..], model.take(1));
            }
            2 => {
                let width = 1 << (access.flags % 3);
                // Only offsets without an effect: the other steps cover the rest.
                let offset = u64::from(key) % FwCfg::LEN;
                if (offset, width) != (0, 2) && !(matches!(offset, 4 | 8) && width == 4) {
                    write(&mut device, offset, &access.len.to_bytes()[..width]);
                }
                device.read(2 + offset % 10, &mut [0; 4][..width]);
            }
            _ => {
                let control = u32::from(key) << 16 | u32::from(access.flags);
                let (len, address) = (access.len.get(), u64::from(access.address.get()));
                let descriptor =
                    [&control.to_be_bytes()[..], &len.to_be_bytes(), &address.to_be_bytes()].concat();
                let _ = memory.write_slice(&descriptor, GuestAddress(at.into()));
                let mut expected = everything(&memory);
                model.dma(&mut expected, at.into());
                write(&mut device, 4, &[0; 4]);
                write(&mut device, 8, &u32::from(at).to_be_bytes());
                assert!(everything(&memory) == expected);
            }
        }
    }
}

fn write(device: &mut FwCfg, offset: u64, data: &[u8]) {
    assert_eq!(device.write(offset, data), Effect::None);
}

/// The bytes of an address space that ends with memory. Those of the hole are zero.
fn everything(memory: &GuestRam) -> Vec<u8> {
    let mut bytes = vec![0; MEMORY_END];
    for (start, len) in REGIONS {
        let start_index = usize::try_from(start).expect("it is small");
        memory
            .read_slice(&mut bytes[start_index..start_index + len], GuestAddress(start))
            .expect("it is memory");
    }
    bytes
}

/// Returns whether the `len` bytes from `address` on are memory.
fn in_memory(address: u64, len: u64) -> bool {
    let last = address + (len - 1);
    last < 0x1000 || address >= 0x2000 && last < 0x2800
}

/// A model of the device.
struct Model {
    items: BTreeMap<u16, Vec<u8>>,
    selected: u16,
    offset: usize,
}

impl Model {
    /// Adds items of all kinds to `device`, and to a model of it.
    fn new(device: &mut FwCfg) -> Self {
        let made = |len, bytes: Option<Vec<u8>>| Content::Made {
            len,
            make: Box::new(move || bytes.clone().ok_or_else(|| io::Error::other("none"))),
        };
        let read = |offset: u64, bytes: &mut [u8]| {
            bytes.iter_mut().zip(offset..6).for_each(|(byte, at)| *byte = at.to_le_bytes()[0]);
            Ok(())
        };
        let long: Vec<u8> = (0..=255).cycle().skip(1).take(0x900).collect();
        let mut items = BTreeMap::from([(0, b"QEMU".to_vec()), (1, vec![3, 0, 0, 0])]);
        for (key, bytes) in
            [(Key::NbCpus, vec![1, 2]), (Key::KernelData, long.clone()), (Key::CmdlineData, vec![])]
        {
            device.set(key, bytes.clone());
            items.insert(key as u16, bytes);
        }
        let files = [
            (0x20, 3, Content::Bytes(vec![1, 2, 3]), vec![1, 2, 3]),
            (0x21, 5, made(5, Some(vec![4, 5])), vec![4, 5]),
            (0x22, 1, made(1, Some(vec![6, 7])), Vec::new()),
            (0x23, 9, made(9, None), Vec::new()),
            (0x24, 6, Content::Read { len: 6, read: Box::new(read) }, vec![0, 1, 2, 3, 4, 5]),
        ];
        let mut directory = 5_u32.to_be_bytes().to_vec();
        for (key, len, content, bytes) in files {
            let name = format!("file {key}");
            device.add_file(&name, content).expect("it is a file");
            directory.extend(u32::to_be_bytes(len));
            directory.extend(u16::to_be_bytes(key));
            directory.extend([0; 2]);
            let mut name = name.into_bytes();
            name.resize(56, 0);
            directory.extend(name);
            items.insert(key, bytes);
        }
        items.insert(0x19, directory);
        Self { items, selected: 0, offset: 0 }
    }

    fn select(&mut self, key: u16) {
        (self.selected, self.offset) = (key & 0xbfff, 0);
    }

    /// The next `len` bytes, with zeros after the item's end.
    fn take(&mut self, len: usize) -> Vec<u8> {
        let item = self.items.get(&self.selected).map_or(&[][..], Vec::as_slice);
        let rest = &item[self.offset..];
        let mut taken = rest[..rest.len().min(len)].to_vec();
        self.offset += taken.len();
        taken.resize(len, 0);
        taken
    }

    /// Skips `len` bytes, or all if there are fewer.
    fn skip(&mut self, len: usize) {
        let item = self.items.get(&self.selected).map_or(0, Vec::len);
        self.offset = item.min(self.offset + len);
    }

    /// Changes `memory` as DMA by the descriptor at `at` should do.
    fn dma(&mut self, memory: &mut [u8], at: u64) {
        let start = usize::try_from(at).expect("it has 16 bits");
        if !in_memory(at, CONTROL as u64) {
            return;
        }
        let failed = if in_memory(at, DESCRIPTOR as u64) {
            let descriptor = memory[start..start + DESCRIPTOR].to_vec();
            !self.transfer(memory, &descriptor, at)
        } else {
            true
        };
        memory[start..start + CONTROL].copy_from_slice(&u32::from(failed).to_be_bytes());
    }

    /// Returns true if there was no error.
    fn transfer(&mut self, memory: &mut [u8], descriptor: &[u8], at: u64) -> bool {
        let number = |bytes: &[u8]| bytes.iter().fold(0, |number, &byte| number << 8 | u64::from(byte));
        let (control, len, address) =
            (number(&descriptor[..4]), number(&descriptor[4..8]), number(&descriptor[8..]));
        let is = |bit: u32| control & 1 << bit != 0;
        if is(3) {
            self.select(u16::try_from(control >> 16).expect("it is the upper half"));
        }
        let count = usize::try_from(len).expect("it has 32 bits");
        if is(1) {
            if len == 0 {
                return true;
            }
            let apart = address + len <= at || at + DESCRIPTOR as u64 <= address;
            if !in_memory(address, len) || !apart {
                return false;
            }
            let start = usize::try_from(address).expect("it is in memory");
            memory[start..start + count].copy_from_slice(&self.take(count));
        } else if is(4) {
            return false;
        } else if is(2) {
            self.skip(count);
        }
        true
    }
}
