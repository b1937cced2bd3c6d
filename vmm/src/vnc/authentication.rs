//! RFC 6143, "VNC Authentication": a challenge that a viewer encrypts with the password.

use std::{fmt, fs, io, os::unix::fs::MetadataExt, path::Path};

use des::{
    Des,
    cipher::{BlockCipherEncrypt, KeyInit},
};
use devices::printable::ToPrintable;
use rustix::rand::{GetRandomFlags, getrandom};

use crate::small_file;

/// A challenge, and a response to it.
pub(super) type Block = [u8; 16];

/// The number of significant bytes of a password.
const LEN: usize = 8;

/// A password, which is not printed in any message.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Password([u8; LEN]);

impl Password {
    /// Reads the first line of a file, whose first eight bytes are the password, and warns if other users can read the file.
    ///
    /// # Errors
    ///
    /// The file can't be read, or the line is empty.
    pub(crate) fn read(path: &Path) -> io::Result<Self> {
        let bytes = small_file::read_bytes(path)?;
        let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            return Err(io::Error::other("its first line is empty; write the password there"));
        }
        if line.len() > LEN {
            log::warn!("{}: the first {LEN} bytes of the password count, as VNC has it", path.printable());
        }
        let metadata = fs::metadata(path)?;
        if metadata.is_file() && metadata.mode() & 0o077 != 0 {
            log::warn!("{0}: other users can read or change the password: chmod 600 {0}", path.printable());
        }
        Ok(Self::new(line))
    }

    /// A password of these bytes, of which the first eight count.
    pub(super) fn new(bytes: &[u8]) -> Self {
        let mut password = [0; LEN];
        password.iter_mut().zip(bytes).for_each(|(byte, given)| *byte = *given);
        Self(password)
    }

    /// Returns whether `response` is this password's response to `challenge`. The comparison takes constant time.
    pub(super) fn is_proven(&self, challenge: &Block, response: &Block) -> bool {
        let expected = self.respond(challenge);
        expected.iter().zip(response).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
    }

    /// The response to a challenge: DES, with the bits of each byte of the key in reverse order.
    pub(super) fn respond(&self, challenge: &Block) -> Block {
        let cipher = Des::new(&self.0.map(u8::reverse_bits).into());
        let mut response = *challenge;
        for block in response.as_chunks_mut::<8>().0 {
            cipher.encrypt_block(block.into());
        }
        response
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password")
    }
}

/// An unpredictable challenge.
///
/// # Errors
///
/// The host has no random numbers.
pub(super) fn challenge() -> io::Result<Block> {
    let mut challenge = Block::default();
    // A request this small never returns fewer bytes.
    getrandom(&mut challenge, GetRandomFlags::empty())?;
    Ok(challenge)
}

#[cfg(test)]
#[path = "authentication_test.rs"]
mod tests;
