use std::collections::{BTreeMap, BTreeSet};

use super::cells::disk;
use super::summary;
use super::words::{LONGEST, escape, plain, short_cpu, shortened, thousands};
use crate::nest::exec::outcome::ProgramRecord;
use crate::nest::facts::Facts;
use crate::nest::record::{
    CheckRecord, DiskRecord, FailureKind, LevelRecord, Record, Status, THIS_MACHINE, Verdict,
};

fn facts(nesting: &str, features: &str) -> Facts {
    Facts {
        kernel: "6.1.0-56-cloud-amd64".into(),
        cpu: "Intel(R) Xeon(R) Platinum 8375C CPU @ 2.90GHz".into(),
        nesting: nesting.into(),
        hypervisor: "KVMKVMKVM".into(),
        features: features.split(' ').map(str::to_owned).collect(),
    }
}

fn exits(counts: &[(&str, u64)]) -> BTreeMap<String, u64> {
    counts.iter().map(|&(name, count)| (name.to_owned(), count)).collect()
}

/// Two levels on a real host; the second passed.
pub(super) fn passed() -> Record {
    let host = LevelRecord {
        up: Some(0.0),
        first_entry: Some(0.4),
        facts: Some(facts("VMX EPT", "ept fpu vmx vmx-ept vmx-pml vmx-vpid")),
        exits: exits(&[
            ("exits", 146_200),
            ("io_exits", 80_000),
            ("mmio_exits", 900),
            ("halt_exits", 3000),
            ("irq_exits", 0),
            ("nested_run", 51_234),
        ]),
        status: Status::Passed,
        ..LevelRecord::not_reached(0, "this machine")
    };
    let first = LevelRecord {
        started: Some(0.2),
        up: Some(1.4),
        kvm_loaded: Some(1.6),
        first_entry: Some(2.1),
        passed: Some(4.5),
        facts: Some(facts("VMX EPT", "ept fpu hypervisor vmx vmx-ept vmx-vpid")),
        disk: Some(DiskRecord { bytes: 8 << 20, read_seconds: 0.01, write_seconds: 0.02, verified: true }),
        check: Some(CheckRecord {
            kvm: Some(true),
            nested: Some(true),
            warnings: vec!["nested-state".into()],
        }),
        exits: exits(&[("exits", 90_001), ("io_exits", 70_000), ("halt_exits", 12)]),
        status: Status::Passed,
        ..LevelRecord::not_reached(1, "nvmm on KVM")
    };
    let second = LevelRecord {
        started: Some(1.9),
        up: Some(3.5),
        passed: Some(4.1),
        facts: Some(facts("", "ept fpu hypervisor vmx vmx-ept vmx-vpid")),
        disk: Some(DiskRecord { bytes: 8 << 20, read_seconds: 0.02, write_seconds: 0.0, verified: true }),
        status: Status::Passed,
        ..LevelRecord::not_reached(2, "nvmm on KVM")
    };
    Record {
        version: "0.1.0".into(),
        wanted: 2,
        host: THIS_MACHINE.into(),
        seconds: 4.6,
        verdict: Verdict::Passed,
        program: None,
        levels: vec![host, first, second],
    }
}

/// The same, explained.
pub(super) fn explained() -> Record {
    let mut record = passed();
    let by_tracepoints = serde_json::json!({
        "work": "cpuid", "measured": 1932, "exits": 6.2,
        "reasons": [
            { "level": 1, "reason": "vmload", "exits": 2.0 },
            { "level": 2, "reason": "cpuid", "exits": 1.0 },
            { "level": 1, "reason": "vmrun", "exits": 1.0 },
        ],
        "places": [{
            "address": "0xffffffffc03b3dc9", "function": "__svm_vcpu_run+0x99 [kvm_amd]", "reason": "vmrun", "exits": 1.0,
        }],
        "msrs": [{ "number": 0x1d9, "write": false, "times": 1.0 }, { "number": 0x777, "write": true, "times": 0.1 }],
        "ports": [{ "number": 0x3f8, "write": true, "times": 0.1 }],
        "parameters": { "vls": "0" },
        "advice": [{
            "exits": 2.0,
            "text": "level 0's CPU has no <virtual> VMLOAD, so that each is an exit of its own, and no kernel can help that",
        }],
    });
    let mut ports = by_tracepoints.clone();
    ports["work"] = "ports".into();
    record.levels[0].costs = [by_tracepoints, ports].map(|cost| serde_json::from_value(cost).unwrap()).into();
    record.levels[1].untraced = Some("tracefs:\npermission denied".into());
    record
}

/// Three levels on an emulated host; the second's kernel panicked.
pub(super) fn failed() -> Record {
    let mut record = passed();
    record.wanted = 3;
    record.host = "QEMU TCG".into();
    record.seconds = 60.0;
    record.verdict = Verdict::Failed {
        level: 2,
        kind: FailureKind::KernelDidNotStart,
        why: "timed out before its kernel ran /init <\"&'>".into(),
        console: vec![
            "[    1.0] Kernel panic - not syncing: \x1b[31m<no> init & \"so\"".into(),
            "]]>".into(),
        ],
    };
    let [host, first, second] = record.levels.as_mut_slice() else { panic!("three levels") };
    host.run_by = "QEMU TCG".into();
    host.started = Some(0.0);
    host.up = Some(0.3);
    (host.status, host.passed) = (Status::Failed, None);
    (first.status, first.passed) = (Status::Failed, None);
    *second = LevelRecord {
        started: Some(2.0),
        status: Status::Failed,
        ..LevelRecord::not_reached(2, "nvmm on KVM")
    };
    record.levels.push(LevelRecord::not_reached(3, "nvmm on KVM"));
    record
}

/// The same two levels, and a program at the second that failed.
pub(super) fn program() -> Record {
    let mut record = passed();
    record.verdict = Verdict::Failed {
        level: 2,
        kind: FailureKind::Program,
        why: "my<test> ended with status 3".into(),
        console: vec!["not ok 1".into()],
    };
    (record.levels[2].passed, record.levels[2].status) = (None, Status::Failed);
    record.program = Some(ProgramRecord {
        name: "my<test>".into(),
        arguments: vec![],
        started: Some(3.6),
        ended: Some(4.1),
        status: Some(3),
        signal: None,
        bytes: 2_000_023,
        lost: 0,
        output: "1..1\nnot ok 1 <&> \x1b[31m".into(),
    });
    record
}

/// A host that can't nest.
pub(super) fn skipped() -> Record {
    let mut record = passed();
    record.seconds = 0.1;
    record.verdict = Verdict::Skipped { why: "kvm_intel.nested is N".into() };
    record.levels.truncate(1);
    for level in &mut record.levels {
        (level.status, level.first_entry, level.exits) = (Status::Skipped, None, BTreeMap::new());
    }
    record
}

#[test]
fn a_run_in_a_line() {
    assert_eq!(summary(&passed()), "2 levels passed in 4.6 s");
    assert_eq!(summary(&failed()), "level 2 of 3 failed after 60.0 s: the kernel did not start");
    let why = "this machine's KVM can't nest: none (neither kvm_intel nor kvm_amd is loaded); --emulated svm makes one that can";
    let skipped = Record { verdict: Verdict::Skipped { why: format!("{why}\r") }, ..skipped() };
    assert_eq!(summary(&skipped), format!("2 levels skipped: {why} "));
}

#[test]
fn a_program_in_a_line() {
    let mut record = program();
    let line = |record: &Record| super::program::line(record).unwrap();
    assert_eq!(line(&record), "my<test> at level 2: status 3 after 0.5 s, 2,000,023 bytes of output");
    assert_eq!(summary(&record), "level 2 of 2 failed after 4.6 s: the program failed");
    let program = record.program.as_mut().unwrap();
    (program.status, program.signal, program.lost) = (None, Some("SIGSEGV".into()), 1000);
    assert_eq!(
        line(&record),
        "my<test> at level 2: SIGSEGV after 0.5 s, 2,000,023 bytes of output, 1,000 of them lost"
    );
    let program = record.program.as_mut().unwrap();
    (program.signal, program.ended, program.bytes) = (None, None, 0);
    assert_eq!(line(&record), "my<test> at level 2: did not end");
    record.program.as_mut().unwrap().started = None;
    assert_eq!(line(&record), "my<test> at level 2: not started");
    assert_eq!(super::program::line(&passed()), None);
}

#[test]
fn a_program_may_skip_itself() {
    let mut record = program();
    record.verdict = Verdict::Skipped { why: "my<test> ended with status 77".into() };
    assert_eq!(summary(&record), "skipped after 4.6 s: my<test> ended with status 77");
}

#[test]
fn rates_are_shown_only_where_the_clock_is_real() {
    let mut record = passed();
    let check = DiskRecord { bytes: 8_000_000, read_seconds: 0.01, write_seconds: 0.02, verified: true };
    assert_eq!(disk(&record, 1, &check), "800/400 MB/s");
    assert_eq!(disk(&record, 1, &DiskRecord { write_seconds: 0.0, ..check }), "ok");
    record.host = "Bochs".into();
    assert_eq!(disk(&record, 1, &check), "ok");
}

#[test]
fn a_disk_is_at_fault_only_if_it_differs() {
    let check = DiskRecord { bytes: 8_000_000, read_seconds: 0.01, write_seconds: 0.02, verified: false };
    let mut record = program();
    assert_eq!(disk(&record, 2, &check), "not compared");
    record.verdict = Verdict::Skipped { why: "my<test> ended with status 77".into() };
    assert_eq!(disk(&record, 2, &check), "not compared");
    record.verdict = Verdict::Failed {
        level: 2,
        kind: FailureKind::Disk,
        why: "its disk holds ...".into(),
        console: vec![],
    };
    assert_eq!([disk(&record, 1, &check), disk(&record, 2, &check)], ["not compared", "differs"]);
}

#[test]
fn numbers_and_names_are_short() {
    let numbers = [0, 999, 1000, 123_456, 1_234_567, u64::MAX].map(thousands);
    assert_eq!(numbers, ["0", "999", "1,000", "123,456", "1,234,567", "18,446,744,073,709,551,615"]);
    let names = [
        ("Intel(R) Xeon(R) Platinum 8375C CPU @ 2.90GHz", "Intel Xeon Platinum 8375C"),
        ("AMD EPYC 7763 64-Core Processor", "AMD EPYC 7763"),
        ("Intel(R) Core(TM) i7-4770K CPU @ 3.50GHz", "Intel Core i7-4770K"),
        ("QEMU Virtual CPU version 2.5+", "QEMU Virtual version 2.5+"),
        (" ", "-"),
    ];
    for (name, short) in names {
        assert_eq!(short_cpu(name), short);
    }
    assert_eq!(shortened("abcdef", 4), "abc…");
    assert_eq!(shortened("abcd", 4), "abcd");
}

#[test]
fn text_from_a_level_can_break_neither_terminal_nor_markup() {
    assert_eq!(plain("a\x1b[2J\nb"), "a [2J b");
    assert_eq!(plain(&"x".repeat(1000)).chars().count(), LONGEST);
    assert_eq!(
        escape("<a href=\"'&\">\u{1b}\u{ffff}\u{0}\n"),
        "&lt;a href=&quot;&#39;&amp;&quot;&gt;\u{fffd}\u{fffd}\u{fffd}\n"
    );
}

/// The path of every key in a JSON value, except those below `exits`, whose keys are KVM's.
fn paths(value: &serde_json::Value, path: &str, found: &mut BTreeSet<String>) {
    match value {
        serde_json::Value::Object(object)
            if !["exits", "parameters"].iter().any(|map| path.ends_with(map)) =>
        {
            for (key, value) in object {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                found.insert(path.clone());
                paths(value, &path, found);
            }
        }
        serde_json::Value::Array(list) => {
            list.iter().for_each(|value| paths(value, &format!("{path}[]"), found));
        }
        _ => {}
    }
}

#[test]
fn the_manual_has_every_key_of_the_json() {
    let page = include_str!("../../../../resources/manual/nest.md");
    let (_, table) = page.split_once("| key of a run | value |\n").unwrap();
    let rows = table.lines().take_while(|line| line.starts_with('|')).skip(1);
    let keys = rows.flat_map(|row| row.split('|').nth(1).unwrap().split('`').skip(1).step_by(2));
    let told: BTreeSet<_> = keys.map(str::to_owned).collect();
    let mut found = BTreeSet::new();
    for record in [passed(), failed(), skipped(), program(), explained()] {
        paths(&serde_json::to_value(record).unwrap(), "", &mut found);
    }
    // Objects with keys are represented by their keys.
    let is_inner = |path: &String| {
        let keys = [format!("{path}."), format!("{path}[].")];
        found.iter().any(|other| keys.iter().any(|keys| other.starts_with(keys)))
    };
    let found: BTreeSet<_> = found.iter().filter(|path| !is_inner(path)).cloned().collect();
    assert_eq!(told, found);

    for kind in [
        FailureKind::KernelDidNotStart,
        FailureKind::NoAccess,
        FailureKind::KvmDidNotLoad,
        FailureKind::NoNesting,
        FailureKind::EntryFailed,
        FailureKind::NotOnKvm,
        FailureKind::CpuDiffers,
        FailureKind::Disk,
        FailureKind::Program,
        FailureKind::Vmm,
        FailureKind::TimedOut,
        FailureKind::Ended,
    ] {
        let word = serde_json::to_string(&kind).unwrap().replace('"', "`");
        assert!(table.contains(&word), "{word}");
    }
}
