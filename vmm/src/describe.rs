//! A description of the machine for `--dry-run`, which is made from the built machine, not from the options.

mod disk;
mod firmware;
mod network;

use std::fmt;

use arch::{
    boot::{E820Type, Protocol},
    cpu::{patch::Decision, topology::Topology},
    layout,
};
use devices::{pci::Decoded, printable::ToPrintable};
use serde::Serialize;

pub use self::{disk::DiskDescription, firmware::FirmwareDescription, network::NetworkDescription};
use crate::{
    board::{self, At, Placed},
    config::{KernelConfig, VmConfig},
    host,
    machine::Machine,
    payload::Payload,
    size::Size,
};

/// A machine in words.
#[derive(Debug, Serialize)]
pub struct Description {
    kernel: Option<Kernel>,
    firmware: Option<FirmwareDescription>,
    memory: Vec<Range>,
    devices: Vec<DeviceDescription>,
    disks: Vec<DiskDescription>,
    networks: Vec<NetworkDescription>,
    cpu: Cpu,
}

#[derive(Debug, Serialize)]
struct Kernel {
    path: String,
    /// The boot protocol, or that firmware loads it.
    protocol: &'static str,
    /// The entry point; none if the firmware chooses it.
    entry: Option<u64>,
    initramfs_path: Option<String>,
    initramfs: Option<Range>,
    cmdline: String,
}

#[derive(Debug, Serialize)]
struct Range {
    start: u64,
    size: u64,
    kind: String,
}

#[derive(Debug, Serialize)]
struct DeviceDescription {
    name: String,
    /// PCI address, or the first I/O port.
    at: String,
    bars: Vec<Bar>,
    gsi: Option<u32>,
    backend: Option<String>,
}

#[derive(Debug, Serialize)]
struct Bar {
    /// The number of its register.
    index: u8,
    start: u64,
    size: u64,
    kind: String,
}

#[derive(Debug, Serialize)]
struct Cpu {
    spec: String,
    brand: String,
    vcpus: u32,
    topology: Topology,
    apic_ids: Vec<u32>,
    nesting: String,
    decisions: Vec<Decision>,
}

impl Description {
    /// Describes `machine`, built from `config` with `devices`.
    #[must_use]
    pub fn new(
        config: &VmConfig,
        payload: &Payload,
        machine: &Machine,
        devices: &[Box<dyn board::OpenDevice>],
    ) -> Self {
        let firmware = match payload {
            Payload::Kernel(_) => None,
            Payload::Firmware(firmware) => Some(FirmwareDescription::new(firmware, config, machine)),
        };
        Self {
            kernel: kernel(config, machine),
            memory: memory(machine, firmware.as_ref()),
            firmware,
            devices: self::devices(machine),
            disks: devices.iter().filter_map(|device| device.disk()).collect(),
            networks: devices.iter().filter_map(|device| device.network()).collect(),
            cpu: Cpu {
                spec: config.cpu.to_string(),
                brand: machine.cpu.brand(),
                vcpus: config.topology.vcpus(),
                topology: config.topology,
                apic_ids: (0..config.topology.vcpus()).map(|vcpu| machine.cpu.apic_id(vcpu)).collect(),
                nesting: host::describe_nesting(machine.cpu.nesting()),
                decisions: machine.cpu.decisions().to_vec(),
            },
        }
    }
}

/// The kernel, unless a boot loader finds one.
fn kernel(config: &VmConfig, machine: &Machine) -> Option<Kernel> {
    let KernelConfig { path, initramfs, cmdline } = config.start.kernel()?;
    let loaded = machine.kernel.as_ref();
    Some(Kernel {
        path: path.to_string_lossy().into_owned(),
        protocol: match loaded.map(|kernel| kernel.entry.protocol) {
            Some(Protocol::Linux64) => "Linux 64-bit",
            Some(Protocol::Pvh) => "PVH",
            None => "loaded by firmware",
        },
        entry: loaded.map(|kernel| kernel.entry.rip),
        initramfs_path: initramfs.as_ref().map(|path| path.to_string_lossy().into_owned()),
        initramfs: loaded.and_then(|kernel| kernel.initramfs.as_ref()).map(|range| Range {
            start: range.start,
            size: range.end - range.start,
            kind: "initramfs".to_owned(),
        }),
        cmdline: cmdline.clone(),
    })
}

/// The memory map for the guest, and the addresses of devices in it.
fn memory(machine: &Machine, firmware: Option<&FirmwareDescription>) -> Vec<Range> {
    let told = machine.map.e820.iter().map(|entry| Range {
        start: entry.addr,
        size: entry.size,
        kind: match entry.kind {
            E820Type::Reserved => format!("{} (reserved)", entry.name),
            E820Type::Ram | E820Type::Acpi => entry.name.to_owned(),
        },
    });
    // Firmware has placed nothing yet.
    let in_windows = if firmware.is_some() { "PCI BARs and configuration space (ECAM)" } else { "PCI BARs" };
    let pci_mmio = machine.devices.pci_windows().into_iter().map(|window| (in_windows, window));
    let pci_mmio64 = machine.devices.pci_mmio64().map(|window| ("64-bit PCI BARs", window));
    let chips = firmware.into_iter().flat_map(FirmwareDescription::ranges);
    let windows = layout::KVM_REGISTERS.into_iter().chain(pci_mmio).chain(pci_mmio64).chain(chips);
    let windows = windows.map(|(name, range)| Range {
        start: range.start,
        size: range.end - range.start,
        kind: name.to_owned(),
    });
    let mut ranges: Vec<_> = told.chain(windows).collect();
    ranges.sort_by_key(|range| range.start);
    ranges
}

fn devices(machine: &Machine) -> Vec<DeviceDescription> {
    let inventory = machine.devices.inventory().into_iter();
    let device = inventory.map(|Placed { name, at, gsi, backend, .. }| DeviceDescription {
        name,
        bars: match &at {
            At::Pci { bars, .. } => bars.iter().map(Bar::new).collect(),
            At::Ports(_) => Vec::new(),
        },
        at: at.to_string(),
        gsi,
        backend,
    });
    device.collect()
}

impl Bar {
    fn new(Decoded { bar, base }: &Decoded) -> Self {
        Self { index: bar.index(), start: *base, size: bar.size(), kind: bar.space().to_string() }
    }
}

impl fmt::Display for Bar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { index, start, size, .. } = self;
        match start {
            // Firmware will place it.
            0 => write!(f, "BAR {index} ({}) ", Size(*size)),
            _ => write!(f, "BAR {index} {start:#x} ({}) ", Size(*size)),
        }
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let last = self.start + (self.size.max(1) - 1);
        write!(f, "{:#014x}-{last:#014x}  {}  ({})", self.start, self.kind, Size(self.size))
    }
}

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(Kernel { path, protocol, entry, initramfs_path, initramfs, cmdline }) = &self.kernel {
            let (path, cmdline) = (path.printable(), cmdline.printable());
            writeln!(f, "Kernel\n  {path}")?;
            match entry {
                Some(entry) => writeln!(f, "  {protocol} protocol, entry at {entry:#x}")?,
                None => writeln!(f, "  {protocol}")?,
            }
            match (initramfs, initramfs_path) {
                (Some(range), _) => writeln!(f, "  {range}")?,
                (None, Some(path)) => writeln!(f, "  initramfs: {}", path.printable())?,
                (None, None) => {}
            }
            writeln!(f, "  command line: {cmdline}")?;
        }
        if let Some(firmware) = &self.firmware {
            write!(f, "{firmware}")?;
        }
        writeln!(f, "\nMemory")?;
        for range in &self.memory {
            writeln!(f, "  {range}")?;
        }
        writeln!(f, "\nDevices")?;
        for DeviceDescription { name, at, bars, gsi, backend } in &self.devices {
            let gsi = gsi.map_or(String::new(), |gsi| format!("GSI {gsi}"));
            let bars: String = bars.iter().map(ToString::to_string).collect();
            let line = format!(
                "  {at:<12} {name:<26} {gsi:<7} {bars}{}",
                backend.as_deref().unwrap_or_default().printable()
            );
            writeln!(f, "{}", line.trim_end())?;
        }
        if !self.disks.is_empty() {
            writeln!(f, "\nDisks")?;
            self.disks.iter().try_for_each(|disk| write!(f, "{disk}"))?;
        }
        if !self.networks.is_empty() {
            writeln!(f, "\nNetwork")?;
            self.networks.iter().try_for_each(|network| write!(f, "{network}"))?;
        }
        let Cpu { spec, brand, vcpus, topology, nesting, decisions, .. } = &self.cpu;
        let brand = brand.printable();
        writeln!(f, "\nCPU\n  {vcpus} x {spec}: {brand}\n  {topology}\n  nesting: {nesting}")?;
        decisions.iter().try_for_each(|decision| writeln!(f, "  {decision}"))
    }
}
