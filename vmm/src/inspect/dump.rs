//! `dump-guest-memory`: an ELF core of the machine, for gdb and crash.
//!
//! ```text
//! ELF header | program headers | notes: vCPUs' registers, vmcoreinfo | RAM, range after range
//! ```
//!
//! With paging, further program headers give linear addresses to the same RAM. gdb uses the first header with an address; crash walks the
//! guest's page tables itself.
//!
//! The header is written last, so an unfinished core is not a valid one.

mod elf;
mod notes;
mod paging;
mod vmcoreinfo;

use std::{ops::Range, path::Path};

use serde::Deserialize;

use super::{
    error::InspectError,
    file::{MemoryFile, Stop},
    halted::Halted,
    ram,
};
use crate::output::Taken;

/// Arguments of QMP's `dump-guest-memory`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Dump {
    /// Add the guest's linear addresses to the core, before the physical ones, for gdb with a kernel's symbols.
    paging: bool,
    /// `file:PATH`.
    protocol: String,
    /// Answer before the dump is done.
    #[serde(default)]
    detach: bool,
    /// The first physical address; `length` must be given too.
    begin: Option<u64>,
    /// The number of bytes; `begin` must be given too.
    length: Option<u64>,
    /// `elf`.
    format: Option<String>,
}

impl Dump {
    /// Checks the arguments as far as that is possible without the machine. Returns the path of the file.
    ///
    /// # Errors
    ///
    /// An argument asks for something that nvmm does not do.
    pub(crate) fn check(&self) -> Result<&Path, InspectError> {
        let refused = |why: &str| Err(InspectError::Argument(format!("dump-guest-memory: {why}")));
        if self.detach {
            return refused("detach: nvmm answers when the dump is done; leave it out");
        }
        if let Some(format) = &self.format
            && format != "elf"
        {
            return refused(&format!("format: nvmm writes \"elf\" and not \"{format}\""));
        }
        if self.begin.is_some() != self.length.is_some() {
            return refused("begin and length go together: give both, or neither");
        }
        match self.protocol.strip_prefix("file:") {
            Some(path) if !path.is_empty() => Ok(Path::new(path)),
            _ => refused("protocol: give \"file:PATH\""),
        }
    }

    /// Writes the core.
    ///
    /// # Errors
    ///
    /// The arguments are invalid; the file must not be overwritten; KVM or the host refuses, or it has to stop.
    pub(crate) fn write(
        &self,
        machine: &Halted<'_>,
        taken: &Taken,
        stop: Stop<'_>,
    ) -> Result<(), InspectError> {
        let path = self.check()?;
        let ranges = self.ranges(ram::ranges(machine.memory))?;
        let vcpus = machine.select(None)?.into_iter().map(|(index, fd)| machine.registers(index, fd));
        let vcpus = vcpus.collect::<Result<Vec<_>, _>>()?;
        let vmcoreinfo = vmcoreinfo::find(machine.memory, stop)?;
        let mut segments =
            if self.paging { paging::segments(&vcpus, machine.memory, &ranges, stop)? } else { Vec::new() };
        segments.extend(elf::physical_segments(&ranges));
        let (head, len) = elf::head(&notes::notes(&vcpus, vmcoreinfo.as_deref()), &segments)?;
        MemoryFile::fill(taken, "dump-guest-memory", path, stop, |file| {
            file.skip(len);
            for Range { start, end } in &ranges {
                file.append(machine.memory, *start, end - start)?;
            }
            file.write_at(&head, 0)
        })
    }

    /// The requested parts of `all`.
    fn ranges(&self, all: Vec<Range<u64>>) -> Result<Vec<Range<u64>>, InspectError> {
        let (Some(begin), Some(length)) = (self.begin, self.length) else { return Ok(all) };
        let wanted = begin..begin.saturating_add(length);
        let part = |range: &Range<u64>| range.start.max(wanted.start)..range.end.min(wanted.end);
        let ranges: Vec<_> = all.iter().map(part).filter(|range| !range.is_empty()).collect();
        if ranges.is_empty() {
            return Err(InspectError::Argument(format!(
                "dump-guest-memory: begin and length: no RAM is in {length:#x} bytes from {begin:#x} on"
            )));
        }
        Ok(ranges)
    }
}

#[cfg(test)]
#[path = "dump_test.rs"]
mod tests;
