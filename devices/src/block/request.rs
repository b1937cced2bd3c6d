//! A request of a disk.

use std::ops::Range;

use super::counters::RequestKind;
use crate::buffers::Buffers;

/// A request of a disk, read from where its driver put it, and the way to answer it.
#[derive(Debug)]
pub(crate) struct Request<'m, R> {
    pub(crate) operation: Operation,
    /// The data of a read or a write.
    pub(crate) data: Buffers<'m>,
    pub(crate) reply: R,
}

/// The operation that a request asks for.
#[derive(Debug)]
pub(crate) enum Operation {
    /// Reads from `sector` on, in units of 512 bytes.
    Read { sector: u64 },
    /// Writes from `sector` on. If `stable`, the data is on stable storage when the request is answered, whatever the cache.
    Write { sector: u64, stable: bool },
    /// Makes all earlier writes stable.
    Flush,
    /// Discards these parts, or fails for this reason.
    Discard(Result<Vec<Segment>, Refusal>),
    /// Zeroes these parts, or fails for this reason.
    WriteZeroes(Result<Vec<Segment>, Refusal>),
    /// Needs nothing of the disk: the request gets this answer, and is not counted.
    Answer(Result<usize, Refusal>),
}

/// A part of the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    /// The offsets in bytes; not empty.
    pub(crate) range: Range<u64>,
    /// The space may be given back.
    pub(crate) unmap: bool,
}

/// Reasons why a request was not carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The request failed, or is wrong for this disk.
    IoError,
    /// The device has no such request, or the driver has not negotiated it.
    Unsupported,
    /// The device was reset: the request gets no answer.
    Stopped,
}

/// The way to answer a request.
pub(crate) trait Reply {
    /// The transport's next step.
    type Answer;

    /// Answers the request: a number of bytes was moved or named, or it was not carried out.
    fn complete(self, result: Result<usize, Refusal>) -> Self::Answer;
}

impl<R> Request<'_, R> {
    /// The number of bytes to move between memory and the disk.
    pub(super) fn len(&self) -> usize {
        match self.operation {
            Operation::Read { .. } | Operation::Write { .. } => self.data.len(),
            _ => 0,
        }
    }
}

impl Operation {
    /// The kind under which the request is counted.
    pub(super) fn kind(&self) -> Option<RequestKind> {
        match self {
            Self::Read { .. } => Some(RequestKind::Read),
            Self::Write { .. } => Some(RequestKind::Write),
            Self::Flush => Some(RequestKind::Flush),
            Self::Discard(_) => Some(RequestKind::Discard),
            Self::WriteZeroes(_) => Some(RequestKind::WriteZeroes),
            Self::Answer(_) => None,
        }
    }
}

/// The number of bytes in `segments`.
pub(crate) fn total(segments: &[Segment]) -> usize {
    let bytes = segments.iter().map(|segment| segment.range.end - segment.range.start).sum::<u64>();
    usize::try_from(bytes).unwrap_or(usize::MAX)
}
