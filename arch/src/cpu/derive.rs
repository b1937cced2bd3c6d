//! A CPU's leaves and capability MSRs, apart from the bits of its features: what the model or the host says, what follows from the
//! features, and what properties say.

use super::{
    CpuError,
    address_width::WIDTHS,
    capabilities::Capabilities,
    choice::Choice,
    clock,
    cpuid::{Cpuid, Leaf, Register},
    field::Field,
    host::HostCpu,
    hypervisor, l3,
    leaves::{self, WITH_FEATURES},
    model, msr,
    offer::Offer,
    patch::{self, Decision, Patch, Why},
    pmu,
    spec::{CacheMode, CpuSpec, PhysicalBits},
    vendor::Manual,
    vmx, xsave,
};

/// The functions that describe caches.
const CACHES: [u32; 5] = [0x2, 0x4, 0x8000_0005, 0x8000_0006, 0x8000_001d];
/// The extended function with a subleaf for each cache.
const PER_CACHE: u32 = 0x8000_001d;
const PHYSICAL_WIDTH: Field = Field::new(WIDTHS.function, Register::Eax, 7, 0, "physical address bits");
const GUEST_PHYSICAL_WIDTH: Field =
    Field::new(WIDTHS.function, Register::Eax, 23, 16, "guest physical address bits");
const LAST_SUBLEAF: Field = Field::new(0x7, Register::Eax, 31, 0, "last subleaf").at(Leaf::sub(0x7, 0));
/// Bits of function 8000_0001h's EDX that AMD repeats from leaf 1.
const AMD_ALIASES: u32 = 0x0183_f3ff;

/// Returns the CPU of the model, or of the host, before features are set in it.
pub(super) fn start(offer: &Offer, choice: &Choice, spec: &CpuSpec) -> Capabilities {
    let Some(model) = choice.model else { return offer.capabilities.clone() };
    let cpuid = leaves::of(model, offer, choice.granted, spec);
    // VMX bits without a name here are the host's. All other MSRs have only named bits.
    let vmx = |(&index, &value)| (index, if msr::VMX.contains(&index) { value } else { 0 });
    Capabilities { cpuid, msrs: offer.capabilities.msrs.iter().map(vmx).collect() }
}

/// Removes leaves about absent features, and recomputes the fields that repeat or count others.
pub(super) fn derive(cpu: &mut Capabilities, offer: &Offer, choice: &Choice, spec: &CpuSpec) {
    let has = |name: &str| leaves::has(choice.granted, name);
    let lost = |name: &str| !has(name) && leaves::has(offer.features, name);
    let cpuid = &mut cpu.cpuid;
    for (function, feature) in WITH_FEATURES {
        if lost(feature) {
            cpuid.remove(function);
        }
    }
    // A host may have state without the state's feature. A CPU without a model keeps all state that nothing took away.
    let whole = choice.model.is_none();
    xsave::rewrite(cpuid, |name| if whole { lost(name) } else { !has(name) }, whole);
    let basic = cpuid.get(Leaf::new(1)).edx;
    if let Some(extended) = cpuid.0.get_mut(&Leaf::new(0x8000_0001))
        && spec.identity.manual(offer.manual) == Manual::Amd
    {
        extended.edx = extended.edx & !AMD_ALIASES | basic & AMD_ALIASES;
    }
    if lost("la57")
        && let Some(widths) = cpuid.0.get_mut(&WIDTHS)
    {
        widths.eax = widths.eax & !0xff00 | 48 << 8;
    }
    if whole && let Some(widths) = cpuid.0.get_mut(&WIDTHS) {
        let hosts = widths.eax & 0xff;
        let bits = match spec.physical_bits {
            PhysicalBits::Model | PhysicalBits::Host => hosts,
            PhysicalBits::HostUpTo(bits) => hosts.min(bits),
            PhysicalBits::Fixed(bits) => bits,
        };
        widths.eax = widths.eax & !0xff | bits;
    }
    if choice.model.is_some() {
        let subleaves =
            cpuid.function(0x7).filter_map(|(leaf, registers)| leaf.index.filter(|_| !registers.is_zero()));
        let last = subleaves.max().unwrap_or_default();
        if cpuid.0.contains_key(&Leaf::sub(0x7, 0)) || last > 0 {
            LAST_SUBLEAF.set(cpuid, last);
        }
    }
    caches(cpuid, offer, spec, whole);

    let msrs = &mut cpu.msrs;
    msrs.retain(|index, _| match *index {
        msr::ARCH_CAPABILITIES => has("arch-capabilities"),
        msr::CORE_CAPABILITIES => has("core-capability"),
        msr::PERF_CAPABILITIES => has("pdcm"),
        _ => has("vmx"),
    });
    // A bit without a name here, such as EPT's memory types, stays only with the feature that it describes.
    if let Some(value) = msrs.get_mut(&msr::VMX_EPT_VPID_CAP) {
        let keep = |name, half| if has(name) { half } else { 0 };
        *value &= keep("vmx-ept", 0xffff_ffff) | keep("vmx-vpid", 0xffff_ffff << 32);
    }
    if let Some(value) = msrs.get_mut(&msr::VMX_CR4_FIXED1) {
        *value = vmx::cr4_fixed1(has);
    }
    // KVM derives the older control MSRs from these, and takes no other value.
    for (old, new) in msr::VMX_OLD_CONTROLS {
        if let Some(&value) = msrs.get(&new) {
            let fixed = u64::from(msr::vmx_default1(new));
            msrs.insert(old, value | fixed << 32 | fixed);
        }
    }
}

/// Sets the caches that `spec` asks for. `whole` means that the CPU is the host's, without a model.
fn caches(cpuid: &mut Cpuid, offer: &Offer, spec: &CpuSpec, whole: bool) {
    let mode = spec.caches;
    if mode == CacheMode::Model || mode == CacheMode::Emulate && !whole {
        return;
    }
    let per_cache = cpuid.function(PER_CACHE).next().is_some();
    for function in CACHES {
        cpuid.remove(function);
        if mode == CacheMode::Passthrough && cpuid.covers(function) {
            cpuid.0.extend(offer.capabilities.cpuid.function(function));
        }
    }
    if mode == CacheMode::Emulate {
        let caches = model::generic_caches(spec.identity.manual(offer.manual)).into_iter();
        let told = |leaf: &Leaf| leaf.function != PER_CACHE || per_cache;
        let there: Vec<_> = caches.filter(|(leaf, _)| cpuid.covers(leaf.function) && told(leaf)).collect();
        cpuid.0.extend(there);
    }
}

/// Writes the properties of `spec` that are about no single feature.
pub(super) fn describe(
    cpuid: &mut Cpuid,
    host: &HostCpu,
    offer: &Offer,
    choice: &Choice,
    spec: &CpuSpec,
    decisions: &mut Vec<Decision>,
) -> Result<(), CpuError> {
    pmu::write(cpuid, offer, pmu::wanted(spec, choice.model.is_some()), decisions);
    clock::write(cpuid, host, spec, leaves::has(choice.granted, "invtsc"), decisions);
    if spec.hide_l3 {
        l3::hide(cpuid, decisions);
    }
    if spec.hide_kvm {
        hypervisor::hide(cpuid, decisions);
    }
    if cpuid.0.contains_key(&WIDTHS) {
        guest_width(cpuid, spec, decisions)?;
    }
    spec.identity.limit(cpuid, decisions);
    spec.identity.write(cpuid, decisions);
    Ok(())
}

/// Sets how many bits of a physical address the guest should use: at most as many as it has.
fn guest_width(cpuid: &mut Cpuid, spec: &CpuSpec, decisions: &mut Vec<Decision>) -> Result<(), CpuError> {
    let width = PHYSICAL_WIDTH.get(cpuid);
    let (value, why) = match spec.guest_physical_bits {
        Some(given) if given > width => return Err(CpuError::GuestPhysicalBits { given, width }),
        Some(given) => (given, Why::Feature),
        None => {
            (GUEST_PHYSICAL_WIDTH.get(cpuid).min(width), Why::Restrict("no more than a physical address has"))
        }
    };
    patch::apply(cpuid, &[Patch { field: GUEST_PHYSICAL_WIDTH, value, why }], decisions);
    Ok(())
}
