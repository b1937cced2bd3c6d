//! A disk for tests that does not answer until the test lets it.

use std::{
    fs::File,
    io,
    ops::Range,
    os::fd::OwnedFd,
    sync::{Condvar, Mutex, MutexGuard},
    time::Duration,
};

use vm_memory::VolatileSlice;

use crate::disk::{BlockSize, Direction, Disk, Extent};

/// A timeout long enough for a thread to be scheduled on any machine.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// A gate at which a disk's calls wait.
#[derive(Debug, Default)]
struct Gate {
    state: Mutex<GateState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
pub(crate) struct GateState {
    open: bool,
    pub(crate) calls: Vec<(u64, usize)>,
}

/// A disk of 8 GiB. Its transfers, discards and zeros wait at a gate, or panic, or are done by the kernel on a pipe without a writer.
#[derive(Debug, Default)]
pub(crate) struct SlowDisk {
    gate: Gate,
    panics: bool,
    pub(crate) pipe: Option<(File, OwnedFd)>,
}

impl SlowDisk {
    /// A disk on which the kernel waits until the test stops that.
    pub(crate) fn on_a_pipe() -> Self {
        let (reader, writer) = io::pipe().unwrap();
        Self { pipe: Some((File::from(OwnedFd::from(reader)), writer.into())), ..Self::default() }
    }

    /// A disk whose transfers panic.
    pub(crate) fn that_panics() -> Self {
        Self { panics: true, ..Self::default() }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, GateState> {
        self.gate.state.lock().unwrap()
    }

    /// Waits until this many transfers have arrived.
    pub(crate) fn wait_for(&self, calls: usize) {
        let waited =
            self.gate.changed.wait_timeout_while(self.state(), LONG, |state| state.calls.len() < calls);
        assert!(!waited.unwrap().1.timed_out());
    }

    pub(crate) fn open_gate(&self) {
        self.state().open = true;
        self.gate.changed.notify_all();
    }

    fn transfer(&self, buffers: &[VolatileSlice<'_>], offset: u64) -> io::Result<()> {
        self.call(offset, buffers.iter().map(VolatileSlice::len).sum())
    }

    fn call(&self, offset: u64, len: usize) -> io::Result<()> {
        assert!(!self.panics, "a disk that panics, in a test");
        let mut state = self.state();
        state.calls.push((offset, len));
        self.gate.changed.notify_all();
        drop(self.gate.changed.wait_while(state, |state| !state.open).unwrap());
        Ok(())
    }
}

impl Disk for SlowDisk {
    fn name(&self) -> &'static str {
        "slow"
    }

    fn size(&self) -> u64 {
        8 << 30
    }

    fn is_read_only(&self) -> bool {
        false
    }

    fn block_size(&self) -> BlockSize {
        BlockSize { logical: 512, physical: 4096, optimal: 0, discard: 4096 }
    }

    fn read_at(&self, buffers: &[VolatileSlice<'_>], offset: u64) -> io::Result<()> {
        self.transfer(buffers, offset)
    }

    fn write_at(&self, buffers: &[VolatileSlice<'_>], offset: u64) -> io::Result<()> {
        self.transfer(buffers, offset)
    }

    fn write_zeroes(&self, range: Range<u64>, _: bool) -> io::Result<()> {
        self.discard(range)
    }

    fn discard(&self, range: Range<u64>) -> io::Result<()> {
        self.call(range.start, usize::try_from(range.end - range.start).unwrap())
    }

    fn flush(&self) -> io::Result<()> {
        Ok(())
    }

    fn extent_at(&self, _: u64, len: u64) -> io::Result<Extent> {
        Ok(Extent { len, is_zero: false })
    }

    fn files(&self) -> Vec<&File> {
        self.pipe.iter().map(|(reader, _)| reader).collect()
    }

    fn file_for(&self, _: Direction, buffers: &[VolatileSlice<'_>], offset: u64) -> Option<usize> {
        self.pipe.as_ref()?;
        self.state().calls.push((offset, buffers.iter().map(VolatileSlice::len).sum()));
        self.gate.changed.notify_all();
        Some(0)
    }
}
