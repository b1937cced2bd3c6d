//! virtio 1.3, "Block Device": a disk of the guest.

mod config;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod request;
mod segments;
mod worker;

use std::{io, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use virtio_bindings::virtio_blk::{
    VIRTIO_BLK_F_BLK_SIZE, VIRTIO_BLK_F_CONFIG_WCE, VIRTIO_BLK_F_DISCARD, VIRTIO_BLK_F_FLUSH,
    VIRTIO_BLK_F_MQ, VIRTIO_BLK_F_RO, VIRTIO_BLK_F_SEG_MAX, VIRTIO_BLK_F_TOPOLOGY, VIRTIO_BLK_F_WRITE_ZEROES,
};
use virtio_queue::Queue;
use zerocopy::IntoBytes;

use self::{
    config::{Config, bit},
    request::Terms,
    worker::Work,
};
use super::{
    device::{Activation, DeviceKind, Halt, VirtioDevice},
    serve::{RING_FEATURES, Workers},
};
use crate::{
    block::{BlockOptions, Executor, Lasting, WriteCache},
    disk::Disk,
    pci::ClassCode,
    registers,
    state::{StateError, Stateful},
};

/// A block device: in PCI, mass storage of the class "other".
const KIND: DeviceKind = DeviceKind {
    device_type: 2,
    class: ClassCode { base: 0x01, sub: 0x80, interface: 0 },
    name: "virtio-blk",
};

/// virtio 1.3, "PCI Device Discovery".
const TRANSITIONAL_ID: u16 = 0x1001;

/// A virtio-blk device: the front of a [`Disk`].
#[derive(Debug)]
pub struct Block {
    disk: Arc<dyn Disk>,
    lasting: Lasting,
    /// The offered features.
    features: u64,
    queue_sizes: Vec<u16>,
    config: Config,
    cache: Arc<WriteCache>,
    /// The negotiated features; none before that.
    agreed: Option<u64>,
    workers: Workers,
}

/// A disk's state without its transport's: what its driver has set.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    writeback: bool,
}

impl Block {
    /// Makes a device for `disk`.
    pub fn new(disk: Arc<dyn Disk>, lasting: &Lasting) -> Self {
        let options = &lasting.options;
        let features = offered(&*disk, options);
        Self {
            features,
            config: Config::new(disk.size(), disk.block_size(), options, features),
            cache: Arc::new(WriteCache::new(options.cache)),
            agreed: None,
            queue_sizes: vec![options.queue_size; options.queues.into()],
            lasting: lasting.clone(),
            disk,
            workers: Workers::default(),
        }
    }
}

impl VirtioDevice for Block {
    fn kind(&self) -> DeviceKind {
        KIND
    }

    fn transitional_id(&self) -> Option<u16> {
        self.lasting.options.legacy.then_some(TRANSITIONAL_ID)
    }

    fn features(&self) -> u64 {
        self.features
    }

    fn queue_sizes(&self) -> &[u16] {
        &self.queue_sizes
    }

    fn read_config(&self, offset: u64, data: &mut [u8]) {
        let mut config = self.config.clone();
        if is_writable(self.features) {
            config.writeback = self.cache.writeback().into();
        }
        data.fill(0);
        registers::read(config.as_bytes(), offset, data);
    }

    /// The driver writes each field as a whole, and only the field of the write cache.
    fn write_config(&mut self, offset: u64, data: &[u8]) {
        let writable = self.agreed.is_some_and(is_writable);
        if let (Ok(Config::WRITEBACK), &[value @ (0 | 1)], true) = (usize::try_from(offset), data, writable) {
            self.cache.set_writeback(value == 1);
        }
    }

    fn measure(&mut self) -> io::Result<bool> {
        Ok(self.config.set_size(self.disk.measure()?))
    }

    fn features_agreed(&mut self, features: u64) {
        // virtio 1.3, "Block Device", "Device Initialization": a driver that doesn't flush begins without a cache.
        self.cache.agree(features & bit(VIRTIO_BLK_F_FLUSH) != 0);
        self.agreed = Some(features);
    }

    fn activate(&mut self, activation: Activation) -> io::Result<()> {
        let features = activation.features;
        if self.agreed != Some(features) {
            self.features_agreed(features);
        }
        let Self { disk, lasting, cache, workers, .. } = self;
        workers.start(activation, |queue, stop| {
            let (disk, cache, stop) = (Arc::clone(disk), Arc::clone(cache), stop.clone());
            let terms = Terms { features, serial: lasting.options.serial };
            Work::new(Executor::new(queue, disk, lasting.clone(), cache, stop), terms, lasting)
        })
    }

    fn stop(&mut self, halt: Halt, patience: Duration) -> Option<Vec<(u16, Queue)>> {
        self.workers.stop(halt, patience)
    }

    fn reset(&mut self) {
        self.workers.end();
        self.agreed = None;
        self.cache.reset();
    }
}

/// Returns true if `features` allow the driver to write the field of the write cache.
fn is_writable(features: u64) -> bool {
    features & bit(VIRTIO_BLK_F_CONFIG_WCE) != 0
}

/// The features that a device of `disk` offers.
fn offered(disk: &dyn Disk, options: &BlockOptions) -> u64 {
    let only = |condition: bool, features| if condition { features } else { 0 };
    let writable = bit(VIRTIO_BLK_F_CONFIG_WCE) | bit(VIRTIO_BLK_F_WRITE_ZEROES);
    bit(VIRTIO_BLK_F_SEG_MAX)
        | bit(VIRTIO_BLK_F_BLK_SIZE)
        | bit(VIRTIO_BLK_F_FLUSH)
        | bit(VIRTIO_BLK_F_TOPOLOGY)
        | RING_FEATURES
        | only(options.queues > 1, bit(VIRTIO_BLK_F_MQ))
        | only(disk.is_read_only(), bit(VIRTIO_BLK_F_RO))
        | only(!disk.is_read_only(), writable)
        | only(!disk.is_read_only() && options.discard, bit(VIRTIO_BLK_F_DISCARD))
}

impl Stateful for Block {
    type State = State;

    fn save(&self) -> Result<State, StateError> {
        Ok(State { writeback: self.cache.writeback() })
    }

    fn load(&mut self, State { writeback }: State) -> Result<(), StateError> {
        self.cache.set_writeback(writeback);
        Ok(())
    }
}

#[cfg(test)]
#[path = "block_test.rs"]
mod tests;

#[cfg(test)]
#[path = "block/stop_test.rs"]
mod stop_tests;

#[cfg(test)]
#[path = "block/pause_test.rs"]
mod pause_tests;

#[cfg(test)]
#[path = "block/config_test.rs"]
mod config_tests;
