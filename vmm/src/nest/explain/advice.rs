//! Advice on how to reduce the counted exits. It follows from the counts, from KVM's parameters at the level, and from the level's CPU. If
//! nothing is known to help, there is no advice.

use std::collections::BTreeMap;
use std::fs;

use super::cost::{Access, Advice, Cost};

/// Exits that a feature of the processor avoids.
struct Avoidable {
    reasons: &'static [&'static str],
    /// The instructions that cause them.
    instructions: &'static str,
    /// The module, and the parameter with which KVM uses the feature.
    module: &'static str,
    parameter: &'static str,
    /// The feature's flag in /proc/cpuinfo; VMX's flags are on a line of their own.
    flag: &'static str,
    /// The feature's name, and the processors that have it.
    feature: &'static str,
}

/// Linux, arch/x86/kvm/vmx/nested.c (`enable_shadow_vmcs`) and arch/x86/kvm/svm/svm.c (`vls`, `vgif`): with these, KVM does not intercept
/// the most frequent operations of a guest that is a hypervisor.
const AVOIDABLE: [Avoidable; 3] = [
    Avoidable {
        reasons: &["vmread", "vmwrite"],
        instructions: "VMREAD and VMWRITE",
        module: "kvm_intel",
        parameter: "enable_shadow_vmcs",
        flag: "vmx-shadow_vmcs",
        feature: "shadow VMCS (Intel's processors from Haswell on)",
    },
    Avoidable {
        reasons: &["vmload", "vmsave"],
        instructions: "VMLOAD and VMSAVE",
        module: "kvm_amd",
        parameter: "vls",
        flag: "v_vmsave_vmload",
        feature: "virtual VMLOAD and VMSAVE (AMD's processors from Zen on)",
    },
    Avoidable {
        reasons: &["stgi", "clgi"],
        instructions: "STGI and CLGI",
        module: "kvm_amd",
        parameter: "vgif",
        flag: "vgif",
        feature: "a virtual global interrupt flag (AMD's processors from Zen on)",
    },
];

/// The least number of exits, for one exit of the last level, that is worth a sentence.
const LEAST: f64 = 0.2;

/// The parameters of this machine's KVM on which advice depends.
pub(super) fn parameters() -> BTreeMap<String, String> {
    let read = |Avoidable { module, parameter, .. }: &Avoidable| {
        let value = fs::read_to_string(format!("/sys/module/{module}/parameters/{parameter}")).ok()?;
        Some(((*parameter).to_owned(), value.trim().to_owned()))
    };
    AVOIDABLE.iter().filter_map(read).collect()
}

/// Advice on a cost of `level`, whose CPU has these features, the most useful first.
pub(in crate::nest) fn advice(cost: &Cost, level: u32, features: &[String]) -> Vec<Advice> {
    let next = level + 1;
    let mut advice: Vec<_> = AVOIDABLE
        .iter()
        .filter_map(|avoidable| {
            let has = features.iter().any(|feature| feature == avoidable.flag);
            let is_on = cost.parameters.get(avoidable.parameter).map(|value| matches!(value.as_str(), "Y" | "1"));
            let Avoidable { instructions, module, parameter, feature, .. } = avoidable;
            let text = match (has, is_on) {
                (false, _) => format!(
                    "level {level}'s CPU has no {feature}, so that {instructions} of level {next} exit"
                ),
                (true, Some(false)) => format!(
                    "load {module} with {parameter}=1 on level {level}, so that {instructions} of level {next} don't exit"
                ),
                // The parameter is on already, or unknown.
                (true, _) => return None,
            };
            Some(Advice { exits: exits(cost, next, avoidable.reasons), text })
        })
        .collect();
    advice.push(Advice {
        exits: exits(cost, next, &["ept_violation", "npf"]),
        text: format!(
            "level {next} touches memory that level {level} has yet to give it: --memory with prefault=on, and huge pages"
        ),
    });
    advice.push(Advice {
        exits: exits(cost, next, &["vmptrld", "vmclear", "invept", "invvpid"]),
        text: format!("level {next}'s vCPU threads move between its processors: pin them, or give it one"),
    });
    advice.extend(cost.msrs.iter().filter_map(|msr| {
        let text = msr_advice(msr.number, next)?;
        Some(Advice { exits: msr.times, text })
    }));
    advice.push(Advice {
        exits: cost.ports.iter().filter(|port| is_serial(port)).map(|port| port.times).sum(),
        text: format!(
            "level {next} prints on its serial port meanwhile: a quieter console, or one on virtio (hvc0)"
        ),
    });
    advice.retain(|advice| advice.exits >= LEAST);
    advice.sort_by(|one, other| other.exits.total_cmp(&one.exits));
    advice
}

/// The number of exits of `level` itself for any of these reasons.
fn exits(cost: &Cost, level: u32, reasons: &[&str]) -> f64 {
    let reasons = cost
        .reasons
        .iter()
        .filter(|reason| reason.level == Some(level) && reasons.contains(&reason.reason.as_str()));
    reasons.map(|reason| reason.exits).sum()
}

/// COM1's and COM2's registers.
fn is_serial(port: &Access) -> bool {
    [0x3f8..0x400, 0x2f8..0x300].iter().any(|ports| ports.contains(&port.number))
}

/// Advice on how a guest that is a hypervisor can avoid an MSR.
fn msr_advice(msr: u32, level: u32) -> Option<String> {
    match msr {
        0x48 | 0x49 => Some(format!(
            "level {level} guards against speculation at each entry: mitigations=off there, if its guests are trusted"
        )),
        0x1d9 => Some(format!(
            "level {level}'s KVM reads DEBUGCTL before each entry, as Linux does since 6.14 and stable kernels since; no setting avoids it"
        )),
        0x6e0 => Some(format!(
            "level {level} sets its timer for its guest's: fewer ticks (nohz=on, a lower HZ) in the guests"
        )),
        0x800..=0x8ff => Some(format!(
            "level {level} uses its local APIC: KVM with APICv (Intel) or AVIC (AMD) on the level below spares it that"
        )),
        _ => None,
    }
}

/// The name of an MSR that hypervisors use often. Intel SDM 4, "Model-specific registers"; Linux, "KVM-specific MSRs".
#[must_use]
pub fn msr_name(number: u32) -> Option<&'static str> {
    Some(match number {
        0x10 => "TSC",
        0x1b => "APIC_BASE",
        0x3b => "TSC_ADJUST",
        0x48 => "SPEC_CTRL",
        0x49 => "PRED_CMD",
        0x10b => "FLUSH_CMD",
        0x1d9 => "DEBUGCTL",
        0x277 => "PAT",
        0x38f => "PERF_GLOBAL_CTRL",
        0x6e0 => "TSC_DEADLINE",
        0x808 => "X2APIC_TPR",
        0x80b => "X2APIC_EOI",
        0x830 => "X2APIC_ICR",
        0x832 => "X2APIC_LVT_TIMER",
        0x838 => "X2APIC_TMICT",
        0xda0 => "XSS",
        0x4b56_4d02 => "KVM_ASYNC_PF_EN",
        0x4b56_4d04 => "KVM_EOI_EN",
        0xc000_0080 => "EFER",
        0xc000_0081 => "STAR",
        0xc000_0082 => "LSTAR",
        0xc000_0084 => "FMASK",
        0xc000_0100 => "FS_BASE",
        0xc000_0101 => "GS_BASE",
        0xc000_0102 => "KERNEL_GS_BASE",
        0xc000_0103 => "TSC_AUX",
        0xc001_0117 => "VM_HSAVE_PA",
        _ => return None,
    })
}

#[cfg(test)]
#[path = "advice_test.rs"]
mod tests;
