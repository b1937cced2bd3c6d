//! Moves a machine to another nvmm.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use devices::threads::{self, Role};
use vm_memory::{GuestMemoryBackend, GuestMemoryRegion};

use super::{
    Machine,
    moving::{Given, Migration},
};
use crate::{
    exit::Exit,
    gdb::Debugger,
    link::{Event, Link},
    migration::{Collect, Connection, Fate, Migrate, PageSet, Sender, Sent, Status, Stopped},
    run_state::{Change, RunState},
    snapshot::{MemoryLayout, Origin},
    vm,
};

/// The time that another program has to unlock disks that are locked again here.
const LOCK_PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(20);

impl Machine {
    /// Begins to move the machine. A thread of its own sends memory, and reports when it is done.
    ///
    /// # Errors
    ///
    /// The outer error: the machine can't continue. The inner one: it can't be moved, and continues.
    pub(super) fn migrate(
        &mut self,
        order: &Migrate,
        origin: &Origin<'_>,
        debugger: &mut Debugger,
        link: &Link,
    ) -> Result<Result<()>> {
        let machine = match self.prepare_move(origin, debugger) {
            Ok(machine) => machine,
            Err(refusal) => return Ok(Err(refusal)),
        };
        // Devices that the kernel serves are restarted, and record their writes from then on. No other device is interrupted in a request.
        let ran = self.vcpus.is_running();
        if ran {
            self.stand_still(link);
        }
        let logged = self.log_writes();
        if ran {
            self.go_on_unnoticed(link)?;
        }
        let begun = logged.and_then(|()| self.spawn_sender(order, machine, link));
        if begun.is_err() {
            self.end_logs();
        }
        Ok(begun)
    }

    /// Refuses what can be refused while the machine runs. Returns the description of the machine for the destination.
    fn prepare_move(&self, origin: &Origin<'_>, debugger: &mut Debugger) -> Result<Vec<u8>> {
        if self.migration.is_some() {
            bail!("there's a migration process in progress");
        }
        if self.given.is_some() {
            bail!("the machine was moved, or nobody knows; cont first has it run here");
        }
        if debugger.session().is_some() {
            bail!("a debugger has the machine, whose breakpoints may be in its memory: detach it first");
        }
        // Flush the disks once while the guest still runs, so that less is left later.
        let layout = MemoryLayout::of(&self.parts(), false)?;
        origin.manifest(&self.cpu, None, &[], layout)?.to_bytes()
    }

    /// Makes KVM and nvmm's threads record writes to memory.
    fn log_writes(&self) -> Result<()> {
        self.memory.written().switch_on(self.map.end());
        Ok(vm::log_writes(&self.vm, &self.memory, true)?)
    }

    fn end_logs(&self) {
        self.memory.written().switch_off();
        if let Err(error) = vm::log_writes(&self.vm, &self.memory, false) {
            log::debug!("{:#}", anyhow::Error::from(error));
        }
    }

    fn spawn_sender(&mut self, order: &Migrate, machine: Vec<u8>, link: &Link) -> Result<()> {
        let connection = Connection::new(order.socket.try_clone()?)?;
        let (progress, cancelled) = (Arc::clone(link.progress()), Arc::new(AtomicBool::new(false)));
        progress.begin(self.memory.iter().map(GuestMemoryRegion::len).sum());
        let sender = Sender::new(connection, self.memory.clone(), progress, Arc::clone(&cancelled));
        let (vm, memory) = (Arc::clone(&self.vm), self.memory.clone());
        let collect: Collect = Box::new(move || changed(&vm, &memory));
        let (exits, downtime) = (link.exits(), order.downtime);
        let of = Arc::clone(&cancelled);
        threads::spawn(&Role::Migration, move || {
            // It fails only if the machine has ended.
            let _ = exits.send(Event::Sent(of, sender.run(&machine, downtime, &collect)));
        })?;
        self.migration = Some(Migration { order: order.clone(), cancelled, stood: None });
        link.migration(Status::Setup);
        Ok(())
    }

    /// Cancels the migration, if there is one.
    pub(super) fn cancel_migration(&self) {
        if let Some(migration) = &self.migration {
            migration.cancelled.store(true, Ordering::SeqCst);
        }
    }

    /// Ends a migration for a reason of this side's, such as the machine's end.
    pub(super) fn drop_migration(&mut self, why: &'static str, link: &Link) {
        if self.migration.is_some() {
            self.cancel_migration();
            self.end_logs();
            self.end_migration(Err(anyhow::anyhow!(why)), link);
        }
    }

    /// Continues when almost all memory has been sent, or when that failed. Returns the machine's end if it was moved.
    pub(super) fn on_sent(
        &mut self,
        of: &Arc<AtomicBool>,
        sent: Result<Sent>,
        origin: &Origin<'_>,
        link: &Link,
    ) -> Result<Option<Exit>> {
        // It may belong to the machine before a reset.
        let migration = self.migration.as_ref().filter(|migration| Arc::ptr_eq(of, &migration.cancelled));
        let Some(Migration { order, .. }) = migration else { return Ok(None) };
        let order = order.clone();
        let Sent { sender, left } = match sent {
            Ok(sent) => sent,
            Err(error) => {
                self.end_logs();
                self.end_migration(Err(error), link);
                return Ok(None);
            }
        };
        let ran = !self.pauses.is_paused();
        if ran {
            link.progress().facts().status = Status::Device;
            if let Some(migration) = &mut self.migration {
                migration.stood = Some(Instant::now());
            }
            self.pause(RunState::FinishMigrate, link);
        }
        let given = self.give(sender, &left, &order, !ran, origin, link);
        self.end_logs();
        match given {
            Ok(Fate::Moved) => {
                self.end_migration(Ok(()), link);
                Ok(Some(Exit::Moved))
            }
            Ok(Fate::Unknown(broken)) => {
                let why = anyhow::Error::from(broken).context(
                    "the other side was told to run the machine, and did not answer: it stays stopped here; if it does not run there, `cont` has it run here",
                );
                link.changed(Change::Stop(RunState::PostMigrate));
                self.end_migration(Err(why), link);
                Ok(None)
            }
            Ok(Fate::Back(broken)) => {
                let why =
                    anyhow::Error::from(broken).context("the other side ended before it ran the machine");
                self.come_back(ran, why, origin, link)?;
                Ok(None)
            }
            Err(error) => {
                self.come_back(ran, error, origin, link)?;
                Ok(None)
            }
        }
    }

    /// Sends the rest of a stopped machine, and gives it away. In case of an error, the machine still belongs to this side.
    fn give(
        &mut self,
        mut sender: Sender,
        left: &PageSet,
        order: &Migrate,
        paused: bool,
        origin: &Origin<'_>,
        link: &Link,
    ) -> Result<Fate> {
        let stop = || link.end_is_wished() || link.cancel_is_wished();
        let sent = self.send_rest(&mut sender, left, order, paused, origin, link, &stop);
        if let Err(error) = sent {
            sender.refuse(&format!("{error:#}"));
            return Err(error);
        }
        Ok(sender.wait_until_ready(&stop)?.go(&|| link.end_is_asked()))
    }

    /// Sends the rest, in this order:
    /// 1. the states, as for a snapshot: vCPUs complete their last exits, and devices finish their requests, both of which write to memory;
    /// 2. the pages that changed since they were last sent, and devices' memory;
    /// 3. the disks are flushed, and their current facts are read;
    /// 4. they are unlocked, before the other side is told that it may open them.
    #[expect(clippy::too_many_arguments, reason = "all of it is needed once")]
    fn send_rest(
        &mut self,
        sender: &mut Sender,
        left: &PageSet,
        order: &Migrate,
        paused: bool,
        origin: &Origin<'_>,
        link: &Link,
        stop: &dyn Fn() -> bool,
    ) -> Result<()> {
        let state = self.capture(origin, link)?;
        let text = serde_json::to_vec(&state)?;
        let mut last = changed(&self.vm, &self.memory)?;
        last.add_all(left);
        sender.send_ram(&last)?;
        let regions = self.memory.num_regions();
        for (number, (_, memory)) in (u32::try_from(regions)?..).zip(&self.devices.memories()) {
            sender.send_part(number, memory.as_volatile_slice())?;
        }
        let layout = MemoryLayout::of(&self.parts(), order.verify)?;
        let machine = origin.manifest(&self.cpu, Some(&state.kvm), &text, layout)?.to_bytes()?;
        let stopped = serde_json::to_vec(&Stopped { paused, checked: order.verify })?;
        self.given = Some(Given);
        unlock(origin)?;
        sender.send_state(&stopped, &machine, &text, stop)
    }

    /// Continues a machine that was not given away after all.
    fn come_back(&mut self, ran: bool, why: anyhow::Error, origin: &Origin<'_>, link: &Link) -> Result<()> {
        if let Err(error) = self.lock_again(origin, LOCK_PATIENCE) {
            link.changed(Change::Stop(RunState::PostMigrate));
            let why =
                why.context(format!("the machine stays stopped: {error:#}; then `cont` has it run here"));
            self.end_migration(Err(why), link);
            return Ok(());
        }
        // Whoever hears of the failure finds the machine running.
        let goes_on = if ran { self.go_on_after_save(link) } else { Ok(()) };
        self.end_migration(Err(why), link);
        goes_on
    }

    /// Locks disks that were unlocked again.
    pub(super) fn lock_again(&mut self, origin: &Origin<'_>, patience: Duration) -> Result<()> {
        if self.given.is_none() {
            return Ok(());
        }
        let asked = Instant::now();
        while let Some(holder) = lock_all(origin)? {
            // Unlock all of them: the other side may need them all.
            unlock(origin)?;
            if asked.elapsed() >= patience {
                bail!("{holder}; end that program first");
            }
            std::thread::sleep(PAUSE);
        }
        self.given = None;
        Ok(())
    }

    /// Records how the migration ended, and reports it.
    fn end_migration(&mut self, ended: Result<()>, link: &Link) {
        let Some(Migration { cancelled, stood, .. }) = self.migration.take() else { return };
        let is_cancelled = cancelled.load(Ordering::SeqCst) || link.cancel_is_wished();
        let stood = stood.map(|stood| stood.elapsed());
        let status = match &ended {
            Ok(()) => Status::Completed,
            Err(_) if is_cancelled => Status::Cancelled,
            Err(_) => Status::Failed,
        };
        if let Err(error) = &ended {
            log::warn!("the machine was not moved: {error:#}");
        }
        link.progress().end(status, stood, ended.err().map(|error| format!("{error:#}")));
        link.migration(status);
    }
}

/// The pages that have changed since the last call.
fn changed(vm: &kvm_ioctls::VmFd, memory: &arch::memory::GuestRam) -> Result<PageSet> {
    let mut pages = PageSet::default();
    for (first, bits) in vm::take_writes(vm, memory)? {
        pages.add_bits(first, bits);
    }
    pages.add_bits(0, memory.written().take());
    Ok(pages)
}

/// Unlocks the disks and the UEFI variables of a stopped machine.
fn unlock(origin: &Origin<'_>) -> Result<()> {
    for disk in origin.devices.iter().filter_map(|device| device.image()) {
        disk.unlock().with_context(|| format!("disk {}: it can't be unlocked", disk.name()))?;
    }
    origin.payload.unlock()
}

/// Locks them again. Returns who uses one of them.
fn lock_all(origin: &Origin<'_>) -> Result<Option<String>> {
    for disk in origin.devices.iter().filter_map(|device| device.image()) {
        let locked =
            disk.lock_again().with_context(|| format!("disk {}: it can't be locked", disk.name()))?;
        if let Some(holder) = locked {
            return Ok(Some(format!("disk {} is in use by {holder}", disk.name())));
        }
    }
    let locked = origin.payload.lock_again().context("the UEFI variables can't be locked")?;
    Ok(locked.map(|holder| format!("the file of UEFI variables is in use by {holder}")))
}
