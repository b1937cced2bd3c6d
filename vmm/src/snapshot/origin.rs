//! The origin of a machine: everything outside of KVM and the devices that its snapshot describes.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, bail};
use arch::cpu::{feature::FeatureId, host::HostCpu, profile::CpuProfile};
use devices::printable::ToPrintable;

use super::{
    disks,
    manifest::{CpuRecord, DiskRecord, FORMAT, FileRecord, Manifest, Sum},
    memory::MemoryLayout,
    msrs::Values,
    options::Options,
    vm::KvmState,
};
use crate::{
    blocks::BlockFacts,
    board::OpenDevice,
    config::{CdromConfig, VmConfig},
    host::Host,
    networks::NetworkFacts,
    payload::Payload,
};

/// Everything from which a machine was made.
#[derive(Debug)]
pub struct Origin<'a> {
    /// The words of the command line.
    pub words: &'a [OsString],
    /// The directory in which nvmm was started.
    pub folder: &'a Path,
    /// KVM, and the host on which the guest's CPU was decided. That may be another host if the machine comes from a snapshot.
    pub host: &'a Host,
    /// The parsed options.
    pub config: &'a VmConfig,
    /// The software that the machine started with.
    pub payload: &'a Payload,
    /// The devices on the host.
    pub devices: &'a [Box<dyn OpenDevice>],
    /// The files that options read, as they were at that time.
    pub files: &'a [InputFile],
}

/// A file that an option read when nvmm started, and that a restored machine reads again.
#[derive(Clone, Debug)]
pub struct InputFile(FileRecord);

/// Records the files that options have read, except for those that are not regular files.
#[must_use]
pub fn input_files(config: &VmConfig) -> Vec<InputFile> {
    let files = config.read.iter().filter_map(|(option, path)| {
        let found = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
        let sum = Sum::of(&fs::read(path).ok().filter(|bytes| bytes.len() as u64 == found.len())?);
        Some(InputFile(FileRecord { option: (*option).to_owned(), path: path.clone(), sum }))
    });
    files.collect()
}

impl Origin<'_> {
    /// Records the disks.
    pub(crate) fn disks(&self) -> Result<Vec<DiskRecord>> {
        disks::record(self.config, self.devices)
    }

    /// The manifest of a machine whose other files are written; without `kvm`, the manifest of a running machine.
    pub(crate) fn manifest(
        &self,
        cpu: &CpuProfile,
        kvm: Option<&KvmState>,
        state: &[u8],
        memory: MemoryLayout,
    ) -> Result<Manifest> {
        let mut options = Options::of_line(self.words).context("the command line")?.without_run();
        for (number, network) in self.facts(|host| host.network()).iter().enumerate() {
            let NetworkFacts { mac, .. } = network;
            options.keep_mac(number, &mac.to_string());
        }
        let disks = self.facts(|host| host.block());
        if let Some(BlockFacts { inserted, .. }) = disks.iter().find(|disk| disk.name == CdromConfig::NAME) {
            let medium = inserted.as_ref().map_or("none".into(), |image| image.path.clone().into_os_string());
            options.keep_medium(medium);
        }
        let vcpus = kvm.map_or(&[][..], KvmState::vcpus);
        let nested = (0..).zip(vcpus).filter(|(_, vcpu)| vcpu.has_nested_guest());
        let saved = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        Ok(Manifest {
            format: FORMAT,
            nvmm: env!("CARGO_PKG_VERSION").to_owned(),
            kernel: kernel_release(),
            saved,
            folder: self.folder.to_owned(),
            options,
            cpu: self.cpu(cpu),
            nested_guests: nested.map(|(number, _)| number).collect(),
            disks: self.disks()?,
            files: self.files.iter().map(|file| file.0.clone()).collect(),
            rom: rom(self.payload)?,
            state: Sum::of(state),
            memory,
        })
    }

    fn facts<T>(&self, of: impl Fn(&dyn crate::board::HostSide) -> Option<T>) -> Vec<T> {
        self.devices.iter().filter_map(|device| of(device.host_side()?)).collect()
    }

    fn cpu(&self, cpu: &CpuProfile) -> CpuRecord {
        CpuRecord { vcpus: self.config.topology.vcpus(), host: self.host.cpu.clone(), ..record(cpu) }
    }
}

/// The CPU's description in a snapshot, without its host.
pub(super) fn record(cpu: &CpuProfile) -> CpuRecord {
    CpuRecord {
        vcpus: 0,
        spec: cpu.canonical().to_string(),
        brand: cpu.brand(),
        features: cpu.features().iter().map(FeatureId::name).map(str::to_owned).collect(),
        cpuid: cpu.leaves(0),
        msrs: Values(cpu.capability_msrs().clone()),
        host: HostCpu::default(),
    }
}

impl Manifest {
    /// Checks that the CPU that follows from the options is the guest's CPU.
    ///
    /// # Errors
    ///
    /// The CPUs differ, as another version of nvmm computes another CPU.
    pub(crate) fn check_cpu(&self, cpu: &CpuProfile) -> Result<()> {
        let (saved, now) = (&self.cpu, record(cpu));
        if (&saved.cpuid, &saved.msrs) != (&now.cpuid, &now.msrs) {
            bail!(
                "this nvmm {} makes another CPU of these options than nvmm {}, which saved the machine: restore it with that one",
                env!("CARGO_PKG_VERSION"),
                self.nvmm
            );
        }
        Ok(())
    }

    /// Checks that everything the machine was made from is the same on this host.
    ///
    /// # Errors
    ///
    /// The disks, the firmware, or files that are read again differ from those of the saved machine.
    pub(crate) fn check_origin(
        &self,
        config: &VmConfig,
        payload: &Payload,
        devices: &[Box<dyn OpenDevice>],
        files: &[InputFile],
    ) -> Result<()> {
        for FileRecord { option, path, sum } in &self.files {
            let now = files.iter().find(|file| file.0.option == *option && file.0.path == *path);
            if now.is_none_or(|now| now.0.sum != *sum) {
                bail!(
                    "{option} {}: the file has changed since the machine was saved; put it back as it was",
                    path.printable()
                );
            }
        }
        if rom(payload)? != self.rom {
            bail!("the firmware is another than the guest started with; give that one, with --firmware PATH");
        }
        disks::check(&self.disks, config, devices)
    }

    /// Checks that nested guests continue under the KVM that wrote their state.
    ///
    /// # Errors
    ///
    /// The host's kernel is another one, and the snapshot has nested guests.
    pub(crate) fn check_nested(&self) -> Result<()> {
        let here = kernel_release();
        if self.nested_guests.is_empty() || here == self.kernel {
            return Ok(());
        }
        let vcpus: Vec<_> = self.nested_guests.iter().map(ToString::to_string).collect();
        bail!(
            "the guest has a guest of its own on vCPU {}, whose state only the KVM of Linux {} is sure to take up, and this is Linux {here}: \
             restore it there, or save it while no nested guest runs",
            vcpus.join(", "),
            self.kernel
        )
    }
}

/// The checksum of the firmware's ROM.
fn rom(payload: &Payload) -> Result<Option<Sum>> {
    let Some(rom) = payload.rom() else { return Ok(None) };
    let pages = rom.as_volatile_slice();
    let mut bytes = vec![0; pages.len()];
    vm_memory::Bytes::read_slice(&pages, &mut bytes, 0)?;
    Ok(Some(Sum::of(&bytes)))
}

/// The release of the host's kernel.
pub(crate) fn kernel_release() -> String {
    rustix::system::uname().release().to_string_lossy().into_owned()
}

/// The directory that nvmm runs in; empty if it is gone.
#[must_use]
pub fn folder() -> PathBuf {
    std::env::current_dir().unwrap_or_default()
}
