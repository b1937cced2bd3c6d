//! The model-specific registers that help to diagnose a hang: clocks and timers, the local APIC, nesting, system calls, and KVM's own.

use std::collections::BTreeMap;

use kvm_bindings::{Msrs, kvm_msr_entry};
use kvm_ioctls::VcpuFd;

use crate::vm::{KvmError, kvm};

/// IA32_KERNEL_GS_BASE, which SWAPGS exchanges with the base of GS.
pub(super) const KERNEL_GS_BASE: u32 = 0xc000_0102;

/// The registers with their names in the SDM, the APM, and Linux, "KVM-specific MSRs".
const NAMES: [(u32, &str); 42] = [
    (0x10, "IA32_TIME_STAMP_COUNTER"),
    (0x1b, "IA32_APIC_BASE"),
    (0x34, "MSR_SMI_COUNT"),
    (0x3a, "IA32_FEATURE_CONTROL"),
    (0x3b, "IA32_TSC_ADJUST"),
    (0x48, "IA32_SPEC_CTRL"),
    (0x8b, "IA32_BIOS_SIGN_ID"),
    (0x9b, "IA32_SMM_MONITOR_CTL"),
    (0x9e, "IA32_SMBASE"),
    (0x174, "IA32_SYSENTER_CS"),
    (0x175, "IA32_SYSENTER_ESP"),
    (0x176, "IA32_SYSENTER_EIP"),
    (0x17a, "IA32_MCG_STATUS"),
    (0x1a0, "IA32_MISC_ENABLE"),
    (0x1d9, "IA32_DEBUGCTL"),
    (0x277, "IA32_PAT"),
    (0x2ff, "IA32_MTRR_DEF_TYPE"),
    (0x6a0, "IA32_U_CET"),
    (0x6a2, "IA32_S_CET"),
    (0x6e0, "IA32_TSC_DEADLINE"),
    (0xda0, "IA32_XSS"),
    (0x11, "MSR_KVM_WALL_CLOCK"),
    (0x12, "MSR_KVM_SYSTEM_TIME"),
    (0x4b56_4d00, "MSR_KVM_WALL_CLOCK_NEW"),
    (0x4b56_4d01, "MSR_KVM_SYSTEM_TIME_NEW"),
    (0x4b56_4d02, "MSR_KVM_ASYNC_PF_EN"),
    (0x4b56_4d03, "MSR_KVM_STEAL_TIME"),
    (0x4b56_4d04, "MSR_KVM_EOI_EN"),
    (0x4b56_4d05, "MSR_KVM_POLL_CONTROL"),
    (0x4b56_4d06, "MSR_KVM_ASYNC_PF_INT"),
    (0xc000_0080, "IA32_EFER"),
    (0xc000_0081, "IA32_STAR"),
    (0xc000_0082, "IA32_LSTAR"),
    (0xc000_0083, "IA32_CSTAR"),
    (0xc000_0084, "IA32_FMASK"),
    (0xc000_0100, "IA32_FS_BASE"),
    (0xc000_0101, "IA32_GS_BASE"),
    (KERNEL_GS_BASE, "IA32_KERNEL_GS_BASE"),
    (0xc000_0103, "IA32_TSC_AUX"),
    (0xc000_0104, "TSC_RATIO"),
    (0xc001_0114, "VM_CR"),
    (0xc001_0117, "VM_HSAVE_PA"),
];

/// Reads the registers that the vCPU has.
pub(super) fn read(fd: &VcpuFd) -> Result<BTreeMap<u32, u64>, KvmError> {
    let mut values = BTreeMap::new();
    let mut wanted = &NAMES[..];
    while !wanted.is_empty() {
        let entries: Vec<_> =
            wanted.iter().map(|&(index, _)| kvm_msr_entry { index, ..Default::default() }).collect();
        let asked = || kvm("KVM_GET_MSRS");
        let mut msrs =
            Msrs::from_entries(&entries).map_err(|_| asked()(kvm_ioctls::Error::new(libc::E2BIG)))?;
        let count = fd.get_msrs(&mut msrs).map_err(asked())?;
        values.extend(msrs.as_slice().iter().take(count).map(|msr| (msr.index, msr.data)));
        // KVM stops at the first one that it does not have.
        wanted = wanted.get(count + 1..).unwrap_or_default();
    }
    Ok(values)
}

/// The name of a register of the table.
pub(super) fn name(index: u32) -> Option<&'static str> {
    NAMES.iter().find(|(of_table, _)| *of_table == index).map(|&(_, name)| name)
}
