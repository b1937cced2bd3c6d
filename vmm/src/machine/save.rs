//! Saves a machine in a snapshot.

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

/// The time that a save waits for requests that the host does not finish.
const PATIENCE: Duration = Duration::from_secs(60);

impl Machine {
    /// Saves the machine. It is paused meanwhile, and then continues if it ran before, unless it has to end. `stop` returns whether to give
    /// up.
    ///
    /// # Errors
    ///
    /// The outer error: the machine can't continue. The inner one: it can't be saved, and is as it was before.
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
        // The rest needs only the host: the guest may change its memory again.
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

    /// Ends the machine as the user asked, but saves it first if there is `--snapshot-on-exit`. It is not saved because a script failed.
    pub(super) fn quit(
        &mut self,
        exit: Exit,
        origin: &Origin<'_>,
        debugger: &mut Debugger,
        link: &Link,
    ) -> Result<Exit> {
        let Some(order) = on_exit(origin).filter(|_| !matches!(exit, Exit::Unmet)) else { return Ok(exit) };
        // The other side has not been told to run the machine, which would be lost otherwise.
        self.drop_migration("nvmm was told to end, and saves the machine", link);
        // A debugger's breakpoints must not be saved. If the guest had ended when the debugger stopped it, there is nothing to save.
        if let Some(ended) = self.let_go_of_debugger(debugger, link)? {
            return Ok(ended);
        }
        // nvmm's end has been requested already; further requests don't wait for this thread.
        let saved = self.save(&SaveSnapshot { stop: true, ..order }, origin, debugger, link, &|| false)?;
        Ok(match saved {
            Ok(()) => Exit::Saved,
            Err(error) => Exit::Failed(error.context("--snapshot-on-exit")),
        })
    }

    /// Saves the machine in the directory of `--snapshot-on-exit`, and continues.
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

    /// Lets a machine that was paused for a save continue, or end, if a vCPU requested that just before.
    pub(super) fn go_on_after_save(&mut self, link: &Link) -> Result<()> {
        self.go_on_unnoticed(link)?;
        link.changed(Change::Resume);
        Ok(())
    }

    /// The same, without reporting it.
    pub(super) fn go_on_unnoticed(&mut self, link: &Link) -> Result<()> {
        if let Some(exit) = self.pauses.end() {
            let _ = link.exits().send(Event::Exit(exit));
        }
        // The guest must not run past that.
        if link.has_exit() { Ok(()) } else { self.run_again(link) }
    }

    /// Refuses what can be refused before the machine is stopped.
    fn prepare(
        &self,
        order: &SaveSnapshot,
        origin: &Origin<'_>,
        debugger: &mut Debugger,
    ) -> Result<NewDirectory> {
        if self.migration.is_some() {
            bail!("the machine is being moved to another host");
        }
        if self.given.is_some() {
            bail!("the machine was moved, or nobody knows; cont first has it run here");
        }
        if debugger.session().is_some() {
            bail!("a debugger has the machine, whose breakpoints may be in its memory: detach it first");
        }
        let directory = NewDirectory::create(&order.directory, order.replaces)?;
        // Flush the disks once while the guest still runs, so that less is left later.
        origin.disks()?;
        Ok(directory)
    }

    /// Writes all files of a paused machine, in this order:
    ///
    /// 1. the vCPUs complete their last exits, which may reach devices;
    /// 2. the devices finish their requests, so that none changes memory or interrupts;
    /// 3. the devices' states, then KVM's: if input raises an interrupt meanwhile, KVM's state may contain one for which the device has no
    ///    input, which does no harm; in the other order an interrupt would be missing;
    /// 4. memory, which takes long and does not change by then;
    /// 5. `machine.json`, with the checksums of the other files, and with the disks' current facts.
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

    /// All memory, both the guest's and that of devices.
    pub(super) fn parts(&self) -> Vec<Part> {
        let mut parts = snapshot::ram(&self.memory);
        parts.extend(snapshot::of_devices(self.devices.memories()));
        parts
    }

    /// The states of a paused machine, whose memory does not change any more: steps 1 to 3 of a save.
    pub(super) fn capture(&mut self, origin: &Origin<'_>, link: &Link) -> Result<State> {
        if self.vcpus.is_running() {
            bail!("the machine runs");
        }
        let buses = self.devices.buses().clone();
        for vcpu in self.vcpus.stopped_mut() {
            if let Some(event) = vcpu.settle(&buses)? {
                // It is handled when the machine continues.
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

    /// Makes the devices finish their requests. They still run in a machine that is stopped before its first instruction, or by the
    /// debugger.
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

/// The command to save the machine as in `--snapshot-on-exit`.
fn on_exit(origin: &Origin<'_>) -> Option<SaveSnapshot> {
    let directory = origin.config.snapshot_on_exit.clone()?;
    Some(SaveSnapshot { directory, stop: false, replaces: true })
}
