//! Model-specific registers by name: SDM 4, "Architectural MSRs".

/// IA32_APIC_BASE: the local APIC is in x2APIC mode.
pub const APIC_BASE_EXTD: u64 = 1 << 10;

/// IA32_FEATURE_CONTROL: whether VMXON works.
pub const FEATURE_CONTROL: u32 = 0x3a;
/// IA32_BIOS_SIGN_ID: the microcode's revision. AMD has its patch level there.
pub const BIOS_SIGN_ID: u32 = 0x8b;
/// IA32_MISC_ENABLE.
pub const MISC_ENABLE: u32 = 0x1a0;
/// IA32_MTRR_DEF_TYPE.
pub const MTRR_DEF_TYPE: u32 = 0x2ff;
/// IA32_VMX_BASIC, first of the VMX capability MSRs.
pub const VMX_BASIC: u32 = 0x480;
/// IA32_VMX_PROCBASED_CTLS: primary processor-based controls.
pub const VMX_PROCBASED_CTLS: u32 = 0x482;
/// IA32_VMX_PROCBASED_CTLS2: secondary processor-based controls.
pub const VMX_PROCBASED_CTLS2: u32 = 0x48b;

/// IA32_FEATURE_CONTROL: no further writes.
pub const FEATURE_CONTROL_LOCKED: u64 = 1 << 0;
/// IA32_FEATURE_CONTROL: VMXON works outside SMX operation.
pub const FEATURE_CONTROL_VMX_OUTSIDE_SMX: u64 = 1 << 2;
