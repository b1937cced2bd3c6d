//! The whole machine: how it is put together, and how it runs.

mod disks;

use std::{
    io::{self, Write},
    mem,
    os::fd::AsRawFd,
    panic::{self, AssertUnwindSafe},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use arch::{
    acpi,
    boot::{self, BootInfo, MemoryMap, Protocol},
    cpu::{CpuError, nesting::Nesting, profile::CpuProfile, topology::Topology},
    layout,
};
use devices::{
    bus::Bus,
    pci::{ConfigPorts, Ecam, PciRoot},
    platform::{DebugExit, I8042, PowerManagement, Serial},
    virtio::{device::VirtioDevice, pci::VirtioPci},
};
use kvm_ioctls::VmFd;
use thiserror::Error;
use vmm_sys_util::eventfd::EventFd;

pub use self::disks::{Disks, OpenDisk, OpenDiskError};
use crate::{
    buses::{Buses, Doorbells},
    config::VmConfig,
    exit::Exit,
    host::{self, Host},
    kernel::{Kernel, Payload},
    kick,
    link::{Attached, Command, Event, Link},
    memory::Memory,
    reboots::Reboots,
    size::Size,
    stats::{self, Counters, Stats},
    vcpu::Vcpu,
    vm::Vm,
};

/// How long nvmm's end waits for requests that the host does not end, as on network storage that is away.
const END_PATIENCE: Duration = Duration::from_secs(2);
/// How long the machine's reset waits for them.
const RESET_PATIENCE: Duration = Duration::from_secs(60);

/// A limit of the host that the command line goes over.
#[derive(Debug, Error)]
pub enum LimitError {
    /// `--smp`.
    #[error("--smp {given}: this host's KVM takes at most {max} vCPUs")]
    Vcpus {
        /// How many were asked for.
        given: u32,
        /// How many there can be.
        max: usize,
    },
    /// `--smp`, where uneven counts leave APIC ids out.
    #[error("--smp: the last APIC id of {given} would be {id}, and this host's KVM takes them up to {max}")]
    ApicId {
        /// What was asked for.
        given: Topology,
        /// Its greatest id.
        id: usize,
        /// KVM's.
        max: usize,
    },
    /// `--memory`.
    #[error("--memory: {given} is more than the guest's processors address, which is {} in all; give less, or more of phys-bits in --cpu", Size(1 << .width))]
    Memory {
        /// How much was asked for.
        given: Size,
        /// Bits of a physical address.
        width: u32,
    },
}

/// A machine that is ready to run.
///
/// The fields are dropped in order: whatever reaches into guest memory goes before the memory.
#[derive(Debug)]
pub struct Machine {
    vcpus: Vec<Vcpu>,
    serial: Arc<Mutex<Serial>>,
    power: Arc<Mutex<PowerManagement>>,
    disks: Disks,
    buses: Arc<Buses>,
    /// The guest's CPU, and why it is as it is.
    pub cpu: CpuProfile,
    /// Where RAM is.
    pub map: MemoryMap,
    /// The kernel in it.
    pub kernel: Kernel,
    vm: Arc<VmFd>,
    memory: Memory,
}

impl Machine {
    /// Builds the machine.
    ///
    /// # Errors
    ///
    /// A limit of the host, a kernel that does not load, or an ioctl that KVM refuses.
    ///
    /// `sink` is where COM1 writes.
    pub fn build(
        host: &Host,
        config: &VmConfig,
        payload: &Payload,
        disks: &[OpenDisk],
        sink: Box<dyn Write + Send>,
    ) -> Result<Self, anyhow::Error> {
        let topology = config.topology;
        check_vcpus(host, &topology)?;
        let cpu =
            CpuProfile::resolve(&host.cpu, &config.cpu, &topology).map_err(|error| refusal(config, error))?;
        let map = memory_map(&cpu, config.memory.size)?;
        let memory = Memory::new(&map, &config.memory)?;
        let kernel = payload.load(memory.guest(), &config.cmdline)?;

        let apic_ids: Vec<_> = (0..topology.vcpus()).map(|vcpu| cpu.apic_id(vcpu)).collect();
        let vm = Vm::new(host, memory.guest(), topology.max_apic_id())?;
        if !cpu.pmu() {
            vm.disable_pmu()?;
        }
        let (pio, mmio, doorbells) = (Bus::default(), Bus::default(), Doorbells::new(Arc::clone(&vm.fd)));

        let serial = shared(Serial::new(vm.line(layout::COM1_GSI), sink)?);
        pio.insert(layout::COM1.into(), Serial::LEN, serial.clone())?;
        let power = shared(PowerManagement::new(vm.line(layout::SCI_GSI)));
        pio.insert(layout::PM1A_EVENT.into(), PowerManagement::LEN, power.clone())?;
        pio.insert(layout::I8042.into(), I8042::LEN, shared(I8042))?;
        let mut pci = PciRoot::new();
        let mut attached = Disks::default();
        for (slot, disk) in (1..).zip(disks) {
            let bar = layout::PCI_MMIO + u64::from(slot - 1) * u64::from(VirtioPci::BAR_SIZE);
            let function = shared(virtio_disk(slot, bar, disk, &vm, &memory)?);
            doorbells.insert(bar, notifiers(&lock(&function))?)?;
            mmio.insert(bar, VirtioPci::BAR_SIZE.into(), function.clone())?;
            pci.insert(slot, function.clone())?;
            attached.push(disk, function);
        }
        let pci = Arc::new(pci);
        pio.insert(layout::PCI_CONFIG.into(), ConfigPorts::LEN, shared(ConfigPorts::new(Arc::clone(&pci))))?;
        mmio.insert(layout::ECAM, layout::ECAM_LEN, shared(Ecam::new(Arc::clone(&pci))))?;
        // The last, so that it is the one in the way.
        if let Some(port) = config.debug_exit {
            insert_debug_exit(&pio, port).with_context(|| format!("--debug-exit {port:#x}"))?;
        }

        let com1 = acpi::IsaDevice {
            name: *b"COM1",
            hid: acpi::HardwareId::Eisa("PNP0501"),
            uid: 0,
            ports: layout::COM1..layout::COM1 + 8,
            gsi: Some(layout::COM1_GSI),
        };
        let hardware = acpi::Hardware { apic_ids, isa: vec![com1], pm_timer: false };
        let rsdp = acpi::write(memory.guest(), &hardware)?;
        let info = BootInfo { map: &map, initrd: kernel.initramfs.clone(), rsdp };
        match kernel.entry.protocol {
            Protocol::Linux64 => boot::linux64(memory.guest(), kernel.header, &info)?,
            Protocol::Pvh => boot::pvh(memory.guest(), &info)?,
        }
        kernel.entry.write_tables(memory.guest())?;

        let vcpus = (0..topology.vcpus())
            .map(|id| Vcpu::new(&vm, id, &cpu, &kernel.entry))
            .collect::<Result<_, _>>()?;
        let buses = Arc::new(Buses { pio, mmio, pci, doorbells, stop: AtomicBool::new(false) });
        Ok(Self { vcpus, serial, power, disks: attached, buses, cpu, map, kernel, vm: vm.fd, memory })
    }

    /// What is on the PCI bus.
    #[must_use]
    pub fn pci(&self) -> &PciRoot {
        &self.buses.pci
    }

    /// Runs the machine until it stops, and leaves no thread behind. Returns how it ended, or nothing if `reboots` has it built again,
    /// and, with `count`, what KVM counted: reading that costs a few system calls for each vCPU. After an end, KVM's machine and its memory
    /// stay until the process ends.
    ///
    /// # Errors
    ///
    /// A thread can't be made, or a disk that does not answer is in the way of a reset.
    pub fn run(
        mut self,
        link: &Link,
        reboots: &mut Reboots,
        count: bool,
    ) -> anyhow::Result<(Option<Exit>, Option<Stats>)> {
        kick::init()?;
        let start = Instant::now();
        let mut threads = Vec::new();
        let wakeup = lock(&self.serial).wakeup().as_raw_fd();
        // The user may have asked for the end while it was built: then `obey` hears of it.
        let started = if link.end_is_asked() { Ok(()) } else { self.start(link, count, &mut threads) };
        link.runs(Attached { serial: Arc::clone(&self.serial), wakeup, power: Arc::clone(&self.power) });
        let exit = started.map(|()| self.obey(link));
        link.stops();

        self.buses.stop.store(true, Ordering::SeqCst);
        threads.iter().for_each(kick::kick);
        // A vCPU's panic was caught in its thread.
        let vcpus = threads.into_iter().filter_map(|thread| thread.join().ok().flatten()).collect();
        let vm = if count { stats::of(&*self.vm) } else { None };
        let exit = exit.map_err(anyhow::Error::from);
        let exit = exit.and_then(|exit| exit.context("the machine ended without a reason"));
        let exit = exit.map(|exit| reboots.after(exit, start.elapsed()));
        let resets = matches!(exit, Ok(None));
        let busy = self.stop_disks(resets, link);
        if !resets {
            // nvmm ends: with the process, the kernel takes both down at once, at half the cost of one after the other.
            mem::forget((Arc::clone(&self.vm), self.memory.guest().clone()));
        }
        if !busy.is_empty() {
            // What they are at may still reach into guest memory, which has to stay.
            mem::forget(self);
        }
        let exit = match (exit?, busy.first()) {
            (None, Some(disk)) => Some(link.gone().with_context(|| {
                format!(
                    "the machine can't be reset: disk {disk} is still busy with a request; see to its storage"
                )
            })?),
            (exit, Some(disk)) => {
                log::warn!("disk {disk}: its last requests did not end, and are not waited for");
                exit
            }
            (exit, None) => exit,
        };
        Ok((exit, vm.map(|vm| Stats { vm, vcpus })))
    }

    /// Does what the main thread asks for until a vCPU or the user ends the machine; the first reason counts.
    fn obey(&self, link: &Link) -> Option<Exit> {
        loop {
            match link.next()? {
                Event::Exit(exit) | Event::Command(Command::Quit(exit)) => return Some(exit),
                Event::Command(Command::Totals) => self.disks.print_totals(),
                Event::Command(Command::Measure) => self.disks.measure(),
            }
        }
    }

    /// Stops the disks. Returns the names of those that are still busy after all patience: more of it before a reset,
    /// which a slow disk should survive, unless the user asks for the end.
    fn stop_disks(&self, resets: bool, link: &Link) -> Vec<String> {
        let asked = Instant::now();
        let patience = if resets { RESET_PATIENCE } else { END_PATIENCE };
        loop {
            let busy = self.disks.stop(Duration::from_millis(100));
            if busy.is_empty() || asked.elapsed() >= patience || resets && link.end_is_asked() {
                return busy;
            }
        }
    }

    fn start(&mut self, link: &Link, count: bool, threads: &mut Vec<VcpuThread>) -> io::Result<()> {
        for mut vcpu in mem::take(&mut self.vcpus) {
            let (exits, buses) = (link.exits(), Arc::clone(&self.buses));
            let memory = self.memory.guest().clone();
            let thread = thread::Builder::new().name(format!("vcpu{}", vcpu.id));
            threads.push(thread.spawn(move || {
                let id = vcpu.id;
                let run = panic::catch_unwind(AssertUnwindSafe(|| vcpu.run(&buses, &memory)));
                let panicked = |_| Some(Exit::Failed(anyhow::anyhow!("the thread of vCPU {id} panicked")));
                if let Some(exit) = run.unwrap_or_else(panicked) {
                    // Nobody waits for it: the machine stops for another reason.
                    let _ = exits.send(Event::Exit(exit));
                }
                if count { vcpu.stats() } else { None }
            })?);
        }
        Ok(())
    }
}

/// A vCPU's thread; at its end it has what KVM counted, if that was asked for.
type VcpuThread = JoinHandle<Option<Counters>>;

fn insert_debug_exit(pio: &Bus, port: u16) -> anyhow::Result<()> {
    let ports = port..port.saturating_add(u16::try_from(DebugExit::LEN)?);
    if layout::KVM_PORTS.iter().any(|kvms| kvms.start < ports.end && ports.start < kvms.end) {
        bail!("KVM's own interrupt controllers and timer are there; give another port, such as 0xf4");
    }
    Ok(pio.insert(port.into(), DebugExit::LEN, shared(DebugExit))?)
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
fn memory_map(cpu: &CpuProfile, size: Size) -> anyhow::Result<MemoryMap> {
    let map = boot::memory_map(size.0).context("--memory")?;
    let width = cpu.physical_address_width();
    let end = map.e820.iter().map(|entry| entry.addr + entry.size).max().unwrap_or_default();
    if end > 1 << width {
        return Err(LimitError::Memory { given: size, width }.into());
    }
    Ok(map)
}

fn shared<T>(device: T) -> Arc<Mutex<T>> {
    Arc::new(Mutex::new(device))
}

fn lock<T>(device: &Mutex<T>) -> MutexGuard<'_, T> {
    device.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A virtio-blk function with one MSI-X vector for each queue and one for its configuration.
fn virtio_disk(slot: u8, bar: u64, disk: &OpenDisk, vm: &Vm, memory: &Memory) -> anyhow::Result<VirtioPci> {
    let block = disk.device();
    let vectors = (0..=block.queue_sizes().len()).map(|_| vm.msi()).collect();
    let line = vm.line(layout::pci_intx_gsi(slot));
    let bar = u32::try_from(bar)?;
    Ok(VirtioPci::new(slot, bar, Box::new(block), memory.guest().clone(), line, vectors)?)
}

/// The doorbells of a function's queues, as the kernel shall ring them.
fn notifiers(function: &VirtioPci) -> io::Result<Vec<(u64, EventFd)>> {
    function.notifiers().map(|(offset, event)| Ok((offset, event.try_clone()?))).collect()
}
