//! A snapshot that a machine is restored from.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs::File,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use arch::{
    boot::MemoryMap,
    cpu::{host::HostCpu, profile::CpuProfile},
    memory::GuestRam,
};
use devices::{printable::ToPrintable, state::DeviceState};
use kvm_ioctls::VcpuFd;
use serde::{Deserialize, Serialize};

use super::{manifest::Manifest, options::Options, origin::InputFile, vcpu::Around, vm::KvmState};
use crate::{
    args::RestoreMemory,
    board::{Devices, OpenDevice},
    config::{MemoryConfig, VmConfig},
    memory,
    payload::Payload,
};

/// The contents of `state.json`.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct State {
    pub(crate) kvm: KvmState,
    pub(crate) devices: BTreeMap<String, DeviceState>,
}

/// A snapshot as `--restore` names it.
#[derive(Clone, Debug)]
pub struct Snapshot {
    path: PathBuf,
    manifest: Manifest,
}

/// A snapshot that fits this host, with its files open.
#[derive(Debug)]
pub struct Restored {
    pub(crate) manifest: Manifest,
    pub(crate) memory: File,
    pub(crate) how: RestoreMemory,
    pub(crate) state: State,
    path: PathBuf,
    shown: String,
}

impl Snapshot {
    /// Reads what the snapshot is of.
    ///
    /// # Errors
    ///
    /// There is none, or it is damaged.
    pub fn read(path: &Path) -> Result<Self> {
        Ok(Self { path: path.to_owned(), manifest: Manifest::read(path)? })
    }

    /// A snapshot whose manifest was read.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) fn new(path: PathBuf, manifest: Manifest) -> Self {
        Self { path, manifest }
    }

    /// What it is of.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The command line of the restored machine, by the options that were saved and those of this `line`, both with the program's name.
    ///
    /// # Errors
    ///
    /// Options can't be changed; all of them, in lines.
    pub fn command_line(&self, line: &[OsString]) -> Result<Vec<OsString>, Vec<String>> {
        let given = Options::of_line(line).map_err(|error| vec![error.to_string()])?;
        let words = self.manifest.options.restored_by(&given)?;
        Ok(line.iter().take(1).cloned().chain(words).collect())
    }

    /// The directory where relative paths of the saved options begin, if that is another than where those of this process do.
    #[must_use]
    pub fn other_folder(&self, here: &Path) -> Option<&Path> {
        Some(self.manifest.folder.as_path()).filter(|folder| *folder != here)
    }

    /// Opens its files, and checks that this host can take up the machine, as far as that shows before devices are open.
    ///
    /// # Errors
    ///
    /// It is damaged, or needs another host; the message says which.
    pub fn open(self, how: RestoreMemory) -> Result<Restored> {
        let Self { path, manifest } = self;
        let shown = path.printable().to_string();
        manifest.check_nested().context(shown.clone())?;
        let state = manifest.read_state(&path)?;
        let state = serde_json::from_slice(&state)
            .with_context(|| format!("{shown}: this nvmm can't read its state"))?;
        let memory = manifest.memory.open(&path)?;
        Ok(Restored { manifest, memory, how, state, path, shown })
    }
}

impl Restored {
    /// Checks that this host can give the guest the CPU that it had, which is decided on by the [`Restored::cpu_host`] again.
    ///
    /// # Errors
    ///
    /// It can't; what it lacks is named, all at once.
    pub fn check_host(&self, host: &HostCpu) -> Result<()> {
        let lacking = self.manifest.cpu.lacking_on(host)?;
        if !lacking.is_empty() {
            bail!("{}: this host lacks what the guest's CPU has: {}", self.shown, lacking.join(", "));
        }
        Ok(())
    }

    /// Checks that a CPU is the one that the guest had.
    ///
    /// # Errors
    ///
    /// It is another.
    pub(crate) fn check_cpu(&self, cpu: &CpuProfile) -> Result<()> {
        self.manifest.check_cpu(cpu).with_context(|| self.shown.clone())
    }

    /// The guest's RAM.
    ///
    /// # Errors
    ///
    /// The host has no memory, or the snapshot has other memory or is damaged.
    pub(crate) fn ram(&self, map: &MemoryMap, config: &MemoryConfig) -> Result<GuestRam> {
        let layout = &self.manifest.memory;
        if self.how == RestoreMemory::Map {
            if config.hugepages {
                bail!(
                    "--restore-memory map: the guest's memory is in huge pages, and a file's are small; use copy"
                );
            }
            let ram = memory::map_file(map, &self.memory, |address, len| layout.place_of_ram(address, len));
            return ram.with_context(|| self.shown.clone());
        }
        let ram = memory::map(map, config)?;
        layout.read(&super::memory::ram(&ram), &self.memory).with_context(|| self.shown.clone())?;
        Ok(ram)
    }

    /// Gives the state to a machine that is built: to KVM, and to the devices with the memory of their own.
    ///
    /// # Errors
    ///
    /// A part of it does not fit.
    pub(crate) fn give<'a>(
        &self,
        around: Around<'_>,
        vcpus: impl ExactSizeIterator<Item = &'a VcpuFd>,
        memory: &GuestRam,
        devices: &Devices,
    ) -> Result<()> {
        self.state.kvm.give(around, vcpus, memory).with_context(|| self.shown.clone())?;
        let parts = super::memory::of_devices(devices.memories());
        self.manifest.memory.read(&parts, &self.memory).with_context(|| self.shown.clone())?;
        devices.load(&self.state.devices).with_context(|| self.shown.clone())?;
        devices.begin_generation();
        Ok(())
    }

    /// Checks what the machine is made of on this host.
    ///
    /// # Errors
    ///
    /// Something is not as it was.
    pub fn check(
        &self,
        config: &VmConfig,
        payload: &Payload,
        devices: &[Box<dyn OpenDevice>],
        files: &[InputFile],
    ) -> Result<()> {
        self.manifest.check_origin(config, payload, devices, files).with_context(|| self.shown.clone())
    }

    /// The file of its memory, which may be mapped.
    #[must_use]
    pub fn memory_path(&self) -> PathBuf {
        self.path.join(super::files::MEMORY)
    }

    /// The host that its CPU was decided on.
    #[must_use]
    pub fn cpu_host(&self) -> &HostCpu {
        &self.manifest.cpu.host
    }
}
