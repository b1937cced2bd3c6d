//! A port's registers, as vCPUs and the port's thread share them.

mod state;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arch::memory::GuestRam;
use vm_memory::{Bytes, GuestAddress};
use vmm_sys_util::eventfd::{EFD_CLOEXEC, EFD_NONBLOCK, EventFd};
use zerocopy::IntoBytes;

pub(super) use self::state::Registers;
use super::{
    fis::{RECEIVED_D2H_REGISTER, RECEIVED_PIO_SETUP, RECEIVED_SET_DEVICE_BITS, SetDeviceBitsFis, TaskFile},
    interrupts::Interrupts,
    registers::{
        Error, PortCommand, PortInterrupts, SATA_STATUS_NONE, SIGNATURE_NONE, SLOTS, SataError, Status,
        TASK_FILE_NONE,
    },
    table::{Command, HEADER_LEN},
};
use crate::{buffers::Regions, worker::Stop};

/// State that a port shares with its thread.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) number: u8,
    pub(super) memory: GuestRam,
    /// Written when there is a new command, and when the thread has to stop.
    pub(super) kick: EventFd,
    interrupts: Arc<Interrupts>,
    state: Mutex<State>,
}

/// The registers, by the names of AHCI 1.3.1, "Port Registers".
#[derive(Debug)]
pub(super) struct State {
    pub(super) command_list: u64,
    pub(super) received_fis: u64,
    /// The causes of interrupts, without [`PortInterrupts::CONNECT_CHANGE`].
    pub(super) causes: PortInterrupts,
    pub(super) enabled: PortInterrupts,
    pub(super) command: PortCommand,
    pub(super) current_slot: u8,
    pub(super) task_file: u32,
    pub(super) signature: u32,
    pub(super) sata_status: u32,
    pub(super) sata_control: u32,
    pub(super) sata_error: SataError,
    pub(super) sata_active: u32,
    pub(super) command_issue: u32,
    /// The commands that the thread has taken.
    pub(super) taken: u32,
    /// The thread is waiting for commands.
    idle: bool,
    /// The control register keeps the drive in reset.
    in_reset: bool,
    /// A command failed: the port takes no further command until it is restarted.
    pub(super) halted: bool,
    /// The drive's signature, held until the port may receive it.
    pub(super) held: Option<TaskFile>,
}

/// The protocol of a command, which decides how its end is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    /// No data, data to the drive, or DMA: at the end the drive sends its registers.
    Plain,
    /// Data from the drive by PIO: the frame before the last data has the status.
    PioIn,
    /// Native command queuing.
    Queued,
}

impl Shared {
    pub(super) fn new(number: u8, memory: GuestRam, interrupts: Arc<Interrupts>) -> std::io::Result<Self> {
        let kick = EventFd::new(EFD_CLOEXEC | EFD_NONBLOCK)?;
        Ok(Self { number, memory, kick, interrupts, state: Mutex::new(State::new()) })
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the HBA's interrupt according to `state`.
    pub(super) fn update(&self, state: &State) {
        self.interrupts.set_pending(self.number, state.causes().intersects(state.enabled));
    }

    /// Issues the commands of these slots.
    pub(super) fn issue(&self, slots: u32) {
        let mut state = self.state();
        if !state.command.contains(PortCommand::START) {
            return;
        }
        state.command_issue |= slots;
        if state.command_issue & !state.taken != 0 && std::mem::take(&mut state.idle) {
            drop(state);
            // It can only fail if the counter is full, and then the thread wakes up anyway.
            let _kicked = self.kick.write(1);
        }
    }

    /// Takes the next command, unless the thread has to stop. With `queued`, takes only commands that the driver has marked as queued. If
    /// there is none, the thread is kicked for the next one.
    pub(super) fn take(&self, stop: &Stop, queued: bool) -> Option<u8> {
        let mut state = self.state();
        let candidates =
            state.command_issue & !state.taken & if queued { state.sata_active } else { u32::MAX };
        if stop.is_set() || candidates == 0 {
            state.idle = true;
            return None;
        }
        // Round robin: AHCI 1.3.1, "Command List".
        let first = (state.current_slot + 1) % SLOTS;
        let after = u8::try_from(candidates.rotate_right(first.into()).trailing_zeros()).unwrap_or(0);
        let slot = (first + after) % SLOTS;
        state.current_slot = slot;
        state.taken |= 1 << slot;
        state.task_file |= u32::from(Status::BUSY.bits());
        Some(slot)
    }

    /// Forgets the commands that an earlier thread has taken.
    pub(super) fn begin(&self) {
        let mut state = self.state();
        (state.taken, state.idle) = (0, false);
    }

    /// The address of a slot's command header.
    pub(super) fn header_address(&self, slot: u8) -> u64 {
        self.state().command_list.wrapping_add(u64::from(slot) * HEADER_LEN as u64)
    }

    /// Reports that the drive has accepted a queued command: the driver keeps the slot until [`Shared::finish_queued`].
    pub(super) fn accept(&self, stop: &Stop, slot: u8) {
        self.unless_left(stop, |state| {
            state.command_issue &= !(1 << slot);
            state.taken &= !(1 << slot);
            state.task_file = TaskFile::READY.to_register();
        });
    }

    /// Reports that queued commands are complete.
    pub(super) fn finish_queued(&self, stop: &Stop, slots: u32) {
        self.unless_left(stop, |state| {
            let fis = SetDeviceBitsFis::new(TaskFile::READY.status, Error::empty(), slots);
            self.receive(state, RECEIVED_SET_DEVICE_BITS, fis.as_bytes());
            state.sata_active &= !slots;
            state.raise(PortInterrupts::SET_DEVICE_BITS);
        });
    }

    /// Reports that a command is complete: `moved` bytes of data went to or from memory.
    pub(super) fn finish(&self, stop: &Stop, slot: u8, end: TaskFile, protocol: Protocol, moved: usize) {
        self.unless_left(stop, |state| {
            let header = state.command_list.wrapping_add(u64::from(slot) * HEADER_LEN as u64);
            let count = u32::try_from(moved).unwrap_or(u32::MAX).to_le_bytes();
            if !self.write(header.checked_add(4), &count) {
                state.raise(PortInterrupts::HOST_BUS_FATAL);
            }
            if protocol == Protocol::PioIn {
                let fis = end.to_pio_setup_fis(u16::try_from(moved).unwrap_or(u16::MAX));
                self.receive(state, RECEIVED_PIO_SETUP, &fis);
                state.raise(PortInterrupts::PIO_SETUP);
            } else {
                self.receive(state, RECEIVED_D2H_REGISTER, &end.to_register_fis(true));
                state.raise(PortInterrupts::D2H_REGISTER);
            }
            state.end(slot, end);
        });
    }

    /// Reports that the drive has received a frame that sets the control register. It is in reset as long as the last such frame `resets`
    /// it. `signature` is its answer afterwards.
    pub(super) fn finish_control(&self, stop: &Stop, slot: u8, resets: bool, signature: TaskFile) {
        self.unless_left(stop, |state| {
            state.end(slot, TaskFile::READY);
            if std::mem::replace(&mut state.in_reset, resets) && !resets {
                state.held = Some(signature);
                self.receive_signature(state);
            }
        });
    }

    /// Reports that a command failed. The port takes no further command until it is restarted.
    pub(super) fn fail(&self, stop: &Stop, slot: u8, end: TaskFile, protocol: Protocol) {
        self.unless_left(stop, |state| {
            state.halted = true;
            if protocol == Protocol::Queued {
                let error = Error::from_bits_retain(end.error);
                let fis = SetDeviceBitsFis::new(end.status, error, 0);
                self.receive(state, RECEIVED_SET_DEVICE_BITS, fis.as_bytes());
                state.task_file = end.to_register();
                state.raise(PortInterrupts::SET_DEVICE_BITS | PortInterrupts::TASK_FILE_ERROR);
            } else {
                self.receive(state, RECEIVED_D2H_REGISTER, &end.to_register_fis(true));
                state.current_slot = slot;
                state.task_file = end.to_register();
                state.raise(PortInterrupts::D2H_REGISTER | PortInterrupts::TASK_FILE_ERROR);
            }
        });
    }

    /// Reports that a command names an address outside of memory. The port takes no further command until it is restarted.
    pub(super) fn fail_bus(&self, stop: &Stop, slot: u8) {
        self.unless_left(stop, |state| {
            state.halted = true;
            state.current_slot = slot;
            state.task_file &= !u32::from(Status::BUSY.bits());
            state.raise(PortInterrupts::HOST_BUS_FATAL);
        });
    }

    /// Delivers a held signature to the driver, if the port receives frames.
    pub(super) fn receive_signature(&self, state: &mut State) {
        if state.command.contains(PortCommand::FIS_RECEIVE_ENABLE)
            && let Some(signature) = state.held.take()
        {
            self.receive(state, RECEIVED_D2H_REGISTER, &signature.to_register_fis(false));
            state.task_file = signature.to_register();
            state.signature = signature.signature();
        }
    }

    /// Changes the registers for the thread, unless the driver has stopped the port meanwhile and expects nothing.
    fn unless_left(&self, stop: &Stop, change: impl FnOnce(&mut State)) {
        let mut state = self.state();
        if !stop.leaves_requests() {
            change(&mut state);
            self.update(&state);
        }
    }

    /// Writes a frame to the address that the driver gave, if it gave one.
    fn receive(&self, state: &mut State, offset: u64, fis: &[u8]) {
        if !state.command.contains(PortCommand::FIS_RECEIVE_ENABLE) {
            return;
        }
        if !self.write(state.received_fis.checked_add(offset), fis) {
            state.raise(PortInterrupts::HOST_BUS_FATAL);
        }
    }

    /// Writes to guest memory. Returns false if the address is not in memory.
    fn write(&self, at: Option<u64>, bytes: &[u8]) -> bool {
        let Some(at) = at.filter(|at| self.memory.write_slice(bytes, GuestAddress(*at)).is_ok()) else {
            return false;
        };
        self.memory.written().add(at, bytes.len() as u64);
        true
    }

    /// Notes that `len` bytes of data of the command in a slot were written. It reads the command's table again, which belongs to the drive
    /// until the command ends.
    pub(super) fn note_data(&self, slot: u8, len: usize) {
        if !self.memory.written().is_on() {
            return;
        }
        let regions = Regions::new(&self.memory);
        let command = Command::read(&regions, self.header_address(slot));
        if let Ok(data) = command.and_then(|command| command.data(&regions, len)) {
            data.as_slice().iter().for_each(|buffer| self.memory.wrote_to(buffer));
        }
    }
}

impl State {
    fn new() -> Self {
        Self {
            command_list: 0,
            received_fis: 0,
            causes: PortInterrupts::empty(),
            enabled: PortInterrupts::empty(),
            command: PortCommand::empty(),
            current_slot: 0,
            task_file: TASK_FILE_NONE,
            signature: SIGNATURE_NONE,
            sata_status: SATA_STATUS_NONE,
            sata_control: 0,
            sata_error: SataError::empty(),
            sata_active: 0,
            command_issue: 0,
            taken: 0,
            idle: true,
            in_reset: false,
            halted: false,
            held: None,
        }
    }

    /// Resets the registers together with the HBA. The addresses stay.
    pub(super) fn reset(&mut self) {
        let Self { command_list, received_fis, .. } = *self;
        *self = Self { command_list, received_fis, ..Self::new() };
    }

    /// The register with the causes of interrupts.
    pub(super) fn causes(&self) -> PortInterrupts {
        let mut causes = self.causes;
        causes.set(PortInterrupts::CONNECT_CHANGE, self.sata_error.contains(SataError::EXCHANGED));
        causes
    }

    /// Returns true if the port may take commands.
    pub(super) fn goes_on(&self) -> bool {
        self.command.contains(PortCommand::START) && !self.halted
    }

    fn raise(&mut self, causes: PortInterrupts) {
        self.causes |= causes;
    }

    fn end(&mut self, slot: u8, end: TaskFile) {
        self.command_issue &= !(1 << slot);
        self.taken &= !(1 << slot);
        self.task_file = end.to_register();
    }
}
