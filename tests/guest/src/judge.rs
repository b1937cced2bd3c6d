//! The facts that level 1 must find, and the reasons for allowed differences.

use std::collections::BTreeSet;

use anyhow::ensure;
use arch::cpu::cpuid::Leaf;
use arch::cpu::nesting::Virtualization;
use arch::cpu::svm;
use vmm::host::Host;

use crate::facts::Facts;
use crate::level1;
use crate::scenario::{Record, SERIAL, UUID};

/// Flags of /proc/cpuinfo that L1 may lack on the VMX host.
const LOST_WITH_VMX: &[&str] = &[
    // Temperature, frequency and sleep are managed by L0; KVM offers none of these.
    "acpi aperfmperf dtherm epb est ida pbe pln pts tm tm2 xtpr",
    // KVM lets a guest wait in MWAIT only if user space dedicates the CPU to it.
    "monitor",
    // Bochs has no counters ("Failed to access perfctr msr"), without which KVM has none for L1; it also has no debug store.
    "arch_perfmon bts ds_cpl dtes64 dts pdcm pebs",
];

/// Flags that L1 may have there but L0 lacks.
const GAINED_WITH_VMX: &[&str] = &[
    // Bochs doesn't report that it is a hypervisor.
    "hypervisor",
    // KVM has these on any CPU: it emulates the MSRs, and implements UMIP by exits.
    "arch_capabilities cpuid_fault umip",
    // L0 drops it because of an erratum that Linux doesn't look for in a virtual machine.
    "tsc_deadline_timer",
    // kvm-clock reports the frequency.
    "tsc_known_freq",
    // IA32_MISC_ENABLE's fast strings, which Bochs' BIOS leaves off.
    "rep_good",
    // Topology by leaf 0xB, in which the host reports no cores.
    "xtopology",
];

/// KVM doesn't nest PAUSE-loop exiting: its bit in MSR 0x48B is also off in QEMU's L1.
const LOST_OF_VMX: &[&str] = &["ple"];

/// KVM offers it to L1 on any CPU with EPT, since KVM implements the log itself.
const GAINED_OF_VMX: &[&str] = &["pml"];

/// Flags that L1 may lack on the SVM host.
const LOST_WITH_SVM: &[&str] = &[
    // As above.
    "monitor",
    // QEMU TCG runs a guest's XSETBV without the exit that KVM requests. KVM continues to show CPUID for the old XCR0, and L1's Linux
    // finds sizes that don't match ("XSAVE consistency problem") and disables XSAVE.
    "avx avx2 fma xgetbv1 xsave xsaveopt",
];

/// Flags that L1 may have there but L0 lacks.
const GAINED_WITH_SVM: &[&str] = &[
    // L1 has two cores, L0 one.
    "cmp_legacy ht",
    // KVM emulates them.
    "tsc_adjust tsc_deadline_timer vmcb_clean x2apic",
    // KVM offers it to guests on CPUs for which L0 does the same by LS_CFG.
    "virt_ssbd",
    // kvm-clock reports the frequency.
    "tsc_known_freq",
];

/// Checks that L1's flags equal L0's, except those listed.
pub(crate) fn flags(virt: Virtualization, host: &Facts, guest: &Facts) -> anyhow::Result<()> {
    let (lost, gained) = match virt {
        Virtualization::Vmx => (LOST_WITH_VMX, GAINED_WITH_VMX),
        Virtualization::Svm => (LOST_WITH_SVM, GAINED_WITH_SVM),
    };
    let found = [
        ("lost", beyond(&host.flags, &guest.flags, lost)),
        ("gained", beyond(&guest.flags, &host.flags, gained)),
        ("lost of VMX", beyond(&host.vmx_flags, &guest.vmx_flags, LOST_OF_VMX)),
        ("gained of VMX", beyond(&guest.vmx_flags, &host.vmx_flags, GAINED_OF_VMX)),
    ];
    let found = found.iter().filter(|(_, flags)| !flags.is_empty());
    let found: Vec<_> = found.map(|(what, flags)| format!("{what}: {flags}")).collect();
    ensure!(found.is_empty(), "{}", found.join("; "));
    Ok(())
}

/// Lists the entries of `a` that are neither in `b` nor in `known`.
fn beyond(a: &BTreeSet<String>, b: &BTreeSet<String>, known: &[&str]) -> String {
    let known: Vec<_> = known.iter().flat_map(|flags| flags.split(' ')).collect();
    let flags = a.difference(b).map(String::as_str).filter(|flag| !known.contains(flag));
    flags.collect::<Vec<_>>().join(" ")
}

/// The VMX MSRs of an L1 with all features under QEMU, on Bochs' haswell.
///
/// MSR 0x482 is an exception: QEMU's has bit 59, the monitor trap flag, set. The host's own CPU lacks that control (0x482 is
/// f7f9fffe0401e172 in L0 too), and KVM refuses it for a guest when 0x48E is written with it.
const VMX_MSRS: [(u32, u64); 8] = [
    // Locked, VMX outside SMX, local machine checks.
    (0x3a, 0x10_0005),
    (0x480, 0x00d8_1000_11e5_7ed0),
    (0x481, 0x0000_007f_0000_0016),
    (0x482, 0xf7f9_fffe_0401_e172),
    (0x485, 0x2000_0165),
    (0x48b, 0x0002_7bff_0000_0000),
    (0x48c, 0x0000_0f01_0633_4041),
    (0x491, 0x1),
];

/// Checks that the VMX capability MSRs are all that L0's KVM offers, and that IA32_FEATURE_CONTROL permits VMXON.
pub(crate) fn vmx_msrs(kvm: &Host, guest: &Facts) -> anyhow::Result<()> {
    let offered = kvm.cpu.feature_msrs.range(0x480..=0x491).map(|(&index, &value)| (index, value));
    for (index, want) in VMX_MSRS.into_iter().chain(offered) {
        let got = guest.vmx_msrs.get(&index);
        ensure!(got == Some(&want), "MSR {index:#x} is {got:x?}, not {want:#x}");
    }
    Ok(())
}

/// On QEMU's EPYC with vgif: revision 1 and 8 ASIDs; NPT, VMCB clean bits, VGIF, and the check of SVM instructions' addresses.
const SVM_LEAF: [u32; 4] = [1, 8, 0, 1 << 0 | 1 << 5 | 1 << 16 | 1 << 28];

/// Checks that CPUID leaf 0x8000000A is all that L0's KVM offers, and lacks no feature that L0 has.
pub(crate) fn svm_leaf(kvm: &Host, host: &Facts, guest: &Facts) -> anyhow::Result<()> {
    let offered = kvm.cpu.supported.get(Leaf::new(svm::FUNCTION));
    let offered = [offered.eax, offered.ebx, offered.ecx, offered.edx];
    let leaf = guest.svm_leaf;
    ensure!(leaf == offered, "{leaf:#x?}, where KVM offers {offered:#x?}");
    ensure!(leaf == SVM_LEAF, "{leaf:#x?}, not {SVM_LEAF:#x?}");
    let lost = host.svm_leaf[3] & !leaf[3];
    ensure!(lost == 0, "EDX lacks {lost:#x}");
    Ok(())
}

/// Checks that all resets were made, each followed by one boot, and that KVM still works.
pub(crate) fn resets(record: &Record) -> anyhow::Result<()> {
    let want = level1::RESETS.len();
    ensure!(
        record.resets == want && record.boots == want + 1 && record.ran_level_2,
        "{} boots with {} resets, level 2 ran in the end: {}",
        record.boots,
        record.resets,
        record.ran_level_2
    );
    Ok(())
}

/// Linux, "arch/x86/platform/pvh/enlighten.c": the loader number of a kernel that was started by PVH.
const LOADER_PVH: u32 = 0xb0;

/// Checks that the kernel was started by PVH.
pub(crate) fn pvh(guest: &Facts) -> anyhow::Result<()> {
    ensure!(guest.loader == LOADER_PVH, "the kernel's loader is {:#x}", guest.loader);
    Ok(())
}

/// Checks that Linux has read the SMBIOS tables.
pub(crate) fn smbios(guest: &Facts) -> anyhow::Result<()> {
    let want = [
        ("product_name", "KVM Virtual Machine"),
        ("product_serial", SERIAL),
        ("product_uuid", UUID),
        ("sys_vendor", "nvmm"),
    ];
    let want = want.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    ensure!(guest.dmi == want, "{:?}, not {want:?}", guest.dmi);
    Ok(())
}

/// Checks that of 5 GiB, 2 GiB are above 4 GiB, and the kernel can use nearly all of them.
pub(crate) fn high_memory(guest: &Facts) -> anyhow::Result<()> {
    ensure!(guest.high_ram == 2 << 30, "RAM from 4 GiB on: {:#x}", guest.high_ram);
    ensure!(guest.memory_kib > 9 << 19, "MemTotal: {} KiB", guest.memory_kib);
    Ok(())
}

#[cfg(test)]
#[path = "judge_test.rs"]
mod tests;
