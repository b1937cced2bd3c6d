//! virtio 1.3, "Block Device": a disk of the guest.

mod config;
mod counters;
mod executor;
mod faults;
mod limit;
mod request;
mod ring;
#[cfg(test)]
pub(crate) mod test_disk;
mod worker;

use std::{fmt, io, str::FromStr, sync::Arc};

use virtio_bindings::{
    virtio_blk::{
        VIRTIO_BLK_F_BLK_SIZE, VIRTIO_BLK_F_FLUSH, VIRTIO_BLK_F_MQ, VIRTIO_BLK_F_RO, VIRTIO_BLK_F_SEG_MAX,
        VIRTIO_BLK_F_TOPOLOGY,
    },
    virtio_ring::{VIRTIO_RING_F_EVENT_IDX, VIRTIO_RING_F_INDIRECT_DESC},
};
use zerocopy::IntoBytes;

use self::{config::Config, executor::Executor, faults::Faults, worker::Worker};
pub use self::{
    counters::{Counters, Kind, QueueCounters, Total, Totals},
    limit::Limiter,
    ring::check_io_uring,
};
use super::device::{Activation, VirtioDevice};
use crate::disk::Disk;

/// virtio 1.3, "Device Types": block device.
const DEVICE_TYPE: u16 = 2;

/// What is up to the user about a disk's device.
#[derive(Clone, Debug)]
pub struct BlockOptions {
    /// The answer to `VIRTIO_BLK_T_GET_ID`.
    pub serial: Serial,
    /// How many queues there are, each with a thread of its own: 1 to [`BlockOptions::MAX_QUEUES`].
    pub queues: u16,
    /// How many descriptors a queue has: a power of two, from 2 to [`BlockOptions::MAX_QUEUE_SIZE`].
    pub queue_size: u16,
    /// When writes are on stable storage.
    pub cache: CacheMode,
    /// The driver can give space back.
    pub discard: bool,
    /// How transfers are done.
    pub engine: Engine,
    /// How much may be done in a second.
    pub limits: Option<Arc<Limiter>>,
    /// Where it is counted what was done.
    pub counters: Arc<Counters>,
}

/// When writes are on stable storage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CacheMode {
    /// Once the driver has flushed.
    #[default]
    Writeback,
    /// Once they are complete, until the driver asks for a write cache.
    Writethrough,
    /// When the host likes: a flush does nothing.
    Unsafe,
}

/// How transfers are done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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
pub struct Serial([u8; 20]);

/// Why a string is no serial number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SerialError {
    /// Too long.
    #[error("a serial number has at most 20 characters")]
    TooLong,
    /// Not printable ASCII.
    #[error("a serial number is made of printable ASCII characters")]
    NotAscii,
}

/// A virtio-blk device: the front of a [`Disk`].
#[derive(Debug)]
pub struct Block {
    disk: Arc<dyn Disk>,
    options: BlockOptions,
    queue_sizes: Vec<u16>,
    config: Config,
    faults: Arc<Faults>,
    workers: Vec<Worker>,
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
            serial: Serial::default(),
            queues: 1,
            queue_size: 256,
            cache: CacheMode::default(),
            discard: true,
            engine: Engine::default(),
            limits: None,
            counters: Arc::new(Counters::new(1)),
        }
    }
}

impl Block {
    /// Makes a device of `disk`. It works once it is activated.
    pub fn new(disk: Arc<dyn Disk>, options: &BlockOptions) -> Self {
        Self {
            config: Config::new(disk.size(), disk.block_size(), options),
            queue_sizes: vec![options.queue_size; options.queues.into()],
            options: options.clone(),
            disk,
            faults: Arc::default(),
            workers: Vec::new(),
        }
    }
}

impl VirtioDevice for Block {
    fn device_type(&self) -> u16 {
        DEVICE_TYPE
    }

    fn features(&self) -> u64 {
        let read_only = if self.disk.is_read_only() { bit(VIRTIO_BLK_F_RO) } else { 0 };
        let multi_queue = if self.queue_sizes.len() > 1 { bit(VIRTIO_BLK_F_MQ) } else { 0 };
        read_only
            | multi_queue
            | bit(VIRTIO_BLK_F_SEG_MAX)
            | bit(VIRTIO_BLK_F_BLK_SIZE)
            | bit(VIRTIO_BLK_F_FLUSH)
            | bit(VIRTIO_BLK_F_TOPOLOGY)
            | bit(VIRTIO_RING_F_INDIRECT_DESC)
            | bit(VIRTIO_RING_F_EVENT_IDX)
    }

    fn queue_sizes(&self) -> &[u16] {
        &self.queue_sizes
    }

    fn read_config(&self, offset: u64, data: &mut [u8]) {
        let config = usize::try_from(offset).ok().and_then(|offset| self.config.as_bytes().get(offset..));
        let config = config.unwrap_or_default();
        let known = config.len().min(data.len());
        data[..known].copy_from_slice(&config[..known]);
        data[known..].fill(0);
    }

    fn write_config(&mut self, _offset: u64, _data: &[u8]) {}

    fn activate(&mut self, activation: Activation) -> io::Result<()> {
        self.reset();
        let Activation { memory, features, queues, notify } = activation;
        for queue in queues {
            let executor = Executor::new(
                Arc::clone(&self.disk),
                self.options.serial,
                features & bit(VIRTIO_BLK_F_FLUSH) != 0,
                Arc::clone(&self.faults),
            );
            let event_idx = features & bit(VIRTIO_RING_F_EVENT_IDX) != 0;
            self.workers.push(Worker::spawn(
                queue,
                event_idx,
                memory.clone(),
                Arc::clone(&notify),
                executor,
                self.options.engine,
                self.options.limits.clone(),
            )?);
        }
        Ok(())
    }

    fn reset(&mut self) {
        self.workers.clear();
    }
}

impl FromStr for Serial {
    type Err = SerialError;

    fn from_str(text: &str) -> Result<Self, SerialError> {
        if !text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ') {
            return Err(SerialError::NotAscii);
        }
        let mut serial = Self::default();
        serial.0.get_mut(..text.len()).ok_or(SerialError::TooLong)?.copy_from_slice(text.as_bytes());
        Ok(serial)
    }
}

impl fmt::Debug for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

fn bit(feature: u32) -> u64 {
    1 << feature
}

#[cfg(test)]
#[path = "block_test.rs"]
mod tests;
