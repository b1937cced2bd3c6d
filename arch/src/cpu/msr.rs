//! Model-specific registers by name: SDM 4, "Architectural MSRs".

/// IA32_APIC_BASE: the local APIC is in x2APIC mode.
pub const APIC_BASE_EXTD: u64 = 1 << 10;

/// IA32_FEATURE_CONTROL, which decides whether VMXON works.
pub const FEATURE_CONTROL: u32 = 0x3a;
/// IA32_BIOS_SIGN_ID: the microcode's revision. AMD has its patch level there.
pub const BIOS_SIGN_ID: u32 = 0x8b;
/// IA32_MCG_CAP: the machine-check capabilities.
pub const MCG_CAP: u32 = 0x179;
/// IA32_MISC_ENABLE.
pub const MISC_ENABLE: u32 = 0x1a0;
/// IA32_MTRR_PHYSBASE0.
pub const MTRR_PHYSBASE0: u32 = 0x200;
/// IA32_MTRR_PHYSMASK0.
pub const MTRR_PHYSMASK0: u32 = 0x201;
/// The fixed-range MTRRs, in the order of addresses.
pub const MTRR_FIX: [u32; 11] = [0x250, 0x258, 0x259, 0x268, 0x269, 0x26a, 0x26b, 0x26c, 0x26d, 0x26e, 0x26f];
/// IA32_MTRR_DEF_TYPE.
pub const MTRR_DEF_TYPE: u32 = 0x2ff;
/// IA32_CORE_CAPABILITIES.
pub const CORE_CAPABILITIES: u32 = 0xcf;
/// IA32_ARCH_CAPABILITIES.
pub const ARCH_CAPABILITIES: u32 = 0x10a;
/// IA32_PERF_CAPABILITIES.
pub const PERF_CAPABILITIES: u32 = 0x345;
/// IA32_VMX_EPT_VPID_CAP: EPT in the low half, VPID in the high one.
pub const VMX_EPT_VPID_CAP: u32 = 0x48c;
/// IA32_VMX_BASIC, first of the VMX capability MSRs.
pub const VMX_BASIC: u32 = 0x480;
/// IA32_VMX_PROCBASED_CTLS: primary processor-based controls.
pub const VMX_PROCBASED_CTLS: u32 = 0x482;
/// IA32_VMX_MISC: miscellaneous data.
pub const VMX_MISC: u32 = 0x485;
/// IA32_VMX_CR4_FIXED1: the bits of CR4 that may be 1 in VMX operation.
pub const VMX_CR4_FIXED1: u32 = 0x489;
/// IA32_VMX_PROCBASED_CTLS2: secondary processor-based controls.
pub const VMX_PROCBASED_CTLS2: u32 = 0x48b;
/// IA32_VMX_TRUE_PINBASED_CTLS, the first of four MSRs that report which controls may be 0 although they used to be always 1.
pub const VMX_TRUE_PINBASED_CTLS: u32 = 0x48d;
/// IA32_VMX_VMFUNC, last of the VMX capability MSRs.
pub const VMX_VMFUNC: u32 = 0x491;
/// The VMX capability MSRs.
pub const VMX: std::ops::RangeInclusive<u32> = VMX_BASIC..=VMX_VMFUNC;

/// The older control MSRs, each with the "true" one that gives the same information and more.
pub const VMX_OLD_CONTROLS: [(u32, u32); 4] =
    [(0x481, 0x48d), (0x482, 0x48e), (0x483, 0x48f), (0x484, 0x490)];

/// The controls of a "true" control MSR that the older MSR fixes at 1: SDM 3D, "Reserved Controls and Default Settings".
#[must_use]
pub const fn vmx_default1(index: u32) -> u32 {
    match index {
        0x48d => 0x0000_0016,
        0x48e => 0x0401_e172,
        0x48f => 0x0003_6dff,
        0x490 => 0x0000_11ff,
        _ => 0,
    }
}

/// IA32_FEATURE_CONTROL: machine checks may be delivered to one logical processor alone.
pub const FEATURE_CONTROL_LMCE: u64 = 1 << 20;
/// IA32_FEATURE_CONTROL: no further writes are possible.
pub const FEATURE_CONTROL_LOCKED: u64 = 1 << 0;
/// IA32_FEATURE_CONTROL: VMXON works outside SMX operation.
pub const FEATURE_CONTROL_VMX_OUTSIDE_SMX: u64 = 1 << 2;
