//! The last level's news of the user's program, and the form in which the program's output travels.
//!
//! Each byte on a console costs exits at every level below it, so output is packed: deflated, then in base64, which no
//! terminal changes and which can't look like a report. A piece stands alone and says where it belongs: if one is
//! broken, that much is known to be lost, and the next is whole.

use std::fmt;
use std::io::{self, Read};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use flate2::Compression;
use flate2::read::{DeflateDecoder, DeflateEncoder};
use serde::{Deserialize, Serialize};

use crate::nest::child::LINE_MAX;

/// The most bytes of output in a piece.
pub(in crate::nest) const PIECE_MAX: usize = 64 << 10;
/// The most of them once they are deflated: base64 makes four characters of three bytes. The line has room for the rest of the report, which
/// is short, and for a kernel's message in its midst.
const PACKED_MAX: usize = (LINE_MAX - 1024) / 4 * 3;

/// The status by which a test says that it can't run here, as GNU Automake's and Meson's tests do.
const SKIPPED: i32 = 77;

/// Something that happened to the program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum News {
    /// It is being started.
    Started,
    /// It printed something.
    Output(Piece),
    /// It ended.
    Ended(End),
}

/// A part of the program's output: where it begins, and its bytes, packed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Piece(u64, String);

impl Piece {
    /// Packs as much of `bytes` as a line has room for, and says how much that is. `at` bytes came before them.
    pub(in crate::nest) fn pack(at: u64, bytes: &[u8]) -> io::Result<(Self, usize)> {
        let mut len = bytes.len().min(PIECE_MAX);
        loop {
            let mut packed = Vec::new();
            DeflateEncoder::new(&bytes[..len], Compression::default()).read_to_end(&mut packed)?;
            if packed.len() <= PACKED_MAX {
                return Ok((Self(at, STANDARD_NO_PAD.encode(packed)), len));
            }
            // A little less than what would fit if all of it packed alike.
            len = len * PACKED_MAX / packed.len() * 15 / 16;
        }
    }

    /// Returns the number of bytes that came before it, and its own; none if it is broken. However well they pack, they are no more than
    /// [`PIECE_MAX`].
    pub(super) fn unpack(&self) -> Option<(u64, Vec<u8>)> {
        let packed = STANDARD_NO_PAD.decode(&self.1).ok()?;
        let mut bytes = Vec::new();
        let most = u64::try_from(PIECE_MAX).unwrap_or(u64::MAX);
        DeflateDecoder::new(&packed[..]).take(most).read_to_end(&mut bytes).ok()?;
        Some((self.0, bytes))
    }
}

/// The end of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum End {
    /// By itself, with this status.
    Exited(i32),
    /// By a signal of this number.
    Killed(i32),
}

impl End {
    /// The end that the kernel tells of.
    pub(super) fn of(status: ExitStatus) -> Self {
        match (status.code(), status.signal()) {
            (None, Some(signal)) => Self::Killed(signal),
            (code, _) => Self::Exited(code.unwrap_or_default()),
        }
    }

    /// Returns whether the program did what it should.
    pub(in crate::nest) fn is_success(self) -> bool {
        self == Self::Exited(0)
    }

    /// Returns whether it says that it can't run here.
    pub(in crate::nest) fn is_skip(self) -> bool {
        self == Self::Exited(SKIPPED)
    }
}

/// `ended with status 3`, `was ended by SIGSEGV`.
impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Exited(status) => write!(f, "ended with status {status}"),
            Self::Killed(signal) => write!(f, "was ended by {}", signal_name(signal)),
        }
    }
}

/// `SIGSEGV`, or `signal 40` where it has no name.
pub(super) fn signal_name(signal: i32) -> String {
    // The standard library has the names, and tells them in `signal: 11 (SIGSEGV)` alone.
    let told = ExitStatus::from_raw(signal & 0x7f).to_string();
    let name = told.split_once('(').and_then(|(_, rest)| rest.split_once(')')).map(|(name, _)| name);
    name.filter(|name| name.starts_with("SIG")).map_or_else(|| format!("signal {signal}"), str::to_owned)
}

#[cfg(test)]
#[path = "news_test.rs"]
mod tests;
