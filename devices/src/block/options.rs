//! The user's choices for a disk's device.

use std::{fmt, num::NonZeroU64, str::FromStr};

use serde::{Deserialize, Serialize};

/// The user's choices for a disk's device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockOptions {
    /// The answer to `VIRTIO_BLK_T_GET_ID`.
    pub serial: SerialNumber,
    /// The number of queues, each with a thread of its own: 1 to [`BlockOptions::MAX_QUEUES`].
    pub queues: u16,
    /// The number of a queue's descriptors: a power of two, from 2 to [`BlockOptions::MAX_QUEUE_SIZE`].
    pub queue_size: u16,
    /// When writes are on stable storage.
    pub cache: CacheMode,
    /// The driver can give space back.
    pub discard: bool,
    /// The way to do transfers.
    pub engine: Engine,
    /// Drivers from before virtio 1.0 can use the device, too.
    pub legacy: bool,
    /// At most so many requests a second.
    pub iops: Option<NonZeroU64>,
    /// At most so many bytes a second.
    pub bandwidth: Option<NonZeroU64>,
}

/// When writes are on stable storage, by the words of `cache=`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CacheMode {
    /// Once the driver has flushed.
    #[default]
    Writeback,
    /// Once they are complete, until the driver asks for a write cache.
    Writethrough,
    /// When the host likes: a flush does nothing.
    Unsafe,
}

/// The ways to do transfers, by the words of `aio=`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Engine {
    /// By io_uring where it is allowed and the disk is made for it, else by threads.
    #[default]
    Auto,
    /// By io_uring.
    IoUring,
    /// By the queue's thread, one after the other.
    Threads,
}

/// A disk's serial number: up to 20 printable ASCII characters.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct SerialNumber(pub(crate) [u8; 20]);

/// Why a string is no serial number.
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
    /// The most queues.
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

/// The word of `cache=` for it.
impl fmt::Display for CacheMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// The word of `aio=` for it.
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

/// As it was given.
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
