use std::{collections::BTreeSet, fs, path::Path};

use super::*;
use crate::check::report::Severity;

/// A recorded host, its verdicts, its faults, and words of the remedies.
type Case = (&'static str, Verdict, Verdict, &'static [&'static str], &'static [&'static str]);

const CASES: [Case; 29] = {
    use Verdict::{No, Unknown, Yes};
    const OUTSIDE: &[&str] = &["cpu.no-virtualization", "kvm.device-missing"];
    const CONTAINER: &[&str] = &["kvm.device-in-container"];
    [
        ("intel-l0", Yes, Yes, &[], &[]),
        ("amd-l0", Yes, Yes, &[], &[]),
        ("aws-metal", Yes, Yes, &[], &[]),
        ("amd-emulated", Yes, Yes, &[], &[]),
        ("amd-l1", Yes, Yes, &[], &[]),
        ("intel-emulated", Yes, Yes, &[], &[]),
        ("intel-l1", Yes, Yes, &[], &[]),
        (
            "intel-nested-off",
            Yes,
            No,
            &["nesting.parameter-off", "nesting.not-offered"],
            &[
                "sudo modprobe -r kvm_intel\nsudo modprobe kvm_intel nested=1",
                "echo 'options kvm_intel nested=1' | sudo tee /etc/modprobe.d/kvm-nested.conf",
            ],
        ),
        (
            "intel-built-in",
            Yes,
            No,
            &["nesting.parameter-off", "nesting.not-offered"],
            &["s/kvm-intel.nested=0//", "&kvm_intel.nested=1 /' /etc/default/grub"],
        ),
        (
            "intel-no-module",
            No,
            No,
            &["kvm.module-not-loaded"],
            &["sudo modprobe kvm_intel", "echo kvm_intel | sudo tee /etc/modules-load.d/kvm.conf"],
        ),
        ("intel-no-kvm-in-kernel", No, No, &["kvm.module-missing"], &["apt-get install linux-image-amd64"]),
        (
            "intel-no-permission",
            No,
            Unknown,
            &["kvm.no-access"],
            &["sudo usermod -aG kvm \"$USER\"", "KERNEL==\"kvm\", GROUP=\"kvm\", MODE=\"0666\""],
        ),
        (
            "intel-firmware-off",
            No,
            No,
            &["cpu.disabled-by-firmware", "kvm.device-missing"],
            &["systemctl reboot --firmware-setup"],
        ),
        ("intel-no-ept", Yes, Yes, &["nesting.no-paging"], &["sudo modprobe kvm_intel ept=1"]),
        ("intel-proof-fails", Yes, No, &["nesting.disagreement", "proof.failed"], &[]),
        (
            "intel-old-linux",
            Yes,
            Yes,
            &["linux.old", "nesting.state-missing", "advisory.CVE-2026-64562", "advisory.CVE-2026-53359"],
            &[],
        ),
        (
            "software-kvm",
            Yes,
            No,
            &["cpu.no-virtualization", "kvm.software", "nesting.not-offered"],
            &["nvmm --cpu host-passthrough"],
        ),
        ("container", No, Unknown, CONTAINER, &["docker run --device /dev/kvm"]),
        ("container-denied", No, Unknown, CONTAINER, &["docker run --device /dev/kvm"]),
        (
            "wsl-nested-off",
            Yes,
            No,
            &["nesting.parameter-off", "nesting.not-offered"],
            &["[wsl2]\nkernelCommandLine=kvm_intel.nested=1\n"],
        ),
        ("guest-of-hyper-v", No, No, OUTSIDE, &["-ExposeVirtualizationExtensions $true"]),
        ("guest-of-azure", No, No, OUTSIDE, &["--security-type Standard"]),
        ("guest-of-wsl", No, No, OUTSIDE, &["nestedVirtualization=true"]),
        ("guest-of-vmware", No, No, OUTSIDE, &["vhv.enable = \"TRUE\""]),
        ("guest-of-virtualbox", No, No, OUTSIDE, &["--nested-hw-virt on"]),
        ("guest-of-xen", No, No, OUTSIDE, &["nestedhvm = 1"]),
        ("guest-of-aws", No, No, OUTSIDE, &["NestedVirtualization=enabled"]),
        ("guest-of-gce", No, No, OUTSIDE, &["--enable-nested-virtualization"]),
        ("guest-of-kvm", No, No, OUTSIDE, &["qm set VMID --cpu host"]),
    ]
};

fn hosts() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../resources/check")
}

fn facts(name: &str) -> Facts {
    let text = fs::read_to_string(hosts().join(name).with_extension("json")).unwrap();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The findings that are not OK.
fn wrong(report: &Report) -> Vec<&'static str> {
    let wrong = report.findings.iter().filter(|finding| finding.severity >= Severity::Warning);
    wrong.map(|finding| finding.id).collect()
}

/// The commands of all remedies.
fn commands(report: &Report) -> String {
    let fixes = report.findings.iter().flat_map(|finding| &finding.fixes);
    fixes.flat_map(|fix| &fix.commands).fold(String::new(), |all, command| all + command + "\n")
}

fn has(report: &Report, id: &str, words: &str) -> bool {
    report.findings.iter().any(|finding| finding.id == id && finding.found.contains(words))
}

#[test]
fn each_recorded_host_gets_its_findings_and_its_way_out() {
    for (name, kvm, nested, ids, fixes) in CASES {
        let report = judge(&facts(name));
        assert_eq!((report.kvm, report.nested), (kvm, nested), "{name}");
        assert_eq!(wrong(&report), ids, "{name}");
        let commands = commands(&report);
        for fix in fixes {
            assert!(commands.contains(fix), "{name}: no {fix:?} in {commands}");
        }
        assert!(!ids.is_empty() || commands.is_empty(), "{name}: {commands}");
    }
}

#[test]
fn every_recorded_host_is_judged() {
    let files = fs::read_dir(hosts()).unwrap().map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.extension().is_some_and(|extension| extension == "json"));
    let files: BTreeSet<_> =
        files.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    assert_eq!(files, CASES.iter().map(|case| case.0.to_owned()).collect());
}

#[test]
fn the_level_is_named() {
    assert!(has(&judge(&facts("intel-l0")), "level.host", "level 0"));
    assert!(has(&judge(&facts("aws-metal")), "level.host", "level 0"));
    for (name, outer) in [
        ("guest-of-aws", "guest of Amazon EC2 (Amazon EC2 m8i.large)"),
        ("guest-of-azure", "guest of Microsoft Azure"),
        ("guest-of-hyper-v", "guest of Hyper-V"),
        ("guest-of-virtualbox", "guest of VirtualBox"),
        ("software-kvm", "guest of KVM"),
        ("amd-emulated", "guest of QEMU's emulator (QEMU Standard PC"),
        ("amd-l1", "guest of KVM"),
        ("intel-l1", "guest of KVM"),
    ] {
        assert!(has(&judge(&facts(name)), "level.guest", outer), "{name}");
    }
}

/// A guest that sees Hyper-V's interface: its first signature is Hyper-V's.
fn enlightened(name: &str) -> Facts {
    let mut facts = facts(name);
    let own = std::mem::replace(&mut facts.cpu.hypervisor, "Microsoft Hv".to_owned());
    if own != "Microsoft Hv" {
        facts.cpu.more_hypervisors = vec![own];
    }
    facts
}

#[test]
fn hyper_v_s_interface_does_not_make_a_guest_of_hyper_v() {
    let facts_of = |name: &str, keep: fn(&mut Facts)| {
        let mut facts = enlightened(name);
        keep(&mut facts);
        facts
    };
    for (name, by_firmware, by_signatures) in [
        ("guest-of-kvm", None, "guest of KVM"),
        ("guest-of-xen", Some("guest of Xen"), "guest of Xen"),
        ("guest-of-vmware", Some("guest of VMware"), "guest of VMware"),
        // It shows KVM's interface to Linux.
        ("guest-of-virtualbox", Some("guest of VirtualBox"), "guest of KVM"),
        ("guest-of-hyper-v", Some("guest of Hyper-V"), "guest of Hyper-V"),
        ("guest-of-azure", Some("guest of Microsoft Azure"), "guest of Hyper-V"),
    ] {
        let signatures = judge(&facts_of(name, |facts| facts.dmi.clear()));
        assert!(has(&signatures, "level.guest", by_signatures), "{name}: {:?}", signatures.findings[0]);
        if let Some(outer) = by_firmware {
            for report in [
                judge(&enlightened(name)),
                judge(&facts_of(name, |facts| facts.cpu.more_hypervisors.clear())),
            ] {
                assert!(has(&report, "level.guest", outer), "{name}: {:?}", report.findings[0]);
                let recorded = judge(&facts(name));
                assert_eq!(commands(&report), commands(&recorded), "{name}");
            }
        }
    }
}

#[test]
fn firmware_outranks_hyper_v_s_signature() {
    for (vendor, product, outer) in [
        ("QEMU", "Standard PC (Q35 + ICH9, 2009)", "guest of KVM"),
        ("Red Hat", "KVM", "guest of KVM"),
        ("OpenStack Foundation", "OpenStack Nova", "guest of OpenStack"),
        ("VMware, Inc.", "VMware20,1", "guest of VMware"),
        ("Xen", "HVM domU", "guest of Xen"),
        ("Some Cloud", "A Server", "guest of an unknown hypervisor"),
        ("Microsoft Corporation", "Virtual Machine", "guest of Hyper-V"),
    ] {
        let mut facts = enlightened("guest-of-hyper-v");
        let names = [("sys_vendor", vendor), ("product_name", product)];
        facts.dmi = names.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let report = judge(&facts);
        assert!(has(&report, "level.guest", outer), "{vendor}: {:?}", report.findings[0]);
    }
}

#[test]
fn the_parameter_is_read_in_every_spelling() {
    for (value, id) in [
        ("Y", "nesting.parameter"),
        ("1", "nesting.parameter"),
        ("N", "nesting.parameter-off"),
        ("0", "nesting.parameter-off"),
        ("maybe", "nesting.parameter-unknown"),
    ] {
        let mut facts = facts("intel-l0");
        let module = facts.modules.get_mut("kvm_intel").unwrap();
        module.parameters.insert("nested".to_owned(), value.to_owned());
        assert!(has(&judge(&facts), id, &format!("kvm_intel.nested={value}")), "{value}");
    }
    let mut facts = facts("intel-l0");
    facts.modules.get_mut("kvm_intel").unwrap().parameters.clear();
    let report = judge(&facts);
    assert!(has(&report, "nesting.parameter-absent", "kvm_intel"));
    assert_eq!((report.nested, wrong(&report)), (Verdict::Yes, vec![]));
}

#[test]
fn contradictions_are_reported() {
    let mut off = facts("intel-l0");
    off.modules.get_mut("kvm_intel").unwrap().parameters.insert("nested".to_owned(), "N".to_owned());
    assert!(has(&judge(&off), "nesting.disagreement", "does not nest, and KVM offers it"));
    let mut on = facts("intel-nested-off");
    on.modules.get_mut("kvm_intel").unwrap().parameters.insert("nested".to_owned(), "Y".to_owned());
    assert!(has(&judge(&on), "nesting.disagreement", "says that KVM nests, and KVM offers nothing"));
    let mut bare = facts("intel-l0");
    bare.kvm.as_mut().unwrap().offered.as_mut().unwrap().vmx_msrs.clear();
    assert!(wrong(&judge(&bare)).contains(&"nesting.msrs-missing"));
}

#[test]
fn missing_features_of_kvm_are_named() {
    let with = |change: fn(&mut crate::check::facts::Kvm)| {
        let mut facts = facts("intel-l0");
        change(facts.kvm.as_mut().unwrap());
        facts.proof = Proof::NotTried;
        judge(&facts)
    };
    let report = with(|kvm| kvm.missing.push("KVM_CAP_SIGNAL_MSI".to_owned()));
    assert!(has(&report, "kvm.capability-missing", "KVM_CAP_SIGNAL_MSI"));
    assert_eq!((report.kvm, report.nested), (Verdict::No, Verdict::No));
    assert!(has(&with(|kvm| kvm.api_version = 11), "kvm.api-version", "11"));
    assert!(has(&with(|kvm| kvm.api_version = -1), "kvm.not-kvm", "/dev/kvm"));
    assert!(has(&with(|kvm| kvm.error = Some("no MSRs".to_owned())), "kvm.error", "no MSRs"));
}

#[test]
fn a_tsc_rate_that_kvm_took_too_early_is_reported() {
    let judged = |host: &str, guest_khz, scaling| {
        let mut facts = facts(host);
        let tsc = crate::check::facts::Tsc { guest_khz, host_khz: 2_400_000, scaling };
        facts.kvm.as_mut().unwrap().tsc = Some(tsc);
        judge(&facts)
    };
    let early = judged("amd-l0", 2_394_240, false);
    assert_eq!((wrong(&early), early.nested), (vec!["kvm.tsc-rate"], Verdict::Yes));
    assert!(has(&early, "kvm.tsc-rate", "2394240 kHz") && has(&early, "kvm.tsc-rate", "2400000 kHz"));
    assert_eq!(commands(&early), "sudo modprobe -r kvm_amd\nsudo modprobe kvm_amd\n");
    let builtin = commands(&judged("intel-built-in", 2_394_240, false));
    assert!(builtin.contains("&kvm.tsc_tolerance_ppm=10000 /' /etc/default/grub"), "{builtin}");
    // A difference of 250 ppm is tolerated, and a CPU with scaling supports any rate.
    for (guest_khz, scaling) in [(2_399_400, false), (2_400_600, false), (2_394_240, true)] {
        assert_eq!(wrong(&judged("amd-l0", guest_khz, scaling)), [""; 0], "{guest_khz}");
    }
    assert_eq!(wrong(&judged("amd-l0", 2_399_300, false)), ["kvm.tsc-rate"]);
}

#[test]
fn a_proof_that_could_not_run_proves_nothing() {
    let mut facts = facts("intel-l0");
    facts.proof = Proof::Refused { why: "KVM_CREATE_VM: Device or resource busy (os error 16)".to_owned() };
    let report = judge(&facts);
    assert_eq!((report.kvm, report.nested), (Verdict::Yes, Verdict::Unknown));
    assert!(commands(&report).contains("modprobe -r vboxnetadp"));
}

#[test]
fn firmware_is_read_from_the_msrs_too() {
    let mut intel = facts("intel-no-module");
    intel.msrs.insert(crate::check::facts::Hex(0x3a), crate::check::facts::Hex(1));
    assert!(wrong(&judge(&intel)).contains(&"cpu.disabled-by-firmware"));
    let mut amd = facts("amd-l0");
    amd.msrs.insert(crate::check::facts::Hex(0xc001_0114), crate::check::facts::Hex(0x18));
    assert!(wrong(&judge(&amd)).contains(&"cpu.disabled-by-firmware"));
}

#[test]
fn kernel_versions_are_read_as_distributions_write_them() {
    let version = processor::version;
    assert_eq!(
        version("6.1.0-56-amd64", "#1 SMP PREEMPT_DYNAMIC Debian 6.1.192-1 (2026-10-12)"),
        Some((6, 1, 192))
    );
    assert_eq!(version("4.15.0-213-generic", "#224-Ubuntu SMP"), Some((4, 15, 0)));
    assert_eq!(version("7.2-rc5", ""), Some((7, 2, 0)));
    assert_eq!(version("5.15.167.4-microsoft-standard-WSL2", ""), Some((5, 15, 167)));
    assert_eq!(version("", ""), None);
}
