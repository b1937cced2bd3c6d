use std::{fmt, mem::offset_of, ops::Range};

use bitfield_struct::bitfield;
use zerocopy::{FromZeros, Immutable, IntoBytes};

use super::Bar;
use crate::{
    bus::{Effect, Remap},
    registers,
};

/// PCI 3.0, "Class Code".
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoBytes, FromZeros, Immutable)]
pub struct ClassCode {
    /// Register-level programming interface.
    pub interface: u8,
    /// Sub-class.
    pub sub: u8,
    /// Base class.
    pub base: u8,
}

/// What a function says it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// For people.
    pub name: &'static str,
    /// Who made it.
    pub vendor_id: u16,
    /// What it is, of all that they made.
    pub device_id: u16,
    /// Its revision.
    pub revision_id: u8,
    /// What it is for.
    pub class: ClassCode,
    /// Who made the board it is on.
    pub subsystem_vendor_id: u16,
    /// Which of their boards.
    pub subsystem_id: u16,
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} [{:04x}:{:04x}]", self.name, self.vendor_id, self.device_id)
    }
}

/// PCI 3.0, "Device Control": the bits that this bus knows.
#[bitfield(u16)]
#[derive(PartialEq, Eq)]
pub struct Command {
    __: bool,
    /// The BAR answers.
    pub memory_space: bool,
    /// The function may access memory.
    pub bus_master: bool,
    #[bits(7)]
    __: u8,
    /// INTx stays silent.
    pub interrupt_disable: bool,
    #[bits(5)]
    __: u8,
}

/// PCI 3.0, "Device Status": the bits that this bus knows.
#[bitfield(u16)]
struct Status {
    #[bits(3)]
    __: u8,
    /// An INTx interrupt is pending.
    interrupt: bool,
    /// There are capabilities.
    capabilities: bool,
    #[bits(11)]
    __: u16,
}

/// PCI 3.0, "Type 00h Configuration Space Header".
#[repr(C)]
#[derive(IntoBytes, FromZeros, Immutable)]
struct Header {
    vendor_id: u16,
    device_id: u16,
    command: u16,
    status: u16,
    revision_id: u8,
    class: ClassCode,
    cache_line_size: u8,
    latency_timer: u8,
    header_type: u8,
    bist: u8,
    bar: [u32; 6],
    cardbus_cis_pointer: u32,
    subsystem_vendor_id: u16,
    subsystem_id: u16,
    expansion_rom: u32,
    capabilities_pointer: u8,
    reserved: [u8; 7],
    interrupt_line: u8,
    interrupt_pin: u8,
    min_gnt: u8,
    max_lat: u8,
}

const COMMAND: usize = offset_of!(Header, command);
const STATUS: usize = offset_of!(Header, status);
const BAR0: usize = offset_of!(Header, bar);
const CAPABILITIES_POINTER: usize = offset_of!(Header, capabilities_pointer);
const INTERRUPT_LINE: usize = offset_of!(Header, interrupt_line);
const INTERRUPT_PIN: usize = offset_of!(Header, interrupt_pin);

/// `Interrupt Pin` of INTA#.
const INTA: u8 = 1;

/// A function's configuration space: 256 bytes, and for each bit whether the guest can write it.
///
/// There is no extended configuration space; its registers read all ones.
#[derive(Debug)]
pub struct ConfigSpace {
    identity: Identity,
    bytes: [u8; Self::LEN],
    writable: [u8; Self::LEN],
    bar: Option<Bar>,
    /// Where the next capability goes, and where the link to it is.
    next_capability: u8,
    link: usize,
}

impl ConfigSpace {
    const LEN: usize = 256;

    /// A function with neither BAR nor interrupt nor capabilities.
    #[must_use]
    pub fn new(identity: Identity) -> Self {
        let mut config = Self {
            identity,
            bytes: [0; Self::LEN],
            writable: [0; Self::LEN],
            bar: None,
            next_capability: u8::try_from(size_of::<Header>()).unwrap_or(u8::MAX),
            link: CAPABILITIES_POINTER,
        };
        let mut header = Header::new_zeroed();
        header.vendor_id = identity.vendor_id;
        header.device_id = identity.device_id;
        header.revision_id = identity.revision_id;
        header.class = identity.class;
        header.subsystem_vendor_id = identity.subsystem_vendor_id;
        header.subsystem_id = identity.subsystem_id;
        config.bytes[..size_of::<Header>()].copy_from_slice(header.as_bytes());

        let mut writable = Header::new_zeroed();
        writable.command = Command::new().with_bus_master(true).into();
        // Kept for software's use; nothing here depends on them.
        writable.cache_line_size = 0xff;
        config.writable[..size_of::<Header>()].copy_from_slice(writable.as_bytes());
        config
    }

    /// Gives the function a BAR, mapped and decoding.
    pub fn set_bar(&mut self, bar: Bar) {
        self.bar = Some(bar);
        self.set(BAR0, &bar.mapped().to_le_bytes());
        self.writable[BAR0..BAR0 + 4].copy_from_slice(&bar.address_mask().to_le_bytes());
        let memory_space = u16::from(Command::new().with_memory_space(true));
        self.set(COMMAND, &memory_space.to_le_bytes());
        self.writable[COMMAND] |= memory_space.to_le_bytes()[0];
    }

    /// Gives the function an INTx pin, connected to interrupt `line`.
    pub fn set_interrupt(&mut self, line: u8) {
        self.bytes[INTERRUPT_PIN] = INTA;
        self.bytes[INTERRUPT_LINE] = line;
        self.writable[INTERRUPT_LINE] = 0xff;
        let disable = u16::from(Command::new().with_interrupt_disable(true));
        self.writable[COMMAND + 1] |= disable.to_le_bytes()[1];
    }

    /// Appends a capability, and says where it is. `capability` begins with its identifier and the byte for the link to
    /// the next; `writable` has a one for each bit that the guest may write.
    pub fn add_capability<T: IntoBytes + Immutable>(&mut self, capability: &T, writable: &T) -> usize {
        let offset = usize::from(self.next_capability);
        let range = offset..offset + size_of::<T>();
        self.bytes[range.clone()].copy_from_slice(capability.as_bytes());
        self.writable[range.clone()].copy_from_slice(writable.as_bytes());
        self.bytes[self.link] = self.next_capability;
        self.link = offset + 1;
        // The next begins at a double word.
        self.next_capability = u8::try_from(range.end.next_multiple_of(4)).unwrap_or(u8::MAX);
        let status = u16::from(Status::new().with_capabilities(true));
        self.set(STATUS, &status.to_le_bytes());
        offset
    }

    /// What the function says it is.
    #[must_use]
    pub fn identity(&self) -> Identity {
        self.identity
    }

    /// The function's BAR.
    #[must_use]
    pub fn bar(&self) -> Option<Bar> {
        self.bar
    }

    /// The command register.
    #[must_use]
    pub fn command(&self) -> Command {
        let [low, high] = self.get(COMMAND);
        Command::from(u16::from_le_bytes([low, high]))
    }

    /// Shows whether an INTx interrupt is pending.
    pub fn set_interrupt_status(&mut self, pending: bool) {
        let [low, high] = self.get(STATUS);
        let status = Status::from(u16::from_le_bytes([low, high])).with_interrupt(pending);
        self.set(STATUS, &u16::from(status).to_le_bytes());
    }

    /// The `N` bytes at `offset`, which lie in this space.
    #[must_use]
    pub fn get<const N: usize>(&self, offset: usize) -> [u8; N] {
        std::array::from_fn(|index| self.bytes[offset + index])
    }

    /// Sets bytes at `offset`, which lie in this space, whether the guest may write them or not.
    pub fn set(&mut self, offset: usize, data: &[u8]) {
        self.bytes[offset..offset + data.len()].copy_from_slice(data);
    }

    /// Reads as the guest does.
    pub fn read(&self, offset: u16, data: &mut [u8]) {
        data.fill(0xff);
        registers::read(&self.bytes, u64::from(offset), data);
    }

    /// Writes as the guest does. If that decodes the BAR elsewhere, it is for the machine to move it.
    pub fn write(&mut self, offset: u16, data: &[u8]) -> Effect {
        let offset = usize::from(offset);
        for (index, &value) in (offset..Self::LEN).zip(data) {
            let mask = self.writable[index];
            self.bytes[index] = self.bytes[index] & !mask | value & mask;
        }
        let written = offset..offset.saturating_add(data.len());
        if overlap(&written, &(COMMAND..COMMAND + 2)) || overlap(&written, &(BAR0..BAR0 + 4)) {
            self.moved_to().map_or(Effect::None, Effect::Remap)
        } else {
            Effect::None
        }
    }

    /// Tells the function that the machine has moved its BAR.
    pub fn moved(&mut self, remap: Remap) {
        if let Some(bar) = &mut self.bar {
            bar.moved(remap);
        }
    }

    fn moved_to(&self) -> Option<Remap> {
        let address = u32::from_le_bytes(self.get(BAR0));
        self.bar.filter(|_| self.command().memory_space())?.remap_to(address)
    }
}

/// Whether an access to `a` touches `b`.
pub(crate) fn overlap(a: &Range<usize>, b: &Range<usize>) -> bool {
    a.start < b.end && b.start < a.end
}

#[cfg(test)]
#[path = "config_test.rs"]
mod tests;
