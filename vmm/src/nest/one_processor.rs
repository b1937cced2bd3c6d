//! Starts programs that have to stay on one processor. `cargo lab` includes this file, too.

use std::io;

use rustix::thread::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};

/// Starts a QEMU whose threads all run on this thread's current processor.
///
/// QEMU 7.2 clears a bit of a processor's pending interrupts at each #VMEXIT without its lock and without an atomic instruction
/// (`do_vmexit`). If its main thread sets the bit of a timer's interrupt at that moment, on another processor, that interrupt is lost, and
/// a level 0 that waits for it waits for ever.
pub(crate) fn on_one_processor<T>(start: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let all = sched_getaffinity(None)?;
    let mut one = CpuSet::new();
    one.set(sched_getcpu());
    // A child inherits the affinity of the thread that starts it.
    sched_setaffinity(None, &one)?;
    let started = start();
    sched_setaffinity(None, &all)?;
    started
}

#[cfg(test)]
#[path = "one_processor_test.rs"]
mod tests;
