//! `memsave` and `pmemsave`: write a range of guest memory to a file.

use std::path::{Path, PathBuf};

use arch::paging::Physical;
use serde::{Deserialize, Deserializer, de::Error};
use serde_json::Number;

use super::{
    address_space::AddressSpace,
    error::InspectError,
    file::{MemoryFile, Stop},
    halted::Halted,
    ram,
};
use crate::output::Taken;

const PAGE: u64 = 4 << 10;
/// Runs of at least this length are not extended by the pages that follow.
const LONG: u64 = 1 << 20;

/// Arguments of QMP's `memsave`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct SaveVirtual {
    /// The first linear address.
    #[serde(deserialize_with = "address")]
    val: u64,
    /// The number of bytes.
    size: u64,
    filename: PathBuf,
    /// The vCPU whose page tables are used; by default the first.
    cpu_index: Option<u32>,
}

/// Arguments of QMP's `pmemsave`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SavePhysical {
    /// The first physical address.
    val: u64,
    /// The number of bytes.
    size: u64,
    filename: PathBuf,
}

impl SaveVirtual {
    /// Writes the memory that a vCPU has mapped there to the file. Nothing is written if a page is not mapped.
    ///
    /// # Errors
    ///
    /// A page is not mapped, or not to RAM; the file must not be overwritten; the host refuses, or it has to stop.
    pub(crate) fn save(
        &self,
        machine: &Halted<'_>,
        taken: &Taken,
        stop: Stop<'_>,
    ) -> Result<(), InspectError> {
        let &Self { val: start, size, .. } = self;
        let index = self.cpu_index.unwrap_or_default();
        let fd = machine.vcpu(index)?;
        start.checked_add(size).ok_or(InspectError::Wraps { start, size })?;
        let space = AddressSpace::read(fd, machine.memory);
        let space = space.map_err(|source| InspectError::Vcpu(index, source))?;
        let range = Linear { space: &space, index, address: start, left: size };
        for run in range.clone() {
            let Physical { address, len } = run?;
            ram::check(machine.memory, address, len)?;
            if stop() {
                return Err(InspectError::Stopped);
            }
        }
        let mut runs = range;
        MemoryFile::fill(taken, "memsave", &self.filename, stop, |file| {
            runs.try_for_each(|run| {
                let Physical { address, len } = run?;
                file.append(machine.memory, address, len)
            })
        })
    }
}

impl SavePhysical {
    /// Writes the RAM to the file.
    ///
    /// # Errors
    ///
    /// The addresses are not RAM; the file must not be overwritten; the host refuses, or it has to stop.
    pub(crate) fn save(
        &self,
        machine: &Halted<'_>,
        taken: &Taken,
        stop: Stop<'_>,
    ) -> Result<(), InspectError> {
        ram::check(machine.memory, self.val, self.size)?;
        let filename: &Path = &self.filename;
        MemoryFile::fill(taken, "pmemsave", filename, stop, |file| {
            file.append(machine.memory, self.val, self.size)
        })
    }
}

/// An address. QEMU's clients may also give it as a signed number: -1 is the last address.
fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let number = Number::deserialize(deserializer)?;
    let address = number.as_u64().or_else(|| number.as_i64().map(i64::cast_unsigned));
    address.ok_or_else(|| D::Error::custom(format!("{number} is no address of 64 bits")))
}

/// A range of linear addresses, iterated as runs of physical ones.
#[derive(Clone)]
struct Linear<'a> {
    space: &'a AddressSpace<'a>,
    /// The vCPU's index.
    index: u32,
    address: u64,
    left: u64,
}

impl Linear<'_> {
    /// The physical addresses of the next bytes, at most to the end of the page.
    fn page(&self) -> Result<Physical, InspectError> {
        let found = self.space.translate(self.address);
        let found = found.map_err(|source| InspectError::Vcpu(self.index, source))?;
        let Physical { address, len } =
            found.ok_or(InspectError::NotMapped { vcpu: self.index, address: self.address & !(PAGE - 1) })?;
        Ok(Physical { address, len: len.min(self.left) })
    }

    fn pass(&mut self, len: u64) {
        self.address += len;
        self.left -= len;
    }
}

impl Iterator for Linear<'_> {
    type Item = Result<Physical, InspectError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            return None;
        }
        let mut run = match self.page() {
            Ok(run) => run,
            error => {
                self.left = 0;
                return Some(error);
            }
        };
        self.pass(run.len);
        while self.left > 0 && run.len < LONG {
            // An error is returned again for the next run.
            match self.page() {
                Ok(page) if Some(page.address) == run.address.checked_add(run.len) => {
                    run.len += page.len;
                    self.pass(page.len);
                }
                _ => break,
            }
        }
        Some(Ok(run))
    }
}

#[cfg(test)]
#[path = "save_test.rs"]
mod tests;
