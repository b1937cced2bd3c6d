//! Judges the processor, the firmware, and the version of Linux.

use arch::cpu::{
    msr::{FEATURE_CONTROL, FEATURE_CONTROL_LOCKED, FEATURE_CONTROL_VMX_OUTSIDE_SMX},
    nesting::Virtualization,
};

use super::{
    finding::{info, ok, problem, warning},
    kind::kind,
    outer,
};
use crate::check::{facts::Facts, gather::VM_CR, report::Finding};

/// A version of Linux, such as `6.1.177`.
pub(super) type Version = (u32, u32, u32);

/// APM 2, "VM_CR MSR (C001_0114h)": SVM is off.
const VM_CR_SVMDIS: u64 = 1 << 4;

pub(super) fn findings(facts: &Facts) -> Vec<Finding> {
    vec![virtualization(facts), linux(facts)]
}

/// Returns whether the firmware, or an outer hypervisor in its place, has disabled virtualization.
fn locked_off(facts: &Facts) -> bool {
    let control = facts.msr(FEATURE_CONTROL);
    let vmx_locked = control.is_some_and(|value| {
        value & FEATURE_CONTROL_LOCKED != 0 && value & FEATURE_CONTROL_VMX_OUTSIDE_SMX == 0
    });
    let svm_off = facts.msr(VM_CR).is_some_and(|value| value & VM_CR_SVMDIS != 0);
    // Linux hides the flag of a feature that is disabled, although CPUID still shows the bit.
    let hidden = |bit: bool, flag: &str| bit && !facts.flag(flag);
    facts.cpu.vmx && (vmx_locked || hidden(true, "vmx")) || facts.cpu.svm && (svm_off || hidden(true, "svm"))
}

/// Returns whether the processor has VMX or SVM, and it is not disabled.
pub(super) fn usable(facts: &Facts) -> bool {
    (facts.flag("vmx") || facts.flag("svm")) && !locked_off(facts)
}

fn virtualization(facts: &Facts) -> Finding {
    let model = match facts.cpu.model.as_str() {
        "" => "the CPU",
        model => model,
    };
    if locked_off(facts) {
        let off = problem(
            "cpu.disabled-by-firmware",
            format!("{model} has virtualization, and the firmware switched it off"),
        );
        return if outer::is_guest(facts) { outer::switch(facts, off) } else { firmware(off) };
    }
    let name = match kind(facts) {
        Some(Virtualization::Vmx) if facts.flag("vmx") => "VMX (Intel VT-x)",
        Some(Virtualization::Svm) if facts.flag("svm") => "SVM (AMD-V)",
        _ => {
            let none = |found| problem("cpu.no-virtualization", found);
            return if outer::is_guest(facts) {
                let found = format!(
                    "{model} shows neither VMX nor SVM: the outer hypervisor keeps it from this guest"
                );
                outer::switch(facts, none(found))
            } else {
                firmware(none(format!("{model} shows neither VMX nor SVM")))
            };
        }
    };
    ok("cpu.virtualization", format!("{model}: {name}"))
}

fn firmware(finding: Finding) -> Finding {
    finding
        .fix(
            "In the firmware's setup switch on Intel Virtualization Technology (VT-x, VMX), or SVM Mode (AMD-V), then switch the machine off and on. With UEFI, this gets there:",
            ["sudo systemctl reboot --firmware-setup"],
        )
}

fn linux(facts: &Facts) -> Finding {
    let kernel = &facts.kernel;
    match version(kernel, &facts.build) {
        None => info("linux.version-unknown", format!("Linux {kernel:?}")),
        Some(version) if version < (4, 11, 0) => problem(
            "linux.too-old",
            format!("Linux {kernel}: nvmm needs KVM_CAP_IMMEDIATE_EXIT, which 4.11 brought"),
        ),
        Some(version) if version < (4, 20, 0) => warning(
            "linux.old",
            format!(
                "Linux {kernel}: before 4.20 VMX is not nested unless asked for, and the state of nested guests can't be saved"
            ),
        ),
        Some(version) if version < (5, 3, 0) => warning(
            "linux.old",
            format!("Linux {kernel}: the state of nested guests is incomplete before 5.3"),
        ),
        Some(_) => ok("linux.version", format!("Linux {kernel}")),
    }
}

/// The upstream version of a kernel. Debian's release has only its first two numbers, and its build has all of them: `Debian 6.1.192-1`.
pub(super) fn version(release: &str, build: &str) -> Option<Version> {
    let debian = build.split_once("Debian ").and_then(|(_, text)| parse(text));
    debian.or_else(|| parse(release))
}

fn parse(text: &str) -> Option<Version> {
    let end = text.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(text.len());
    let mut numbers = text[..end].split('.').map(str::parse);
    let mut next = || numbers.next()?.ok();
    let (major, minor) = (next()?, next()?);
    Some((major, minor, next().unwrap_or(0)))
}
