//! Judges the device node, and the module behind it.

use arch::cpu::nesting::Virtualization;

use super::{
    finding::{info, ok, problem, warning},
    kind::kind,
    processor, system,
};
use crate::check::{facts::Facts, report::Finding};

/// `KVM_API_VERSION`.
pub(super) const API: i32 = 12;

pub(super) fn findings(facts: &Facts) -> Vec<Finding> {
    let mut findings = vec![device(facts)];
    findings.extend(served_by(facts));
    findings.extend(tsc(facts));
    findings
}

fn device(facts: &Facts) -> Finding {
    let path = &facts.device.path;
    match (facts.device.errno, &facts.kvm) {
        (Some(libc::ENOENT | libc::ENODEV | libc::ENXIO), _) => missing(facts),
        (Some(libc::EPERM), _) if facts.container.is_some() => in_container(facts, "may not be used"),
        (Some(libc::EACCES | libc::EPERM), _) => no_access(facts),
        (Some(errno), _) => {
            let error = std::io::Error::from_raw_os_error(errno);
            problem("kvm.open-failed", format!("{path} can't be opened: {error}"))
        }
        (None, None) => problem("kvm.open-failed", format!("{path} was not opened")),
        (None, Some(kvm)) if kvm.api_version < 0 => problem(
            "kvm.not-kvm",
            format!("{path} is not KVM: it does not answer KVM_GET_API_VERSION"),
        )
        .fix("Make KVM's node in its place", [format!("sudo rm {path} && sudo mknod {path} c 10 232")]),
        (None, Some(kvm)) if kvm.api_version != API => problem(
            "kvm.api-version",
            format!("{path}: API version {}, and nvmm needs {API}", kvm.api_version),
        ),
        (None, Some(kvm)) if !kvm.missing.is_empty() => problem(
            "kvm.capability-missing",
            format!("{path} lacks {}, which nvmm needs: use Linux 4.20 or later", kvm.missing.join(", ")),
        ),
        (None, Some(kvm)) => match &kvm.error {
            Some(error) => problem("kvm.error", format!("{path} can't be used: {error}")),
            None => ok("kvm.device", format!("{path} opens, API version {API}, with all that nvmm needs")),
        },
    }
}

/// Returns whether a module serves KVM on this machine, but this container has no node for it.
pub(super) fn withheld(facts: &Facts) -> bool {
    facts.container.is_some() && facts.device.errno == Some(libc::ENOENT) && !vendor_modules(facts).is_empty()
}

/// The modules among kvm_intel and kvm_amd that are loaded or built in.
fn vendor_modules(facts: &Facts) -> Vec<&'static str> {
    ["kvm_intel", "kvm_amd"].into_iter().filter(|module| facts.modules.contains_key(*module)).collect()
}

fn missing(facts: &Facts) -> Finding {
    let path = &facts.device.path;
    if withheld(facts) {
        return in_container(facts, "is missing in this container");
    }
    let Some(module) = kind(facts).map(Virtualization::module).filter(|_| processor::usable(facts)) else {
        return problem(
            "kvm.device-missing",
            format!("{path} is missing: there is no KVM without virtualization in the CPU"),
        );
    };
    if facts.modules.contains_key(module) {
        return problem("kvm.node-missing", format!("{module} is in the kernel, and {path} is missing")).fix(
            "Make the node",
            [
                format!("sudo mknod {path} c 10 232"),
                format!("sudo chgrp kvm {path} && sudo chmod 660 {path}"),
            ],
        );
    }
    let absent = facts.installed.as_ref().is_some_and(|installed| !installed.contains(module));
    if facts.builtin.contains(module) {
        return problem(
            "kvm.module-not-started",
            format!("{path} is missing: {module} is built into the kernel, and did not start"),
        )
        .fix("The kernel's log says why", ["sudo dmesg | grep -i kvm"]);
    }
    if absent {
        let missing = problem(
            "kvm.module-missing",
            format!("{path} is missing, and Linux {} has no module {module}", facts.kernel),
        );
        return system::kernel_with_kvm(facts, missing);
    }
    let unloaded = problem("kvm.module-not-loaded", format!("{path} is missing: {module} is not loaded"));
    system::load(facts, unloaded, module)
}

fn in_container(facts: &Facts, what: &str) -> Finding {
    let (path, container) = (&facts.device.path, facts.container.as_deref().unwrap_or_default());
    let finding = problem("kvm.device-in-container", format!("{path} {what}: {container}"));
    finding
        .fix(
            "Give the device to the container: Docker and Podman",
            [format!("docker run --device {path} ...")],
        )
        .fix("LXD and Incus", [format!("incus config device add NAME kvm unix-char source={path} mode=0666")])
        .fix(
            "systemd-nspawn",
            [format!("systemd-nspawn --bind={path} --property=DeviceAllow='{path} rw' ...")],
        )
        .fix(
            "Kubernetes: a device plugin for KVM, or a privileged pod with a volume of this node",
            [format!("hostPath: {{ path: {path}, type: CharDevice }}")],
        )
}

fn no_access(facts: &Facts) -> Finding {
    let path = &facts.device.path;
    let group = facts.device.group.as_deref().unwrap_or("unknown");
    let barred =
        problem("kvm.no-access", format!("{path} is there, but not for this user (its group is {group})"));
    system::open_to_users(facts, barred)
}

/// The finding about the module that serves KVM.
fn served_by(facts: &Facts) -> Option<Finding> {
    facts.kvm.as_ref()?;
    let vendor = vendor_modules(facts);
    let other: Vec<_> = facts
        .modules
        .keys()
        .map(String::as_str)
        .filter(|name| *name != "kvm" && !vendor.contains(name))
        .collect();
    let active = kind(facts).map(Virtualization::module).filter(|module| vendor.contains(module));
    Some(match (active.or(vendor.first().copied()), other.as_slice()) {
        (Some(module), _) if facts.modules.get(module).is_some_and(|module| module.builtin) => {
            ok("kvm.module", format!("{module}, built into the kernel"))
        }
        (Some(module), _) => ok("kvm.module", module),
        (None, []) => info("kvm.module-unknown", "/sys/module does not tell which module serves KVM"),
        (None, other) => warning(
            "kvm.software",
            format!("{} serves KVM: a KVM in software, without VMX or SVM for guests", other.join(", ")),
        ),
    })
}

/// The difference of a guest's TSC rate from which KVM scales it, in millionths: `kvm.tsc_tolerance_ppm`.
const TOLERANCE: u64 = 250;

/// Finds guests whose TSC has another rate than the host's, on a CPU that can't scale it.
///
/// KVM keeps the rate from when it was loaded. If the kernel had not measured it well by then, a new vCPU's rate can't be set, which only
/// the kernel's log shows ("user requested TSC rate below hardware speed"): the guest's TSC and its deadline timers are wrong, and it
/// stalls from time to time.
fn tsc(facts: &Facts) -> Option<Finding> {
    let rates = facts.kvm.as_ref()?.tsc?;
    let (guest, host) = (u64::from(rates.guest_khz), u64::from(rates.host_khz));
    let tolerance =
        facts.parameter("kvm", "tsc_tolerance_ppm").and_then(|ppm| ppm.parse().ok()).unwrap_or(TOLERANCE);
    let off = guest.abs_diff(host).saturating_mul(1_000_000) / host.max(1);
    if rates.scaling || off <= tolerance {
        return None;
    }
    let found = warning(
        "kvm.tsc-rate",
        format!(
            "KVM gives guests a TSC of {guest} kHz, from when it was loaded, and the host's has {host} kHz: guests of VMMs that don't set it stall now and then (nvmm sets it)"
        ),
    );
    let module = kind(facts).map(Virtualization::module)?;
    Some(system::reload(facts, found, module, "kvm", "tsc_tolerance_ppm=10000"))
}
