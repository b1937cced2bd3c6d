//! Snapshots with wrong values and correct checksums: they are refused, or only the guest suffers.
//!
//! `NVMM_DAMAGES` is the number of damages to try for each file (20), `NVMM_SEED` the seed for their values.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Write,
    os::unix::{fs::FileExt, process::ExitStatusExt},
    process::Stdio,
    thread,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::{
    damage::{change, places},
    load::{Random, number},
    saved::Saved,
    support::{Running, no_kvm},
};

/// The bytes of memory covered by one checksum.
const PIECE: usize = 2 << 20;

/// A snapshot, and the contents of its files when it was saved.
struct Original {
    saved: Saved,
    machine: Value,
    state: Value,
    random: Random,
    _disks: tempfile::TempDir,
}

impl Original {
    /// Saves a machine with devices of many kinds.
    fn new() -> Self {
        let disks = tempfile::tempdir().unwrap();
        let disk = |name: &str| {
            let path = disks.path().join(name);
            fs::write(&path, vec![0xa5; 1 << 20]).unwrap();
            format!("path={},format=raw", path.display())
        };
        let (virtio, sata) = (disk("virtio"), disk("sata") + ",bus=sata");
        let vsock = format!("cid=77,uds={}", disks.path().join("vsock").display());
        let disk_options = ["--disk", &virtio, "--disk", &sata, "--vsock", &vsock];
        let more = ["--display", "vga", "--balloon", "--on-panic", "exit", "--smp", "2"];
        let saved = Saved::new(&[&disk_options[..], &more].concat());
        let read = |name| serde_json::from_slice(&fs::read(saved.path().join(name)).unwrap()).unwrap();
        let (machine, state) = (read("machine.json"), read("state.json"));
        Self { saved, machine, state, random: Random(number("NVMM_SEED", 1)), _disks: disks }
    }

    /// Damages `value` in up to three places, and returns these.
    fn damage(&mut self, value: &mut Value) -> Vec<String> {
        let damaged = (0..=self.random.below(3)).map(|_| {
            let places = places(value);
            let place = &places[usize::try_from(self.random.below(places.len() as u64)).unwrap()];
            change(value.pointer_mut(place).unwrap(), self.random.below(u64::MAX));
            place.clone()
        });
        damaged.collect()
    }

    /// Writes both files, with their checksums.
    fn write(&self, mut machine: Value, state: &Value) {
        let state = state.to_string();
        fs::write(self.saved.path().join("state.json"), &state).unwrap();
        if let Some(members) = machine.as_object_mut() {
            members.remove("crc32");
            let sum = json!({"len": state.len(), "crc32": crc32fast::hash(state.as_bytes())});
            members.entry("state").and_modify(|old| *old = sum);
        }
        let text = serde_json::to_string_pretty(&machine).unwrap() + "\n";
        let rest = text.strip_prefix("{\n").unwrap();
        let sum = crc32fast::hash(rest.as_bytes());
        let text = format!("{{\n  \"crc32\": \"{sum:08x}\",\n{rest}");
        fs::write(self.saved.path().join("machine.json"), text).unwrap();
    }

    /// Restores the machine, asks the guest to end, and checks that nvmm ends cleanly. Returns a description of the outcome. The wait for a
    /// guest that doesn't end is short.
    fn restore(&self, damaged: &[String]) -> &'static str {
        let said = self.saved.folder.path().join("said");
        let mut command = self.saved.command(&[]);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(File::create(&said).unwrap());
        let mut machine = Running::start(&mut command);
        // An nvmm that refuses the snapshot doesn't read.
        let _ = machine.0.stdin.as_mut().unwrap().write_all(b"q");
        let mut ended = false;
        let patience = if damaged.is_empty() { 6000 } else { 30 };
        for _ in 0..patience {
            ended = machine.0.try_wait().unwrap().is_some();
            if ended {
                break;
            }
            thread::sleep(Duration::from_millis(10));
        }
        if !ended {
            kill_process(Pid::from_child(&machine.0), Signal::INT).unwrap();
        }
        let status = machine.status_in_time();
        let said = fs::read_to_string(said).unwrap();
        let what = format!("{damaged:?}: {status:?}: {said}");
        assert!(!said.contains("panicked at") && !said.contains("its sandbox does not allow"), "{what}");
        // On a busy host the signal may arrive before nvmm listens to it.
        if !ended && machine.0.try_wait().unwrap().unwrap().signal() == Some(Signal::INT.as_raw()) {
            return "did not hear";
        }
        let status = status.unwrap_or_else(|| panic!("a signal ended nvmm: {what}"));
        assert!(status % 2 == 1 || [0, 2, 4, 6, 8, 10, 12, 130].contains(&status), "{what}");
        match status {
            // The guest's own exit status is also 1.
            1 if said.is_empty() => "went on, and ended by itself",
            1 | 2 => {
                assert!(said.starts_with("nvmm: "), "{what}");
                "was refused"
            }
            130 => "did not hear",
            _ => "broke",
        }
    }
}

/// Tries damages, and prints their outcomes.
fn try_all(mut damage: impl FnMut(&mut Original) -> Vec<String>) {
    if no_kvm() {
        return;
    }
    let mut original = Original::new();
    assert_eq!(original.restore(&[]), "went on, and ended by itself");
    let mut ends = BTreeMap::<_, u32>::new();
    for _ in 0..number("NVMM_DAMAGES", 20) {
        let damaged = damage(&mut original);
        *ends.entry(original.restore(&damaged)).or_default() += 1;
    }
    println!("of the machines, so many {ends:?}");
}

#[test]
fn other_values_in_machine_json_do_no_harm() {
    try_all(|original| {
        let mut machine = original.machine.clone();
        let damaged = original.damage(&mut machine);
        original.write(machine, &original.state);
        damaged
    });
}

#[test]
fn other_states_do_no_harm() {
    try_all(|original| {
        let mut state = original.state.clone();
        let damaged = original.damage(&mut state);
        original.write(original.machine.clone(), &state);
        damaged
    });
}

/// Damages one value of KVM's or of a device's at a time, so that none masks another.
#[test]
fn other_values_of_kvms_do_no_harm() {
    try_all(|original| {
        let mut state = original.state.clone();
        let vcpu = &mut state["kvm"]["vcpus"][0];
        let places = places(vcpu);
        let place = &places[usize::try_from(original.random.below(places.len() as u64)).unwrap()];
        // Change digits, but not the length.
        change(vcpu.pointer_mut(place).unwrap(), original.random.below(u64::MAX) | 2);
        let damaged = vec![place.clone()];
        original.write(original.machine.clone(), &state);
        damaged
    });
}

#[test]
fn other_memory_is_the_guests_trouble() {
    try_all(|original| {
        let path = original.saved.path().join("memory");
        let file = File::options().read(true).write(true).open(path).unwrap();
        let mut machine = original.machine.clone();
        let pieces = machine["memory"]["regions"][0]["crc32"].as_array_mut().unwrap();
        let mut damaged = Vec::new();
        for (at, sum) in pieces.iter_mut().enumerate().filter(|(_, sum)| !sum.is_null()) {
            let mut piece = vec![0; PIECE];
            file.read_exact_at(&mut piece, (at * PIECE) as u64).unwrap();
            let used: Vec<_> = (0..PIECE).filter(|&byte| piece[byte] != 0).collect();
            let byte = used[usize::try_from(original.random.below(used.len() as u64)).unwrap()];
            piece[byte] = u8::try_from(original.random.below(256)).unwrap();
            damaged.push(format!("{:#x} of memory", at * PIECE + byte));
            file.write_all_at(&piece, (at * PIECE) as u64).unwrap();
            *sum = crc32fast::hash(&piece).into();
        }
        original.machine = machine.clone();
        original.write(machine, &original.state);
        damaged
    });
}
