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
use vm_memory::{Bytes, GuestMemoryBackend, GuestMemoryRegion};

use super::{manifest::Manifest, memory::Part, origin::InputFile, vcpu::Around, vm::KvmState};
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

/// A snapshot given to `--restore`.
#[derive(Clone, Debug)]
pub struct Snapshot {
    path: PathBuf,
    manifest: Manifest,
}

/// A machine to be continued here, which fits this host: a snapshot with its files open, or a machine received from another nvmm.
#[derive(Debug)]
pub struct Restored {
    pub(crate) manifest: Manifest,
    memory: Memory,
    state: State,
    shown: String,
}

/// The memory of a machine to be continued.
#[derive(Debug)]
enum Memory {
    /// The memory is in a snapshot's file at this path.
    Saved { path: PathBuf, file: File, how: RestoreMemory },
    /// The memory was received from another nvmm.
    Received(Received),
}

/// Memory received from another nvmm.
#[derive(Debug)]
pub(crate) struct Received {
    /// Guest RAM.
    pub(crate) ram: GuestRam,
    /// Devices' memory, by their names.
    pub(crate) others: BTreeMap<String, Vec<u8>>,
}

impl Snapshot {
    /// Reads a snapshot's manifest.
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

    /// The description of the machine.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The command line of the restored machine: the saved options combined with those of `line`. Both begin with the program's name.
    ///
    /// # Errors
    ///
    /// Some options can't be changed; the error lists all of them.
    pub fn command_line(&self, line: &[OsString]) -> Result<Vec<OsString>, Vec<String>> {
        self.manifest.command_line(line)
    }

    /// Opens its files, and checks that this host can continue the machine, as far as possible before devices are open.
    ///
    /// # Errors
    ///
    /// The snapshot is damaged, or needs another host; the message says which.
    pub fn open(self, how: RestoreMemory) -> Result<Restored> {
        let Self { path, manifest } = self;
        let shown = path.printable().to_string();
        manifest.check_nested().context(shown.clone())?;
        let state = manifest.read_state(&path)?;
        let state = serde_json::from_slice(&state)
            .with_context(|| format!("{shown}: this nvmm can't read its state"))?;
        let file = manifest.memory.open(&path)?;
        let memory = Memory::Saved { path: path.join(super::files::MEMORY), file, how };
        Ok(Restored { manifest, memory, state, shown })
    }
}

impl Restored {
    /// A machine received from another nvmm, which messages call `shown`.
    pub(crate) fn received(manifest: Manifest, state: State, memory: Received, shown: String) -> Self {
        Self { manifest, memory: Memory::Received(memory), state, shown }
    }

    /// Checks that this host can provide the guest's CPU, which is then decided again from [`Restored::cpu_host`].
    ///
    /// # Errors
    ///
    /// The host can't; the error names everything that it lacks.
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
    /// The CPUs differ.
    pub(crate) fn check_cpu(&self, cpu: &CpuProfile) -> Result<()> {
        self.manifest.check_cpu(cpu).with_context(|| self.shown.clone())
    }

    /// The guest's RAM.
    ///
    /// # Errors
    ///
    /// The host has too little memory, the layout differs from the snapshot's, or the snapshot is damaged.
    pub(crate) fn ram(&self, map: &MemoryMap, config: &MemoryConfig) -> Result<GuestRam> {
        let layout = &self.manifest.memory;
        let (file, how) = match &self.memory {
            Memory::Saved { file, how, .. } => (file, how),
            Memory::Received(Received { ram, .. }) => {
                let places = ram.iter().map(|region| (region.start_addr(), region.len()));
                if !places.eq(map.ram.iter().map(|&(base, len)| (base, len as u64))) {
                    bail!("{}: this nvmm lays out the guest's memory in another way", self.shown);
                }
                return Ok(ram.clone());
            }
        };
        if *how == RestoreMemory::Map {
            if config.hugepages {
                bail!(
                    "--restore-memory map: the guest's memory is in huge pages, and a file's are small; use copy"
                );
            }
            let ram = memory::map_file(map, file, |address, len| layout.place_of_ram(address, len));
            return ram.with_context(|| self.shown.clone());
        }
        let ram = memory::map(map, config)?;
        layout.read(&super::memory::ram(&ram), file).with_context(|| self.shown.clone())?;
        Ok(ram)
    }

    /// Sets the state of a newly built machine: KVM's, and the devices' with their memory.
    ///
    /// # Errors
    ///
    /// A part of it doesn't fit the machine.
    pub(crate) fn give<'a>(
        &self,
        around: Around<'_>,
        vcpus: impl ExactSizeIterator<Item = &'a VcpuFd>,
        memory: &GuestRam,
        devices: &Devices,
    ) -> Result<()> {
        self.state.kvm.give(around, vcpus, memory).with_context(|| self.shown.clone())?;
        let parts = super::memory::of_devices(devices.memories());
        match &self.memory {
            Memory::Saved { file, .. } => self.manifest.memory.read(&parts, file),
            Memory::Received(received) => received.give(&parts),
        }
        .with_context(|| self.shown.clone())?;
        devices.load(&self.state.devices).with_context(|| self.shown.clone())?;
        // A machine that is moved keeps its identity.
        if let Memory::Saved { .. } = self.memory {
            devices.begin_generation();
        }
        Ok(())
    }

    /// Checks that everything the machine was made from is the same on this host.
    ///
    /// # Errors
    ///
    /// Something has changed.
    pub fn check(
        &self,
        config: &VmConfig,
        payload: &Payload,
        devices: &[Box<dyn OpenDevice>],
        files: &[InputFile],
    ) -> Result<()> {
        self.manifest.check_origin(config, payload, devices, files).with_context(|| self.shown.clone())
    }

    /// The file of its memory, if it is in one; the file may be mapped.
    #[must_use]
    pub fn memory_path(&self) -> Option<&Path> {
        match &self.memory {
            Memory::Saved { path, .. } => Some(path),
            Memory::Received(_) => None,
        }
    }

    /// The directory to which relative paths in its options refer, if it differs from this process's.
    #[must_use]
    pub fn other_folder(&self, here: &Path) -> Option<&Path> {
        Some(self.manifest.folder.as_path()).filter(|folder| *folder != here)
    }

    /// The host on which its CPU was decided.
    #[must_use]
    pub fn cpu_host(&self) -> &HostCpu {
        &self.manifest.cpu.host
    }
}

impl Received {
    /// Copies the devices' memory to them.
    fn give(&self, parts: &[Part]) -> Result<()> {
        for Part { name, memory, .. } in parts {
            let bytes = memory.bytes()?;
            let received = self.others.get(name).filter(|received| received.len() == bytes.len());
            bytes.write_slice(received.with_context(|| format!("no memory of {name} has come"))?, 0)?;
        }
        Ok(())
    }
}
