//! A machine's vCPUs, which run or are stopped.
//!
//! ```text
//! stopped ── start: a thread for each ──▶ running
//!         ◀── halt: each thread gives its vCPU back ──
//! ```

use std::{
    io, mem,
    panic::{self, AssertUnwindSafe},
    sync::{Arc, atomic::Ordering},
    thread::JoinHandle,
};

use devices::threads::{self, Role};

use crate::{
    buses::Buses,
    exit::Exit,
    kick,
    link::{Event, Link},
    stats::Counters,
    vcpu::Vcpu,
};

/// All vCPUs of a machine.
#[derive(Debug)]
pub(super) struct Vcpus {
    stopped: Vec<Vcpu>,
    running: Vec<JoinHandle<Vcpu>>,
}

impl Vcpus {
    /// vCPUs that are stopped.
    pub(super) fn new(stopped: Vec<Vcpu>) -> Self {
        Self { stopped, running: Vec::new() }
    }

    /// Lets every vCPU run, in a thread of its own. The first that ends the machine says so to `link`.
    ///
    /// # Errors
    ///
    /// A thread can't be made.
    pub(super) fn start(&mut self, buses: &Arc<Buses>, link: &Link) -> io::Result<()> {
        buses.stop.store(false, Ordering::SeqCst);
        for mut vcpu in mem::take(&mut self.stopped) {
            let (exits, buses) = (link.exits(), Arc::clone(buses));
            self.running.push(threads::spawn(&Role::Vcpu(vcpu.id), move || {
                let id = vcpu.id;
                let run = panic::catch_unwind(AssertUnwindSafe(|| vcpu.run(&buses)));
                let panicked = |_| Some(Exit::Failed(anyhow::anyhow!("the thread of vCPU {id} panicked")));
                if let Some(exit) = run.unwrap_or_else(panicked) {
                    // Nobody waits for it: the machine stops for another reason.
                    let _ = exits.send(Event::Exit(exit));
                }
                vcpu
            })?);
        }
        Ok(())
    }

    /// Returns whether they run.
    pub(super) fn is_running(&self) -> bool {
        !self.running.is_empty()
    }

    /// Stops the vCPUs, and takes them back from their threads.
    pub(super) fn halt(&mut self, buses: &Buses) {
        buses.stop.store(true, Ordering::SeqCst);
        self.running.iter().for_each(kick::kick);
        // A vCPU's panic was caught in its thread.
        self.stopped.extend(self.running.drain(..).filter_map(|thread| thread.join().ok()));
    }

    /// Those that are stopped: all or none.
    pub(super) fn stopped(&self) -> &[Vcpu] {
        &self.stopped
    }

    /// Tells the guest, while they are stopped, that it was paused.
    pub(super) fn tell_of_pause(&self) {
        self.stopped.iter().for_each(Vcpu::tell_of_pause);
    }

    /// Reads what KVM counted for each, while they are stopped.
    pub(super) fn stats(&self) -> Vec<Counters> {
        self.stopped.iter().filter_map(Vcpu::stats).collect()
    }
}
