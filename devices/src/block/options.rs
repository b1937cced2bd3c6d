//! The user's options for a disk's device.

use std::{fmt, num::NonZeroU64, str::FromStr};

use serde::{Deserialize, Serialize};

/// The user's options for a disk's device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockOptions {
    /// The answer to `VIRTIO_BLK_T_GET_ID`.
    pub serial: SerialNumber,
    /// The number of queues, each with a thread of its own: 1 to [`BlockOptions::MAX_QUEUES`].
    pub queues: u16,
    /// The number of a queue's descriptors: a power of two, from 2 to [`BlockOptions::MAX_QUEUE_SIZE`].
    pub queue_size: u16,
    /// The time at which writes are on stable storage.
    pub cache: CacheMode,
    /// The driver can discard data.
    pub discard: bool,
    /// The way to carry out transfers.
    pub engine: Engine,
    /// Drivers from before virtio 1.0 can use the device as well.
    pub legacy: bool,
    /// The most requests a second.
    pub iops: Option<NonZeroU64>,
    /// The most bytes a second.
    pub bandwidth: Option<NonZeroU64>,
}

/// The time at which writes are on stable storage, by the words of `cache=`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CacheMode {
    /// When the driver flushes.
    #[default]
    Writeback,
    /// When they complete, unless the driver asks for a write cache.
    Writethrough,
    /// At any time that the host chooses: a flush does nothing.
    Unsafe,
}

/// The ways to carry out transfers, by the words of `aio=`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Engine {
    /// io_uring where it is allowed and the disk suits it, else threads.
    #[default]
    Auto,
    /// io_uring.
    IoUring,
    /// The queue's thread, one transfer after the other.
    Threads,
}

/// A disk's serial number: up to 20 printable ASCII characters.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct SerialNumber(pub(crate) [u8; 20]);

/// Reasons why a string is no serial number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SerialNumberError {
    /// Too long.
    #[error("a serial number has at most 20 characters")]
    TooLong,
    /// Not printable ASCII.
    #[error("a serial number is made of printable ASCII characters")]
    NotAscii,
}

impl BlockOptions {
    /// The most queues of a disk.
    pub const MAX_QUEUES: u16 = 64;
    /// The most descriptors in a queue.
    pub const MAX_QUEUE_SIZE: u16 = 1024;
}

impl Default for BlockOptions {
    fn default() -> Self {
        Self {
            serial: SerialNumber::default(),
            queues: 1,
            queue_size: 256,
            cache: CacheMode::default(),
            discard: true,
            engine: Engine::default(),
            legacy: false,
            iops: None,
            bandwidth: None,
        }
    }
}

/// Writes the word of `cache=`.
impl fmt::Display for CacheMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// Writes the word of `aio=`.
impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

impl FromStr for SerialNumber {
    type Err = SerialNumberError;

    fn from_str(text: &str) -> Result<Self, SerialNumberError> {
        if !text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ') {
            return Err(SerialNumberError::NotAscii);
        }
        let mut serial = Self::default();
        serial.0.get_mut(..text.len()).ok_or(SerialNumberError::TooLong)?.copy_from_slice(text.as_bytes());
        Ok(serial)
    }
}

/// Writes the serial number as it was given.
impl fmt::Display for SerialNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.0.split(|&byte| byte == 0).next().unwrap_or_default();
        f.write_str(&String::from_utf8_lossy(bytes))
    }
}

impl fmt::Debug for SerialNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}
