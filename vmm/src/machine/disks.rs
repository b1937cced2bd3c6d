//! The disks of a machine: their files, which outlive its resets.

use std::sync::Arc;

use devices::{
    disk::{
        Disk,
        format::{self, OpenError, OpenOptions},
        raw::DiskOptions,
    },
    virtio::block::{Block, BlockOptions, CacheMode, Counters, Limiter, Totals},
};

use crate::config::DiskConfig;

/// A disk's file, open and locked, and what was done with it. It outlives the machine's resets.
#[derive(Debug)]
pub struct OpenDisk {
    /// What was asked for.
    pub config: DiskConfig,
    disk: Arc<dyn Disk>,
    options: BlockOptions,
}

impl OpenDisk {
    /// Opens and locks the image for a machine of `vcpus`.
    ///
    /// # Errors
    ///
    /// There is no such disk, or it can't be used as asked.
    pub fn open(config: &DiskConfig, vcpus: u32) -> Result<Self, OpenError> {
        let open = OpenOptions {
            disk: DiskOptions { read_only: config.readonly, direct: config.direct },
            format: config.format.map(Into::into),
            backing_root: config.backing_root.clone(),
            overlay: None,
        };
        let disk = format::open(&config.path, &open)?;
        let queues = config.queues(vcpus);
        let limited = config.iops.is_some() || config.bw.is_some();
        let options = BlockOptions {
            serial: config.serial,
            queues,
            queue_size: config.queue_size,
            cache: config.cache,
            discard: config.discard.is_on(),
            engine: config.aio,
            limits: limited.then(|| Arc::new(Limiter::new(config.iops, config.bw))),
            counters: Arc::new(Counters::new(queues)),
        };
        let opened = Self { config: config.clone(), disk, options };
        opened.tell_surprises();
        Ok(opened)
    }

    /// What messages call it.
    #[must_use]
    pub fn name(&self) -> String {
        self.config.name()
    }

    /// What was done with it since it was opened.
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.options.counters.total()
    }

    /// A device of it.
    pub(super) fn device(&self) -> Block {
        Block::new(Arc::clone(&self.disk), &self.options)
    }

    fn tell_surprises(&self) {
        let name = self.name();
        if self.disk.is_read_only() && !self.config.readonly {
            log::warn!("disk {name}: images of its format are never written to, so it is read-only");
        }
        if self.options.cache == CacheMode::Unsafe && !self.disk.is_read_only() {
            log::warn!("disk {name}: cache=unsafe: if this host stops, what the guest has written is lost");
        }
    }
}
