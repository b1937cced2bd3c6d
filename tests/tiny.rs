//! Tiny guests on any /dev/kvm: the whole VMM with a few instructions in it.
#![expect(unsafe_code, reason = "a child process gets a limit of its own before it starts")]

#[path = "support/mod.rs"]
mod support;

use std::{collections::BTreeSet, fs, os::unix::process::CommandExt, path::Path, process::Stdio};

use arch::cpu::{profile::CpuProfile, spec::CpuSpec, topology::Topology};

use rustix::process::{Resource, Rlimit, setrlimit};
use support::{Running, expect, guest, no_kvm, nvmm, run};
use vmm::host::Host;

fn stdout(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn power_off_is_status_0() {
    if no_kvm() {
        return;
    }
    let output = run("power_off", &[]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(stderr(&output), "");
}

#[test]
fn port_accesses_keep_their_size_and_the_debug_exit_its_value() {
    if no_kvm() {
        return;
    }
    let output = run("hello", &[]);
    assert_eq!(output.status.code(), Some(21 << 1 | 1), "{}", stderr(&output));
    let expected = "string\nsingle\nscratch 3\nline status 60\nline status 60\nline status 60\nline status 60\nnothing ff ffff ffffffff\nno memory ffffffffffffffff\n";
    assert_eq!(stdout(&output), expected);
}

#[test]
fn cpuid_is_as_planned() {
    if no_kvm() {
        return;
    }
    let output = run("cpuid", &["--smp", "3"]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let host = Host::open(Path::new("/dev/kvm")).unwrap();
    let topology = Topology::flat(3).unwrap();
    let plan = CpuProfile::resolve(&host.cpu, &CpuSpec::default(), &topology).unwrap();
    let mut seen = BTreeSet::new();
    for line in stdout(&output).lines() {
        let words: Vec<_> = line.split(' ').map(|word| u32::from_str_radix(word, 16).unwrap()).collect();
        let &[function, index, eax, ebx, ecx, edx] = words.as_slice() else { panic!("{line}") };
        // KVM answers for functions that there are not with another's leaf; subleaves that are not planned are zero.
        seen.insert(function);
        let planned = plan
            .cpuid(0)
            .into_iter()
            .find(|entry| entry.function == function && (entry.flags == 0 || entry.index == index));
        let Some(planned) = planned else { continue };
        // Leaf 0xD follows XCR0.
        let live = function == 0xd;
        for (name, planned, read) in [
            ("EAX", planned.eax, eax),
            ("EBX", planned.ebx, ebx),
            ("ECX", planned.ecx, ecx),
            ("EDX", planned.edx, edx),
        ] {
            // A KVM in software shows what the processor has beyond what it offers; it never takes away, but for 5-level paging.
            let missing = planned & !read & !if function == 7 { 1 << 16 } else { 0 };
            assert!(
                live || missing == 0,
                "CPUID.({function:#x},{index}):{name} is {read:#x}, planned {planned:#x}"
            );
        }
    }
    assert!(
        [0, 1, 4, 7, 0xb, 0x4000_0000, 0x8000_0008].iter().all(|function| seen.contains(function)),
        "{seen:x?}"
    );
}

#[test]
fn serial_goes_where_it_is_told() {
    if no_kvm() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("serial");
    let output = run("hello", &["--serial", &format!("file={}", file.display())]);
    assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(43), ""));
    assert!(fs::read_to_string(file).unwrap().starts_with("string\nsingle\n"));
    let output = run("hello", &["--serial", "null"]);
    assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(43), ""));
}

#[test]
fn a_triple_fault_is_reported() {
    if no_kvm() {
        return;
    }
    let output = run("triple_fault", &[]);
    assert_eq!(output.status.code(), Some(4));
    let report = stderr(&output);
    assert!(
        report.starts_with("nvmm: the guest met a triple fault (KVM_EXIT_SHUTDOWN)\n  vCPU 0   RIP 0x"),
        "{report}"
    );
    for part in ["CR0 0x", "CR3 0x", "CR4 0x", "EFER 0x", "bytes at RIP:"] {
        assert!(report.contains(part), "{part}: {report}");
    }
}

#[test]
fn reboot_resets_the_machine_or_ends_it() {
    if no_kvm() {
        return;
    }
    for way in ["acpi", "keyboard"] {
        let output = run("reboot", &["--cmdline", way, "--on-reboot", "exit"]);
        assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(0), "boot\n"), "{way}");
        let mut command = nvmm();
        command.arg("--kernel").arg(guest("reboot")).args(["--cmdline", way, "--memory", "16M"]);
        let mut child = Running::start(command.stdout(Stdio::piped()));
        let mut stdout = child.0.stdout.take().unwrap();
        for _ in 0..5 {
            assert_eq!(expect(&mut stdout, "\n"), "boot\n", "{way}");
        }
    }
}

#[test]
fn a_disk_that_fails_fails_the_request_and_nothing_else() {
    if no_kvm() {
        return;
    }
    const LIMIT: u64 = 512 * 512;
    let folder = tempfile::tempdir().unwrap();
    let disk = folder.path().join("disk");
    fs::write(&disk, vec![0; 1 << 20]).unwrap();
    let mut command = nvmm();
    command.arg("--kernel").arg(guest("blk_write")).args(["--debug-exit", "0xf4", "--memory", "16M"]);
    command.arg("--disk").arg(&disk);
    // The host refuses to write past this: as good as a full or a broken one.
    let limit = || {
        let limit = Rlimit { current: Some(LIMIT), maximum: Some(LIMIT) };
        Ok(setrlimit(Resource::Fsize, limit)?)
    };
    // SAFETY: one system call between fork and exec.
    unsafe { command.pre_exec(limit) };
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert_eq!(stdout(&output), "near 0\nfar 1\nnear again 0\nflush 0\nread far 0\n");
    let report = stderr(&output);
    assert_eq!(report.lines().count(), 1, "{report}");
    assert!(report.contains(disk.to_str().unwrap()) && report.contains("File too large"), "{report}");
    let content = fs::read(&disk).unwrap();
    assert_eq!((&content[512..520], &content[1024 * 512..1024 * 512 + 8]), (&b"written!"[..], &[0; 8][..]));
}

#[test]
fn random_accesses_never_stop_the_vmm() {
    if no_kvm() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let disk = folder.path().join("disk");
    fs::write(&disk, vec![0; 1 << 20]).unwrap();
    let disk = disk.to_str().unwrap();
    let output = run(
        "random_io",
        &["--disk", &format!("{disk},readonly=on"), "--disk", &format!("{disk},readonly=on")],
    );
    assert_eq!(output.status.code(), Some(1), "{}{}", stdout(&output), stderr(&output));
    assert!(stdout(&output).ends_with("done 2710\n"), "{}", stdout(&output));
}

#[test]
fn a_hostile_driver_only_breaks_its_own_device() {
    if no_kvm() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let disk = folder.path().join("disk");
    let mut content = b"NVMMDISK".to_vec();
    content.resize(1 << 20, 0);
    fs::write(&disk, &content).unwrap();
    let output = run("blk_hostile", &["--disk", disk.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1), "{}{}", stdout(&output), stderr(&output));
    assert_eq!(stdout(&output).matches(": needs reset").count(), 12, "{}", stdout(&output));
    assert_eq!(fs::read(disk).unwrap(), content);
}
