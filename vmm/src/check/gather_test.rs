use super::*;

/// A root with these files. Names that end in a slash are directories.
fn root(files: &[(&str, &str)]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    root
}

#[test]
fn a_host_is_read_from_its_files() {
    let root = root(&[
        ("proc/sys/kernel/osrelease", "6.1.0-56-amd64\n"),
        ("proc/sys/kernel/version", "#1 SMP Debian 6.1.192-1\n"),
        (
            "proc/cpuinfo",
            "vendor_id\t: GenuineIntel\nmodel name\t: A Xeon\nflags\t\t: fpu vmx avx\n\nflags\t\t: fpu\n",
        ),
        ("proc/cmdline", "quiet kvm-intel.nested=1 kvm.ignore_msrs=1\n"),
        ("sys/module/kvm/parameters/tdp_mmu", "N\n"),
        ("sys/module/kvm_intel/initstate", "live\n"),
        ("sys/module/kvm_intel/parameters/nested", "Y\n"),
        ("sys/module/kvmalloc/initstate", "live\n"),
        ("etc/os-release", "PRETTY_NAME=\"Alma\"\nID=\"almalinux\"\nID_LIKE='rhel centos fedora'\n"),
        ("run/ostree-booted", ""),
        ("sys/class/dmi/id/sys_vendor", "Dell Inc.\n"),
        ("sys/class/dmi/id/product_serial", "SECRET\n"),
        (
            "lib/modules/6.1.0-56-amd64/modules.dep",
            "kernel/arch/x86/kvm/kvm-intel.ko.xz: kernel/arch/x86/kvm/kvm.ko.xz\n",
        ),
        (
            "lib/modules/6.1.0-56-amd64/modules.builtin",
            "kernel/arch/x86/kvm/kvm.ko\nkernel/fs/ext4/ext4.ko\n",
        ),
    ]);
    let facts = Facts::from_files(root.path());
    assert_eq!((facts.kernel.as_str(), facts.build.as_str()), ("6.1.0-56-amd64", "#1 SMP Debian 6.1.192-1"));
    assert_eq!((facts.cpu.model.as_str(), facts.cpu.vendor.as_str()), ("A Xeon", "GenuineIntel"));
    assert_eq!(facts.cpu.flags, BTreeSet::from(["vmx".to_owned()]));
    assert_eq!(facts.parameters, ["kvm-intel.nested=1", "kvm.ignore_msrs=1"]);
    assert_eq!(facts.modules.keys().collect::<Vec<_>>(), ["kvm", "kvm_intel"]);
    assert!(facts.modules["kvm"].builtin && !facts.modules["kvm_intel"].builtin);
    assert_eq!(facts.parameter("kvm_intel", "nested"), Some("Y"));
    assert_eq!(facts.dmi, BTreeMap::from([("sys_vendor".to_owned(), "Dell Inc.".to_owned())]));
    assert_eq!(facts.os("ID").collect::<Vec<_>>(), ["almalinux"]);
    assert_eq!(facts.os("ID_LIKE").collect::<Vec<_>>(), ["rhel", "centos", "fedora"]);
    assert!(facts.ostree);
    assert_eq!(facts.installed, Some(BTreeSet::from(["kvm_intel".to_owned()])));
    assert_eq!(facts.builtin, BTreeSet::from(["kvm".to_owned()]));
    assert_eq!(facts.container, None);
}

#[test]
fn an_empty_root_has_no_facts() {
    assert_eq!(Facts::from_files(root(&[]).path()), Facts::default());
}

#[test]
fn containers_are_recognized() {
    for (file, text, sign) in [
        ("run/.containerenv", "", "podman (/run/.containerenv)"),
        (".dockerenv", "", "docker (/.dockerenv)"),
        ("run/systemd/container", "systemd-nspawn\n", "systemd-nspawn (/run/systemd/container)"),
        ("proc/1/environ", "A=b\0container=lxc\0", "lxc (PID 1's environment)"),
        ("proc/1/cgroup", "0::/kubepods/pod1\n", "kubepods (/proc/1/cgroup)"),
    ] {
        assert_eq!(container(root(&[(file, text)]).path()).as_deref(), Some(sign));
    }
}

#[test]
fn msrs_are_read_at_their_index() {
    let root = root(&[]);
    let path = root.path().join("msr");
    let file = File::create(&path).unwrap();
    file.write_all_at(&5_u64.to_le_bytes(), msr::FEATURE_CONTROL.into()).unwrap();
    assert_eq!(msrs(&path), BTreeMap::from([(Hex(0x3a), Hex(5))]));
    assert_eq!(msrs(&root.path().join("none")), BTreeMap::new());
}

#[test]
fn a_node_that_can_not_be_opened_has_its_error() {
    let (device, kvm, proof) = ask(Path::new("/dev/no-kvm"));
    assert_eq!((device.errno, kvm, proof), (Some(libc::ENOENT), None, proof::Proof::NotTried));
    let (device, kvm, _) = ask(Path::new("/dev/null"));
    let kvm = kvm.unwrap();
    assert_eq!((device.errno, kvm.api_version, kvm.offered), (None, -1, None));
}

#[test]
fn capabilities_have_the_kernel_s_names() {
    assert_eq!([Cap::ImmediateExit, Cap::Pit2].map(name), ["KVM_CAP_IMMEDIATE_EXIT", "KVM_CAP_PIT2"]);
}
