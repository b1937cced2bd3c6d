//! Requests to a disk in descriptor chains.

use virtio_bindings::virtio_blk::{
    VIRTIO_BLK_F_DISCARD, VIRTIO_BLK_F_WRITE_ZEROES, VIRTIO_BLK_S_IOERR, VIRTIO_BLK_S_OK,
    VIRTIO_BLK_S_UNSUPP, VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_T_FLUSH, VIRTIO_BLK_T_GET_ID, VIRTIO_BLK_T_IN,
    VIRTIO_BLK_T_OUT, VIRTIO_BLK_T_WRITE_ZEROES,
};
use vm_memory::VolatileSlice;
use zerocopy::{
    FromBytes, Immutable, KnownLayout,
    little_endian::{U32, U64},
};

use super::{
    config::bit,
    segments::{self, Limits},
};
use crate::{
    block::{self, Refusal, Reply, Segment, SerialNumber},
    virtio::queue::{Buffers, Chain},
};

/// Reasons why a chain is no request. Then there is no place for an answer, or none that is clear to the driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum RequestError {
    #[error("descriptor chain {0} is too short for a request header")]
    NoHeader(u16),
    #[error("descriptor chain {0} has no room for a status")]
    NoStatus(u16),
}

/// The start of `struct virtio_blk_req`.
#[derive(Debug, FromBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Header {
    kind: U32,
    _reserved: U32,
    sector: U64,
}

/// virtio 1.3, "Block Device", "Device Operation": `struct virtio_blk_req`, split in any way.
#[derive(Debug)]
pub(super) struct Request<'m> {
    pub(super) operation: Operation,
    /// The first sector, in units of 512 bytes. It only counts for [`Operation::In`] and [`Operation::Out`].
    pub(super) sector: u64,
    /// Data that goes to the disk.
    pub(super) data_out: Buffers<'m>,
    /// Data that comes from the disk.
    pub(super) data_in: Buffers<'m>,
    status: VolatileSlice<'m>,
    head: u16,
}

/// The request types that are supported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    In,
    Out,
    Flush,
    GetId,
    Discard,
    WriteZeroes,
    Unknown(u32),
}

/// The place where a driver expects the answer to a request.
#[derive(Debug)]
pub(super) struct Answer<'m> {
    status: VolatileSlice<'m>,
    head: u16,
    /// The number of writable bytes before the status.
    room: usize,
    /// The moved bytes are written into the bytes before the status.
    fills: bool,
}

/// The negotiated features, and the limits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    pub(super) features: u64,
    pub(super) serial: SerialNumber,
}

impl Terms {
    /// The segments of a discard or a write of zeros, if its `feature` was negotiated. A read-only disk does not offer it.
    fn segments(
        self,
        feature: u32,
        data: &mut Buffers<'_>,
        limits: &Limits,
        size: u64,
    ) -> Result<Vec<Segment>, Refusal> {
        if self.features & bit(feature) == 0 {
            return Err(Refusal::Unsupported);
        }
        segments::take(data, limits, size)
    }
}

impl<'m> Request<'m> {
    /// Reads the request in `chain`.
    pub(super) fn parse(chain: Chain<'m>) -> Result<Self, RequestError> {
        let Chain { head, mut readable, mut writable, .. } = chain;
        let header: [u8; size_of::<Header>()] = readable.take_front().ok_or(RequestError::NoHeader(head))?;
        let header: Header = zerocopy::transmute!(header);
        let status = writable.take_last().ok_or(RequestError::NoStatus(head))?;
        Ok(Self {
            operation: header.kind.get().into(),
            sector: header.sector.get(),
            data_out: readable,
            data_in: writable,
            status,
            head,
        })
    }

    /// The request to a disk of `size` bytes, according to `terms`.
    pub(super) fn on_disk(mut self, terms: Terms, size: u64) -> block::Request<'m, Answer<'m>> {
        let sector = self.sector;
        let mut segments = |feature, limits| terms.segments(feature, &mut self.data_out, limits, size);
        let operation = match self.operation {
            Operation::In => block::Operation::Read { sector },
            Operation::Out => block::Operation::Write { sector, stable: false },
            Operation::Flush => block::Operation::Flush,
            Operation::GetId => block::Operation::Answer(Ok(self.data_in.write(&terms.serial.0))),
            Operation::Discard => {
                block::Operation::Discard(segments(VIRTIO_BLK_F_DISCARD, &segments::DISCARD))
            }
            Operation::WriteZeroes => {
                block::Operation::WriteZeroes(segments(VIRTIO_BLK_F_WRITE_ZEROES, &segments::WRITE_ZEROES))
            }
            Operation::Unknown(_) => block::Operation::Answer(Err(Refusal::Unsupported)),
        };
        let reply = Answer {
            status: self.status,
            head: self.head,
            room: self.data_in.len(),
            fills: matches!(self.operation, Operation::In | Operation::GetId),
        };
        let data = match self.operation {
            Operation::In => self.data_in,
            _ => self.data_out,
        };
        block::Request { operation, data, reply }
    }
}

impl Reply for Answer<'_> {
    /// The index of the chain's first descriptor, and the used length.
    type Answer = (u16, u32);

    /// Writes the status. The used length counts bytes from the front, which the driver may regard as written. The status is the last byte,
    /// so it is included only if all bytes before it were written.
    fn complete(self, result: Result<usize, Refusal>) -> (u16, u32) {
        let (status, written) = match result {
            Ok(bytes) => (VIRTIO_BLK_S_OK, if self.fills { bytes } else { 0 }),
            Err(Refusal::IoError | Refusal::Stopped) => (VIRTIO_BLK_S_IOERR, 0),
            Err(Refusal::Unsupported) => (VIRTIO_BLK_S_UNSUPP, 0),
        };
        self.status.copy_from(&status.to_le_bytes()[..1]);
        let whole = written == self.room;
        (self.head, u32::try_from(written).unwrap_or(u32::MAX) + u32::from(whole))
    }
}

impl From<u32> for Operation {
    fn from(kind: u32) -> Self {
        match kind {
            VIRTIO_BLK_T_IN => Self::In,
            VIRTIO_BLK_T_OUT => Self::Out,
            VIRTIO_BLK_T_FLUSH => Self::Flush,
            VIRTIO_BLK_T_GET_ID => Self::GetId,
            VIRTIO_BLK_T_DISCARD => Self::Discard,
            VIRTIO_BLK_T_WRITE_ZEROES => Self::WriteZeroes,
            unknown => Self::Unknown(unknown),
        }
    }
}

#[cfg(test)]
#[path = "request_test.rs"]
mod tests;
