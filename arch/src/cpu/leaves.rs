//! The leaves of a named model, apart from its features.

use super::{
    address_width::WIDTHS,
    brand::{self, BRAND},
    cpuid::{Cpuid, EXTENDED, HYPERVISOR, Leaf, Registers},
    feature::{FeatureId, FeatureSet, Place},
    model::NamedModel,
    offer::Offer,
    spec::{CpuSpec, PhysicalBits},
};

const XSAVE: u32 = 0xd;
/// AVX10, whose version is in `EBX[7:0]` of subleaf 0.
const AVX10: u32 = 0x24;
/// Bytes that CLFLUSH flushes, in units of 8.
const CLFLUSH_SIZE: u32 = 8;
/// The bits of a physical address that QEMU gives a named model.
const PHYSICAL_BITS: u32 = 40;

/// The leaves of `model` on this host, with room for the features in `granted`.
///
/// The fields of a leaf that are no features are the host's, and are there only with the feature that they describe: [`WITH_FEATURES`].
pub(super) fn of(model: &NamedModel, offer: &Offer, granted: FeatureSet, spec: &CpuSpec) -> Cpuid {
    let host = &offer.capabilities.cpuid;
    let mut cpuid = Cpuid::default();
    let [level, xlevel] = spec.identity.levels(levels(model, granted));
    let manual = spec.identity.manual(offer.manual);
    let vendor = host.get(Leaf::new(0));
    let mut put = |leaf, registers: Registers| {
        if !registers.is_zero() {
            cpuid.0.insert(leaf, registers);
        }
    };
    put(Leaf::new(0), Registers { eax: level, ..vendor });
    let clflush = if has(granted, "clflush") { CLFLUSH_SIZE << 8 } else { 0 };
    put(Leaf::new(1), Registers { eax: model.signature.encode(), ebx: clflush, ..Registers::default() });
    for function in [HYPERVISOR, HYPERVISOR + 1] {
        put(Leaf::new(function), host.get(Leaf::new(function)));
    }
    if xlevel > EXTENDED {
        put(Leaf::new(EXTENDED), Registers { eax: xlevel, ..vendor });
        put(Leaf::new(EXTENDED + 1), Registers { eax: model.signature.encode(), ..Registers::default() });
    }
    if xlevel >= BRAND[2] {
        brand::leaves(model.brand).for_each(|(leaf, registers)| put(leaf, registers));
    }
    if xlevel >= WIDTHS.function {
        put(WIDTHS, Registers { eax: widths(granted, host, spec.physical_bits), ..Registers::default() });
    }
    let caches = model.caches.leaves(manual);
    let covered = |leaf: &Leaf| leaf.function <= if leaf.function < EXTENDED { level } else { xlevel };
    let topology_extensions = has(granted, "topoext");
    let there = |leaf: &Leaf| covered(leaf) && (leaf.function != 0x8000_001d || topology_extensions);
    caches.into_iter().filter(|(leaf, _)| there(leaf)).for_each(|(leaf, registers)| put(leaf, registers));
    for (function, feature) in WITH_FEATURES {
        if has(granted, feature) {
            host.function(function).for_each(|(leaf, registers)| put(leaf, registers));
        }
    }
    if let Some(avx10) = cpuid.0.get_mut(&Leaf::sub(AVX10, 0)) {
        let version = (avx10.ebx & 0xff).min(model.avx10);
        avx10.ebx = avx10.ebx & !0xff | version;
    }
    // Of SVM's leaf, only the named features count.
    if let Some(svm) = cpuid.0.get_mut(&Leaf::new(super::svm::FUNCTION)) {
        (svm.ecx, svm.edx) = (0, 0);
    }
    cpuid
}

/// Leaves that describe one feature further, and go with it.
pub(super) const WITH_FEATURES: [(u32, &str); 8] = [
    (XSAVE, "xsave"),
    (0x12, "sgx"),
    (0x14, "intel-pt"),
    (0x1d, "amx-tile"),
    (0x1e, "amx-tile"),
    (AVX10, "avx10"),
    (super::svm::FUNCTION, "svm"),
    (0x8000_0022, "perfmon-v2"),
];

/// The last leaves of both ranges: the model's, or more if its features need more.
fn levels(model: &NamedModel, granted: FeatureSet) -> [u32; 2] {
    let [mut level, mut xlevel] = [model.level, model.xlevel];
    for (function, _) in WITH_FEATURES.iter().filter(|(_, feature)| has(granted, feature)) {
        let last = if *function < HYPERVISOR { &mut level } else { &mut xlevel };
        *last = (*last).max(*function);
    }
    for id in granted.iter() {
        match id.feature().place {
            Place::Cpuid(leaf, ..) if leaf.function < HYPERVISOR => level = level.max(leaf.function),
            Place::Cpuid(leaf, ..) if (EXTENDED..0xc000_0000).contains(&leaf.function) => {
                xlevel = xlevel.max(leaf.function);
            }
            _ => {}
        }
    }
    [level, xlevel]
}

pub(super) fn has(features: FeatureSet, name: &str) -> bool {
    FeatureId::find(name).is_some_and(|id| features.contains(id))
}

/// Bits of physical addresses, and of linear ones.
fn widths(granted: FeatureSet, host: &Cpuid, bits: PhysicalBits) -> u32 {
    let hosts = host.get(WIDTHS).eax & 0xff;
    if !has(granted, "lm") {
        return if has(granted, "pae") || has(granted, "pse36") { 36 } else { 32 };
    }
    let physical = match bits {
        PhysicalBits::Model => PHYSICAL_BITS.min(hosts),
        PhysicalBits::Host => hosts,
        PhysicalBits::HostUpTo(bits) => hosts.min(bits),
        PhysicalBits::Fixed(bits) => bits,
    };
    physical | if has(granted, "la57") { 57 } else { 48 } << 8
}
