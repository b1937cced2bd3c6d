//! Tiny guests on any /dev/kvm: the whole VMM with guests of a few instructions.
#![expect(unsafe_code, reason = "a child process gets a limit of its own before it starts")]

#[path = "support/mod.rs"]
mod support;

#[path = "support/cpuid.rs"]
mod cpuid;
#[path = "support/nesting.rs"]
mod nesting;

use std::{fs, io::Write, os::unix::process::CommandExt, path::Path, process::Stdio};

use arch::{
    boot,
    cpu::{msr, nesting::Nesting, profile::CpuProfile, spec::CpuSpec, topology::Topology},
};

use cpuid::Cpu;
use rustix::process::{Resource, Rlimit, setrlimit};
use support::{Running, expect, guest, no_kvm, nvmm, run};
use vmm::{host::Host, stats::Stats};

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
fn a_guest_finds_what_the_machine_calls_itself() {
    if no_kvm() {
        return;
    }
    let version = env!("CARGO_PKG_VERSION");
    for (args, expected) in [
        (&[][..], format!("{:032}\nnvmm\nKVM Virtual Machine\n{version}\n", 0)),
        (
            &["-uuid", "00112233-4455-6677-8899-AABBCCDDEEFF", "-smbios", "type=1,product=Anvil,serial=7"][..],
            format!("33221100554477668899aabbccddeeff\nnvmm\nAnvil\n{version}\n7\n"),
        ),
    ] {
        let output = run("smbios", args);
        assert_eq!(output.status.code(), Some(21 << 1 | 1), "{}", stderr(&output));
        assert_eq!(stdout(&output), expected);
    }
}

/// Two sockets, each with one core of two threads: each CPU has different leaves.
const SMP: &str = "4,sockets=2,cores=1,threads=2";

#[test]
fn cpuid_is_as_planned() {
    if no_kvm() {
        return;
    }
    let host = Host::open(Path::new("/dev/kvm")).unwrap();
    let topology = Topology::new(2, 1, 1, 2).unwrap();
    for cpu in [
        "host-passthrough",
        "host-passthrough,-avx",
        "host-model",
        "qemu64",
        "Haswell,check=off",
        "EPYC",
        "486",
        "host-passthrough,kvm=off,pmu=off,l3-cache=off",
        "host-passthrough,pmu=on,kvm-pv-enforce-cpuid,min-level=0x20,model-id=One of mine",
        "Haswell,vendor=SomebodyElse,family=6,model=94,stepping=3,guest-phys-bits=36,vmware-cpuid-freq,check=off",
        "qemu64,-hypervisor,level=4,xlevel=0x80000008",
    ] {
        let output = run("cpuid", &["--cpu", cpu, "--smp", SMP, "--cmdline", "3"]);
        assert_eq!(output.status.code(), Some(21 << 1 | 1), "{cpu}: {}", stderr(&output));
        let spec: CpuSpec = cpu.parse().unwrap();
        let plan = CpuProfile::resolve(&host.cpu, &spec, &topology).unwrap();
        let cpus = Cpu::of_guest(&stdout(&output)).unwrap();
        assert_eq!(cpus.len(), 4, "{cpu}");
        for (vcpu, read) in (0..).zip(&cpus) {
            let planned = Cpu::of_leaves(&plan.leaves(vcpu));
            let mut differences = planned.leaf_differences(read, &host.cpu.supported);
            if in_software() {
                differences.retain(|difference| !difference.only_adds());
            }
            assert_eq!(differences, [], "{cpu}, vCPU {vcpu}");
        }
    }
}

#[test]
fn a_full_check_refuses_what_kvm_adds() {
    if no_kvm() {
        return;
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(&file, "<cpu mode='host-passthrough' check='full'/>").unwrap();
    let output = run("power_off", &["--cpu", &format!("file:{}", file.path().display())]);
    if in_software() {
        let message = stderr(&output);
        assert_eq!((output.status.code(), message.lines().count()), (Some(1), 1), "{message}");
        assert!(message.contains("KVM changed CPUID: CPUID."), "{message}");
    } else {
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    }
}

#[test]
fn the_tsc_runs_at_the_hosts_rate_or_one_that_kvm_can_scale_to() {
    if no_kvm() {
        return;
    }
    let mut host = Host::open(Path::new("/dev/kvm")).unwrap();
    host.read_tsc_khz();
    let Some(khz) = host.cpu.tsc_khz.filter(|khz| *khz > 2000) else {
        println!("skipped: this KVM does not tell its TSC's rate");
        return;
    };
    let started =
        |khz: u32| run("power_off", &["--cpu", &format!("host,tsc-frequency={khz}K"), "--smp", "2"]);
    let output = started(khz);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let output = started(khz / 2);
    if host.kvm.check_extension(kvm_ioctls::Cap::TscControl) {
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    } else {
        let message = stderr(&output);
        assert_eq!((output.status.code(), message.lines().count()), (Some(1), 1), "{message}");
        assert!(
            message.contains(&format!("TSC runs at {khz}000 Hz")) && message.contains("scale"),
            "{message}"
        );
    }
}

#[test]
fn firmwares_msrs_are_as_planned() {
    if no_kvm() {
        return;
    }
    let host = Host::open(Path::new("/dev/kvm")).unwrap();
    let topology = Topology::flat(1).unwrap();
    for cpu in ["host-passthrough", "host-model", "qemu64"] {
        let output = run("firmware", &["--cpu", cpu, "-v"]);
        assert_eq!(output.status.code(), Some(43), "{cpu}: {}", stderr(&output));
        let plan = CpuProfile::resolve(&host.cpu, &cpu.parse().unwrap(), &topology).unwrap();
        let mut planned = boot::mtrrs(&plan);
        planned.push(boot::MISC_ENABLE);
        planned.extend(plan.msrs());
        planned.extend(plan.mcg_cap().map(|cap| (msr::MCG_CAP, cap)));
        for line in stdout(&output).lines() {
            let (index, value) = line.split_once(' ').unwrap();
            let index = u32::from_str_radix(index, 16).unwrap();
            if stderr(&output).contains(&format!("for MSR {index:#x}, which stays")) {
                println!("skipped: {cpu}: this KVM has its own MSR {index:#x}");
                continue;
            }
            let want = planned.iter().find(|(planned, _)| *planned == index).map(|&(_, value)| value);
            match u64::from_str_radix(value, 16) {
                Ok(value) => assert!(want.is_none_or(|want| want == value), "{cpu}: {line}, not {want:x?}"),
                Err(_) => assert_eq!(want, None, "{cpu}: {line}"),
            }
            assert!(index != msr::BIOS_SIGN_ID || value != "0", "{cpu}: {line}");
        }
        assert_eq!(stdout(&output).lines().count(), 6);
    }
}

/// Returns whether KVM is implemented in software, as it must be without VMX and SVM. It then runs the guest's code directly on the
/// processor, and can't hide the processor's features.
fn in_software() -> bool {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let flags = cpuinfo.lines().find(|line| line.starts_with("flags")).unwrap_or_default();
    !flags.split(' ').any(|flag| matches!(flag, "vmx" | "svm"))
}

#[test]
fn without_nesting_there_is_no_part_of_it() {
    if no_kvm() {
        return;
    }
    for options in
        [&["--nested", "off"][..], &["--cpu", "qemu64"], &["--cpu", "qemu64,+vmx,+svm", "--nested", "off"]]
    {
        let output = run("nesting", options);
        let found = nesting::normal(&stdout(&output));
        match output.status.code() {
            Some(43) => assert_eq!(found, nesting::NOTHING, "{options:?}"),
            // A KVM in software fails when the guest reaches VMXON.
            status => {
                assert_eq!(status, Some(8), "{options:?}: {}", stderr(&output));
                assert!(
                    nesting::NOTHING.starts_with(&found) && found.ends_with("CR4.VMXE: #GP\n"),
                    "{options:?}: {found}"
                );
            }
        }
    }
}

#[test]
fn nested_on_is_refused_where_kvm_cannot_nest() {
    if no_kvm() {
        return;
    }
    let host = Host::open(Path::new("/dev/kvm")).unwrap();
    let topology = Topology::flat(1).unwrap();
    let all = CpuProfile::resolve(&host.cpu, &CpuSpec::default(), &topology).unwrap();
    if *all.nesting() != Nesting::None {
        println!("skipped: this machine's KVM can nest");
        return;
    }
    for cpu in ["host-passthrough", "qemu64"] {
        let output = run("power_off", &["--cpu", cpu, "--nested", "on"]);
        let message = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{cpu}: {message}");
        assert_eq!((message.lines().count(), stdout(&output).as_str()), (1, ""), "{message}");
        for part in ["vmx", "svm", "nested"] {
            assert!(message.contains(part), "{cpu}: no {part:?} in {message}");
        }
    }
}

#[test]
fn serial_goes_to_its_back_end() {
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
    let output = run("triple_fault", &["--on-reboot", "exit"]);
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
fn a_triple_fault_resets_the_machine_unless_it_does_nothing_else() {
    if no_kvm() {
        return;
    }
    let output = run("triple_fault", &[]);
    assert_eq!(output.status.code(), Some(4), "at the third");
    let report = stderr(&output);
    assert_eq!(report.matches("the guest met a triple fault (KVM_EXIT_SHUTDOWN)").count(), 3, "{report}");

    let mut command = nvmm();
    command.arg("--kernel").arg(guest("echo")).args(["--debug-exit", "0xf4", "--memory", "16M"]);
    let mut child =
        Running::start(command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()));
    let (mut stdin, mut stdout) = (child.0.stdin.take().unwrap(), child.0.stdout.take().unwrap());
    expect(&mut stdout, "ready\n");
    stdin.write_all(b"T").unwrap();
    expect(child.0.stderr.as_mut().unwrap(), "the guest met a triple fault");
    expect(&mut stdout, "ready\n");
    stdin.write_all(b"q").unwrap();
    assert_eq!(child.status(), Some(1));
}

#[test]
fn reboot_resets_the_machine_or_ends_it() {
    if no_kvm() {
        return;
    }
    for way in ["acpi", "keyboard", "port 92H"] {
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
    // The host refuses to write beyond this limit, like a full or failing disk.
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
fn a_guest_writes_to_qcow2() {
    if no_kvm() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let qemu_img = |words: &[&str]| {
        std::process::Command::new("qemu-img").args(words).current_dir(folder.path()).output()
    };
    let created = qemu_img(&["create", "-q", "-f", "qcow2", "base", "1M"])
        .and_then(|_| qemu_img(&["create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", "base", "disk"]));
    match created {
        Ok(created) => assert!(created.status.success(), "{}", stderr(&created)),
        Err(error) => return println!("skipped: qemu-img: {error}"),
    }
    let base = fs::read(folder.path().join("base")).unwrap();
    let disk = folder.path().join("disk");
    let output = run("blk_write", &["--disk", disk.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert_eq!(stdout(&output), "near 0\nfar 0\nnear again 0\nflush 0\nread far 0\n");
    assert_eq!(stderr(&output), "");
    let checked = qemu_img(&["check", "-f", "qcow2", "disk"]).unwrap();
    assert!(checked.status.success(), "{}{}", stdout(&checked), stderr(&checked));
    let converted = qemu_img(&["convert", "-f", "qcow2", "-O", "raw", "disk", "raw"]).unwrap();
    assert!(converted.status.success(), "{}", stderr(&converted));
    let mut expected = vec![0; 1 << 20];
    for sector in [1, 2, 1024] {
        expected[sector * 512..sector * 512 + 8].copy_from_slice(b"written!");
    }
    assert!(fs::read(folder.path().join("raw")).unwrap() == expected);
    assert!(fs::read(folder.path().join("base")).unwrap() == base);
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
    for key in ["", ",legacy=on"] {
        let output = run("blk_hostile", &["--disk", &format!("path={}{key}", disk.display())]);
        assert_eq!(output.status.code(), Some(1), "{}{}", stdout(&output), stderr(&output));
        assert_eq!(stdout(&output).matches(": needs reset").count(), 12, "{}", stdout(&output));
    }
    assert_eq!(fs::read(disk).unwrap(), content);
}

#[test]
fn a_guest_reads_random_bytes() {
    if no_kvm() {
        return;
    }
    let output = run("rng", &[]);
    assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(1), ""), "{}", stdout(&output));
    let text = stdout(&output);
    let words: Vec<_> = text.split_whitespace().collect();
    assert_eq!(words.len(), 4, "{text}");
    assert!(words.iter().all(|word| words.iter().filter(|other| *other == word).count() == 1), "{text}");

    let mut source = tempfile::NamedTempFile::new().unwrap();
    source.write_all(b"0123456789abcdef0123456789ABCDEF").unwrap();
    let output = run("rng", &["--rng", source.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let words = [b"01234567", b"89abcdef", b"01234567", b"89ABCDEF"].map(|word| u64::from_le_bytes(*word));
    let [a, b, c, d] = words;
    assert_eq!(stdout(&output), format!("{a:x} {b:x}\n{c:x} {d:x}\n"));

    let output = run("rng", &["--rng", "off"]);
    assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(1), "none\n"), "{}", stderr(&output));
    let plan = stdout(&run("rng", &["--dry-run"]));
    let line = plan.lines().find(|line| line.contains("virtio-rng [1af4:1044]"));
    assert!(line.is_some_and(|line| line.ends_with("/dev/urandom")), "{plan}");
}

#[test]
fn a_guest_gives_memory_back() {
    if no_kvm() {
        return;
    }
    let output = run("balloon", &["--rng", "off", "--balloon"]);
    assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(1), ""), "{}", stdout(&output));
    assert_eq!(stdout(&output), "inflated 55 0 0 55\nreported 55 0 0 55\n");
    let plan = stdout(&run("balloon", &["--dry-run", "--balloon"]));
    assert!(plan.contains("virtio-balloon [1af4:1045]"), "{plan}");
}

#[test]
fn kvms_counters_are_written_at_the_end() {
    if no_kvm() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("stats.json");
    let output = run("hello", &["--smp", "2", "--stats", file.to_str().unwrap(), "-v"]);
    assert_eq!(output.status.code(), Some(43), "{}", stderr(&output));
    let stats: Stats = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    if stats == Stats::default() {
        return println!("skipped: this KVM has no KVM_CAP_BINARY_STATS_FD: {}", stderr(&output));
    }
    assert_eq!(stats.vcpus.len(), 2);
    // The guest writes its text byte by byte, and reads once from an address without memory. A KVM in software counts no `io_exits`.
    let total = stats.vcpu_total();
    assert!(total["exits"] > 10 && total["mmio_exits"] > 0, "{total:?}");
    assert!(
        stderr(&output).contains(&format!("KVM counted {} exits", total["exits"])),
        "{}",
        stderr(&output)
    );

    let nowhere = folder.path().join("no/stats.json");
    let output = run("hello", &["--stats", nowhere.to_str().unwrap()]);
    assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(1), ""));
    assert!(stderr(&output).contains(&format!("--stats {}", nowhere.display())), "{}", stderr(&output));
}
