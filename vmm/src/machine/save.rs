//! Saving a machine in a snapshot.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use devices::printable::ToPrintable;

use super::Machine;
use crate::{
    exit::Exit,
    gdb::Debugger,
    link::{Event, Link},
    run_state::{Change, RunState},
    snapshot::{self, Around, KvmState, MemoryLayout, NewDirectory, Origin, Part, SaveSnapshot, State},
    vcpu::Vcpu,
};

/// How long a save waits for requests that the host does not end.
const PATIENCE: Duration = Duration::from_secs(60);

impl Machine {
    /// Saves the machine, which is paused for it, and goes on then if it ran, unless it is to end. `stop` says whether to give up.
    ///
    /// # Errors
    ///
    /// The outer one: it can't go on. The inner one: it can't be saved, and is as it was before.
    pub(super) fn save(
        &mut self,
        order: &SaveSnapshot,
        origin: &Origin<'_>,
        debugger: &mut Debugger,
        link: &Link,
        stop: &dyn Fn() -> bool,
    ) -> Result<Result<()>> {
        let begun = Instant::now();
        let directory = match self.prepare(order, origin, debugger) {
            Ok(directory) => directory,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let ran = !self.pauses.is_paused();
        if ran {
            self.pause(RunState::Paused, link);
        }
        let paused = Instant::now();
        let written = self.write(directory, origin, link, stop);
        if order.stop {
            let finished = written.and_then(NewDirectory::finish);
            if ran && finished.is_err() {
                self.go_on_after_save(link)?;
            }
            return Ok(finished);
        }
        // What is left to do is the host's: the guest may change its memory again.
        if ran {
            self.go_on_after_save(link)?;
        }
        let pause = paused.elapsed();
        let finished = written.and_then(NewDirectory::finish);
        if finished.is_ok() {
            let (shown, all) = (order.directory.printable(), begun.elapsed());
            log::info!("the machine is saved in {shown}: it stood still for {pause:?} of {all:?}");
        }
        Ok(finished)
    }

    /// Ends the machine as the user asked for, but for that it is saved first if the command line says so. A script that failed is no reason to.
    pub(super) fn quit(
        &mut self,
        exit: Exit,
        origin: &Origin<'_>,
        debugger: &mut Debugger,
        link: &Link,
    ) -> Result<Exit> {
        let Some(order) = on_exit(origin).filter(|_| !matches!(exit, Exit::Unmet)) else { return Ok(exit) };
        // The end is asked for already; who asks again does not wait for this thread.
        let saved = self.save(&SaveSnapshot { stop: true, ..order }, origin, debugger, link, &|| false)?;
        Ok(match saved {
            Ok(()) => Exit::Saved,
            Err(error) => Exit::Failed(error.context("--snapshot-on-exit")),
        })
    }

    /// Saves the machine where it is to be saved at its end, and goes on.
    pub(super) fn save_now(
        &mut self,
        origin: &Origin<'_>,
        debugger: &mut Debugger,
        link: &Link,
    ) -> Result<()> {
        let Some(order) = on_exit(origin) else {
            log::warn!("SIGUSR2: the machine is not saved, as no --snapshot-on-exit says where");
            return Ok(());
        };
        match self.save(&order, origin, debugger, link, &|| link.end_is_wished())? {
            Ok(()) => log::warn!("the machine is saved in {}", order.directory.printable()),
            Err(error) => log::error!("SIGUSR2: {error:#}"),
        }
        Ok(())
    }

    /// Lets a machine go on that was paused to be saved, or end, if a vCPU asked for that just before.
    pub(super) fn go_on_after_save(&mut self, link: &Link) -> Result<()> {
        self.go_on_unnoticed(link)?;
        link.changed(Change::Resume);
        Ok(())
    }

    /// The same, and tells nobody.
    pub(super) fn go_on_unnoticed(&mut self, link: &Link) -> Result<()> {
        if let Some(exit) = self.pauses.end() {
            let _ = link.exits().send(Event::Exit(exit));
        }
        // The guest is not to run past it.
        if link.has_exit() { Ok(()) } else { self.run_again(link) }
    }

    /// Refuses what can be refused before the machine is stopped.
    fn prepare(
        &self,
        order: &SaveSnapshot,
        origin: &Origin<'_>,
        debugger: &mut Debugger,
    ) -> Result<NewDirectory> {
        if self.migration.is_some() || self.given.is_some() {
            bail!("the machine is being moved to another host");
        }
        if debugger.session().is_some() {
            bail!("a debugger has the machine, whose breakpoints may be in its memory: detach it first");
        }
        let directory = NewDirectory::create(&order.directory, order.replaces)?;
        // The disks are flushed once while the guest still runs.
        origin.disks()?;
        Ok(directory)
    }

    /// Writes all files of a machine that is paused.
    ///
    /// The order, and why:
    /// 1. the vCPUs complete their last exits, which may reach devices;
    /// 2. the devices come to rest, so that none changes memory or interrupts;
    /// 3. the devices' states, then KVM's: an interrupt that input raises meanwhile is in KVM's state at most, where it is one too many for a device
    ///    without that input; the other way round it would be missing;
    /// 4. memory, which is long and does not change by then;
    /// 5. `machine.json`, with the checksums of the others, and with the disks as they are now.
    fn write(
        &mut self,
        mut directory: NewDirectory,
        origin: &Origin<'_>,
        link: &Link,
        stop: &dyn Fn() -> bool,
    ) -> Result<NewDirectory> {
        let state = self.capture(origin, link)?;
        let text = serde_json::to_vec(&state)?;
        directory.write(snapshot::STATE, &text)?;

        let file = directory.file(snapshot::MEMORY)?;
        let layout = MemoryLayout::write(&self.parts(), &file, stop)
            .with_context(|| directory.of(snapshot::MEMORY))?;

        let manifest = origin.manifest(&self.cpu, Some(&state.kvm), &text, layout)?;
        directory.write(snapshot::MACHINE, &manifest.to_bytes()?)?;
        Ok(directory)
    }

    /// All memory: the guest's, and that of devices.
    pub(super) fn parts(&self) -> Vec<Part> {
        let mut parts = snapshot::ram(&self.memory);
        parts.extend(snapshot::of_devices(self.devices.memories()));
        parts
    }

    /// The states of a machine that is paused, whose memory does not change from then on: steps 1 to 3 of a save.
    pub(super) fn capture(&mut self, origin: &Origin<'_>, link: &Link) -> Result<State> {
        if self.vcpus.is_running() {
            bail!("the machine runs");
        }
        let buses = self.devices.buses().clone();
        for vcpu in self.vcpus.stopped_mut() {
            if let Some(event) = vcpu.settle(&buses)? {
                // Heard when the machine goes on.
                let _ = link.exits().send(event);
            }
        }
        if link.has_exit() || self.pauses.is_held() {
            bail!("the guest has just asked for a reset or its end: let the machine go on first");
        }
        self.rest()?;
        let devices = self.devices.save()?;
        let around = Around {
            vm: &self.vm,
            listed: &origin.host.listed_msrs()?,
            capabilities: self.cpu.capability_msrs(),
        };
        let kvm = KvmState::read(around, self.vcpus.stopped().iter().map(Vcpu::fd))?;
        Ok(State { kvm, devices })
    }

    /// Has the devices come to rest. A machine that is stopped before its first instruction, or by the debugger, has them run.
    fn rest(&mut self) -> Result<()> {
        self.pauses.stop_devices();
        let asked = Instant::now();
        loop {
            let busy = self.devices.pause(Duration::from_millis(100));
            match busy.first() {
                None => return Ok(()),
                Some(device) if asked.elapsed() >= PATIENCE => {
                    bail!("{device} is still busy with a request; see to its storage");
                }
                Some(_) => {}
            }
        }
    }
}

/// The order to save the machine where the command line says.
fn on_exit(origin: &Origin<'_>) -> Option<SaveSnapshot> {
    let directory = origin.config.snapshot_on_exit.clone()?;
    Some(SaveSnapshot { directory, stop: false, replaces: true })
}
