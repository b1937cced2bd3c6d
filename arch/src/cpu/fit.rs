//! Checks whether a host can give the parts of another host's CPU that are no named features: maker, widths, the layout of state, counters,
//! and each further bit of capability MSRs.
//!
//! Linux, arch/x86/kvm/vmx/nested.c, `vmx_restore_vmx_basic`, `vmx_restore_control_msr`, `vmx_restore_vmx_misc`, `vmx_restore_vmx_ept_vpid_cap` and
//! `vmx_restore_fixed0_msr`: KVM takes a value of a VMX capability MSR if it promises the guest nothing beyond KVM's own.

use std::collections::BTreeMap;

use super::{
    address_width,
    capabilities::Capabilities,
    cpuid::{Cpuid, Leaf, Register},
    feature::{FeatureSet, Place},
    field::Field,
    leaves::{self, WITH_FEATURES},
    msr,
    vendor::Vendor,
    vmx::Controls,
    xsave,
};

/// The leaf of KVM's features.
const KVM_FEATURES: Leaf = Leaf::new(0x4000_0001);
/// Performance counters: version, their number and width, and the number of fixed ones. SDM 2A, "Architectural Performance Monitoring Leaf".
const COUNTERS: [Field; 4] = [
    Field::new(0xa, Register::Eax, 7, 0, "the version of performance monitoring"),
    Field::new(0xa, Register::Eax, 15, 8, "performance counters"),
    Field::new(0xa, Register::Eax, 23, 16, "bits of a performance counter"),
    Field::new(0xa, Register::Edx, 4, 0, "fixed performance counters"),
];
/// AVX10's version.
const AVX10: Field = Field::new(0x24, Register::Ebx, 7, 0, "the version of AVX10").at(Leaf::sub(0x24, 0));

/// IA32_VMX_BASIC: SDM 3D, "Basic VMX Information".
const REVISION: (u32, u32) = (30, 0);
const REGION: (u32, u32) = (44, 32);
const MEMORY_TYPE: (u32, u32) = (53, 50);
/// IA32_VMX_MISC: SDM 3D, "Miscellaneous Data".
const TIMER_RATE: (u32, u32) = (4, 0);
const CR3_TARGETS: (u32, u32) = (24, 16);
const MSR_LISTS: (u32, u32) = (27, 25);
const MSEG_REVISION: (u32, u32) = (63, 32);
/// IA32_VMX_CR0_FIXED0 and IA32_VMX_CR4_FIXED0: bits that have to be 1.
const FIXED0: [u32; 2] = [0x486, 0x488];
/// MSRs that need no comparison. KVM derives them from others or from CPUID (the older controls, IA32_VMX_CR0_FIXED1 and
/// IA32_VMX_CR4_FIXED1), or takes any value (IA32_VMX_VMCS_ENUM).
const MADE: [u32; 7] = [0x481, 0x482, 0x483, 0x484, 0x487, msr::VMX_CR4_FIXED1, 0x48a];
/// The MSRs that hold pairs of controls: the four "true" ones, and the secondary controls.
const CONTROLS: [u32; 5] = [0x48d, 0x48e, 0x48f, 0x490, msr::VMX_PROCBASED_CTLS2];

/// Lists the parts of a CPU with these `features` that `host` can't give, except for the bits in `told`, which are reported already.
pub(super) fn lacking(
    host: &Capabilities,
    cpuid: &Cpuid,
    msrs: &BTreeMap<u32, u64>,
    features: FeatureSet,
    told: &[Place],
) -> Vec<String> {
    let mut lacking = Vec::new();
    let here = &host.cpuid;
    let [theirs, ours] = [cpuid, here].map(|cpuid| cpuid.get(Leaf::new(0)).maker());
    if theirs != ours {
        let name = |maker: [u8; 12]| match Vendor::named(&String::from_utf8_lossy(&maker)) {
            Vendor::Other => maker.escape_ascii().to_string(),
            vendor => vendor.to_string(),
        };
        lacking.push(format!("a processor of {}'s (this host's is {}'s)", name(theirs), name(ours)));
    }
    let [given, width] = [cpuid, here].map(address_width::physical);
    if given > width {
        lacking.push(format!("physical addresses of {given} bits (this host's have {width})"));
    }
    state(here, cpuid, &mut lacking);
    for field in COUNTERS.into_iter().chain([AVX10]) {
        let [given, most] = [cpuid, here].map(|cpuid| field.get(cpuid));
        if given > most {
            lacking.push(format!("{field} {}: {given} (this host has {most})", field.name));
        }
    }
    // Leaves that describe a feature further must be equal. This list has those whose bits are not compared elsewhere.
    for (function, name) in WITH_FEATURES {
        let compared = [0x12, 0x14, 0x1d, 0x1e].contains(&function) && leaves::has(features, name);
        if compared && cpuid.function(function).any(|(leaf, registers)| registers != here.get(leaf)) {
            lacking.push(format!("{} as the guest has it, of {name}", Leaf::new(function)));
        }
    }
    let of_kvm = cpuid.get(KVM_FEATURES).eax & !here.get(KVM_FEATURES).eax;
    let of_kvm = bits(of_kvm.into()).map(|bit| Place::Cpuid(KVM_FEATURES, Register::Eax, bit));
    lacking.extend(of_kvm.filter(|place| !told.contains(place)).map(|place| place.to_string()));
    for (&index, &given) in msrs {
        // If the host has no such MSR, the feature that brings it is reported already.
        let Some(&here) = host.msrs.get(&index) else { continue };
        let is_told = |bit: u32| {
            told.contains(&Place::Msr(index, bit)) || told.contains(&Place::Control(index, bit % 32))
        };
        lacking.extend(msr_bits(index, given, here).into_iter().filter_map(|missing| match missing {
            Missing::Bit(bit) if is_told(bit) => None,
            Missing::Bit(bit) => Some(format!("MSR({index:X}H)[{bit}] = {}", given >> bit & 1)),
            Missing::Field((high, low), given, here) => {
                Some(format!("MSR({index:X}H)[{high}:{low}] = {given:#x} (this host has {here:#x})"))
            }
        }));
    }
    lacking
}

/// Compares each state that XSAVE saves: it must lie where the host's processor puts it.
fn state(here: &Cpuid, cpuid: &Cpuid, lacking: &mut Vec<String>) {
    for (bit, name) in xsave::components(cpuid) {
        let leaf = Leaf::sub(xsave::FUNCTION, bit);
        let (given, host) = (cpuid.get(leaf), here.get(leaf));
        if given == host {
            continue;
        }
        let of = name.map_or(String::new(), |name| format!(" of {name}"));
        lacking.push(if host.is_zero() {
            format!("state {bit} of XSAVE{of}")
        } else {
            format!(
                "state {bit} of XSAVE{of} with {} bytes at {} (this host has {} at {})",
                given.eax, given.ebx, host.eax, host.ebx
            )
        });
    }
}

/// A part of an MSR that the host can't give.
enum Missing {
    Bit(u32),
    Field((u32, u32), u64, u64),
}

/// Compares an MSR's value with the host's.
fn msr_bits(index: u32, given: u64, here: u64) -> Vec<Missing> {
    let within = |mask: u64| bits(given & !here & mask).map(Missing::Bit);
    let field = |(high, low): (u32, u32), fits: fn(u64, u64) -> bool| {
        let [given, here] = [given, here].map(|value| value >> low & (u64::MAX >> (63 - (high - low))));
        (!fits(given, here)).then_some(Missing::Field((high, low), given, here))
    };
    let all_but = |fields: &[(u32, u32)]| {
        fields.iter().fold(u64::MAX, |mask, &(high, low)| mask & !(u64::MAX >> (63 - (high - low)) << low))
    };
    match index {
        msr::VMX_BASIC => {
            let fields = [
                field(REVISION, |given, here| given == here),
                // A guest's VMCS may be larger than necessary.
                field(REGION, |given, here| given >= here),
                field(MEMORY_TYPE, |given, here| given == here),
            ];
            let rest = within(all_but(&[REVISION, REGION, MEMORY_TYPE]));
            fields.into_iter().flatten().chain(rest).collect()
        }
        msr::VMX_MISC => {
            let fields = [
                field(TIMER_RATE, |given, here| given == here),
                field(CR3_TARGETS, |given, here| given <= here),
                field(MSR_LISTS, |given, here| given <= here),
                field(MSEG_REVISION, |given, here| given == here),
            ];
            let rest = within(all_but(&[TIMER_RATE, CR3_TARGETS, MSR_LISTS, MSEG_REVISION]));
            fields.into_iter().flatten().chain(rest).collect()
        }
        index if CONTROLS.contains(&index) => {
            let (given, here) = (Controls::from(given), Controls::from(here));
            let must = here.must_be_one & !given.must_be_one;
            let may = given.may_be_one & !here.may_be_one;
            bits(u64::from(may) << 32 | u64::from(must)).map(Missing::Bit).collect()
        }
        index if FIXED0.contains(&index) => bits(here & !given).map(Missing::Bit).collect(),
        index if MADE.contains(&index) => Vec::new(),
        _ => within(u64::MAX).collect(),
    }
}

fn bits(value: u64) -> impl Iterator<Item = u32> {
    (0..u64::BITS).filter(move |bit| value >> bit & 1 == 1)
}

#[cfg(test)]
#[path = "fit_test.rs"]
mod tests;
