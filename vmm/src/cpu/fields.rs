//! Fields of CPUID's leaves that are no features: numbers, with the manuals' names. SDM 2A, "CPUID—CPU Identification"; APM 3, "Obtaining
//! Processor Information Via the CPUID Instruction".

use arch::cpu::cpuid::Register::{self, Eax, Ebx, Ecx, Edx};

use super::values::{
    amd_l1, amd_l2, amd_l3, binary_exponent, bytes, descriptors, eights, hertz, hex, kilohertz, megahertz,
    minus_one, number, palette, signature, state, yes,
};

/// Bits of a register that form a number.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    /// The function.
    pub(super) function: u32,
    /// The subleaves that have it.
    pub(super) indexes: Indexes,
    /// The register.
    pub(super) register: Register,
    /// The highest bit.
    pub(super) high: u32,
    /// The lowest bit.
    pub(super) low: u32,
    /// The name.
    pub(super) name: &'static str,
    /// Formats its value for people. Different values give different texts.
    pub(super) show: fn(u32) -> String,
    /// The source of its value.
    pub(super) owner: Owner,
}

/// Some or all of a function's subleaves.
#[derive(Clone, Copy, Debug)]
pub(super) enum Indexes {
    All,
    One(u32),
    From(u32),
}

/// The step of the pipeline that decides on a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// The same as for the rest of the leaf.
    Leaf,
    /// The host, whatever the model.
    Host,
    /// The machine's topology.
    Topology,
    /// The vCPU.
    Vcpu,
}

impl Field {
    /// The bits in the register.
    pub(super) fn mask(&self) -> u32 {
        u32::MAX >> (31 - (self.high - self.low)) << self.low
    }

    const fn at(self, index: u32) -> Self {
        Self { indexes: Indexes::One(index), ..self }
    }

    const fn from(self, index: u32) -> Self {
        Self { indexes: Indexes::From(index), ..self }
    }

    const fn of_topology(self) -> Self {
        Self { owner: Owner::Topology, ..self }
    }

    const fn of_vcpu(self) -> Self {
        Self { owner: Owner::Vcpu, ..self }
    }

    const fn of_host(self) -> Self {
        Self { owner: Owner::Host, ..self }
    }
}

impl Indexes {
    /// Returns whether a leaf is among them. A leaf without an index counts as the first.
    pub(super) fn contains(self, index: Option<u32>) -> bool {
        match self {
            Self::All => true,
            Self::One(one) => index.unwrap_or(0) == one,
            Self::From(first) => index.unwrap_or(0) >= first,
        }
    }
}

/// A whole register.
const fn whole(function: u32, register: Register, name: &'static str, show: fn(u32) -> String) -> Field {
    bits(function, register, 31, 0, name, show)
}

/// Bits `high..=low`.
const fn bits(
    function: u32,
    register: Register,
    high: u32,
    low: u32,
    name: &'static str,
    show: fn(u32) -> String,
) -> Field {
    Field { function, indexes: Indexes::All, register, high, low, name, show, owner: Owner::Leaf }
}

/// One bit that is no feature.
const fn flag(function: u32, register: Register, bit: u32, name: &'static str) -> Field {
    bits(function, register, bit, bit, name, yes)
}

/// Every field that has a name here. In a leaf, none overlaps another one or a feature.
pub(super) const FIELDS: &[Field] = &[
    whole(0x0, Eax, "last leaf", hex),
    whole(0x1, Eax, "signature", signature),
    bits(0x1, Ebx, 7, 0, "brand index", number),
    bits(0x1, Ebx, 15, 8, "CLFLUSH line", eights),
    bits(0x1, Ebx, 23, 16, "logical processors per package", number).of_topology(),
    bits(0x1, Ebx, 31, 24, "initial APIC id", number).of_vcpu(),
    whole(0x2, Eax, "cache and TLB descriptors", descriptors),
    whole(0x2, Ebx, "cache and TLB descriptors", descriptors),
    whole(0x2, Ecx, "cache and TLB descriptors", descriptors),
    whole(0x2, Edx, "cache and TLB descriptors", descriptors),
    // Deterministic cache parameters: see `groups` for the rest.
    flag(0x4, Eax, 8, "self-initializing"),
    flag(0x4, Eax, 9, "fully associative"),
    bits(0x4, Eax, 25, 14, "logical processors sharing it", minus_one).of_topology(),
    bits(0x4, Eax, 31, 26, "cores per package", minus_one).of_topology(),
    flag(0x4, Edx, 0, "WBINVD by thread"),
    flag(0x4, Edx, 1, "inclusive"),
    flag(0x4, Edx, 2, "complex indexing"),
    // MONITOR and MWAIT.
    bits(0x5, Eax, 15, 0, "smallest monitor line", bytes),
    bits(0x5, Ebx, 15, 0, "largest monitor line", bytes),
    flag(0x5, Ecx, 0, "MWAIT extensions"),
    flag(0x5, Ecx, 1, "masked interrupts end MWAIT"),
    whole(0x5, Edx, "MWAIT C-states", hex),
    // Thermal and power management.
    flag(0x6, Eax, 0, "digital temperature sensor"),
    flag(0x6, Eax, 1, "turbo"),
    bits(0x6, Ebx, 3, 0, "temperature thresholds", number),
    flag(0x6, Ecx, 0, "APERF and MPERF"),
    flag(0x6, Ecx, 3, "energy and performance bias"),
    whole(0x7, Eax, "last subleaf", number).at(0),
    // Architectural performance monitoring.
    bits(0xa, Eax, 7, 0, "performance monitoring version", number),
    bits(0xa, Eax, 15, 8, "counters", number),
    bits(0xa, Eax, 23, 16, "bits of a counter", number),
    bits(0xa, Eax, 31, 24, "events told of", number),
    whole(0xa, Ebx, "events missing", hex),
    bits(0xa, Edx, 4, 0, "fixed counters", number),
    bits(0xa, Edx, 12, 5, "bits of a fixed counter", number),
    // Extended topology: see `groups` for the rest.
    whole(0xb, Edx, "x2APIC id", number).of_vcpu(),
    whole(0x1f, Edx, "x2APIC id", number).of_vcpu(),
    // Processor extended state.
    whole(0xd, Eax, "XCR0", state).at(0),
    whole(0xd, Ebx, "area in use", bytes).at(0),
    whole(0xd, Ecx, "area at most", bytes).at(0),
    whole(0xd, Edx, "XCR0, upper half", hex).at(0),
    whole(0xd, Ebx, "compacted area in use", bytes).at(1),
    whole(0xd, Ecx, "IA32_XSS", state).at(1),
    whole(0xd, Edx, "IA32_XSS, upper half", hex).at(1),
    flag(0xd, Ecx, 0, "supervisor state").from(2),
    flag(0xd, Ecx, 1, "aligned").from(2),
    // SGX.
    bits(0x12, Edx, 7, 0, "largest 32-bit enclave", binary_exponent).at(0),
    bits(0x12, Edx, 15, 8, "largest 64-bit enclave", binary_exponent).at(0),
    // Processor trace.
    whole(0x14, Eax, "last subleaf", number).at(0),
    // Clocks.
    whole(0x15, Eax, "denominator of TSC by crystal", number),
    whole(0x15, Ebx, "numerator of TSC by crystal", number),
    whole(0x15, Ecx, "crystal", hertz),
    bits(0x16, Eax, 15, 0, "base frequency", megahertz),
    bits(0x16, Ebx, 15, 0, "greatest frequency", megahertz),
    bits(0x16, Ecx, 15, 0, "bus frequency", megahertz),
    // AMX.
    whole(0x1d, Eax, "last palette", number).at(0),
    whole(0x1d, Eax, "tiles", palette).from(1),
    bits(0x1d, Ebx, 15, 0, "bytes of a row", number).from(1),
    bits(0x1d, Ebx, 31, 16, "tile registers", number).from(1),
    bits(0x1d, Ecx, 15, 0, "rows", number).from(1),
    bits(0x1e, Ebx, 7, 0, "rows or columns of TMUL", number).at(0),
    bits(0x1e, Ebx, 23, 8, "bytes of a column of TMUL", number).at(0),
    // AVX10.
    whole(0x24, Eax, "last subleaf", number).at(0),
    bits(0x24, Ebx, 7, 0, "AVX10 version", number).at(0),
    whole(0x4000_0000, Eax, "last hypervisor leaf", hex).of_host(),
    whole(0x4000_0010, Eax, "TSC frequency", kilohertz),
    whole(0x4000_0010, Ebx, "APIC bus frequency", kilohertz),
    whole(0x8000_0000, Eax, "last extended function", hex),
    whole(0x8000_0001, Eax, "signature", signature),
    // L1 and L2 caches, and TLBs.
    whole(0x8000_0005, Eax, "L1 TLBs, large pages", hex),
    whole(0x8000_0005, Ebx, "L1 TLBs, 4 KiB pages", hex),
    whole(0x8000_0005, Ecx, "L1 data cache", amd_l1),
    whole(0x8000_0005, Edx, "L1 instruction cache", amd_l1),
    whole(0x8000_0006, Eax, "L2 TLBs, large pages", hex),
    whole(0x8000_0006, Ebx, "L2 TLBs, 4 KiB pages", hex),
    whole(0x8000_0006, Ecx, "L2 cache", amd_l2),
    whole(0x8000_0006, Edx, "L3 cache", amd_l3),
    // Sizes.
    bits(0x8000_0008, Eax, 7, 0, "physical address bits", number),
    bits(0x8000_0008, Eax, 15, 8, "linear address bits", number),
    bits(0x8000_0008, Eax, 23, 16, "guest physical address bits", number),
    bits(0x8000_0008, Ecx, 7, 0, "threads per package", minus_one).of_topology(),
    bits(0x8000_0008, Ecx, 15, 12, "APIC id bits per package", number).of_topology(),
    bits(0x8000_0008, Edx, 15, 0, "most pages of INVLPGB", number),
    bits(0x8000_0008, Edx, 31, 16, "last register of RDPRU", number),
    // SVM.
    bits(0x8000_000a, Eax, 7, 0, "SVM revision", number),
    whole(0x8000_000a, Ebx, "ASIDs", number),
    // Caches, as in leaf 04H.
    flag(0x8000_001d, Eax, 8, "self-initializing"),
    flag(0x8000_001d, Eax, 9, "fully associative"),
    bits(0x8000_001d, Eax, 25, 14, "logical processors sharing it", minus_one).of_topology(),
    flag(0x8000_001d, Edx, 0, "WBINVD by thread"),
    flag(0x8000_001d, Edx, 1, "inclusive"),
    // Processor topology.
    whole(0x8000_001e, Eax, "extended APIC id", number).of_vcpu(),
    bits(0x8000_001e, Ebx, 7, 0, "core id", number).of_vcpu(),
    bits(0x8000_001e, Ebx, 15, 8, "threads per core", minus_one).of_topology(),
    bits(0x8000_001e, Ecx, 7, 0, "node id", number).of_vcpu(),
    bits(0x8000_001e, Ecx, 10, 8, "nodes per package", minus_one).of_topology(),
    // Encrypted memory.
    bits(0x8000_001f, Ebx, 5, 0, "bit of encrypted pages", number),
    bits(0x8000_001f, Ebx, 11, 6, "physical address bits it costs", number),
    whole(0x8000_001f, Ecx, "encrypted guests", number),
    whole(0x8000_001f, Edx, "first ASID without SEV-ES", number),
    bits(0x8000_0022, Ebx, 3, 0, "core performance counters", number),
    // Extended topology.
    whole(0x8000_0026, Edx, "x2APIC id", number).of_vcpu(),
];
