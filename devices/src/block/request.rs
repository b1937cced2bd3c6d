//! A request of a disk.

use std::ops::Range;

use super::counters::RequestKind;
use crate::buffers::Buffers;

/// A request of a disk, read from wherever its driver put it, and the way to answer it.
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
    /// Writes from `sector` on; if `stable`, what is written is on stable storage when it is answered, whatever the cache.
    Write { sector: u64, stable: bool },
    /// Makes all that was written stable.
    Flush,
    /// Gives the space of these parts back, or names none for this reason.
    Discard(Result<Vec<Segment>, Refusal>),
    /// Makes these parts zeros, or names none for this reason.
    WriteZeroes(Result<Vec<Segment>, Refusal>),
    /// Needs nothing of the disk: so it is answered, and not counted.
    Answer(Result<usize, Refusal>),
}

/// A part of the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    /// In bytes, and not empty.
    pub(crate) range: Range<u64>,
    /// Its space may be given back.
    pub(crate) unmap: bool,
}

/// Why a request was not carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It failed, or is not one for this disk.
    IoError,
    /// The device knows no such request, or the driver has not agreed on it.
    Unsupported,
    /// The device is reset: nobody is told of the request any more.
    Stopped,
}

/// The way to answer a request.
pub(crate) trait Reply {
    /// The transport's next step.
    type Answer;

    /// Answers: so many bytes were moved or named, or the request was not carried out.
    fn complete(self, result: Result<usize, Refusal>) -> Self::Answer;
}

impl<R> Request<'_, R> {
    /// The bytes that it moves between memory and the disk.
    pub(super) fn len(&self) -> usize {
        match self.operation {
            Operation::Read { .. } | Operation::Write { .. } => self.data.len(),
            _ => 0,
        }
    }
}

impl Operation {
    /// Its kind, as it is counted.
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

/// The bytes in `segments`.
pub(crate) fn total(segments: &[Segment]) -> usize {
    let bytes = segments.iter().map(|segment| segment.range.end - segment.range.start).sum::<u64>();
    usize::try_from(bytes).unwrap_or(usize::MAX)
}
