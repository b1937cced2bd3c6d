//! A port of the HBA: its registers, and its thread.

mod state;

use std::{io, sync::Arc, time::Duration};

use arch::memory::GuestRam;

pub(super) use self::state::PortState;
use super::{
    drive::Drive,
    interrupts::Interrupts,
    registers::{
        CURRENT_SLOT_SHIFT, DET, DET_OFF, DET_RESET, PortCommand, PortInterrupts, SATA_STATUS_NONE,
        SATA_STATUS_OFF, SATA_STATUS_UP, SIGNATURE_NONE, SataError, Status, TASK_FILE_NONE, port,
    },
    shared::{Shared, State},
    work::Work,
};
use crate::{
    pci::Lifecycle,
    worker::{Halt, Stop, Worker},
};

/// A port and its drive.
///
/// ```text
///            PxCMD.ST = 1                       a command failed
/// stopped ────────────────▶ running: a thread ──────────────────▶ halted
///    ▲                         │                                     │
///    └── the thread has ended ─┴──── PxCMD.ST = 0: PxCMD.CR is 1 ◀───┘
/// ```
#[derive(Debug)]
pub struct Port {
    shared: Arc<Shared>,
    drive: Option<Arc<Drive>>,
    /// The thread, which exists from the port's start until it has ended.
    worker: Option<Worker<()>>,
    stop: Stop,
    /// Set while the machine is paused, with whether the port runs again afterwards.
    paused: bool,
}

impl Port {
    /// # Errors
    ///
    /// An eventfd can't be made.
    pub(super) fn new(
        number: u8,
        drive: Option<Drive>,
        memory: GuestRam,
        interrupts: Arc<Interrupts>,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared::new(number, memory, interrupts)?);
        let drive = drive.map(Arc::new);
        let mut port = Self { shared, drive, worker: None, stop: Stop::default(), paused: false };
        port.connect();
        Ok(port)
    }

    pub(super) fn read(&mut self, register: u64) -> u32 {
        self.has_stopped();
        let runs = self.worker.is_some();
        let state = self.shared.state();
        match register {
            port::CLB => half(state.command_list),
            port::CLBU => half(state.command_list >> 32),
            port::FB => half(state.received_fis),
            port::FBU => half(state.received_fis >> 32),
            port::IS => state.causes().bits(),
            port::IE => state.enabled.bits(),
            port::CMD => command(&state, runs),
            port::TFD => state.task_file,
            port::SIG => state.signature,
            port::SSTS => state.sata_status,
            port::SCTL => state.sata_control,
            port::SERR => state.sata_error.bits(),
            port::SACT => state.sata_active,
            port::CI => state.command_issue,
            _ => 0,
        }
    }

    pub(super) fn write(&mut self, register: u64, value: u32) {
        match register {
            port::CI => return self.shared.issue(value),
            port::CMD => return self.write_command(PortCommand::from_bits_truncate(value)),
            port::SCTL => return self.write_sata_control(value),
            _ => {}
        }
        let mut state = self.shared.state();
        let (low, high) = (u64::from(value), u64::from(value) << 32);
        match register {
            port::CLB => state.command_list = state.command_list & !0xffff_ffff | low & !0x3ff,
            port::CLBU => state.command_list = state.command_list & 0xffff_ffff | high,
            port::FB => state.received_fis = state.received_fis & !0xffff_ffff | low & !0xff,
            port::FBU => state.received_fis = state.received_fis & 0xffff_ffff | high,
            port::IS => state.causes &= !PortInterrupts::from_bits_retain(value),
            port::IE => state.enabled = PortInterrupts::from_bits_retain(value) & PortInterrupts::ALL,
            port::SERR => state.sata_error &= !SataError::from_bits_retain(value),
            port::SACT if state.command.contains(PortCommand::START) => state.sata_active |= value,
            _ => return,
        }
        self.shared.update(&state);
    }

    fn write_command(&mut self, command: PortCommand) {
        let before = self.shared.state().command;
        let starts = command.contains(PortCommand::START);
        if before.contains(PortCommand::START) && !starts {
            self.halt();
        }
        // A port can't start before its earlier thread has ended: AHCI 1.3.1, "Start (ST)", has software wait for that.
        let may_start = self.has_stopped() || before.contains(PortCommand::START);
        {
            let mut state = self.shared.state();
            state.command = command & PortCommand::KEPT;
            if !may_start {
                state.command.remove(PortCommand::START);
            }
            if command.contains(PortCommand::COMMAND_LIST_OVERRIDE) && !starts {
                state.task_file &= !u32::from((Status::BUSY | Status::DATA_REQUEST).bits());
            }
            self.shared.receive_signature(&mut state);
            self.shared.update(&state);
        }
        if starts && may_start && !before.contains(PortCommand::START) {
            self.start();
        }
    }

    fn write_sata_control(&mut self, value: u32) {
        let before = {
            let mut state = self.shared.state();
            std::mem::replace(&mut state.sata_control, value & 0xfff) & DET
        };
        match (before, value & DET) {
            (DET_RESET, DET_RESET) => {}
            (_, det @ (DET_RESET | DET_OFF)) => {
                self.disconnect();
                self.shared.state().sata_status =
                    if det == DET_OFF { SATA_STATUS_OFF } else { SATA_STATUS_NONE };
            }
            (DET_RESET | DET_OFF, _) => self.connect(),
            _ => {}
        }
    }

    /// Begins to reset the port together with the HBA. Once [`Port::has_stopped`] returns true, [`Port::end_reset`] completes the reset.
    pub(super) fn begin_reset(&mut self) {
        self.halt();
        self.disconnect();
    }

    /// Ends the reset of a port that has stopped.
    pub(super) fn end_reset(&mut self) {
        {
            let mut state = self.shared.state();
            state.reset();
            self.shared.update(&state);
        }
        self.connect();
    }

    /// Takes the interface down, and stops the port.
    fn disconnect(&mut self) {
        self.halt();
        let mut state = self.shared.state();
        state.command.remove(PortCommand::START);
        (state.task_file, state.signature, state.held) = (TASK_FILE_NONE, SIGNATURE_NONE, None);
    }

    /// Brings the interface up. A drive is reset, and sends its signature.
    fn connect(&mut self) {
        let Some(drive) = &self.drive else { return };
        drive.reset(true);
        let mut state = self.shared.state();
        state.sata_status = SATA_STATUS_UP;
        state.sata_error |= SataError::EXCHANGED;
        state.held = Some(drive.signature());
        self.shared.receive_signature(&mut state);
        self.shared.update(&state);
    }

    /// Starts the thread.
    fn start(&mut self) {
        let Some(drive) = &self.drive else { return };
        self.stop = Stop::default();
        let work = Work::new(Arc::clone(&self.shared), Arc::clone(drive), self.stop.clone());
        let (panicked, stop) = (Arc::clone(&self.shared), self.stop.clone());
        let role = work.role();
        let panicked = move || panicked.fail_bus(&stop, 0);
        match Worker::spawn(&role, self.stop.clone(), &self.shared.kick, panicked, move || work.run()) {
            Ok(worker) => self.worker = Some(worker),
            Err(error) => {
                let part = format_args!("SATA port {}", self.shared.number);
                drive.lasting().faults.driver(drive.name(), part, &error);
                self.shared.fail_bus(&self.stop, 0);
            }
        }
    }

    /// Tells the thread to end, if there is one. Its current work is dropped, and the driver gets no answer.
    fn halt(&mut self) {
        let mut state = self.shared.state();
        // Under the lock of the state that the thread would change.
        self.stop.set(Halt::Reset);
        (state.command_issue, state.sata_active, state.taken) = (0, 0, 0);
        (state.current_slot, state.halted) = (0, false);
        drop(state);
        if let Some(worker) = &self.worker {
            worker.stop(Halt::Reset);
        }
    }

    /// Returns whether the thread is gone.
    pub(super) fn has_stopped(&mut self) -> bool {
        if self.stop.is_set() && self.worker.as_ref().is_some_and(|worker| worker.has_ended(Duration::ZERO)) {
            self.worker = None;
        }
        self.worker.is_none()
    }

    /// Tells the thread to end, and waits for that. Returns whether it has ended.
    fn wait(&mut self, halt: Halt, patience: Duration) -> bool {
        let Some(worker) = &self.worker else { return true };
        worker.stop(halt);
        if worker.has_ended(patience) {
            self.worker = None;
        }
        self.worker.is_none()
    }
}

impl Lifecycle for Port {
    /// Measures the disk. A disk that has grown keeps its old size for the driver until the machine is reset: a driver takes a disk with
    /// another size for another disk.
    fn measure(&mut self) -> io::Result<bool> {
        if let Some(drive) = &self.drive {
            drive.measure()?;
        }
        Ok(false)
    }

    fn stop(&mut self, patience: Duration) -> bool {
        self.wait(Halt::Reset, patience)
    }

    fn pause(&mut self, patience: Duration) -> bool {
        self.paused = self.wait(Halt::Pause, patience);
        self.paused
    }

    fn resume(&mut self) -> io::Result<()> {
        if !std::mem::take(&mut self.paused) {
            return Err(io::Error::new(io::ErrorKind::WouldBlock, "it has not stopped yet"));
        }
        if self.shared.state().goes_on() {
            self.start();
        }
        Ok(())
    }
}

/// The lower half of an address.
fn half(address: u64) -> u32 {
    u32::try_from(address & u64::from(u32::MAX)).unwrap_or(u32::MAX)
}

/// The value of the command register. `runs`: the port runs, or has not stopped yet.
fn command(state: &State, runs: bool) -> u32 {
    let mut command = state.command | PortCommand::SPIN_UP | PortCommand::POWER_ON;
    if state.command.contains(PortCommand::FIS_RECEIVE_ENABLE) {
        command |= PortCommand::FIS_RECEIVE_RUNNING;
    }
    if runs || state.command.contains(PortCommand::START) {
        command |= PortCommand::COMMAND_LIST_RUNNING;
    }
    command.bits() | u32::from(state.current_slot) << CURRENT_SLOT_SHIFT
}
