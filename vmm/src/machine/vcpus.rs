//! A machine's vCPUs, which run or are stopped.
//!
//! ```text
//! stopped ── start: a thread for each ──▶ running
//!         ◀── halt: each thread gives its vCPU back ──
//! ```

use std::{
    collections::BTreeSet,
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
    /// The stopped vCPUs by number.
    stopped: Vec<Vcpu>,
    /// The vCPUs that don't run with the others, because of the debugger.
    held: BTreeSet<u32>,
    running: Vec<JoinHandle<Vcpu>>,
}

impl Vcpus {
    /// Makes the vCPUs, stopped.
    pub(super) fn new(stopped: Vec<Vcpu>) -> Self {
        Self { stopped, held: BTreeSet::new(), running: Vec::new() }
    }

    /// Runs every vCPU that is not held in a thread of its own. The first one that ends the machine reports that to `link`.
    ///
    /// # Errors
    ///
    /// A thread can't be made.
    pub(super) fn start(&mut self, buses: &Arc<Buses>, link: &Link) -> io::Result<()> {
        buses.stop.store(false, Ordering::SeqCst);
        let (held, runs) =
            mem::take(&mut self.stopped).into_iter().partition(|vcpu| self.held.contains(&vcpu.id));
        self.stopped = held;
        let runs: Vec<Vcpu> = runs;
        for mut vcpu in runs {
            let (exits, buses) = (link.exits(), Arc::clone(buses));
            self.running.push(threads::spawn(&Role::Vcpu(vcpu.id), move || {
                let id = vcpu.id;
                let run = panic::catch_unwind(AssertUnwindSafe(|| vcpu.run(&buses)));
                let panicked =
                    |_| Some(Event::Exit(Exit::Failed(anyhow::anyhow!("the thread of vCPU {id} panicked"))));
                if let Some(event) = run.unwrap_or_else(panicked) {
                    // It fails only if the machine stops for another reason.
                    let _ = exits.send(event);
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
        // If a vCPU's thread panicked, the vCPU is lost.
        self.stopped.extend(self.running.drain(..).filter_map(|thread| thread.join().ok()));
        self.stopped.sort_by_key(|vcpu| vcpu.id);
    }

    /// Keeps exactly these from running with the others.
    pub(super) fn hold(&mut self, held: BTreeSet<u32>) {
        self.held = held;
    }

    /// A stopped vCPU.
    pub(super) fn get(&mut self, number: u32) -> Option<&mut Vcpu> {
        self.stopped.iter_mut().find(|vcpu| vcpu.id == number)
    }

    /// All stopped vCPUs.
    pub(super) fn stopped_mut(&mut self) -> &mut [Vcpu] {
        &mut self.stopped
    }

    /// The stopped vCPUs: all or none, unless the debugger holds some.
    pub(super) fn stopped(&self) -> &[Vcpu] {
        &self.stopped
    }

    /// Tells the guest that it was paused. The vCPUs are stopped.
    pub(super) fn tell_of_pause(&self) {
        self.stopped.iter().for_each(Vcpu::tell_of_pause);
    }

    /// Reads KVM's counters of each vCPU. The vCPUs are stopped.
    pub(super) fn stats(&self) -> Vec<Counters> {
        self.stopped.iter().filter_map(Vcpu::stats).collect()
    }
}
