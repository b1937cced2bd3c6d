//! Structures as they are laid out in memory.

use zerocopy::{Immutable, IntoBytes, Unaligned};

use super::strings::Strings;

/// The types of structures that a machine has, by their numbers.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
pub(super) enum Type {
    Bios = 0,
    System = 1,
    Baseboard = 2,
    Chassis = 3,
    Processor = 4,
    OemStrings = 11,
    MemoryArray = 16,
    MemoryDevice = 17,
    MemoryArrayAddress = 19,
    Boot = 32,
    End = 127,
}

/// DSP0134, "Structure header format".
#[derive(Clone, Copy, Debug, Immutable, IntoBytes, Unaligned)]
#[repr(C)]
struct Header {
    kind: u8,
    len: u8,
    handle: [u8; 2],
}

/// The structures that have been added.
#[derive(Debug, Default)]
pub(super) struct Tables {
    bytes: Vec<u8>,
    count: usize,
    longest: usize,
}

impl Tables {
    /// Adds the `number`th structure of its type.
    pub(super) fn add<T: IntoBytes + Immutable>(
        &mut self,
        kind: Type,
        number: u16,
        formatted: &T,
        strings: &Strings,
    ) {
        let header = Header {
            kind: kind as u8,
            // It fits: the longest structure has 48 bytes.
            len: u8::try_from(size_of::<Header>() + size_of::<T>()).unwrap_or(u8::MAX),
            handle: handle(kind, number).to_le_bytes(),
        };
        let start = self.bytes.len();
        self.bytes.extend(header.as_bytes());
        self.bytes.extend(formatted.as_bytes());
        self.bytes.extend(strings.as_bytes());
        self.count += 1;
        self.longest = self.longest.max(self.bytes.len() - start);
    }

    /// All structures, one after the other.
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// All structures, one after the other.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Number of structures.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Bytes of the longest structure, with its strings.
    pub(super) fn longest(&self) -> usize {
        self.longest
    }
}

/// A handle made from a structure's type and number, as QEMU makes them.
pub(super) fn handle(kind: Type, number: u16) -> u16 {
    ((kind as u16) << 8) + number
}
