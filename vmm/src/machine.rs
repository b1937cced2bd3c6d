//! The whole machine: how it is put together, and how it runs, pauses and ends.

mod answers;
mod debug;
mod handover;
mod migrate;
mod moving;
mod obey;
mod pauses;
mod save;
mod vcpus;

use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyhow::Context;
use arch::{
    boot::MemoryMap,
    cpu::{CpuError, nesting::Nesting, profile::CpuProfile, topology::Topology},
    layout,
    memory::GuestRam,
    smbios::SmbiosHardware,
};
use devices::platform::PowerManagement;
use kvm_ioctls::VmFd;
use thiserror::Error;

use self::{
    handover::Handover,
    moving::{Given, Migration},
    pauses::Pauses,
    vcpus::Vcpus,
};
use crate::{
    board::{self, Board, Devices, OpenDevice},
    config::VmConfig,
    exit::Exit,
    gdb::Debugger,
    host::{self, Host},
    kernel::Kernel,
    kick,
    link::Link,
    lost_memory, memory,
    output::Taken,
    payload::Payload,
    reboots::Reboots,
    run_state::{Cause, Change, PanicAction, RunState},
    size::Size,
    snapshot::{Around, Origin, Restored},
    stats::{self, Stats},
    vcpu::Vcpu,
    vm::Vm,
};

/// The time that nvmm's end waits for requests that the host does not end, as on network storage that is away.
const END_PATIENCE: Duration = Duration::from_secs(2);
/// The time that the machine's reset waits for them.
const RESET_PATIENCE: Duration = Duration::from_secs(60);

/// A limit of the host that the command line goes over.
#[derive(Debug, Error)]
pub enum LimitError {
    /// `--smp`.
    #[error("--smp {given}: this host's KVM takes at most {max} vCPUs")]
    Vcpus {
        /// The number that was asked for.
        given: u32,
        /// The most that there can be.
        max: usize,
    },
    /// `--smp`, where uneven counts leave APIC ids out.
    #[error("--smp: the last APIC id of {given} would be {id}, and this host's KVM takes them up to {max}")]
    ApicId {
        /// The topology that was asked for.
        given: Topology,
        /// Its greatest id.
        id: usize,
        /// KVM's.
        max: usize,
    },
    /// `--memory`.
    #[error("--memory: {given} is more than the guest's processors address, which is {} in all; give less, or more of phys-bits in --cpu", Size(1 << .width))]
    Memory {
        /// The memory that was asked for.
        given: Size,
        /// Bits of a physical address.
        width: u32,
    },
}

/// A machine that is ready to run.
#[derive(Debug)]
pub struct Machine {
    vcpus: Vcpus,
    pauses: Pauses,
    power: Arc<Mutex<PowerManagement>>,
    /// The devices, in their places.
    pub devices: Devices,
    /// The guest's CPU, and why it is as it is.
    pub cpu: CpuProfile,
    /// The memory map.
    pub map: MemoryMap,
    /// The kernel in it, if firmware does not load one.
    pub kernel: Option<Kernel>,
    vm: Arc<VmFd>,
    memory: GuestRam,
    migration: Option<Migration>,
    given: Option<Given>,
}

impl Machine {
    /// Builds the machine: as after a reset, or as it was `restored` from a snapshot.
    ///
    /// The order of a restored machine is the same, with this between: memory is as it was before KVM maps it, and before nested state, which
    /// points into it; KVM's state follows once vCPUs have their CPUID, which it is checked against; devices come last, since they drive
    /// KVM's interrupt controllers, and map memory where the guest has placed it.
    ///
    /// # Errors
    ///
    /// A limit of the host, a kernel that does not load, a device without a place, an ioctl that KVM refuses, or a state that does not fit.
    pub fn build(
        host: &Host,
        config: &VmConfig,
        payload: &Payload,
        devices: &[Box<dyn OpenDevice>],
        restored: Option<&Restored>,
    ) -> Result<Self, anyhow::Error> {
        lost_memory::init()?;
        let topology = config.topology;
        check_vcpus(host, &topology)?;
        let mut cpu =
            CpuProfile::resolve(&host.cpu, &config.cpu, &topology).map_err(|error| refusal(config, error))?;
        if let Some(own) = &host.own_cpu {
            cpu.run_on(own);
        }
        if let Some(restored) = restored {
            restored.check_cpu(&cpu)?;
        }
        let map = memory_map(&cpu, payload, config.memory.size)?;
        let (memory, kernel) = match restored {
            Some(restored) => (restored.ram(&map, &config.memory)?, None),
            None => {
                let memory = memory::map(&map, &config.memory)?;
                let kernel = payload.load(&memory)?;
                (memory, kernel)
            }
        };

        let vm = Vm::new(host, &memory, payload.rom(), topology.max_apic_id())?;
        if !cpu.pmu() {
            vm.disable_pmu()?;
        }
        let window = layout::pci_mmio64(map.end(), cpu.physical_address_width());
        let mut board = Board::new(vm, payload.chipset(), window)?;
        let power = board::platform::plug(&mut board, config.has_screen())?;
        let fw_cfg = payload.plug(&mut board, &config.fw_cfg)?;
        devices.iter().try_for_each(|device| device.plug(&mut board))?;
        let (vm, devices) = board.close()?;

        let handover = Handover {
            memory: &memory,
            map: &map,
            smbios: SmbiosHardware { cpu: &cpu, topology: &topology, map: &map },
            values: &config.smbios,
            devices: &devices,
            apic_ids: (0..topology.vcpus()).map(|vcpu| cpu.apic_id(vcpu)).collect(),
        };
        if let Some(kernel) = &kernel {
            handover.tell_kernel(kernel)?;
        } else if let (Some(firmware), Some(fw_cfg), Some(boot)) =
            (payload.firmware(), &fw_cfg, config.start.boot())
        {
            handover.tell_firmware(firmware, fw_cfg, boot)?;
        }
        if let Some(fw_cfg) = &fw_cfg {
            handover::add_files(fw_cfg, &config.fw_cfg).context("--fw-cfg")?;
        }

        let entry = kernel.as_ref().map(|kernel| &kernel.entry);
        let vcpus =
            (0..topology.vcpus()).map(|id| Vcpu::new(&vm, id, &cpu, entry)).collect::<Result<_, _>>()?;
        let vcpus: Vec<Vcpu> = vcpus;
        let mut pauses = Pauses::default();
        if let Some(restored) = restored {
            let around =
                Around { vm: &vm.fd, listed: &host.listed_msrs()?, capabilities: cpu.capability_msrs() };
            restored.give(around, vcpus.iter().map(Vcpu::fd), &memory, &devices)?;
            // Devices are as in a pause.
            pauses.stop_devices();
        }
        let vcpus = Vcpus::new(vcpus);
        Ok(Self {
            vcpus,
            pauses,
            power,
            devices,
            cpu,
            map,
            kernel,
            vm: vm.fd,
            memory,
            migration: None,
            given: None,
        })
    }

    /// Runs the machine until it stops, and leaves no thread behind. Returns how it ended, or nothing if `reboots` has it built again,
    /// and, with `count`, what KVM counted: reading that costs a few system calls for each vCPU. What users have saved to files goes
    /// into none of `taken`. After an end, KVM's machine and its memory stay until the process ends.
    ///
    /// # Errors
    ///
    /// A thread can't be made, or a disk that does not answer is in the way of a reset.
    pub fn run(
        mut self,
        link: &Link,
        reboots: &mut Reboots,
        debugger: &mut Debugger,
        taken: &Taken,
        origin: &Origin<'_>,
        count: bool,
    ) -> anyhow::Result<(Option<Exit>, Option<Stats>)> {
        kick::init()?;
        let start = Instant::now();
        if link.is_asked_to_power_off() {
            lock(&self.power).press_power_button_when_enabled();
        }
        // Before the guest can say that it listens to the power button.
        link.runs(self.devices.attached().clone());
        let exit =
            self.begin(link, debugger).and_then(|()| self.obey(link, reboots, debugger, taken, origin));
        self.drop_migration(link);
        link.halts();
        // First, so that none has a device that the main thread is to let go of.
        self.vcpus.halt(self.devices.buses());
        link.stops();

        let counted = if count { stats::of(&*self.vm) } else { None };
        let vcpus = if count { self.vcpus.stats() } else { Vec::new() };
        let exit = exit.and_then(|exit| exit.context("the machine ended without a reason"));
        let ran = start.elapsed().saturating_sub(self.pauses.total());
        let exit = exit.map(|exit| {
            let (by, panicked) = (Cause::of(&exit), matches!(exit, Exit::Panicked));
            let exit = reboots.after(exit, ran);
            tell_end(by, panicked, exit.is_none(), link);
            exit
        });
        let resets = matches!(exit, Ok(None));
        let busy = self.stop_devices(resets, link);
        if !resets {
            // nvmm ends: with the process, the kernel takes both down at once, at half the cost of one after the other.
            mem::forget((Arc::clone(&self.vm), self.memory.clone()));
        }
        if !busy.is_empty() {
            // Dropping them would wait for their workers, which keep guest memory.
            mem::forget(self);
        }
        let exit = match (exit?, busy.first()) {
            (None, Some(device)) => Some(link.gone().with_context(|| {
                format!(
                    "the machine can't be reset: {device} is still busy with a request; see to its storage"
                )
            })?),
            (exit, Some(device)) => {
                log::warn!("{device}: its last requests did not end, and are not waited for");
                exit
            }
            (exit, None) => exit,
        };
        Ok((exit, counted.map(|vm| Stats { vm, vcpus })))
    }

    /// Lets the vCPUs run, unless the machine is to be stopped. The user may have asked for the end while it was built: then
    /// [`Machine::obey`] hears of it.
    fn begin(&mut self, link: &Link, debugger: &mut Debugger) -> anyhow::Result<()> {
        self.set_traps_again(debugger, link)?;
        if link.is_stopped() {
            self.pauses.begin();
        } else if !link.end_is_asked() {
            if self.pauses.resume_devices() {
                self.devices.resume();
                self.vcpus.tell_of_pause();
            }
            self.vcpus.start(self.devices.buses(), link)?;
            // The one before a reset ran.
            if link.state() != RunState::Running {
                link.changed(Change::Resume);
            }
        }
        Ok(())
    }

    /// Stops the virtio devices. Returns the names of those that are still busy after all patience: more of it before a reset,
    /// which a slow disk should survive, unless the user asks for the end.
    fn stop_devices(&self, resets: bool, link: &Link) -> Vec<String> {
        let asked = Instant::now();
        stop_in_time(resets, |time| self.devices.stop(time), || asked.elapsed(), || link.end_is_asked())
    }
}

/// Has `stop` stop devices, a while at a time, until none is busy or all patience is at an end, by the time that has `elapsed`.
fn stop_in_time(
    resets: bool,
    mut stop: impl FnMut(Duration) -> Vec<String>,
    elapsed: impl Fn() -> Duration,
    end_is_asked: impl Fn() -> bool,
) -> Vec<String> {
    let patience = if resets { RESET_PATIENCE } else { END_PATIENCE };
    loop {
        let busy = stop(Duration::from_millis(100));
        if busy.is_empty() || elapsed() >= patience || resets && end_is_asked() {
            return busy;
        }
    }
}

/// Tells of the end of a machine's run, by its cause.
fn tell_end(by: Cause, panicked: bool, resets: bool, link: &Link) {
    if panicked {
        let action = if resets { PanicAction::Run } else { PanicAction::Poweroff };
        link.changed(Change::Panicked { action });
    }
    link.changed(if resets { Change::Reset { by } } else { Change::Shutdown { by } });
}

/// Refuses more vCPUs than KVM takes, or greater APIC ids.
fn check_vcpus(host: &Host, topology: &Topology) -> anyhow::Result<()> {
    let vcpus = usize::try_from(topology.vcpus())?;
    let id = usize::try_from(topology.max_apic_id())?;
    if vcpus > host.max_vcpus {
        return Err(LimitError::Vcpus { given: topology.vcpus(), max: host.max_vcpus }.into());
    }
    if id >= host.max_vcpu_id {
        return Err(LimitError::ApicId { given: *topology, id, max: host.max_vcpu_id - 1 }.into());
    }
    Ok(())
}

/// Why there is no such CPU here, with the option that asked for it.
fn refusal(config: &VmConfig, error: CpuError) -> anyhow::Error {
    let asked = match error {
        CpuError::NoNesting => format!("--nested on: nesting is {}", host::describe_nesting(&Nesting::None)),
        _ => format!("--cpu {}", config.cpu),
    };
    anyhow::Error::from(error).context(asked)
}

/// The memory map, if the guest's processors have addresses for it.
fn memory_map(cpu: &CpuProfile, payload: &Payload, size: Size) -> anyhow::Result<MemoryMap> {
    let map = payload.memory_map(size).context("--memory")?;
    let width = cpu.physical_address_width();
    if map.end() > 1 << width {
        return Err(LimitError::Memory { given: size, width }.into());
    }
    Ok(map)
}

fn lock(power: &Mutex<PowerManagement>) -> MutexGuard<'_, PowerManagement> {
    power.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "machine_test.rs"]
mod tests;
