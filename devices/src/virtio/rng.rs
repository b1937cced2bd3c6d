//! virtio 1.3, "Entropy Device": random bytes for the guest.

use std::{
    fs::{File, OpenOptions},
    io::{self, ErrorKind},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    sync::Arc,
    time::Duration,
};

use virtio_queue::Queue;
use vm_memory::{ReadVolatile, VolatileMemoryError, VolatileSlice};

use super::{
    device::{Activation, DeviceKind, Halt, VirtioDevice},
    queue::Chain,
    serve::{Handler, Next, RING_FEATURES, ServeError, Served, Workers},
};
use crate::{once::Once, pci::ClassCode, state::Stateless};

/// An entropy source, which has no PCI class.
const KIND: DeviceKind =
    DeviceKind { device_type: 4, class: ClassCode { base: 0xff, sub: 0, interface: 0 }, name: "virtio-rng" };

/// The most bytes for a request: "it MAY use less than the entire buffer length".
const MOST: usize = 4096;

/// The pause before the source is read again for a request.
const PAUSE: Duration = Duration::from_millis(10);

/// A file or device with random bytes. It outlives resets.
#[derive(Debug)]
pub struct Source {
    file: File,
    name: String,
    no_bytes: Once,
    broken_queue: Once,
}

/// A virtio-rng device.
#[derive(Debug)]
pub struct Rng {
    source: Arc<Source>,
    workers: Workers,
}

impl Source {
    /// Opens the file or device at `path`.
    ///
    /// # Errors
    ///
    /// The path doesn't exist, can't be read, or is a directory.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
        if file.metadata()?.is_dir() {
            return Err(ErrorKind::IsADirectory.into());
        }
        let name = path.to_string_lossy().into_owned();
        Ok(Self { file, name, no_bytes: Once::default(), broken_queue: Once::default() })
    }

    /// The path with which it was opened.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Reads into `buffer`, and returns the number of bytes.
    fn read(&self, buffer: &mut VolatileSlice<'_>) -> io::Result<usize> {
        match (&self.file).read_volatile(buffer) {
            Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
            Err(VolatileMemoryError::IOError(error)) => Err(error),
            read => read.map_err(io::Error::other),
        }
    }

    /// Fills the chain as far as bytes are available.
    fn serve<'m>(&self, chain: &Chain<'m>, queue: &mut Served<'m>) -> Result<Next, ServeError> {
        let read = match chain.writable.range(0, MOST).next() {
            Some(mut buffer) => self.read(&mut buffer),
            None => Ok(0),
        };
        match read {
            Ok(read) => {
                queue.give_back(chain.head, u32::try_from(read).unwrap_or_default())?;
                return Ok(Next::Chain);
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(error) => self.no_bytes.warn(format_args!(
                "rng {}: no random bytes are to be had ({error}); the guest waits until there are some",
                self.name
            )),
        }
        Ok(Next::Again(PAUSE))
    }
}

impl Handler for Arc<Source> {
    fn thread_name(&self, _: u16) -> String {
        "rng".to_owned()
    }

    fn run(&mut self, queue: &mut Served<'_>) -> Result<(), ServeError> {
        queue.serve_with(|chain, queue| self.serve(&chain, queue))
    }

    fn failed(&self, _: u16, error: &ServeError) {
        let name = &self.name;
        self.broken_queue.warn(format_args!("rng {name}: it stops until the guest resets it: {error}"));
    }
}

impl Rng {
    /// Makes a device that reads `source`.
    #[must_use]
    pub fn new(source: Arc<Source>) -> Self {
        Self { source, workers: Workers::default() }
    }
}

impl VirtioDevice for Rng {
    fn kind(&self) -> DeviceKind {
        KIND
    }

    fn features(&self) -> u64 {
        RING_FEATURES
    }

    fn queue_sizes(&self) -> &[u16] {
        &[8]
    }

    fn activate(&mut self, activation: Activation) -> io::Result<()> {
        self.workers.start(activation, |_, _| Arc::clone(&self.source))
    }

    fn stop(&mut self, halt: Halt, patience: Duration) -> Option<Vec<(u16, Queue)>> {
        self.workers.stop(halt, patience)
    }

    fn reset(&mut self) {
        self.workers.end();
    }
}

impl Stateless for Rng {}

#[cfg(test)]
#[path = "rng_test.rs"]
mod tests;
