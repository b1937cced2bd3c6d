//! A running machine's reactions to the debugger.

use std::collections::BTreeSet;

use kvm_bindings::{KVM_CAP_SET_GUEST_DEBUG2, KVM_GUESTDBG_BLOCKIRQ};

use super::Machine;
use crate::{
    exit::Exit,
    gdb::{Debugger, Orders, Request, Session, Space, Stop, StopReason, Trap},
    link::{Event, Link},
    output::Taken,
    questions::{Question, Refusal},
    run_state::{Change, RunState},
    vcpu::Vcpu,
};

impl Machine {
    /// Carries out the debugger's request. Returns the machine's end if the request causes it.
    pub(super) fn debug(
        &mut self,
        request: Request,
        debugger: &mut Debugger,
        taken: &Taken,
        link: &Link,
    ) -> anyhow::Result<Option<Exit>> {
        // Answers can't be delivered if the debugger has gone.
        match request {
            Request::Attach(reply) => {
                self.stop_for_debugger(link);
                debugger.attach(self.can_block_irq());
                let _ = reply.send(Ok(()));
            }
            Request::Leave(reply) => {
                let had_stopped = link.state() == RunState::Debug;
                let exit = self.let_go_of_debugger(debugger, link)?;
                let _ = reply.send(Ok(had_stopped));
                return Ok(exit);
            }
            Request::Resume(orders) => return self.resume_for_debugger(orders, debugger, link),
            Request::Interrupt => {
                if let Some(vcpu) = debugger.session().filter(|session| session.waits).map(|it| it.selected) {
                    self.stop_for_debugger(link);
                    debugger.stopped(Stop { vcpu, reason: StopReason::Interrupt });
                }
            }
            Request::Set(breakpoint, reply) => {
                let set = self.with_session(debugger, |session, space| {
                    session.breakpoints.set(breakpoint, space).map_err(|error| Refusal(error.to_string()))
                });
                let _ = reply.send(set.and_then(|set| set));
            }
            Request::Remove(breakpoint, reply) => {
                let removed = self
                    .with_session(debugger, |session, space| session.breakpoints.remove(breakpoint, space));
                let _ = reply.send(removed);
            }
            Request::Registers(number, reply) => {
                let vm = self.vm.clone();
                let registers = self
                    .selected(number, debugger)
                    .and_then(|(vcpu, _)| vcpu.registers(&vm).map_err(|error| Refusal(error.to_string())));
                let _ = reply.send(registers);
            }
            Request::SetRegisters(number, registers, reply) => {
                let vm = self.vm.clone();
                let selected = self.selected(number, debugger);
                let _ = reply.send(selected.and_then(|(vcpu, _)| vcpu.set_registers(&vm, &registers)));
            }
            Request::Memory(number, address, len, reply) => {
                let selected = self.selected(number, debugger);
                let _ = reply.send(selected.map(|(vcpu, session)| {
                    vcpu.with_space(|space| session.breakpoints.read(address, len, space))
                }));
            }
            Request::SetMemory(number, address, bytes, reply) => {
                let selected = self.selected(number, debugger);
                let _ = reply.send(selected.map(|(vcpu, session)| {
                    vcpu.with_space(|space| session.breakpoints.write(address, &bytes, space))
                }));
            }
            Request::IsHalted(number, reply) => {
                let vcpu = self.vcpus.get(number).ok_or_else(|| no_vcpu(number));
                let _ = reply.send(vcpu.map(|vcpu| vcpu.is_halted()));
            }
            Request::Monitor(line, vcpu, reply) => {
                let question = Question::Monitor { line, vcpu };
                let answer = self.answer(&question, link, taken)?;
                let _ =
                    reply.send(answer.map(|text| text.as_str().unwrap_or_default().replace("\r\n", "\n")));
            }
            Request::Reset(reply) => {
                let _ = reply.send(Ok(()));
                return Ok(Some(Exit::Restart));
            }
            Request::Kill => {
                log::warn!("the debugger ends the machine");
                return Ok(Some(Exit::Quit));
            }
        }
        Ok(None)
    }

    /// Stops for the debugger because a vCPU hit a trap. If the trap is no longer set, it is ignored.
    pub(super) fn on_trap(&mut self, vcpu: u32, trap: Trap, debugger: &mut Debugger, link: &Link) {
        let Some(session) = debugger.session() else { return };
        let stop = session.stop(vcpu, trap);
        if session.waits {
            self.stop_for_debugger(link);
        }
        debugger.stopped(stop);
    }

    /// Sets the traps of the machine before a reset again. If a step was in progress, it ends at the first instruction.
    pub(super) fn set_traps_again(&mut self, debugger: &mut Debugger, link: &Link) -> anyhow::Result<()> {
        let Some(session) = debugger.session() else { return Ok(()) };
        let nowhere = match self.vcpus.get(0) {
            Some(vcpu) => vcpu.with_space(|space| session.breakpoints.set_again(space)),
            None => Vec::new(),
        };
        for breakpoint in nowhere {
            log::warn!(
                "the breakpoint at {:#x} is not set after the reset: its page is not mapped yet, and no breakpoint register is free",
                breakpoint.address()
            );
        }
        session.pending.clear();
        let orders = std::mem::take(&mut session.orders);
        self.set_traps(session)?;
        if session.waits && !orders.steps.is_empty() {
            link.changed(Change::Stop(RunState::Debug));
            debugger.stopped(Stop { vcpu: 0, reason: StopReason::Step });
        }
        Ok(())
    }

    /// Stops the vCPUs, if they run. Devices finish their requests, and time goes on.
    fn stop_for_debugger(&mut self, link: &Link) {
        if !self.pauses.is_paused() {
            self.pauses.begin();
            self.vcpus.halt(self.devices.buses());
        }
        for vcpu in self.vcpus.stopped_mut() {
            if let Some(Event::Exit(exit)) = vcpu.complete_io(self.devices.buses()) {
                self.pauses.hold(exit);
            }
        }
        if link.state() != RunState::Debug {
            link.changed(Change::Stop(RunState::Debug));
        }
    }

    /// Lets the vCPUs run as the debugger orders.
    fn resume_for_debugger(
        &mut self,
        orders: Orders,
        debugger: &mut Debugger,
        link: &Link,
    ) -> anyhow::Result<Option<Exit>> {
        let Some(session) = debugger.session().filter(|session| !session.waits) else { return Ok(None) };
        session.waits = true;
        if let Some(stop) = session.next_pending() {
            debugger.stopped(stop);
            return Ok(None);
        }
        session.orders = orders;
        let set = self.set_traps(session);
        if let Err(error) = &set {
            log::warn!("the machine stays stopped: {error:#}");
        }
        // The debugger may have named only vCPUs that don't exist.
        if set.is_err() || !self.vcpus.stopped().iter().any(|vcpu| session.orders.moves(vcpu.id)) {
            let vcpu = session.selected;
            debugger.stopped(Stop { vcpu, reason: StopReason::Interrupt });
            return Ok(None);
        }
        self.go_on(link)
    }

    /// Removes all breakpoints, and lets the vCPUs run unless the user has stopped them. Returns an end that was waiting for that.
    pub(super) fn let_go_of_debugger(
        &mut self,
        debugger: &mut Debugger,
        link: &Link,
    ) -> anyhow::Result<Option<Exit>> {
        let Some(mut session) = debugger.detach() else { return Ok(None) };
        let ran = self.vcpus.is_running();
        self.vcpus.halt(self.devices.buses());
        if let Some(vcpu) = self.vcpus.get(0) {
            vcpu.with_space(|space| session.breakpoints.clear(space));
        }
        session.orders = Orders::default();
        self.set_traps(&session)?;
        if link.state() == RunState::Debug {
            return self.go_on(link);
        }
        // Don't run again after a vCPU has ended the machine.
        if ran && !link.has_exit() {
            self.vcpus.start(self.devices.buses(), link)?;
        }
        Ok(None)
    }

    fn go_on(&mut self, link: &Link) -> anyhow::Result<Option<Exit>> {
        if let Some(exit) = self.pauses.end() {
            link.changed(Change::Resume);
            return Ok(Some(exit));
        }
        self.resume(link)?;
        Ok(None)
    }

    /// Sets each vCPU's traps, and holds those that have to stay stopped.
    fn set_traps(&mut self, session: &Session) -> anyhow::Result<()> {
        let Session { breakpoints, orders, block_irq, .. } = session;
        let mut held = BTreeSet::new();
        for vcpu in self.vcpus.stopped_mut() {
            if !orders.moves(vcpu.id) {
                held.insert(vcpu.id);
            }
            vcpu.set_traps(breakpoints.traps(orders.steps.contains(&vcpu.id)), *block_irq)?;
        }
        self.vcpus.hold(held);
        Ok(())
    }

    /// The session, and a stopped vCPU, which is the debugger's selected one from now on.
    fn selected<'a>(
        &'a mut self,
        number: u32,
        debugger: &'a mut Debugger,
    ) -> Result<(&'a mut Vcpu, &'a mut Session), Refusal> {
        let session = debugger.session().ok_or_else(no_debugger)?;
        let vcpu = self.vcpus.get(number).ok_or_else(|| no_vcpu(number))?;
        session.selected = number;
        Ok((vcpu, session))
    }

    /// Calls `look` with the session and the memory of the debugger's selected vCPU.
    fn with_session<T>(
        &mut self,
        debugger: &mut Debugger,
        look: impl FnOnce(&mut Session, &Space<'_>) -> T,
    ) -> Result<T, Refusal> {
        let number = debugger.session().ok_or_else(no_debugger)?.selected;
        let (vcpu, session) = self.selected(number, debugger)?;
        Ok(vcpu.with_space(|space| look(session, space)))
    }

    fn can_block_irq(&self) -> bool {
        let flags = self.vm.check_extension_raw(KVM_CAP_SET_GUEST_DEBUG2.into());
        u32::try_from(flags).unwrap_or_default() & KVM_GUESTDBG_BLOCKIRQ != 0
    }
}

fn no_debugger() -> Refusal {
    Refusal("no debugger is attached".to_owned())
}

fn no_vcpu(number: u32) -> Refusal {
    Refusal(format!("there is no vCPU {number}, or it runs"))
}
