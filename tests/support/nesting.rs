//! The texts printed by the guest `nesting`.
#![allow(dead_code, reason = "each user of it has one kind of host")]

/// Without VMX and SVM.
pub(crate) const NOTHING: &str = "\
vmx 0, svm 0, its features 0
feature control: #GP
VMX capabilities: #GP
CR4.VMXE: #GP
VMXON: #UD
EFER.SVME: #GP
VMRUN: #UD
";

/// With VMX, enabled and locked.
pub(crate) const VMX: &str = "\
vmx 1, svm 0, its features 0
feature control: 5
VMX capabilities: there
CR4.VMXE: done
VMXON: done
EFER.SVME: #GP
VMRUN: #UD
";

/// With SVM.
pub(crate) const SVM: &str = "\
vmx 0, svm 1, its features there
feature control: #GP
VMX capabilities: #GP
CR4.VMXE: #GP
VMXON: #UD
EFER.SVME: done
VMRUN: done
";

/// The output without the values that differ between hosts: capabilities, and IA32_FEATURE_CONTROL, which KVM lets every guest on an Intel
/// processor read. Its bit 20 is for machine checks; without VMX only the lock bit remains.
pub(crate) fn normal(output: &str) -> String {
    let line = |line: &str| match line.rsplit_once(' ') {
        Some(("feature control:", value)) => {
            match u64::from_str_radix(value, 16).map(|value| value & !(1 << 20)) {
                Ok(0 | 1) => "feature control: #GP\n".to_owned(),
                Ok(value) => format!("feature control: {value:x}\n"),
                Err(_) => format!("{line}\n"),
            }
        }
        Some(("VMX capabilities:", value)) if value != "#GP" && value != "0" => {
            "VMX capabilities: there\n".to_owned()
        }
        Some((before @ "vmx 0, svm 1, its features", value)) if value != "0" => format!("{before} there\n"),
        _ => format!("{line}\n"),
    };
    output.lines().map(line).collect()
}

#[cfg(test)]
#[path = "nesting_test.rs"]
mod tests;
