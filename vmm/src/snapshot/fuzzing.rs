//! Snapshots with correct checksums and arbitrary values.

use std::{ffi::OsString, fs::File, path::PathBuf, sync::LazyLock};

use arch::{
    boot,
    cpu::{lacking::Lacking, profile::CpuProfile},
    memory::GuestRam,
};
use tempfile::TempDir;
use vm_memory::GuestAddress;

use super::{
    disks,
    files::MEMORY,
    info::Report,
    manifest::{FORMAT, Manifest},
    memory::ram,
    options::Options,
    restored::{Snapshot, State},
    vm::keep_wall_clocks,
};
use crate::config::VmConfig;

/// The most memory that is read. The file consists of holes.
const MOST: u64 = 64 << 20;

static FOLDER: LazyLock<TempDir> = LazyLock::new(|| TempDir::new().expect("there is a place for it"));

/// The snapshot of a `machine.json` without its checksum, if it can be read. Also builds the report of `nvmm snapshot info`.
pub(crate) fn machine(data: &[u8]) -> Option<Snapshot> {
    let manifest: Manifest = serde_json::from_slice(data).ok()?;
    let value = |manifest: &Manifest| serde_json::to_value(manifest).expect("it came from there");
    let text = String::from_utf8(manifest.to_bytes().expect("it can be written")).expect("JSON is text");
    match Manifest::parse(&text) {
        Ok(again) => assert_eq!(value(&again), value(&manifest)),
        Err(error) => assert_ne!(manifest.format, FORMAT, "{error:#}"),
    }
    let lacking = Lacking::new(&manifest.cpu.host);
    let lacking =
        lacking.map(|host| host.of_cpu(&manifest.cpu.features, &manifest.cpu.cpuid, &manifest.cpu.msrs.0));
    let report = Report::new(manifest.clone(), lacking.unwrap_or_default());
    assert!(!report.text().is_empty() && serde_json::to_value(&report).is_ok());
    drop(manifest.check_nested());
    Some(Snapshot::new(PathBuf::from("snap"), manifest))
}

/// Performs the steps of building the machine from a snapshot that come before KVM.
pub(crate) fn build(snapshot: &Snapshot, config: &VmConfig) {
    let manifest = snapshot.manifest();
    drop(disks::check(&manifest.disks, config, &[]));
    if let Ok(cpu) = CpuProfile::resolve(&manifest.cpu.host, &config.cpu, &config.topology) {
        drop(manifest.check_cpu(&cpu));
    }
    let layout = &manifest.memory;
    let file = File::create(FOLDER.path().join(MEMORY)).expect("there is a place for it");
    file.set_len(layout.len().min(MOST)).expect("it is all hole");
    let Ok(file) = layout.open(FOLDER.path()) else { return };
    drop(layout.check(&file));
    let map = boot::memory_map(config.memory.size.0).ok().filter(|map| map.end() <= MOST);
    let Some(memory) = map.and_then(|map| GuestRam::from_ranges(&map.ram).ok()) else { return };
    let parts = ram(&memory);
    for part in &parts {
        let len = part.memory.bytes().expect("it is memory").len() as u64;
        if let Ok(place) = layout.place_of_ram(part.address.unwrap_or_default(), len) {
            assert!(place + len <= layout.len(), "a page of the mapping is missing");
        }
    }
    drop(layout.read(&parts, &file));
}

/// Saves the options of a parsed command line, and builds a command line from them again, both without other options and combined with the
/// same ones.
pub(crate) fn keep(words: &[OsString]) {
    let Ok(options) = Options::of_line(words) else { return };
    let kept = options.clone().without_run();
    let text = serde_json::to_string(&kept).expect("it can be written");
    let read: Options = serde_json::from_str(&text).expect("it is as it was");
    assert_eq!(read, kept);
    let program = OsString::from("nvmm");
    let line: Vec<_> = [program].into_iter().chain(kept.words()).collect();
    assert_eq!(Options::of_line(&line).ok(), Some(kept.clone()), "{line:?}");
    // Options that are not about the host are refused.
    match kept.restored_by(&options) {
        Ok(words) => drop(words),
        Err(lines) => assert!(!lines.is_empty()),
    }
}

/// Reads a `state.json`, as far as possible without KVM and devices.
///
/// # Panics
///
/// A state reads back differently from how it was written.
pub fn snapshot_state(data: &[u8]) {
    let Ok(state) = serde_json::from_slice::<State>(data) else { return };
    let value = serde_json::to_value(&state).expect("it came from there");
    let again: State = serde_json::from_value(value.clone()).expect("it is as it was");
    assert_eq!(serde_json::to_value(&again).expect("it came from there"), value);
    let memory = GuestRam::from_ranges(&[(GuestAddress(0), 0x1000)]).expect("a page");
    for vcpu in state.kvm.vcpus() {
        assert!(!(vcpu.has_nested_guest() && vcpu.is_idle()));
        drop(keep_wall_clocks(vcpu, &memory, || Ok(())));
    }
}
