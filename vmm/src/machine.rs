//! The whole machine: builds, runs, pauses and ends it.

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

/// The time that nvmm's end waits for requests that the host does not finish, as on network storage that is unreachable.
const END_PATIENCE: Duration = Duration::from_secs(2);
/// The time that a reset of the machine waits for them.
const RESET_PATIENCE: Duration = Duration::from_secs(60);

/// A limit of the host that an option exceeds.
#[derive(Debug, Error)]
pub enum LimitError {
    /// `--smp` with too many vCPUs.
    #[error("--smp {given}: this host's KVM takes at most {max} vCPUs")]
    Vcpus {
        /// The number that was asked for.
        given: u32,
        /// The largest possible number.
        max: usize,
    },
    /// `--smp` with uneven counts, because of which some APIC ids are skipped.
    #[error("--smp: the last APIC id of {given} would be {id}, and this host's KVM takes them up to {max}")]
    ApicId {
        /// The topology that was asked for.
        given: Topology,
        /// The largest APIC id.
        id: usize,
        /// KVM's largest APIC id.
        max: usize,
    },
    /// `--memory` beyond the guest's physical addresses.
    #[error("--memory: {given} is more than the guest's processors address, which is {} in all; give less, or more of phys-bits in --cpu", Size(1 << .width))]
    Memory {
        /// The memory that was asked for.
        given: Size,
        /// The number of bits of a physical address.
        width: u32,
    },
}

/// A machine that is ready to run.
#[derive(Debug)]
pub struct Machine {
    vcpus: Vcpus,
    pauses: Pauses,
    power: Arc<Mutex<PowerManagement>>,
    /// The devices that are plugged in.
    pub devices: Devices,
    /// The guest's CPU, with the reasons for its features.
    pub cpu: CpuProfile,
    /// The memory map.
    pub map: MemoryMap,
    /// The loaded kernel, unless firmware loads it.
    pub kernel: Option<Kernel>,
    vm: Arc<VmFd>,
    memory: GuestRam,
    migration: Option<Migration>,
    given: Option<Given>,
}

impl Machine {
    /// Builds the machine, either as after a reset, or `restored` from a snapshot.
    ///
    /// A restored machine is built in the same order, with some additions: memory has its contents before KVM maps it, and before nested
    /// state, which points into it; KVM's state is loaded after vCPUs have their CPUID, against which it is checked; devices come last,
    /// since they drive KVM's interrupt controllers, and map memory at the guest's addresses.
    ///
    /// # Errors
    ///
    /// A limit of the host is exceeded, a kernel can't be loaded, there is no place for a device, KVM refuses an ioctl, or a state does not
    /// fit.
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
            // The devices are in the state of a pause.
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

    /// Runs the machine until it stops, and leaves no thread behind. Returns how it ended, or nothing if it has to be built again because
    /// of `reboots`; and, with `count`, KVM's counters, which cost a few system calls for each vCPU. Commands of the user must not
    /// overwrite files in `taken`. After an end, KVM's machine and its memory stay until the process ends.
    ///
    /// # Errors
    ///
    /// A thread can't be made, or a disk that does not answer prevents a reset.
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
        // Before the guest can enable the power button.
        link.runs(self.devices.attached().clone());
        let exit =
            self.begin(link, debugger).and_then(|()| self.obey(link, reboots, debugger, taken, origin));
        self.drop_migration("the guest has ended, or was reset", link);
        link.halts();
        // First, so that no vCPU holds a device that the main thread has to release.
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
            // nvmm is ending: the kernel takes down both together with the process, at half the cost of doing it one after the other.
            mem::forget((Arc::clone(&self.vm), self.memory.clone()));
        }
        if !busy.is_empty() {
            // Dropping the devices would wait for their workers, which keep guest memory.
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

    /// Lets the vCPUs run, unless the machine has to be stopped at first. The user may have asked nvmm to end meanwhile: [`Machine::obey`]
    /// handles that.
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
            // Otherwise the machine before a reset was running.
            if link.state() != RunState::Running {
                link.changed(Change::Resume);
            }
        }
        Ok(())
    }

    /// Stops the virtio devices. Returns the names of those that are still busy after the longest wait. That is longer before a reset,
    /// which a slow disk should survive, unless the user asks nvmm to end.
    fn stop_devices(&self, resets: bool, link: &Link) -> Vec<String> {
        let asked = Instant::now();
        stop_in_time(resets, |time| self.devices.stop(time), || asked.elapsed(), || link.end_is_asked())
    }
}

/// Calls `stop` repeatedly to stop devices, until none is busy or the longest wait is over, given the time that has `elapsed`.
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

/// Reports the end of a machine's run, by its cause.
fn tell_end(by: Cause, panicked: bool, resets: bool, link: &Link) {
    if panicked {
        let action = if resets { PanicAction::Run } else { PanicAction::Poweroff };
        link.changed(Change::Panicked { action });
    }
    link.changed(if resets { Change::Reset { by } } else { Change::Shutdown { by } });
}

/// Refuses more vCPUs, or larger APIC ids, than KVM supports.
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

/// The reason why the CPU is not possible here, with the option that asked for it.
fn refusal(config: &VmConfig, error: CpuError) -> anyhow::Error {
    let asked = match error {
        CpuError::NoNesting => format!("--nested on: nesting is {}", host::describe_nesting(&Nesting::None)),
        _ => format!("--cpu {}", config.cpu),
    };
    anyhow::Error::from(error).context(asked)
}

/// The memory map, if the guest's physical addresses suffice for it.
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
