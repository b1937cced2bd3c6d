//! A running machine's reactions to the main thread and its vCPUs.

use std::time::{Duration, Instant};

use serde_json::{Map, Value};

use super::{Machine, answers::refusal, lock};
use crate::{
    exit::Exit,
    gdb::Debugger,
    link::{Event, Link},
    output::Taken,
    questions::{Question, Refusal},
    reboots::Reboots,
    run_state::{Change, PanicAction, RunState},
    snapshot::Origin,
    source::{Command, Control},
};

/// The time that another nvmm, to which the machine was moved, has to unlock its disks when the user wants the machine back.
const COME_BACK_PATIENCE: Duration = Duration::from_secs(1);
/// The time after which a pause that waits for devices logs that.
const PAUSE_PATIENCE: Duration = Duration::from_secs(5);

impl Machine {
    /// Carries out the main thread's commands until a vCPU or the user ends the machine. The first reason counts.
    pub(super) fn obey(
        &mut self,
        link: &Link,
        reboots: &Reboots,
        debugger: &mut Debugger,
        taken: &Taken,
        origin: &Origin<'_>,
    ) -> anyhow::Result<Option<Exit>> {
        while let Some(event) = link.next() {
            match event {
                Event::Exit(Exit::Panicked) if reboots.pause_on_panic() => {
                    log::warn!("the guest's kernel panicked");
                    // Another vCPU may have reported it before.
                    if !self.pauses.is_paused() {
                        link.changed(Change::Panicked { action: PanicAction::Pause });
                        self.pause(RunState::GuestPanicked, link);
                        log::warn!("the machine is paused");
                    }
                }
                Event::Exit(exit) if self.pauses.is_paused() => self.pauses.hold(exit),
                Event::Exit(exit) => return Ok(Some(exit)),
                Event::Command(Command::Quit(exit)) => {
                    return self.quit(exit, origin, debugger, link).map(Some);
                }
                Event::Command(Command::Save) => self.save_now(origin, debugger, link)?,
                Event::Command(Command::Ask(Question::SaveSnapshot(order), reply)) => {
                    let saved = self.save(&order, origin, debugger, link, &|| link.end_is_wished())?;
                    let ends = order.stop && saved.is_ok();
                    reply.give(saved.map(|()| Value::Object(Map::new())).map_err(refusal));
                    if ends {
                        return Ok(Some(Exit::Saved));
                    }
                }
                Event::Command(Command::Ask(Question::Migrate(order), reply)) => {
                    let begun = self.migrate(&order, origin, debugger, link)?;
                    let refusal = |error: anyhow::Error| Refusal(format!("{error:#}"));
                    reply.give(begun.map(|()| Value::Object(Map::new())).map_err(refusal));
                }
                Event::Command(Command::Ask(Question::CancelMigration, reply)) => {
                    self.cancel_migration();
                    reply.give(Ok(Value::Object(Map::new())));
                }
                Event::Sent(of, sent) => {
                    if let Some(exit) = self.on_sent(&of, sent, origin, link)? {
                        return Ok(Some(exit));
                    }
                }
                Event::Trap(vcpu, trap) => self.on_trap(vcpu, trap, debugger, link),
                Event::Debug(request) => {
                    if let Some(exit) = self.debug(request, debugger, taken, link)? {
                        return Ok(Some(exit));
                    }
                }
                Event::Command(Command::Control(control, reply)) => {
                    let (answer, exit) = match self.control(control, origin, link)? {
                        Ok(exit) => (Ok(()), exit),
                        Err(refusal) => (Err(refusal), None),
                    };
                    link.answer_control(control, reply, answer);
                    if exit.is_some() {
                        return Ok(exit);
                    }
                }
                Event::Command(Command::Ask(question, reply)) => {
                    reply.give(self.answer(&question, link, taken)?);
                }
                Event::Command(Command::Totals) => {
                    self.devices.print_totals();
                    self.print_exits(link)?;
                }
                Event::Command(Command::Measure) => self.devices.measure(),
                Event::Command(Command::CheckNetworks) => self.devices.check_networks(),
            }
        }
        Ok(None)
    }

    /// Presses a button. Returns the machine's end if that is the effect.
    fn control(
        &mut self,
        control: Control,
        origin: &Origin<'_>,
        link: &Link,
    ) -> anyhow::Result<Result<Option<Exit>, Refusal>> {
        let is_paused = self.pauses.is_paused();
        if matches!(control, Control::Continue | Control::Toggle | Control::Reset)
            && let Err(error) = self.lock_again(origin, COME_BACK_PATIENCE)
        {
            return Ok(Err(Refusal(format!("the machine was moved, perhaps: {error:#}"))));
        }
        match control {
            Control::Stop | Control::Toggle if !is_paused => {
                self.pause(RunState::Paused, link);
                tell_user(control, "the machine is paused");
            }
            Control::Continue | Control::Toggle if link.state() == RunState::Debug => {
                let why = "the debugger has stopped the machine: continue or detach there";
                return Ok(Err(Refusal(why.to_owned())));
            }
            Control::Continue | Control::Toggle if is_paused => {
                tell_user(control, "the machine goes on");
                if let Some(exit) = self.pauses.end() {
                    link.changed(Change::Resume);
                    return Ok(Ok(Some(exit)));
                }
                self.resume(link)?;
            }
            Control::Stop | Control::Continue | Control::Toggle => {}
            Control::Reset => return Ok(Ok(Some(Exit::Restart))),
            // The guest would see the button only later.
            Control::PowerDown if is_paused => {
                return Ok(Err(Refusal("the machine is stopped: let it go on first".to_owned())));
            }
            Control::PowerDown => {
                let mut power = lock(&self.power);
                if !power.is_power_button_enabled() {
                    let why = "the guest does not listen to its power button (yet)";
                    return Ok(Err(Refusal(why.to_owned())));
                }
                power.press_power_button();
                link.changed(Change::PowerDown);
            }
        }
        Ok(Ok(None))
    }

    /// Stops the vCPUs, and then the devices once the host has finished their requests, however long that takes, unless the user asks nvmm
    /// to end, or the guest to power off before that. Time goes on for the guest.
    pub(super) fn pause(&mut self, state: RunState, link: &Link) {
        self.stand_still(link);
        link.changed(Change::Stop(state));
    }

    /// The same, without reporting it.
    pub(super) fn stand_still(&mut self, link: &Link) {
        self.pauses.begin();
        self.vcpus.halt(self.devices.buses());
        self.pauses.stop_devices();
        let asked = Instant::now();
        let mut told = false;
        loop {
            let busy = self.devices.pause(Duration::from_millis(100));
            match busy.first() {
                None => break,
                Some(_) if link.end_is_wished() => break,
                Some(device) if !told && asked.elapsed() >= PAUSE_PATIENCE => {
                    told = true;
                    log::warn!("the machine pauses as soon as {device} has ended its requests");
                }
                Some(_) => {}
            }
        }
    }

    /// Continues after a pause, or starts a machine that was stopped at first.
    pub(super) fn resume(&mut self, link: &Link) -> anyhow::Result<()> {
        self.run_again(link)?;
        link.changed(Change::Resume);
        Ok(())
    }

    /// The same, without reporting it.
    pub(super) fn run_again(&mut self, link: &Link) -> anyhow::Result<()> {
        if self.pauses.resume_devices() {
            self.devices.resume();
        }
        self.vcpus.tell_of_pause();
        self.vcpus.start(self.devices.buses(), link)?;
        Ok(())
    }
}

/// Prints a message for the user at the terminal, who pressed a key. Others get an answer.
fn tell_user(control: Control, what: &str) {
    let level = if control == Control::Toggle { log::Level::Warn } else { log::Level::Info };
    log::log!(level, "{what}");
}
