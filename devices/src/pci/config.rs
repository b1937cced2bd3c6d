mod state;

use std::{fmt, mem::offset_of, ops::Range};

use bitfield_struct::bitfield;
use zerocopy::{FromZeros, Immutable, IntoBytes};

pub use self::state::ConfigState;
use super::{Bar, BarError, BarSpace};
use crate::{bus::Effect, registers};

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

/// The identity of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The name for people.
    pub name: &'static str,
    /// The maker.
    pub vendor_id: u16,
    /// The maker's number for it.
    pub device_id: u16,
    /// The revision.
    pub revision_id: u8,
    /// The purpose.
    pub class: ClassCode,
    /// The maker of the board that has the function.
    pub subsystem_vendor_id: u16,
    /// That maker's number for the board.
    pub subsystem_id: u16,
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} [{:04x}:{:04x}]", self.name, self.vendor_id, self.device_id)
    }
}

/// PCI 3.0, "Device Control": the bits that have an effect here.
#[bitfield(u16)]
#[derive(PartialEq, Eq)]
pub struct Command {
    /// I/O BARs are decoded.
    pub io_space: bool,
    /// Memory BARs are decoded.
    pub memory_space: bool,
    /// The function may access memory.
    pub bus_master: bool,
    #[bits(7)]
    __: u8,
    /// INTx interrupts are disabled.
    pub interrupt_disable: bool,
    #[bits(5)]
    __: u8,
}

/// PCI 3.0, "Device Status": the bits that exist here.
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
const HEADER_TYPE: usize = offset_of!(Header, header_type);
const BARS: usize = offset_of!(Header, bar);
const CAPABILITIES_POINTER: usize = offset_of!(Header, capabilities_pointer);
const INTERRUPT_LINE: usize = offset_of!(Header, interrupt_line);
const INTERRUPT_PIN: usize = offset_of!(Header, interrupt_pin);

/// PCI 3.0, "Header Type": the device has further functions.
const MULTI_FUNCTION: u8 = 1 << 7;

/// A decoded BAR, and its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// The BAR.
    pub bar: Bar,
    /// The first address.
    pub base: u64,
}

/// A function's configuration space: 256 bytes, and for each bit whether the guest can write it.
///
/// There is no extended configuration space: its registers read as all ones.
#[derive(Debug)]
pub struct ConfigSpace {
    identity: Identity,
    bytes: [u8; Self::LEN],
    writable: [u8; Self::LEN],
    /// The BARs by register; a 64-bit BAR is in that of its lower half.
    bars: [Option<Bar>; Bar::COUNT],
    /// The function decodes ports without a BAR.
    has_fixed_ports: bool,
    /// The offsets of the next capability, and of the link to it.
    next_capability: u8,
    link: usize,
}

impl ConfigSpace {
    const LEN: usize = 256;

    /// A function without BARs, interrupt and capabilities.
    #[must_use]
    pub fn new(identity: Identity) -> Self {
        let mut config = Self {
            identity,
            bytes: [0; Self::LEN],
            writable: [0; Self::LEN],
            bars: [None; Bar::COUNT],
            has_fixed_ports: false,
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
        // Kept for software, without an effect here.
        writable.cache_line_size = 0xff;
        config.writable[..size_of::<Header>()].copy_from_slice(writable.as_bytes());
        config
    }

    /// Adds `bar` to the function. It is not decoded until it is [placed](Self::place_bars).
    ///
    /// # Errors
    ///
    /// The BAR's register is taken.
    pub fn add_bar(&mut self, bar: Bar) -> Result<(), BarError> {
        let (space, index) = (bar.space(), bar.index());
        let registers =
            |bar: &Bar| usize::from(bar.index())..usize::from(bar.index() + bar.space().registers());
        if self.bars.iter().flatten().any(|other| overlap(&registers(other), &registers(&bar))) {
            return Err(BarError::Register { space, index });
        }
        self.bars[usize::from(index)] = Some(bar);
        let bytes = bar_bytes(&bar);
        let len = bytes.len();
        self.set(bytes.start, &bar.kind_bits().to_le_bytes()[..len]);
        self.writable[bytes].copy_from_slice(&bar.address_mask().to_le_bytes()[..len]);
        for (at, bits) in (COMMAND..).zip(enable(space).to_le_bytes()) {
            self.writable[at] |= bits;
        }
        Ok(())
    }

    /// Lets the guest enable and disable ports that have no BAR, such as a VGA's: firmware ignores a VGA whose ports can't be enabled.
    pub fn add_fixed_ports(&mut self) {
        self.has_fixed_ports = true;
        self.writable[COMMAND] |= enable(BarSpace::Io).to_le_bytes()[0];
    }

    /// Places each BAR at the address that `place` gives it, and has it decoded, as firmware does.
    ///
    /// # Errors
    ///
    /// `place` has no address, or the address is impossible for the BAR.
    pub fn place_bars<E: From<BarError>>(
        &mut self,
        mut place: impl FnMut(Bar) -> Result<u64, E>,
    ) -> Result<(), E> {
        for bar in self.bars.into_iter().flatten() {
            let (space, size, address) = (bar.space(), bar.size(), place(bar)?);
            if !bar.can_be_at(address) {
                return Err(BarError::Address { space, size, address }.into());
            }
            let bytes = bar_bytes(&bar);
            let len = bytes.len();
            self.set(bytes.start, &(address | bar.kind_bits()).to_le_bytes()[..len]);
            for (at, bits) in (COMMAND..).zip(enable(space).to_le_bytes()) {
                self.bytes[at] |= bits;
            }
        }
        if self.has_fixed_ports {
            self.bytes[COMMAND] |= enable(BarSpace::Io).to_le_bytes()[0];
        }
        Ok(())
    }

    /// Gives the function the INTx pin `pin` (1 is INTA#), and shows the guest that it leads to the interrupt `line`.
    pub fn set_interrupt(&mut self, pin: u8, line: u8) {
        self.bytes[INTERRUPT_PIN] = pin;
        self.bytes[INTERRUPT_LINE] = line;
        self.writable[INTERRUPT_LINE] = 0xff;
        let disable = u16::from(Command::new().with_interrupt_disable(true));
        self.writable[COMMAND + 1] |= disable.to_le_bytes()[1];
    }

    /// Marks the device as one with further functions. This function is its function 0.
    pub fn set_multi_function(&mut self) {
        self.bytes[HEADER_TYPE] |= MULTI_FUNCTION;
    }

    /// Adds registers at `offset`, which is behind the header. `writable` has a one for each bit that the guest may write.
    pub fn add_registers<const N: usize>(&mut self, offset: usize, value: [u8; N], writable: [u8; N]) {
        self.bytes[offset..offset + N].copy_from_slice(&value);
        self.writable[offset..offset + N].copy_from_slice(&writable);
    }

    /// Appends a capability, and returns its offset. `capability` begins with its identifier and the byte for the link to the next one;
    /// `writable` has a one for each bit that the guest may write.
    pub fn add_capability<T: IntoBytes + Immutable>(&mut self, capability: &T, writable: &T) -> usize {
        let offset = usize::from(self.next_capability);
        let range = offset..offset + size_of::<T>();
        self.bytes[range.clone()].copy_from_slice(capability.as_bytes());
        self.writable[range.clone()].copy_from_slice(writable.as_bytes());
        self.bytes[self.link] = self.next_capability;
        self.link = offset + 1;
        // The next one begins at a double word.
        self.next_capability = u8::try_from(range.end.next_multiple_of(4)).unwrap_or(u8::MAX);
        let status = u16::from(Status::new().with_capabilities(true));
        self.set(STATUS, &status.to_le_bytes());
        offset
    }

    /// The function's identity.
    #[must_use]
    pub fn identity(&self) -> Identity {
        self.identity
    }

    /// The function's BARs by register, each with the address in its registers, whether it is decoded or not.
    pub fn bars(&self) -> impl Iterator<Item = Decoded> {
        self.bars.iter().flatten().map(|&bar| {
            let bytes = &self.bytes[bar_bytes(&bar)];
            let registers = bytes.iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte));
            Decoded { bar, base: registers & bar.address_mask() }
        })
    }

    /// The BARs that are decoded because of the command register.
    pub fn decoded(&self) -> impl Iterator<Item = Decoded> {
        let command = self.command();
        self.bars().filter(move |Decoded { bar, base }| {
            let enabled = match bar.space() {
                BarSpace::Io => command.io_space(),
                BarSpace::Memory32 | BarSpace::Memory64 => command.memory_space(),
            };
            enabled && bar.can_be_at(*base)
        })
    }

    /// The function's INTx pin; 1 is INTA#.
    #[must_use]
    pub fn interrupt_pin(&self) -> Option<u8> {
        Some(self.bytes[INTERRUPT_PIN]).filter(|&pin| pin != 0)
    }

    /// The command register.
    #[must_use]
    pub fn command(&self) -> Command {
        let [low, high] = self.get(COMMAND);
        Command::from(u16::from_le_bytes([low, high]))
    }

    /// Sets whether the status register shows a pending INTx interrupt.
    pub fn set_interrupt_status(&mut self, pending: bool) {
        let [low, high] = self.get(STATUS);
        let status = Status::from(u16::from_le_bytes([low, high])).with_interrupt(pending);
        self.set(STATUS, &u16::from(status).to_le_bytes());
    }

    /// The `N` bytes at `offset`, which are within this space.
    #[must_use]
    pub fn get<const N: usize>(&self, offset: usize) -> [u8; N] {
        std::array::from_fn(|index| self.bytes[offset + index])
    }

    /// Sets bytes at `offset`, which are within this space, even if the guest may not write them.
    pub fn set(&mut self, offset: usize, data: &[u8]) {
        self.bytes[offset..offset + data.len()].copy_from_slice(data);
    }

    /// Reads like the guest.
    pub fn read(&self, offset: u16, data: &mut [u8]) {
        data.fill(0xff);
        registers::read(&self.bytes, u64::from(offset), data);
    }

    /// Writes like the guest.
    pub fn write(&mut self, offset: u16, data: &[u8]) -> Effect {
        let offset = usize::from(offset);
        let written = offset..offset.saturating_add(data.len());
        let may_decode = [COMMAND..COMMAND + 2, BARS..BARS + 4 * Bar::COUNT];
        let before = may_decode.iter().any(|range| overlap(&written, range)).then(|| self.decoded_bases());
        for (index, &value) in (offset..Self::LEN).zip(data) {
            let mask = self.writable[index];
            self.bytes[index] = self.bytes[index] & !mask | value & mask;
        }
        if before.is_some_and(|before| before != self.decoded_bases()) {
            Effect::Decode
        } else {
            Effect::None
        }
    }

    fn decoded_bases(&self) -> [Option<u64>; Bar::COUNT] {
        let mut bases = [None; Bar::COUNT];
        for Decoded { bar, base } in self.decoded() {
            bases[usize::from(bar.index())] = Some(base);
        }
        bases
    }
}

/// The bit of the command register that enables BARs of `space`.
fn enable(space: BarSpace) -> u16 {
    let command = match space {
        BarSpace::Io => Command::new().with_io_space(true),
        BarSpace::Memory32 | BarSpace::Memory64 => Command::new().with_memory_space(true),
    };
    command.into()
}

/// The offsets of `bar`'s registers.
fn bar_bytes(bar: &Bar) -> Range<usize> {
    let start = BARS + 4 * usize::from(bar.index());
    start..start + 4 * usize::from(bar.space().registers())
}

/// Returns whether an access to `a` touches `b`.
pub(crate) fn overlap(a: &Range<usize>, b: &Range<usize>) -> bool {
    a.start < b.end && b.start < a.end
}

#[cfg(test)]
#[path = "config_test.rs"]
mod tests;
