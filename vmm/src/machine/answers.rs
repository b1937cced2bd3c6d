//! A machine's answers to questions.

use arch::memory::GuestRam;
use serde_json::{Value, json};

use super::Machine;
use crate::{
    blocks,
    board::Viewers,
    inspect::{self, Halted, InfoBlock, InfoNetwork, InfoPci, InspectError, MonitorCommand},
    link::Link,
    networks,
    output::Taken,
    questions::{Answer, Question, Refusal},
    sandbox,
    send_key::SendKey,
    stats::{self, Stats},
    vcpu::Vcpu,
    vnc::{InfoVnc, VncInfo},
};

impl Machine {
    /// Answers a question. Files in `taken` are not overwritten.
    ///
    /// # Errors
    ///
    /// The vCPUs were stopped for it, and can't be started again.
    pub(super) fn answer(
        &mut self,
        question: &Question,
        link: &Link,
        taken: &Taken,
    ) -> anyhow::Result<Answer> {
        let stop = || link.end_is_wished();
        match question {
            Question::Stats => self.with_vcpus_stopped(link, Self::stats),
            Question::Registers(vcpu) => self.look(link, |machine| machine.to_json(*vcpu)),
            Question::Nmi(None) => self.look(link, |machine| inspect::inject(machine).map(done)),
            Question::Nmi(Some(vcpu)) => {
                self.look(link, |machine| inspect::inject_one(machine, *vcpu).map(done))
            }
            Question::SaveVirtual(save) => {
                self.look(link, |machine| save.save(machine, taken, &stop).map(done))
            }
            Question::SavePhysical(save) => {
                self.look(link, |machine| save.save(machine, taken, &stop).map(done))
            }
            Question::Dump(dump) => self.look(link, |machine| dump.write(machine, taken, &stop).map(done)),
            // The caller handles it, since it may end the machine.
            Question::SaveSnapshot(_) => Ok(Err(Refusal("the machine can't be saved now".to_owned()))),
            Question::Migrate(_) | Question::CancelMigration => {
                Ok(Err(Refusal("the machine can't be moved now".to_owned())))
            }
            Question::Blocks => Ok(Ok(self.blocks().into())),
            Question::BlockStats => Ok(Ok(self.devices.disks().iter().map(blocks::stats).collect())),
            Question::Screendump(dump) => {
                let screen = self.devices.screen().map(|plugged| &*plugged.screen);
                let written = dump.write(screen, taken).map(done);
                Ok(written.map_err(refusal))
            }
            Question::SendKey(keys) => Ok(self.press(keys).map(done)),
            Question::SendInput(events) => {
                let sent = events.send(self.devices.screen().map(|plugged| &*plugged.input)).map(done);
                Ok(sent.map_err(|error| Refusal(error.to_string())))
            }
            Question::Viewers => Ok(Ok(self.viewers().to_json())),
            Question::Resize { disk, size } => {
                let grown = self.devices.grow(disk, *size);
                Ok(grown.map(done).map_err(refusal))
            }
            Question::Eject { drive, force } => {
                let ejected = self.devices.eject(drive, *force);
                Ok(ejected.map(done).map_err(refusal))
            }
            Question::ChangeMedium { drive, path, format, force } => {
                let changed = self.devices.change_medium(drive, path, *format, *force);
                Ok(changed.map(done).map_err(refusal))
            }
            Question::Networks => Ok(Ok(self.devices.networks().iter().map(networks::info).collect())),
            Question::RxFilter(name) => Ok(self.rx_filters(name.as_deref())),
            Question::SetLink { name, up } => {
                let set = self.devices.set_link(name, *up);
                Ok(set.map(done).map_err(refusal))
            }
            Question::Announce(names) => {
                let announced = self.devices.announce(names.as_deref());
                Ok(announced.map(done).map_err(refusal))
            }
            Question::Monitor { line, vcpu } => self.monitor(line, *vcpu, link),
        }
    }

    fn stats(&mut self) -> Answer {
        let vm = stats::of(&*self.vm).ok_or_else(|| {
            Refusal("this KVM counts nothing; that of Linux 5.14 and later does".to_owned())
        })?;
        Ok(json!(Stats { vm, vcpus: self.vcpus.stats() }))
    }

    /// Prints KVM's counters of the vCPUs, if it counts.
    pub(super) fn print_exits(&mut self, link: &Link) -> anyhow::Result<()> {
        let vcpus = self.with_vcpus_stopped(link, |machine| machine.vcpus.stats())?;
        if !vcpus.is_empty() {
            log::error!("KVM counted {}", Stats { vcpus, ..Stats::default() });
        }
        Ok(())
    }

    /// The text that QEMU's monitor would print, with its line ends.
    fn monitor(&mut self, line: &str, vcpu: u32, link: &Link) -> anyhow::Result<Answer> {
        let text = |text: String| Value::from(text.replace('\n', "\r\n"));
        let command = match MonitorCommand::parse(line, vcpu) {
            Ok(command) => command,
            // As in QEMU, an error is an answer, too.
            Err(why) => return Ok(Ok(text(why))),
        };
        match command {
            MonitorCommand::Block => Ok(Ok(text(InfoBlock(&self.blocks()).to_string()))),
            MonitorCommand::Lapic { apic_id, vcpu } => {
                self.look(link, |machine| inspect::info_lapic(machine, apic_id, vcpu).map(text))
            }
            MonitorCommand::Pic => self.look(link, |machine| inspect::info_pic(machine).map(text)),
            MonitorCommand::Registers(vcpu) => {
                self.look(link, |machine| inspect::info_registers(machine, vcpu).map(text))
            }
            MonitorCommand::Network => Ok(Ok(text(InfoNetwork(&self.devices.networks()).to_string()))),
            MonitorCommand::Pci => Ok(Ok(text(InfoPci(&self.devices.buses().pci).to_string()))),
            // On success, the answer is empty.
            MonitorCommand::SendKey(keys) => Ok(Ok(text(
                self.press(&keys).map_or_else(|Refusal(why)| format!("{why}\n"), |()| String::new()),
            ))),
            MonitorCommand::Vnc => Ok(Ok(text(InfoVnc(&self.viewers()).to_string()))),
            MonitorCommand::Status => Ok(Ok(text(inspect::info_status(link.state().name())))),
        }
    }

    fn press(&self, keys: &SendKey) -> Result<(), Refusal> {
        let typist = self.devices.screen().map(|plugged| &*plugged.typist);
        keys.press(typist).map_err(|error| Refusal(error.to_string()))
    }

    /// The current state of the VNC server.
    fn viewers(&self) -> VncInfo {
        let viewers = self.devices.screen().and_then(|screen| screen.viewers.as_ref());
        viewers.and_then(Viewers::server).map(|server| server.info()).unwrap_or_default()
    }

    /// The disks in the form of QMP's `query-block`.
    fn blocks(&self) -> Vec<Value> {
        self.devices.disks().iter().map(blocks::info).collect()
    }

    /// The frames that drivers of network devices want, in the form of QMP's `query-rx-filter`.
    fn rx_filters(&self, name: Option<&str>) -> Answer {
        let devices = self.devices.networks();
        let wanted: Vec<_> =
            devices.iter().filter(|device| name.is_none_or(|it| device.name == it)).collect();
        match name.filter(|_| wanted.is_empty()) {
            Some(name) => Err(Refusal(format!("invalid net client name: {name}"))),
            None => Ok(wanted.into_iter().map(networks::rx_filter).collect()),
        }
    }

    /// Inspects the machine while its vCPUs are stopped.
    fn look(
        &mut self,
        link: &Link,
        look: impl FnOnce(&Halted<'_>) -> Result<Value, InspectError>,
    ) -> anyhow::Result<Answer> {
        self.with_vcpus_stopped(link, |machine| {
            let memory: &GuestRam = &machine.memory;
            let vcpus = machine.vcpus.stopped().iter().map(Vcpu::fd).collect();
            let halted = Halted { vcpus, memory, vm: &machine.vm };
            look(&halted).map_err(refusal)
        })
    }

    /// Calls `look` while the vCPUs are stopped, and lets them run again if they did. Time goes on for the guest.
    fn with_vcpus_stopped<T>(&mut self, link: &Link, look: impl FnOnce(&mut Self) -> T) -> anyhow::Result<T> {
        let ran = self.vcpus.is_running();
        self.vcpus.halt(self.devices.buses());
        let seen = look(self);
        // Don't run again after a vCPU has ended the machine.
        if ran && !link.has_exit() {
            self.vcpus.start(self.devices.buses(), link)?;
        }
        Ok(seen)
    }
}

/// Makes a refusal from an error, with advice if the sandbox is the reason.
pub(super) fn refusal(error: impl Into<anyhow::Error>) -> Refusal {
    let error = error.into();
    let advice = sandbox::advice(&error).map(|advice| format!("; {advice}"));
    Refusal(format!("{error:#}{}", advice.unwrap_or_default()))
}

/// The answer of a command without a result.
fn done((): ()) -> Value {
    json!({})
}
