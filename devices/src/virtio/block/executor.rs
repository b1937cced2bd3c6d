//! Carries out requests on a disk.

use std::{io, sync::Arc};

use super::{
    Serial,
    faults::Faults,
    request::{Operation, Refusal, Request},
};
use crate::{
    disk::{Disk, SECTOR_SIZE},
    virtio::queue::Buffers,
};

/// A disk and how it is used between one activation and the next reset.
#[derive(Debug)]
pub(super) struct Executor {
    disk: Arc<dyn Disk>,
    serial: Serial,
    /// The driver said that it flushes. If it didn't, a write is only complete when it is stable (virtio 1.3,
    /// "Block Device", "Device Requirements: Device Operation").
    driver_flushes: bool,
    faults: Arc<Faults>,
}

impl Executor {
    pub(super) fn new(
        disk: Arc<dyn Disk>,
        serial: Serial,
        driver_flushes: bool,
        faults: Arc<Faults>,
    ) -> Self {
        Self { disk, serial, driver_flushes, faults }
    }

    pub(super) fn disk(&self) -> &dyn Disk {
        &*self.disk
    }

    pub(super) fn faults(&self) -> &Faults {
        &self.faults
    }

    /// Carries out `request` and answers it. Returns the chain's first descriptor and its used length.
    pub(super) fn execute(&self, request: Request<'_>) -> (u16, u32) {
        let result = match request.operation {
            Operation::In => self.read(&request),
            Operation::Out => self.write(&request),
            Operation::Flush => self.check(&request, self.disk.flush()).map(|()| 0),
            Operation::GetId => Ok(request.data_in.write(&self.serial.0)),
            Operation::Unknown(_) => Err(Refusal::Unsupported),
        };
        request.complete(result)
    }

    fn read(&self, request: &Request<'_>) -> Result<usize, Refusal> {
        let offset = self.offset(request.sector, &request.data_in)?;
        self.check(request, self.disk.read_at(request.data_in.as_slice(), offset))?;
        Ok(request.data_in.len())
    }

    fn write(&self, request: &Request<'_>) -> Result<usize, Refusal> {
        if self.disk.is_read_only() {
            return Err(Refusal::IoError);
        }
        let offset = self.offset(request.sector, &request.data_out)?;
        self.check(request, self.disk.write_at(request.data_out.as_slice(), offset))?;
        if !self.driver_flushes {
            self.check(request, self.disk.flush())?;
        }
        Ok(0)
    }

    /// Where `sector` is, in bytes, if `data` is whole sectors that all lie within the disk.
    fn offset(&self, sector: u64, data: &Buffers<'_>) -> Result<u64, Refusal> {
        let len = data.len() as u64;
        let offset = sector.checked_mul(SECTOR_SIZE);
        let end = offset.and_then(|offset| offset.checked_add(len));
        match (offset, end) {
            (Some(offset), Some(end)) if end <= self.disk.size() && len.is_multiple_of(SECTOR_SIZE) => {
                Ok(offset)
            }
            _ => Err(Refusal::IoError),
        }
    }

    /// Reports an error of the disk.
    fn check(&self, request: &Request<'_>, result: io::Result<()>) -> Result<(), Refusal> {
        result.map_err(|error| {
            self.faults.disk(self.disk.name(), request.operation, request.sector, &error);
            Refusal::IoError
        })
    }
}

#[cfg(test)]
#[path = "executor_test.rs"]
mod tests;
