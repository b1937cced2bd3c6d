//! The breakpoints that a debugger has set, each of which is in the guest's memory or in breakpoint registers.

use std::collections::BTreeMap;

use super::{
    memory::Space,
    traps::{Access, INT3, REGISTERS, Traps, Watched},
};

/// A breakpoint that a debugger asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Breakpoint {
    /// A breakpoint on an instruction. If its page is not mapped yet, it uses a register.
    Software(u64),
    /// A breakpoint on an instruction that uses a register.
    Hardware(u64),
    /// A watchpoint on data.
    Watch {
        /// The first byte's address.
        address: u64,
        /// The number of bytes.
        len: u64,
        /// The kinds of accesses to report.
        on: Watch,
    },
}

/// Kinds of accesses to data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Watch {
    /// A write.
    Write,
    /// A read. The processor can't distinguish it from a write, so the debugger has to.
    Read,
    /// Both.
    ReadWrite,
}

/// The place of a breakpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// The instruction at this guest-physical address was replaced.
    Memory(u64),
    /// Breakpoint registers: those that are used.
    Registers([bool; REGISTERS]),
    /// After a reset, no place was free.
    Nowhere,
}

/// Reasons why a breakpoint can't be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BreakpointError {
    /// All registers are in use, or too few are free.
    #[error("it needs a breakpoint register, and too few of the processor's {REGISTERS} are free")]
    NoRegister,
    /// The page is not mapped, and no register is free.
    #[error(
        "its page is not mapped, and no breakpoint register is free: delete another breakpoint, or set this one later"
    )]
    NotMapped,
}

/// A replaced instruction.
#[derive(Clone, Copy, Debug)]
struct Patch {
    /// The byte that was there before.
    original: u8,
    /// The number of breakpoints at this place: a page can be mapped at several addresses.
    users: usize,
}

/// All breakpoints of a debugger.
#[derive(Debug, Default)]
pub(crate) struct Breakpoints {
    set: Vec<(Breakpoint, Place)>,
    registers: [Option<Watched>; REGISTERS],
    /// The replaced instructions by guest-physical address.
    patches: BTreeMap<u64, Patch>,
}

impl Breakpoints {
    /// Sets a breakpoint. If it is set already, nothing changes.
    ///
    /// # Errors
    ///
    /// There is no place for the breakpoint.
    pub(crate) fn set(&mut self, breakpoint: Breakpoint, space: &Space<'_>) -> Result<(), BreakpointError> {
        if self.set.iter().any(|(other, _)| *other == breakpoint) {
            return Ok(());
        }
        let place = match breakpoint {
            Breakpoint::Software(address) => self
                .patch(address, space)
                .or_else(|| self.take_registers(&watched(breakpoint)))
                .ok_or(BreakpointError::NotMapped),
            Breakpoint::Hardware(_) | Breakpoint::Watch { .. } => {
                self.take_registers(&watched(breakpoint)).ok_or(BreakpointError::NoRegister)
            }
        };
        self.set.push((breakpoint, place?));
        Ok(())
    }

    /// Removes a breakpoint. Returns whether it was set.
    pub(crate) fn remove(&mut self, breakpoint: Breakpoint, space: &Space<'_>) -> bool {
        let Some(at) = self.set.iter().position(|(other, _)| *other == breakpoint) else { return false };
        let (_, place) = self.set.remove(at);
        match place {
            Place::Memory(physical) => self.unpatch(physical, space),
            Place::Registers(registers) => self.free_registers(registers),
            Place::Nowhere => {}
        }
        true
    }

    /// Removes all breakpoints.
    pub(crate) fn clear(&mut self, space: &Space<'_>) {
        while let Some(&(breakpoint, _)) = self.set.last() {
            self.remove(breakpoint, space);
        }
    }

    /// Sets the breakpoints again in a new machine. Its memory contains none of them, and its kernel is about to write to it, so those on
    /// instructions use registers as long as some are free. Returns those without a place.
    pub(crate) fn set_again(&mut self, space: &Space<'_>) -> Vec<Breakpoint> {
        self.patches.clear();
        for at in 0..self.set.len() {
            if let (breakpoint, place @ (Place::Memory(_) | Place::Nowhere)) = self.set[at] {
                let again = self.take_registers(&watched(breakpoint));
                let again = again.or_else(|| self.patch(breakpoint.address(), space));
                self.set[at].1 = again.unwrap_or(Place::Nowhere);
                log::debug!("{breakpoint:?} was at {place:?}, and is at {again:?} after the reset");
            }
        }
        let nowhere = self.set.iter().filter(|(_, place)| *place == Place::Nowhere);
        nowhere.map(|&(breakpoint, _)| breakpoint).collect()
    }

    /// The traps of a vCPU.
    pub(crate) fn traps(&self, step: bool) -> Traps {
        Traps { step, registers: self.registers, patched: self.patches.keys().copied().collect() }
    }

    /// The breakpoint to which a register belongs.
    pub(crate) fn of_register(&self, number: usize) -> Option<Breakpoint> {
        let owner = self.set.iter().find(|(_, place)| match place {
            Place::Registers(registers) => registers.get(number) == Some(&true),
            Place::Memory(_) | Place::Nowhere => false,
        });
        owner.map(|&(breakpoint, _)| breakpoint)
    }

    /// Returns whether data at this address is watched.
    pub(crate) fn watches(&self, address: u64, on: Watch) -> bool {
        self.set.iter().any(|(breakpoint, _)| {
            matches!(breakpoint, Breakpoint::Watch { address: at, on: access, .. } if (*at, *access) == (address, on))
        })
    }

    /// Reads memory as if no instruction were replaced, up to the first page that is not RAM.
    pub(crate) fn read(&self, address: u64, len: usize, space: &Space<'_>) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (physical, range) in space.parts(address, len) {
            let mut part = vec![0; range.len()];
            if !space.read(physical, &mut part) {
                break;
            }
            for (&at, patch) in self.patches.range(physical..physical + part.len() as u64) {
                if let Ok(index) = usize::try_from(at - physical)
                    && part[index] == INT3
                {
                    part[index] = patch.original;
                }
            }
            bytes.append(&mut part);
        }
        bytes
    }

    /// Writes memory, all of it or none. Replaced instructions stay replaced. Returns whether all of it is RAM.
    pub(crate) fn write(&mut self, address: u64, bytes: &[u8], space: &Space<'_>) -> bool {
        let parts = space.parts(address, bytes.len());
        if parts.last().map_or(0, |(_, range)| range.end) != bytes.len() {
            return false;
        }
        parts.into_iter().all(|(physical, range)| {
            let mut part = bytes[range].to_vec();
            for (&at, patch) in self.patches.range_mut(physical..physical + part.len() as u64) {
                if let Ok(index) = usize::try_from(at - physical) {
                    patch.original = std::mem::replace(&mut part[index], INT3);
                }
            }
            space.write(physical, &part)
        })
    }

    fn patch(&mut self, address: u64, space: &Space<'_>) -> Option<Place> {
        let physical = space.physical(address)?;
        if let Some(patch) = self.patches.get_mut(&physical) {
            patch.users += 1;
            return Some(Place::Memory(physical));
        }
        let mut original = [0];
        if !space.read(physical, &mut original) || !space.write(physical, &[INT3]) {
            return None;
        }
        self.patches.insert(physical, Patch { original: original[0], users: 1 });
        Some(Place::Memory(physical))
    }

    fn unpatch(&mut self, physical: u64, space: &Space<'_>) {
        let Some(patch) = self.patches.get_mut(&physical) else { return };
        patch.users -= 1;
        if patch.users > 0 {
            return;
        }
        let (original, mut now) = (patch.original, [0]);
        self.patches.remove(&physical);
        // The guest may have overwritten the code.
        if space.read(physical, &mut now) && now == [INT3] {
            space.write(physical, &[original]);
        }
    }

    fn take_registers(&mut self, wanted: &[Watched]) -> Option<Place> {
        let mut taken = [false; REGISTERS];
        let mut free = (0..REGISTERS).filter(|&number| self.registers[number].is_none());
        let numbers: Vec<_> = wanted.iter().map(|_| free.next()).collect::<Option<_>>()?;
        if numbers.is_empty() {
            return None;
        }
        for (number, watched) in numbers.into_iter().zip(wanted) {
            self.registers[number] = Some(*watched);
            taken[number] = true;
        }
        Some(Place::Registers(taken))
    }

    fn free_registers(&mut self, taken: [bool; REGISTERS]) {
        for (register, _) in self.registers.iter_mut().zip(taken).filter(|(_, taken)| *taken) {
            *register = None;
        }
    }
}

impl Breakpoint {
    /// The address of its first byte.
    pub(crate) fn address(self) -> u64 {
        match self {
            Self::Software(address) | Self::Hardware(address) | Self::Watch { address, .. } => address,
        }
    }
}

/// The addresses for the registers of a breakpoint. A range of data is cut into aligned pieces, as registers require; at most one piece
/// more than there are registers.
fn watched(breakpoint: Breakpoint) -> Vec<Watched> {
    let Breakpoint::Watch { address, len, on } = breakpoint else {
        return vec![Watched { address: breakpoint.address(), len: 1, access: Access::Execute }];
    };
    let access = if on == Watch::Write { Access::Write } else { Access::ReadWrite };
    let (mut pieces, mut done) = (Vec::new(), 0);
    while done < len && pieces.len() <= REGISTERS {
        let Some(at) = address.checked_add(done) else { break };
        let fits = |piece: &u8| at.is_multiple_of(u64::from(*piece)) && u64::from(*piece) <= len - done;
        let piece = [8, 4, 2].into_iter().find(fits).unwrap_or(1);
        pieces.push(Watched { address: at, len: piece, access });
        done += u64::from(piece);
    }
    pieces
}

#[cfg(test)]
#[path = "breakpoints_test.rs"]
mod tests;
