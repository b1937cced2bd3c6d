//! The CPU of one machine, decided on: what each vCPU is given, and why.

use std::collections::BTreeMap;

use kvm_bindings::{kvm_cpuid_entry2, kvm_sregs};

use super::{
    CpuError,
    capabilities::Capabilities,
    choice::{Choice, TOPOLOGICAL, Unmet},
    clock,
    cpuid::{Cpuid, Leaf, Register},
    feature::{FeatureId, FeatureSet},
    field::Field,
    host::{HostCpu, Manual},
    hypervisor, l3,
    leaves::{self, BRAND, WIDTHS, WITH_FEATURES},
    machine_check::{self, McgCap},
    model, msr,
    nesting::Nesting,
    offer::Offer,
    patch::{self, At, Decision, Patch, Why},
    pmu,
    spec::{CacheMode, CpuSpec, Match, Model, Nested, PhysicalBits, Policy},
    topology::{FIRST_X2APIC_ID, Topology},
    verify::{self, Mismatch},
    vmx, xsave,
};

/// `KVM_MAX_CPUID_ENTRIES`.
pub(super) const MAX_ENTRIES: usize = 256;
/// The functions that describe caches.
const CACHES: [u32; 5] = [0x2, 0x4, 0x8000_0005, 0x8000_0006, 0x8000_001d];
/// IA32_MCG_CAP of a vCPU that no one has set up: 32 banks, and nothing else.
const KVM_MCG_CAP: u64 = 32;
/// Bits of function 8000_0001h's EDX that AMD repeats from leaf 1.
const AMD_ALIASES: u32 = 0x0183_f3ff;

/// A CPU, resolved: nothing is left to decide.
#[derive(Clone, Debug)]
pub struct CpuProfile {
    manual: Manual,
    topology: Topology,
    /// The leaves, but for the vCPUs' own numbers, and the capability MSRs.
    capabilities: Capabilities,
    msrs: Vec<(u32, u64)>,
    mcg_cap: Option<McgCap>,
    /// The leaves that KVM would give.
    offered: Cpuid,
    nesting: Nesting,
    choice: Choice,
    canonical: CpuSpec,
    exact: bool,
    decisions: Vec<Decision>,
}

impl CpuProfile {
    /// Decides what the CPU that `spec` asks for is on this host.
    ///
    /// # Errors
    ///
    /// The host's leaves are unusable, or it has not what `spec` insists on.
    pub fn resolve(host: &HostCpu, spec: &CpuSpec, topology: &Topology) -> Result<Self, CpuError> {
        let offer = Offer::new(host)?;
        let choice = Choice::new(&offer, spec)?;
        check_width(host, spec)?;
        let mut decisions = offer.decisions.clone();
        decisions.extend(feature_decisions(&offer, &choice));

        // Features first, since leaves and levels follow from them. The topology then knows which leaves there are.
        let mut capabilities = start(&offer, &choice, spec);
        // The host's CPU has its features already.
        let unset = match choice.model {
            Some(_) => FeatureId::all().collect::<FeatureSet>() - *TOPOLOGICAL,
            None => (choice.granted - offer.features) | (offer.features - choice.granted),
        };
        for id in unset.iter() {
            capabilities.set(id.feature().place, choice.granted.contains(id));
        }
        derive(&mut capabilities, &offer, &choice, spec);
        let cpuid = &mut capabilities.cpuid;
        describe(cpuid, host, &offer, &choice, spec, &mut decisions)?;
        let manual = spec.identity.manual(offer.manual);
        let patches = topology.rewrite(cpuid, manual);
        patch::apply(cpuid, &patches, &mut decisions);
        // The topology may ask for more leaves than the user allows.
        spec.identity.limit(cpuid, &mut decisions);
        let large_ids = hypervisor::large_ids(topology);
        if spec.hide_kvm && !large_ids.is_empty() {
            return Err(CpuError::HiddenKvm);
        }
        patch::apply(cpuid, &large_ids, &mut decisions);
        if cpuid.0.len() > MAX_ENTRIES {
            return Err(CpuError::TooManyLeaves(cpuid.0.len()));
        }

        let nesting = Nesting::of(&capabilities);
        if spec.nested == Nested::On && nesting == Nesting::None {
            return Err(CpuError::NoNesting);
        }
        let mcg_cap = machine_check::mcg_cap(host, &capabilities.cpuid, choice.model.is_none());
        let msrs = msrs(host, &offer, &choice, &capabilities, mcg_cap, &mut decisions);
        let canonical = CpuSpec {
            model: choice.model.map_or(Model::HostPassthrough, Model::Named),
            settings: choice.settings(&offer),
            // The rest is about no feature, or is one of `settings` by now.
            nested: Nested::default(),
            policy: Policy::default(),
            vendor: None,
            matching: Match::default(),
            migratable: false,
            pmu: spec.pmu.filter(|pmu| *pmu != choice.model.is_none()),
            ..spec.clone()
        };
        let topology = *topology;
        let exact = spec.policy == Policy::Full;
        let offered = offer.capabilities.cpuid;
        Ok(Self {
            manual,
            topology,
            capabilities,
            msrs,
            mcg_cap,
            offered,
            nesting,
            choice,
            canonical,
            exact,
            decisions,
        })
    }

    /// A vCPU's leaves, for `KVM_SET_CPUID2`.
    #[must_use]
    pub fn cpuid(&self, vcpu: u32) -> Vec<kvm_cpuid_entry2> {
        self.leaves(vcpu).to_entries()
    }

    /// A vCPU's leaves.
    #[must_use]
    pub fn leaves(&self, vcpu: u32) -> Cpuid {
        let mut cpuid = self.capabilities.cpuid.clone();
        self.topology.personalize(&mut cpuid, self.manual, vcpu);
        cpuid
    }

    /// Every vCPU's MSRs, in the order to write them, after `KVM_SET_CPUID2`: KVM refuses those of features that CPUID lacks.
    #[must_use]
    pub fn msrs(&self) -> &[(u32, u64)] {
        &self.msrs
    }

    /// IA32_MCG_CAP, for `KVM_X86_SETUP_MCE`, if the CPU has machine checks. It goes before the other MSRs: KVM takes
    /// IA32_FEATURE_CONTROL's bit for local machine checks only from a CPU that has them.
    #[must_use]
    pub fn mcg_cap(&self) -> Option<u64> {
        self.mcg_cap.map(McgCap::into_bits)
    }

    /// The MSRs that describe capabilities, with the values that the guest reads, whether KVM has to be told or not.
    #[must_use]
    pub fn capability_msrs(&self) -> &BTreeMap<u32, u64> {
        &self.capabilities.msrs
    }

    /// What there is for guests of the guest.
    #[must_use]
    pub fn nesting(&self) -> &Nesting {
        &self.nesting
    }

    /// The features that the guest has, but for those that follow from the topology.
    #[must_use]
    pub fn features(&self) -> FeatureSet {
        self.choice.granted
    }

    /// Who decided whether the guest has a feature.
    #[must_use]
    pub fn why(&self, feature: FeatureId) -> Why {
        if TOPOLOGICAL.contains(feature) { Why::Topology } else { self.choice.why(feature) }
    }

    /// Whether the guest has performance counters. If not, KVM has to be told before it makes vCPUs.
    #[must_use]
    pub fn pmu(&self) -> bool {
        pmu::wanted(&self.canonical, self.choice.model.is_some())
    }

    /// The TSC's rate in kHz, if it is not to be the host's.
    #[must_use]
    pub fn tsc_khz(&self) -> Option<u32> {
        self.canonical.tsc_khz
    }

    /// Whether the guest may use only those of KVM's features that its leaf lists: `kvm-pv-enforce-cpuid`.
    #[must_use]
    pub fn enforces_pv(&self) -> bool {
        self.canonical.enforce_pv
    }

    /// Whether it is an error if KVM shows the guest more than this CPU has: libvirt's `check='full'`.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.exact
    }

    /// What was asked for and could not be given, unless nobody wants to know.
    #[must_use]
    pub fn unmet(&self) -> &[Unmet] {
        &self.choice.unmet
    }

    /// The CPU in as few words as give it again on this host, bit for bit.
    #[must_use]
    pub fn canonical(&self) -> &CpuSpec {
        &self.canonical
    }

    /// All that is not simply KVM's answer, in order.
    #[must_use]
    pub fn decisions(&self) -> &[Decision] {
        &self.decisions
    }

    /// A vCPU's APIC id.
    #[must_use]
    pub fn apic_id(&self, vcpu: u32) -> u32 {
        self.topology.apic_id(vcpu)
    }

    /// MAXPHYADDR: bits of a physical address.
    #[must_use]
    pub fn physical_address_width(&self) -> u32 {
        leaves::physical_address_width(&self.capabilities.cpuid)
    }

    /// Whether Linux can't find the threads or dies that there are: on AMD's CPUs it looks for them only with `topoext`.
    #[must_use]
    pub fn hides_topology(&self) -> bool {
        let seen = self.manual == Manual::Intel || leaves::has(self.choice.granted, "topoext");
        !seen && !self.topology.has_only_cores()
    }

    /// Puts a vCPU's local APIC into x2APIC mode if ids need it, as firmware does: Linux drops the larger ids from the MADT when it isn't.
    pub fn set_apic_mode(&self, sregs: &mut kvm_sregs) {
        if self.topology.max_apic_id() >= FIRST_X2APIC_ID {
            sregs.apic_base |= msr::APIC_BASE_EXTD;
        }
    }

    /// The CPU's name, empty if it has none.
    #[must_use]
    pub fn brand(&self) -> String {
        let leaf = |function| self.capabilities.cpuid.get(Leaf::new(function));
        let registers = BRAND.map(leaf).map(|leaf| [leaf.eax, leaf.ebx, leaf.ecx, leaf.edx]);
        let bytes: Vec<u8> = registers.into_iter().flatten().flat_map(u32::to_le_bytes).collect();
        let text = bytes.split(|&byte| byte == 0).next().unwrap_or_default();
        String::from_utf8_lossy(text).trim().to_owned()
    }

    /// Compares a vCPU's leaves as `KVM_GET_CPUID2` has them with those it was given.
    #[must_use]
    pub fn verify(&self, vcpu: u32, read: &[kvm_cpuid_entry2]) -> Vec<Mismatch> {
        verify::compare(&self.leaves(vcpu), &Cpuid::from_entries(read), &self.offered)
    }
}

/// Wider addresses than the processor's can't be translated.
fn check_width(host: &HostCpu, spec: &CpuSpec) -> Result<(), CpuError> {
    match spec.physical_bits {
        PhysicalBits::Fixed(given) if given > host.physical_address_width() => {
            Err(CpuError::PhysicalBits { given, host: host.physical_address_width() })
        }
        _ => Ok(()),
    }
}

/// Each feature that the guest has and KVM would not have given, or the other way round.
fn feature_decisions(offer: &Offer, choice: &Choice) -> impl Iterator<Item = Decision> {
    let changed = (choice.granted - offer.features) | (offer.features - choice.granted);
    changed.iter().map(|id| Decision {
        place: At::Feature(id.feature().place),
        name: id.name(),
        value: choice.granted.contains(id).into(),
        host: offer.features.contains(id).into(),
        why: choice.why(id),
    })
}

/// The model's CPU, or the host's, before features are set in it.
fn start(offer: &Offer, choice: &Choice, spec: &CpuSpec) -> Capabilities {
    let Some(model) = choice.model else { return offer.capabilities.clone() };
    let cpuid = leaves::of(model, offer, choice.granted, spec);
    // Of VMX, what has no name is the host's. Other capabilities have names, or are not there.
    let vmx = |(&index, &value)| (index, if msr::VMX.contains(&index) { value } else { 0 });
    Capabilities { cpuid, msrs: offer.capabilities.msrs.iter().map(vmx).collect() }
}

/// What follows from the features: leaves about absent ones go, and what repeats or counts others is made anew.
fn derive(cpu: &mut Capabilities, offer: &Offer, choice: &Choice, spec: &CpuSpec) {
    let has = |name: &str| leaves::has(choice.granted, name);
    let lost = |name: &str| !has(name) && leaves::has(offer.features, name);
    let cpuid = &mut cpu.cpuid;
    for (function, feature) in WITH_FEATURES {
        if lost(feature) {
            cpuid.remove(function);
        }
    }
    // A host may have state without its feature. It keeps what nobody took.
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
    // What has no name here, such as EPT's memory types, goes with what it is about.
    if let Some(value) = msrs.get_mut(&msr::VMX_EPT_VPID_CAP) {
        let keep = |name, half| if has(name) { half } else { 0 };
        *value &= keep("vmx-ept", 0xffff_ffff) | keep("vmx-vpid", 0xffff_ffff << 32);
    }
    if let Some(value) = msrs.get_mut(&msr::VMX_CR4_FIXED1) {
        *value = vmx::cr4_fixed1(has);
    }
    // KVM makes the older control MSRs from these, and takes no other value.
    for (old, new) in msr::VMX_OLD_CONTROLS {
        if let Some(&value) = msrs.get(&new) {
            let fixed = u64::from(msr::vmx_default1(new));
            msrs.insert(old, value | fixed << 32 | fixed);
        }
    }
}

const LAST_SUBLEAF: Field = Field::new(0x7, Register::Eax, 31, 0, "last subleaf").at(Leaf::sub(0x7, 0));

/// The caches that `spec` asks for; `whole` says that the CPU is the host's.
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

/// Writes what the properties of `spec` say, which are about no single feature.
fn describe(
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

/// How much of a physical address the guest should use: no more than there is.
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

/// The extended function with a subleaf for each cache.
const PER_CACHE: u32 = 0x8000_001d;
const PHYSICAL_WIDTH: Field = Field::new(0x8000_0008, Register::Eax, 7, 0, "physical address bits");
const GUEST_PHYSICAL_WIDTH: Field =
    Field::new(0x8000_0008, Register::Eax, 23, 16, "guest physical address bits");

/// The MSRs to write, in order.
fn msrs(
    host: &HostCpu,
    offer: &Offer,
    choice: &Choice,
    cpu: &Capabilities,
    mcg_cap: Option<McgCap>,
    decisions: &mut Vec<Decision>,
) -> Vec<(u32, u64)> {
    if let Some(cap) = mcg_cap {
        decisions.push(Decision {
            place: At::Msr(msr::MCG_CAP),
            name: "machine-check capabilities",
            value: cap.into_bits(),
            host: KVM_MCG_CAP,
            why: Why::Hypervisor,
        });
    }
    let mut msrs = Vec::new();
    let mut write = |index, name, value, host: Option<u64>, why| {
        msrs.push((index, value));
        decisions.push(Decision { place: At::Msr(index), name, value, host: host.unwrap_or(0), why });
    };
    // KVM would show a revision of its own, though the host's is a feature MSR.
    let hosts = host.feature_msrs.get(&msr::BIOS_SIGN_ID).copied();
    let (revision, why) = match (choice.model, hosts) {
        (None, Some(revision @ 1..)) => (revision, Why::Host),
        (None, _) => (revision(offer.manual), Why::Hypervisor),
        (Some(model), _) => (revision(offer.manual), Why::Model(&model.name)),
    };
    write(msr::BIOS_SIGN_ID, "microcode revision", revision, hosts, why);
    // Capabilities are KVM's own values where nothing was taken away: then there is nothing to write.
    for (&index, &value) in &cpu.msrs {
        let default = offer.capabilities.msrs.get(&index).copied();
        let made = index == msr::VMX_CR4_FIXED1 || msr::VMX_OLD_CONTROLS.iter().any(|(old, _)| *old == index);
        if default != Some(value) && !made {
            let why = choice.model.map_or(Why::Feature, |model| Why::Model(&model.name));
            write(index, "capabilities", value, default, why);
        }
    }
    // Firmware would have locked this one.
    let vmx = (msr::FEATURE_CONTROL_VMX_OUTSIDE_SMX, cpu.msrs.contains_key(&msr::VMX_BASIC));
    let lmce = (msr::FEATURE_CONTROL_LMCE, mcg_cap.is_some_and(|cap| cap.mcg_lmce_p()));
    let name = match (vmx.1, lmce.1) {
        (true, true) => "feature control: locked, VMX outside SMX, local machine checks",
        (true, false) => "feature control: locked, VMX outside SMX",
        (false, true) => "feature control: locked, local machine checks",
        (false, false) => return msrs,
    };
    let allowed: u64 = [vmx, lmce].iter().map(|&(bit, on)| if on { bit } else { 0 }).sum();
    write(msr::FEATURE_CONTROL, name, msr::FEATURE_CONTROL_LOCKED | allowed, None, Why::Hypervisor);
    msrs
}

/// The microcode revision that QEMU shows where it does not have the host's: high enough that systems need none of the workarounds for
/// older ones. 0 would be microcode that failed to load.
fn revision(manual: Manual) -> u64 {
    match manual {
        Manual::Intel => 1 << 32,
        Manual::Amd => 0x0100_0065,
    }
}

#[cfg(test)]
#[path = "profile_test.rs"]
mod tests;
