//! Model-specific registers by name: SDM 4, "Architectural MSRs".

/// IA32_FEATURE_CONTROL: whether VMXON works.
pub const FEATURE_CONTROL: u32 = 0x3a;
/// IA32_MISC_ENABLE.
pub const MISC_ENABLE: u32 = 0x1a0;
/// IA32_MTRR_DEF_TYPE.
pub const MTRR_DEF_TYPE: u32 = 0x2ff;
