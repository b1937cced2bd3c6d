use super::*;
use crate::check::facts::Module;

/// A host whose KVM does not nest, in the kernel or as a module.
fn host(builtin: bool) -> Facts {
    let module = Module { builtin, ..Module::default() };
    Facts {
        kernel: "6.12.1".into(),
        modules: [("kvm_intel".to_owned(), module)].into(),
        device: crate::check::facts::KvmDevice { path: "/dev/kvm".into(), ..Default::default() },
        ..Facts::default()
    }
}

fn like(builtin: bool, id: &str) -> Facts {
    Facts { os: [("ID".to_owned(), id.to_owned())].into(), ..host(builtin) }
}

fn wsl(builtin: bool) -> Facts {
    Facts { kernel: "6.6.87.2-microsoft-standard-WSL2".into(), ..like(builtin, "debian") }
}

/// All commands to type, and the remarks about them.
fn told(finding: Finding) -> String {
    let lines = finding.fixes.into_iter().flat_map(|fix| [vec![fix.what], fix.commands].concat());
    lines.fold(String::new(), |text, line| text + &line + "\n")
}

fn finding() -> Finding {
    super::super::finding::problem("test", "a test")
}

fn nested(facts: &Facts) -> String {
    told(set(facts, finding(), "kvm_intel", "nested=1"))
}

#[test]
fn each_system_gets_the_place_of_its_own_kernel_parameters() {
    let ostree = Facts { ostree: true, ..like(true, "fedora") };
    let like_rhel = Facts { os: [("ID_LIKE".to_owned(), "rhel centos".to_owned())].into(), ..host(true) };
    for (facts, has, lacks) in [
        (host(true), "/etc/default/grub", "grubby"),
        (like(true, "debian"), "sudo update-grub", "grubby"),
        (
            like(true, "fedora"),
            "sudo grubby --update-kernel=ALL --args=kvm_intel.nested=1",
            "/etc/default/grub",
        ),
        (like_rhel, "sudo grubby", "/etc/default/grub"),
        (ostree, "sudo rpm-ostree kargs --append-if-missing=kvm_intel.nested=1", "grub"),
        (like(true, "nixos"), "boot.kernelParams = [ \"kvm_intel.nested=1\" ];", "grub"),
        (wsl(true), "\n[wsl2]\nkernelCommandLine=kvm_intel.nested=1\n", "grub"),
    ] {
        let told = nested(&facts);
        assert!(told.contains(has) && !told.contains(lacks), "{told}");
        // A built-in module can't be reloaded, and ignores configuration files.
        assert!(!told.contains("modprobe"), "{told}");
        let overridden = nested(&Facts { parameters: vec!["kvm-intel.nested=0".into()], ..facts });
        assert!(overridden.contains("kvm-intel.nested=0") && !overridden.contains(lacks), "{overridden}");
    }
}

#[test]
fn modules_are_loaded_again_and_their_parameter_is_kept_where_the_system_keeps_it() {
    for (facts, keeps) in [
        (like(false, "debian"), "| sudo tee /etc/modprobe.d/kvm-nested.conf"),
        (like(false, "fedora"), "| sudo tee /etc/modprobe.d/kvm-nested.conf"),
        (like(false, "nixos"), "boot.extraModprobeConfig = \"options kvm_intel nested=1\";"),
        (wsl(false), "kernelCommandLine=kvm_intel.nested=1"),
    ] {
        let told = nested(&facts);
        assert!(told.contains("sudo modprobe -r kvm_intel\nsudo modprobe kvm_intel nested=1\n"), "{told}");
        assert!(told.contains(keeps), "{told}");
        assert!(keeps.contains("modprobe.d") || !told.contains("modprobe.d"), "{told}");
    }
}

#[test]
fn a_container_is_reminded_that_its_kernel_is_the_hosts() {
    let facts = Facts { container: Some("docker (/.dockerenv)".into()), ..host(false) };
    for line in nested(&facts).lines().filter(|line| line.contains("Load") || line.contains("Keep")) {
        assert!(line.starts_with("On the host of this container: "), "{line}");
    }
    // Its image doesn't show which system that is.
    let nixos = Facts { container: facts.container.clone(), ..like(false, "nixos") };
    assert_eq!(nested(&nixos), nested(&facts));
}

#[test]
fn wsl_gets_no_boot_loader_no_udev_and_no_package() {
    let wsl = wsl(false);
    let all = [
        load(&wsl, finding(), "kvm_intel"),
        kernel_with_kvm(&wsl, finding()),
        open_to_users(&wsl, finding()),
    ];
    let told: String = all.into_iter().map(told).collect();
    for lacks in ["grub", "udev", "apt-get", "modules-load.d", "sudo reboot"] {
        assert!(!told.contains(lacks), "{lacks}: {told}");
    }
    for has in ["[boot]\ncommand = modprobe kvm_intel\n", "wsl --update", "command = chmod 666 /dev/kvm"] {
        assert!(told.contains(has), "{has}: {told}");
    }
}
