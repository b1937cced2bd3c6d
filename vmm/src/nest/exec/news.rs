//! The last level's reports about the user's program, and the encoding of the program's output.
//!
//! Each byte on a console costs exits at every level below it, so output is compressed, and then encoded in base64, which no terminal
//! changes and which can't look like a report. Each piece can be decoded by itself and contains its offset: if one is broken, only its
//! bytes are lost, and the next one is complete.

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
/// The most bytes of a compressed piece: base64 makes four characters of three bytes. The line has room for the rest of the report, which
/// is short, and for a kernel's message in the middle.
const PACKED_MAX: usize = (LINE_MAX - 1024) / 4 * 3;

/// The status by which a test reports that it can't run here, as in GNU Automake and Meson.
const SKIPPED: i32 = 77;

/// An event of the program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum News {
    /// The program is being started.
    Started,
    /// The program printed something.
    Output(Piece),
    /// The program ended.
    Ended(End),
}

/// A part of the program's output: its offset, and its encoded bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Piece(u64, String);

impl Piece {
    /// Encodes as many of `bytes` as a line has room for, and returns their number. `at` bytes came before them.
    pub(in crate::nest) fn pack(at: u64, bytes: &[u8]) -> io::Result<(Self, usize)> {
        let mut len = bytes.len().min(PIECE_MAX);
        loop {
            let mut packed = Vec::new();
            DeflateEncoder::new(&bytes[..len], Compression::default()).read_to_end(&mut packed)?;
            if packed.len() <= PACKED_MAX {
                return Ok((Self(at, STANDARD_NO_PAD.encode(packed)), len));
            }
            // A bit less than what would fit if everything compressed equally well.
            len = len * PACKED_MAX / packed.len() * 15 / 16;
        }
    }

    /// Returns the offset and the bytes; none if the piece is broken. However well they are compressed, there are at most [`PIECE_MAX`]
    /// bytes.
    pub(super) fn unpack(&self) -> Option<(u64, Vec<u8>)> {
        let packed = STANDARD_NO_PAD.decode(&self.1).ok()?;
        let mut bytes = Vec::new();
        let most = u64::try_from(PIECE_MAX).unwrap_or(u64::MAX);
        DeflateDecoder::new(&packed[..]).take(most).read_to_end(&mut bytes).ok()?;
        Some((self.0, bytes))
    }
}

/// The way in which a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum End {
    /// The program exited with this status.
    Exited(i32),
    /// The program was killed by the signal with this number.
    Killed(i32),
}

impl End {
    /// Converts the kernel's status.
    pub(super) fn of(status: ExitStatus) -> Self {
        match (status.code(), status.signal()) {
            (None, Some(signal)) => Self::Killed(signal),
            (code, _) => Self::Exited(code.unwrap_or_default()),
        }
    }

    /// Returns whether the program succeeded.
    pub(in crate::nest) fn is_success(self) -> bool {
        self == Self::Exited(0)
    }

    /// Returns whether the program reported that it can't run here.
    pub(in crate::nest) fn is_skip(self) -> bool {
        self == Self::Exited(SKIPPED)
    }
}

/// Writes `ended with status 3`, `was ended by SIGSEGV`.
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
    // The standard library has the names, but only shows them in `signal: 11 (SIGSEGV)`.
    let told = ExitStatus::from_raw(signal & 0x7f).to_string();
    let name = told.split_once('(').and_then(|(_, rest)| rest.split_once(')')).map(|(name, _)| name);
    name.filter(|name| name.starts_with("SIG")).map_or_else(|| format!("signal {signal}"), str::to_owned)
}

#[cfg(test)]
#[path = "news_test.rs"]
mod tests;
