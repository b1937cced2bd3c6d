//! The kind of system, on which it depends how the parameters of the kernel and its modules are set.

use crate::check::{facts::Facts, report::Finding};

/// Kinds of systems, which keep these settings in different places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum System {
    /// Windows starts the kernel, with `.wslconfig`; there is no boot loader.
    Wsl,
    /// Everything is made from configuration.nix; other changes are lost, or have no effect.
    NixOs,
    /// The system's image contains the boot loader's files; rpm-ostree keeps the parameters.
    Ostree,
    /// Boot Loader Specification entries, which grubby edits: Fedora, RHEL and their relatives.
    Fedora,
    /// GRUB, with /etc/default/grub: Debian, Ubuntu and others.
    Grub,
}

impl System {
    fn of(facts: &Facts) -> Self {
        if is_wsl(facts) {
            Self::Wsl
        } else if facts.container.is_some() {
            // In a container, the distribution is that of the image. The host may be any; mostly it is this kind.
            Self::Grub
        } else if facts.os("ID").any(|id| id == "nixos") {
            Self::NixOs
        } else if facts.ostree {
            Self::Ostree
        } else if facts.os("ID").chain(facts.os("ID_LIKE")).any(|id| matches!(id, "fedora" | "rhel")) {
            Self::Fedora
        } else {
            Self::Grub
        }
    }
}

/// Returns whether Windows runs this machine, for WSL 2.
pub(super) fn is_wsl(facts: &Facts) -> bool {
    facts.kernel.to_ascii_lowercase().contains("-wsl2")
}

const WSLCONFIG: &str = "in %UserProfile%\\.wslconfig have these lines, then run wsl --shutdown in Windows";
const NIX: &str = "configuration.nix";
const REBUILD: &str = "sudo nixos-rebuild switch";

/// Returns `what`; in a container, adds that it has to be done on the host, whose kernel this is.
fn on_host(facts: &Facts, what: String) -> String {
    if facts.container.is_some() { format!("On the host of this container: {what}") } else { what }
}

/// Adds the remedy that sets a module's parameter, such as `nested=1`, now and permanently.
pub(super) fn set(facts: &Facts, finding: Finding, module: &str, setting: &str) -> Finding {
    let name = setting.split('=').next().unwrap_or_default();
    let overrides = [module, &module.replace('_', "-")].map(|module| format!("{module}.{name}="));
    let given = facts.parameters.iter().find(|word| overrides.iter().any(|each| word.starts_with(each)));
    if builtin(facts, module) {
        return boot(facts, finding, module, setting, given.map(String::as_str));
    }
    let finding = match given {
        Some(word) => without(facts, finding, word),
        None => finding,
    };
    let finding = finding.fix(
        on_host(facts, "Load the module again, while no guest runs".to_owned()),
        [format!("sudo modprobe -r {module}"), format!("sudo modprobe {module} {setting}")],
    );
    match System::of(facts) {
        // modprobe also reads modules' parameters from the kernel's command line.
        System::Wsl => finding.fix(
            format!("Keep it so: {WSLCONFIG}"),
            ["[wsl2]".to_owned(), format!("kernelCommandLine={module}.{setting}")],
        ),
        System::NixOs => finding.fix(
            format!("Keep it so, in {NIX}"),
            [format!("boot.extraModprobeConfig = \"options {module} {setting}\";"), REBUILD.to_owned()],
        ),
        _ => finding.fix(
            on_host(facts, "Keep it so".to_owned()),
            [format!("echo 'options {module} {setting}' | sudo tee /etc/modprobe.d/kvm-{name}.conf")],
        ),
    }
}

/// Adds the remedy that reloads a module. If it can't be reloaded, a kernel parameter is needed: `setting` of `of`.
pub(super) fn reload(facts: &Facts, finding: Finding, module: &str, of: &str, setting: &str) -> Finding {
    if builtin(facts, module) {
        return boot(facts, finding, of, setting, None);
    }
    finding.fix(
        on_host(facts, "Load the module again, while no guest runs".to_owned()),
        [format!("sudo modprobe -r {module}"), format!("sudo modprobe {module}")],
    )
}

/// Returns whether a module is built into the kernel and can't be reloaded.
fn builtin(facts: &Facts, module: &str) -> bool {
    facts.modules.get(module).is_some_and(|module| module.builtin) || facts.builtin.contains(module)
}

/// Adds the remedy that sets a parameter of a built-in module, on the kernel's command line. `given` is a word there that sets it
/// otherwise.
fn boot(facts: &Facts, finding: Finding, module: &str, setting: &str, given: Option<&str>) -> Finding {
    let word = format!("{module}.{setting}");
    let system = System::of(facts);
    if system == System::Wsl {
        let given = given.map(|given| format!(" in place of {given}")).unwrap_or_default();
        return finding.fix(
            format!("{module} is built into the kernel: {WSLCONFIG}. What kernelCommandLine= has already stays before {word}, which goes there{given}"),
            ["[wsl2]".to_owned(), format!("kernelCommandLine={word}")],
        );
    }
    let finding = match given {
        Some(given) => without(facts, finding, given),
        None => finding,
    };
    let what = |with: &str| {
        on_host(
            facts,
            format!("{module} is built into the kernel: add {word} to the kernel's command line, {with}"),
        )
    };
    let reboot = "sudo reboot".to_owned();
    match system {
        System::NixOs => finding.fix(
            what(&format!("in {NIX}")),
            [format!("boot.kernelParams = [ \"{word}\" ];"), REBUILD.to_owned(), reboot],
        ),
        System::Ostree => finding.fix(
            what("with rpm-ostree by"),
            [format!("sudo rpm-ostree kargs --append-if-missing={word}"), reboot],
        ),
        System::Fedora => {
            finding.fix(what("by"), [format!("sudo grubby --update-kernel=ALL --args={word}"), reboot])
        }
        System::Wsl | System::Grub => finding.fix(
            what("with GRUB by"),
            [
                format!("sudo sed -i 's/^GRUB_CMDLINE_LINUX=\"/&{word} /' /etc/default/grub"),
                "sudo update-grub    # Arch, openSUSE: sudo grub-mkconfig -o /boot/grub/grub.cfg".to_owned(),
                reboot,
            ],
        ),
    }
}

/// Adds the remedy that removes a word from the kernel's command line.
fn without(facts: &Facts, finding: Finding, word: &str) -> Finding {
    let what = on_host(facts, format!("The kernel's command line has {word}: take it away first"));
    match System::of(facts) {
        System::Wsl => finding.fix(
            format!("{what}, from kernelCommandLine= in %UserProfile%\\.wslconfig, then run"),
            ["wsl --shutdown"],
        ),
        System::NixOs => finding.fix(format!("{what}, from boot.kernelParams in {NIX}, then run"), [REBUILD]),
        System::Ostree => finding.fix(what, [format!("sudo rpm-ostree kargs --delete-if-present={word}")]),
        System::Fedora => {
            finding.fix(what, [format!("sudo grubby --update-kernel=ALL --remove-args={word}")])
        }
        System::Grub => {
            finding.fix(what, [format!("sudo sed -i 's/{word}//' /etc/default/grub && sudo update-grub")])
        }
    }
}

/// Adds the remedy that loads a module, now and at every boot.
pub(super) fn load(facts: &Facts, finding: Finding, module: &str) -> Finding {
    let now = on_host(facts, "Load it now".to_owned());
    let finding = finding.fix(now, [format!("sudo modprobe {module}")]);
    match System::of(facts) {
        System::Wsl => finding.fix(
            "Load it at every start: in /etc/wsl.conf have these lines",
            ["[boot]".to_owned(), format!("command = modprobe {module}")],
        ),
        System::NixOs => finding.fix(
            format!("Load it at every boot, by {NIX}"),
            [format!("boot.kernelModules = [ \"{module}\" ];"), REBUILD.to_owned()],
        ),
        _ => finding
            .fix("Load it at every boot", [format!("echo {module} | sudo tee /etc/modules-load.d/kvm.conf")]),
    }
}

/// Adds the remedy for a kernel without KVM.
pub(super) fn kernel_with_kvm(facts: &Facts, finding: Finding) -> Finding {
    match System::of(facts) {
        System::Wsl => finding.fix(
            "Take the kernel that comes with WSL (without a line kernel= in %UserProfile%\\.wslconfig), and the latest; in Windows",
            ["wsl --update", "wsl --shutdown"],
        ),
        System::NixOs => finding.fix(
            format!("Take a kernel with KVM, in {NIX}"),
            ["boot.kernelPackages = pkgs.linuxPackages;", REBUILD, "sudo reboot"],
        ),
        System::Ostree => finding.fix("Boot the distribution's own kernel", ["sudo rpm-ostree upgrade"]),
        System::Fedora => finding.fix(
            on_host(facts, "Install the distribution's kernel, and boot it".to_owned()),
            ["sudo dnf install kernel"],
        ),
        System::Grub => finding.fix(
            on_host(facts, "Install a kernel with KVM and boot it, on Debian or Ubuntu with".to_owned()),
            ["sudo apt-get install linux-image-amd64    # Ubuntu: linux-image-generic, linux-modules-extra-$(uname -r)"],
        ),
    }
}

/// Adds the remedies that open KVM's node to more users than root: to its group, and to everyone.
pub(super) fn open_to_users(facts: &Facts, finding: Finding) -> Finding {
    const RULE: &str = r#"KERNEL=="kvm", GROUP="kvm", MODE="0666", OPTIONS+="static_node=kvm""#;
    let path = &facts.device.path;
    let group = facts.device.group.as_deref().filter(|group| *group != "root");
    let finding = match (group, System::of(facts)) {
        (Some(group), System::NixOs) => finding.fix(
            format!("Join group {group}, in {NIX}, then log in again"),
            [format!("users.users.NAME.extraGroups = [ \"{group}\" ];"), REBUILD.to_owned()],
        ),
        (Some(group), System::Wsl) => finding.fix(
            format!("Join group {group}, then run wsl --shutdown in Windows"),
            [format!("sudo usermod -aG {group} \"$USER\"")],
        ),
        (Some(group), _) => finding.fix(
            format!("Join group {group}, then log in again"),
            [format!("sudo usermod -aG {group} \"$USER\"")],
        ),
        (None, _) => finding,
    };
    match System::of(facts) {
        // Without systemd there is no udev.
        System::Wsl => finding.fix(
            "Open it to everyone at every start: in /etc/wsl.conf have these lines, then run wsl --shutdown in Windows",
            ["[boot]".to_owned(), format!("command = chmod 666 {path}")],
        ),
        System::NixOs => finding.fix(
            format!("Let udev open it to everyone, by {NIX}"),
            [format!("services.udev.extraRules = ''{RULE}'';"), REBUILD.to_owned()],
        ),
        _ => finding.fix("Let udev open it to everyone, as in CI", [
            format!("echo '{RULE}' | sudo tee /etc/udev/rules.d/99-kvm.rules"),
            "sudo udevadm control --reload-rules".to_owned(),
            "sudo udevadm trigger --name-match=kvm".to_owned(),
        ]),
    }
}

#[cfg(test)]
#[path = "system_test.rs"]
mod tests;
