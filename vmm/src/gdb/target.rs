//! The machine for gdbstub: each of its calls becomes a request to the machine's thread.

use std::sync::mpsc::{self, Sender};

use gdbstub::{
    common::{Signal, Tid},
    target::{
        Target, TargetError, TargetResult,
        ext::{
            base::{
                BaseOps,
                multithread::{
                    MultiThreadBase, MultiThreadResume, MultiThreadResumeOps, MultiThreadSchedulerLocking,
                    MultiThreadSchedulerLockingOps, MultiThreadSingleStep, MultiThreadSingleStepOps,
                },
                single_register_access::{SingleRegisterAccess, SingleRegisterAccessOps},
            },
            breakpoints::{
                Breakpoints, BreakpointsOps, HwBreakpoint, HwBreakpointOps, HwWatchpoint, HwWatchpointOps,
                SwBreakpoint, SwBreakpointOps, WatchKind,
            },
            monitor_cmd::{ConsoleOutput, MonitorCmd, MonitorCmdOps, outputln},
            thread_extra_info::{ThreadExtraInfo, ThreadExtraInfoOps},
        },
    },
};

use super::{
    breakpoints::{Breakpoint, Watch},
    registers::{Place, Registers, X86},
    request::{Orders, Reply, Request},
};
use crate::{link::Event, questions::Refusal};

/// The error for an address without memory: EFAULT.
const NO_MEMORY: u8 = 14;

const HELP: &str = "\
monitor reset           reset the machine, and stop at its first instruction.
                        gdb does not know: say 'maintenance flush
                        register-cache' after it
monitor info WHAT       what QEMU's monitor tells: registers, lapic, pic, pci,
                        block, status
monitor help            this help";

/// The machine has ended, or is about to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the machine has ended")]
pub(super) struct Gone;

/// The machine.
pub(super) struct MachineTarget<'a> {
    events: &'a Sender<Event>,
    vcpus: u32,
    /// The orders that gdb is collecting.
    orders: Orders,
}

impl<'a> MachineTarget<'a> {
    /// A target for a machine with this number of vCPUs, whose thread gets events.
    pub(super) fn new(events: &'a Sender<Event>, vcpus: u32) -> Self {
        Self { events, vcpus, orders: Orders::default() }
    }

    /// Sends a request without an answer.
    pub(super) fn tell(&self, request: Request) -> Result<(), Gone> {
        self.events.send(Event::Debug(request)).map_err(|_| Gone)
    }

    /// Sends a request, and waits for the answer. That can take a while, for example during a reset of the machine.
    pub(super) fn ask<T>(
        &self,
        request: impl FnOnce(Reply<T>) -> Request,
    ) -> Result<Result<T, Refusal>, Gone> {
        let (reply, answer) = mpsc::channel();
        self.tell(request(reply))?;
        answer.recv().map_err(|_| Gone)
    }

    /// Does the same for gdb, which can't show an error's text: it is logged.
    fn ask_for_gdb<T>(&self, request: impl FnOnce(Reply<T>) -> Request) -> TargetResult<T, Self> {
        self.ask(request).map_err(TargetError::Fatal)?.map_err(|refusal| {
            log::warn!("the debugger is refused: {refusal}");
            TargetError::NonFatal
        })
    }
}

impl Target for MachineTarget<'_> {
    type Arch = X86;
    type Error = Gone;

    fn base_ops(&mut self) -> BaseOps<'_, X86, Gone> {
        BaseOps::MultiThread(self)
    }

    fn support_breakpoints(&mut self) -> Option<BreakpointsOps<'_, Self>> {
        Some(self)
    }

    fn support_monitor_cmd(&mut self) -> Option<MonitorCmdOps<'_, Self>> {
        Some(self)
    }
}

impl MultiThreadBase for MachineTarget<'_> {
    fn read_registers(&mut self, registers: &mut Registers, tid: Tid) -> TargetResult<(), Self> {
        *registers = self.ask_for_gdb(|reply| Request::Registers(vcpu(tid), reply))?;
        Ok(())
    }

    fn write_registers(&mut self, registers: &Registers, tid: Tid) -> TargetResult<(), Self> {
        let registers = Box::new(registers.clone());
        self.ask_for_gdb(|reply| Request::SetRegisters(vcpu(tid), registers, reply))
    }

    fn support_single_register_access(&mut self) -> Option<SingleRegisterAccessOps<'_, Tid, Self>> {
        Some(self)
    }

    fn read_addrs(&mut self, address: u64, data: &mut [u8], tid: Tid) -> TargetResult<usize, Self> {
        let read = self.ask_for_gdb(|reply| Request::Memory(vcpu(tid), address, data.len(), reply))?;
        if read.is_empty() && !data.is_empty() {
            return Err(TargetError::Errno(NO_MEMORY));
        }
        data[..read.len()].copy_from_slice(&read);
        Ok(read.len())
    }

    fn write_addrs(&mut self, address: u64, data: &[u8], tid: Tid) -> TargetResult<(), Self> {
        let data = data.to_vec();
        match self.ask_for_gdb(|reply| Request::SetMemory(vcpu(tid), address, data, reply))? {
            true => Ok(()),
            false => Err(TargetError::Errno(NO_MEMORY)),
        }
    }

    fn list_active_threads(&mut self, thread_is_active: &mut dyn FnMut(Tid)) -> Result<(), Gone> {
        (0..self.vcpus).for_each(|vcpu| thread_is_active(tid(vcpu)));
        Ok(())
    }

    fn support_resume(&mut self) -> Option<MultiThreadResumeOps<'_, Self>> {
        Some(self)
    }

    fn support_thread_extra_info(&mut self) -> Option<ThreadExtraInfoOps<'_, Self>> {
        Some(self)
    }
}

impl SingleRegisterAccess<Tid> for MachineTarget<'_> {
    fn read_register(&mut self, tid: Tid, place: Place, bytes: &mut [u8]) -> TargetResult<usize, Self> {
        let registers = self.ask_for_gdb(|reply| Request::Registers(vcpu(tid), reply))?;
        let value = &registers.to_bytes()[place.offset..place.offset + place.len];
        bytes.get_mut(..place.len).ok_or(TargetError::NonFatal)?.copy_from_slice(value);
        Ok(place.len)
    }

    fn write_register(&mut self, tid: Tid, place: Place, value: &[u8]) -> TargetResult<(), Self> {
        let mut registers = self.ask_for_gdb(|reply| Request::Registers(vcpu(tid), reply))?;
        registers.set(place, value).map_err(|()| TargetError::NonFatal)?;
        self.ask_for_gdb(|reply| Request::SetRegisters(vcpu(tid), Box::new(registers), reply))
    }
}

/// Signals are ignored: they mean nothing to a processor.
impl MultiThreadResume for MachineTarget<'_> {
    fn resume(&mut self) -> Result<(), Gone> {
        self.tell(Request::Resume(self.orders.clone()))
    }

    fn clear_resume_actions(&mut self) -> Result<(), Gone> {
        self.orders = Orders::default();
        Ok(())
    }

    fn set_resume_action_continue(&mut self, tid: Tid, _: Option<Signal>) -> Result<(), Gone> {
        self.orders.runs.insert(vcpu(tid));
        Ok(())
    }

    fn support_single_step(&mut self) -> Option<MultiThreadSingleStepOps<'_, Self>> {
        Some(self)
    }

    fn support_scheduler_locking(&mut self) -> Option<MultiThreadSchedulerLockingOps<'_, Self>> {
        Some(self)
    }
}

impl MultiThreadSingleStep for MachineTarget<'_> {
    fn set_resume_action_step(&mut self, tid: Tid, _: Option<Signal>) -> Result<(), Gone> {
        self.orders.steps.insert(vcpu(tid));
        Ok(())
    }
}

impl MultiThreadSchedulerLocking for MachineTarget<'_> {
    fn set_resume_action_scheduler_lock(&mut self) -> Result<(), Gone> {
        self.orders.others_wait = true;
        Ok(())
    }
}

impl ThreadExtraInfo for MachineTarget<'_> {
    fn thread_extra_info(&self, tid: Tid, text: &mut [u8]) -> Result<usize, Gone> {
        let state = match self.ask(|reply| Request::IsHalted(vcpu(tid), reply))? {
            Ok(true) => "halted",
            Ok(false) => "running",
            Err(_) => "unknown",
        };
        let info = format!("vCPU {} [{state}]", vcpu(tid));
        let len = info.len().min(text.len());
        text[..len].copy_from_slice(&info.as_bytes()[..len]);
        Ok(len)
    }
}

impl Breakpoints for MachineTarget<'_> {
    fn support_sw_breakpoint(&mut self) -> Option<SwBreakpointOps<'_, Self>> {
        Some(self)
    }

    fn support_hw_breakpoint(&mut self) -> Option<HwBreakpointOps<'_, Self>> {
        Some(self)
    }

    fn support_hw_watchpoint(&mut self) -> Option<HwWatchpointOps<'_, Self>> {
        Some(self)
    }
}

impl MachineTarget<'_> {
    fn set(&self, breakpoint: Breakpoint) -> TargetResult<bool, Self> {
        self.ask_for_gdb(|reply| Request::Set(breakpoint, reply)).map(|()| true)
    }

    fn remove(&self, breakpoint: Breakpoint) -> TargetResult<bool, Self> {
        self.ask_for_gdb(|reply| Request::Remove(breakpoint, reply))
    }
}

impl SwBreakpoint for MachineTarget<'_> {
    fn add_sw_breakpoint(&mut self, address: u64, _: usize) -> TargetResult<bool, Self> {
        self.set(Breakpoint::Software(address))
    }

    fn remove_sw_breakpoint(&mut self, address: u64, _: usize) -> TargetResult<bool, Self> {
        self.remove(Breakpoint::Software(address))
    }
}

impl HwBreakpoint for MachineTarget<'_> {
    fn add_hw_breakpoint(&mut self, address: u64, _: usize) -> TargetResult<bool, Self> {
        self.set(Breakpoint::Hardware(address))
    }

    fn remove_hw_breakpoint(&mut self, address: u64, _: usize) -> TargetResult<bool, Self> {
        self.remove(Breakpoint::Hardware(address))
    }
}

impl HwWatchpoint for MachineTarget<'_> {
    fn add_hw_watchpoint(&mut self, address: u64, len: u64, kind: WatchKind) -> TargetResult<bool, Self> {
        self.set(Breakpoint::Watch { address, len, on: watch(kind) })
    }

    fn remove_hw_watchpoint(&mut self, address: u64, len: u64, kind: WatchKind) -> TargetResult<bool, Self> {
        self.remove(Breakpoint::Watch { address, len, on: watch(kind) })
    }
}

impl MonitorCmd for MachineTarget<'_> {
    fn handle_monitor_cmd(&mut self, command: &[u8], mut out: ConsoleOutput<'_>) -> Result<(), Gone> {
        let command = String::from_utf8_lossy(command);
        match command.trim() {
            "" | "help" => outputln!(out, "{HELP}"),
            "reset" | "system_reset" => {
                if let Err(refusal) = self.ask(Request::Reset)? {
                    outputln!(out, "{refusal}");
                }
            }
            line => {
                // gdb does not tell which vCPU it examines.
                let answer = self.ask(|reply| Request::Monitor(line.to_owned(), 0, reply))?;
                let text = answer.unwrap_or_else(|refusal| refusal.to_string());
                outputln!(out, "{}", text.trim_end());
            }
        }
        Ok(())
    }
}

/// gdb's number for a vCPU. 0 is not a valid one.
pub(super) fn tid(vcpu: u32) -> Tid {
    let number = usize::try_from(vcpu).unwrap_or(usize::MAX).saturating_add(1);
    Tid::new(number).unwrap_or(Tid::MIN)
}

/// The vCPU that gdb means. gdb can send any number.
fn vcpu(tid: Tid) -> u32 {
    u32::try_from(tid.get() - 1).unwrap_or(u32::MAX)
}

fn watch(kind: WatchKind) -> Watch {
    match kind {
        WatchKind::Write => Watch::Write,
        WatchKind::Read => Watch::Read,
        WatchKind::ReadWrite => Watch::ReadWrite,
    }
}

/// gdb's name for an access.
pub(super) fn kind(on: Watch) -> WatchKind {
    match on {
        Watch::Write => WatchKind::Write,
        Watch::Read => WatchKind::Read,
        Watch::ReadWrite => WatchKind::ReadWrite,
    }
}
