//! CPUID's leaves of a model's caches: 2 and 4, 8000_0005h, 8000_0006h and 8000_001Dh, as QEMU 11.1 gives them.

use crate::cpu::{
    cpuid::{Leaf, Registers},
    vendor::Manual,
};

/// A model's caches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caches {
    /// The caches as leaves 2 and 4 of Intel's CPUs report them.
    intel: &'static Set,
    /// The caches as the extended functions of AMD's CPUs report them.
    amd: &'static Set,
    /// Leaf 2 lists the caches, rather than referring to leaf 4.
    descriptors: bool,
}

/// L1 for data, L1 for instructions, L2, L3.
pub(super) type Set = [Cache; 4];

/// One cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cache {
    /// "Cache type".
    kind: Kind,
    level: u32,
    kib: u32,
    ways: u32,
    /// "Self initializing cache level".
    self_initializing: bool,
    /// `EDX[2:0]` of leaf 4.
    properties: u32,
    /// "Lines per tag" of 8000_0005h and 8000_0006h.
    lines_per_tag: u32,
}

/// Values of "cache type": SDM 2A, "Deterministic Cache Parameters Leaf".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Data,
    Instruction,
    Unified,
}

/// Bytes of a line, the same in every cache.
const LINE: u32 = 64;
/// Flag: WBINVD and INVD need not act on lower caches of other threads.
const NO_WBINVD: u32 = 1;
/// Flag: the cache holds all that lower caches hold.
const INCLUSIVE: u32 = 1 << 1;
/// Flag: the cache hashes addresses.
const COMPLEX: u32 = 1 << 2;

/// Descriptors of leaf 2 for the caches of models from before leaf 4: SDM 2A, "Encoding of CPUID Leaf 2 Descriptors".
const DESCRIPTORS: [(Kind, u32, u32, u32, u8); 5] = [
    (Kind::Data, 1, 32, 8, 0x2c),
    (Kind::Instruction, 1, 32, 8, 0x30),
    (Kind::Unified, 2, 2 << 10, 8, 0x7d),
    (Kind::Unified, 2, 4 << 10, 16, 0x49),
    (Kind::Unified, 3, 16 << 10, 16, 0x4d),
];
/// "CPUID leaf 2 does not report cache descriptor information, use CPUID leaf 4".
const SEE_LEAF_4: u32 = 0xff;

/// TLBs in AMD's functions for L1 and L2 caches: 255 entries of one way, and 512 of four ways for 4 KiB pages.
const L1_TLBS: u32 = 0x01ff_01ff;
const L2_TLBS: u32 = 0x4200_4200;

impl Caches {
    /// QEMU's own caches, for models that have nothing better.
    pub(super) const LEGACY: Self = Self { intel: &LEGACY_INTEL, amd: &LEGACY_AMD, descriptors: false };
    /// The same caches for a model that ends before leaf 4.
    pub(super) const ATHLON: Self = Self { descriptors: true, ..Self::LEGACY };
    /// Caches of Intel's CPUs that had no leaf 4.
    pub(super) const OLD: Self = Self { intel: &OLD, amd: &OLD, descriptors: true };

    /// Caches of one model only.
    pub(super) const fn own(set: &'static Set) -> Self {
        Self { intel: set, amd: set, descriptors: false }
    }

    /// The leaves of a CPU that follows `manual`, without the number of CPUs that share each cache. Some of the leaves may be beyond the
    /// model's last.
    #[must_use]
    pub fn leaves(&self, manual: Manual) -> Vec<(Leaf, Registers)> {
        let set = match manual {
            Manual::Intel => self.intel,
            Manual::Amd => self.amd,
        };
        let mut leaves = match manual {
            Manual::Intel => self.basic(),
            Manual::Amd => vec![amd_l1(set)],
        };
        leaves.push((Leaf::new(0x8000_0006), l2_and_l3(set, manual)));
        for (index, cache) in (0..).zip(set) {
            // Leaf 8000001DH doesn't report hashing.
            let parameters = cache.parameters();
            let registers = Registers { edx: parameters.edx & !COMPLEX, ..parameters };
            leaves.push((Leaf::sub(0x8000_001d, index), registers));
        }
        leaves
    }

    /// Leaves 2 and 4.
    fn basic(&self) -> Vec<(Leaf, Registers)> {
        let once = 1;
        let [l1d, l1i, l2, l3] = self.intel;
        let registers = if self.descriptors {
            let edx = l1d.descriptor() << 16 | l1i.descriptor() << 8 | l2.descriptor();
            Registers { eax: once, ecx: l3.descriptor(), edx, ..Registers::default() }
        } else {
            Registers { eax: once, edx: SEE_LEAF_4, ..Registers::default() }
        };
        let caches = (0..).zip(self.intel).map(|(index, cache)| (Leaf::sub(4, index), cache.parameters()));
        [(Leaf::new(2), registers)].into_iter().chain(caches).collect()
    }
}

fn amd_l1(&[l1d, l1i, ..]: &Set) -> (Leaf, Registers) {
    let encode = |cache: Cache| cache.kib << 24 | cache.ways << 16 | cache.lines_per_tag << 8 | LINE;
    let registers = Registers { eax: L1_TLBS, ebx: L1_TLBS, ecx: encode(l1d), edx: encode(l1i) };
    (Leaf::new(0x8000_0005), registers)
}

/// Function 8000_0006h: on Intel's CPUs it describes the L2 cache only.
fn l2_and_l3(&[.., l2, l3]: &Set, manual: Manual) -> Registers {
    let associativity = |cache: Cache| encode_ways(cache.ways) << 12 | cache.lines_per_tag << 8 | LINE;
    let ecx = l2.kib << 16 | associativity(l2);
    match manual {
        Manual::Intel => Registers { ecx, ..Registers::default() },
        Manual::Amd => Registers { eax: 0, ebx: L2_TLBS, ecx, edx: (l3.kib / 512) << 18 | associativity(l3) },
    }
}

/// APM 3, "L2 Cache and TLB Identifiers": the code for a number of ways, 0 if it has none.
fn encode_ways(ways: u32) -> u32 {
    match ways {
        1 | 2 | 4 => ways,
        8 => 0x6,
        16 => 0x8,
        32 => 0xa,
        48 => 0xb,
        64 => 0xc,
        96 => 0xd,
        128 => 0xe,
        _ => 0,
    }
}

impl Cache {
    const fn data(kib: u32, ways: u32) -> Self {
        Self::new(Kind::Data, 1, kib, ways)
    }

    const fn instruction(kib: u32, ways: u32) -> Self {
        Self::new(Kind::Instruction, 1, kib, ways)
    }

    const fn unified(level: u32, kib: u32, ways: u32) -> Self {
        Self::new(Kind::Unified, level, kib, ways)
    }

    const fn new(kind: Kind, level: u32, kib: u32, ways: u32) -> Self {
        Self { kind, level, kib, ways, self_initializing: true, properties: 0, lines_per_tag: 0 }
    }

    const fn with(self, properties: u32) -> Self {
        Self { properties, ..self }
    }

    const fn tagged(self) -> Self {
        Self { lines_per_tag: 1, ..self }
    }

    const fn needs_software(self) -> Self {
        Self { self_initializing: false, ..self }
    }

    fn sets(&self) -> u32 {
        (self.kib << 10) / (LINE * self.ways)
    }

    /// A subleaf of leaf 4 without its topology.
    fn parameters(&self) -> Registers {
        let kind = match self.kind {
            Kind::Data => 1,
            Kind::Instruction => 2,
            Kind::Unified => 3,
        };
        Registers {
            eax: kind | self.level << 5 | u32::from(self.self_initializing) << 8,
            ebx: (LINE - 1) | (self.ways - 1) << 22,
            ecx: self.sets() - 1,
            edx: self.properties,
        }
    }

    fn descriptor(&self) -> u32 {
        let same = |&&(kind, level, kib, ways, _): &&_| {
            (kind, level, kib, ways) == (self.kind, self.level, self.kib, self.ways)
        };
        DESCRIPTORS.iter().find(same).map_or(SEE_LEAF_4, |&(.., descriptor)| descriptor.into())
    }
}

const LEGACY_INTEL: Set = [
    Cache::data(32, 8).with(NO_WBINVD),
    Cache::instruction(32, 8).with(NO_WBINVD),
    Cache::unified(2, 4 << 10, 16).with(NO_WBINVD),
    Cache::unified(3, 16 << 10, 16).with(INCLUSIVE | COMPLEX),
];
const LEGACY_AMD: Set = [
    Cache::data(64, 2).with(NO_WBINVD).tagged(),
    Cache::instruction(64, 2).with(NO_WBINVD).tagged(),
    Cache::unified(2, 512, 16).needs_software().tagged(),
    Cache::unified(3, 16 << 10, 16).with(INCLUSIVE | COMPLEX).tagged(),
];
const OLD: Set = [
    Cache::data(32, 8).with(NO_WBINVD),
    Cache::instruction(32, 8).with(NO_WBINVD),
    Cache::unified(2, 2 << 10, 8).with(NO_WBINVD),
    Cache::unified(3, 16 << 10, 16).with(INCLUSIVE | COMPLEX).tagged(),
];

pub(super) const EPYC: Set = first(Cache::instruction(64, 4), 512, 8 << 10, INCLUSIVE | COMPLEX);
pub(super) const EPYC_V4: Set = first(Cache::instruction(64, 4), 512, 8 << 10, INCLUSIVE);
pub(super) const EPYC_V5: Set =
    zen(Cache::data(32, 8), Cache::instruction(64, 4), Cache::unified(2, 512, 8), 8 << 10);
pub(super) const EPYC_ROME: Set = first(Cache::instruction(32, 8), 512, 16 << 10, INCLUSIVE | COMPLEX);
pub(super) const EPYC_ROME_V3: Set = first(Cache::instruction(32, 8), 512, 16 << 10, INCLUSIVE);
pub(super) const EPYC_ROME_V5: Set =
    zen(Cache::data(32, 8), Cache::instruction(32, 8), Cache::unified(2, 512, 8), 16 << 10);
pub(super) const EPYC_MILAN: Set = first(Cache::instruction(32, 8), 512, 32 << 10, INCLUSIVE | COMPLEX);
pub(super) const EPYC_MILAN_V2: Set = first(Cache::instruction(32, 8), 512, 32 << 10, INCLUSIVE);
pub(super) const EPYC_MILAN_V3: Set =
    zen(Cache::data(32, 8), Cache::instruction(32, 8), Cache::unified(2, 512, 8), 32 << 10);
pub(super) const EPYC_GENOA: Set = first(Cache::instruction(32, 8), 1 << 10, 32 << 10, INCLUSIVE);
pub(super) const EPYC_GENOA_V2: Set =
    zen(Cache::data(32, 8), Cache::instruction(32, 8), Cache::unified(2, 1 << 10, 8), 32 << 10);
pub(super) const EPYC_TURIN: Set =
    zen(Cache::data(48, 12), Cache::instruction(32, 8), Cache::unified(2, 1 << 10, 16), 32 << 10);

pub(super) const SAPPHIRE_RAPIDS: Set = [
    Cache::data(48, 12),
    Cache::instruction(32, 8),
    Cache::unified(2, 2 << 10, 16),
    Cache::unified(3, 60 << 10, 15).with(COMPLEX),
];
pub(super) const GRANITE_RAPIDS: Set = [
    Cache::data(48, 12),
    Cache::instruction(64, 16),
    Cache::unified(2, 2 << 10, 16),
    Cache::unified(3, 288 << 10, 16).with(COMPLEX),
];
pub(super) const SIERRA_FOREST: Set = [
    Cache::data(32, 8),
    Cache::instruction(64, 8),
    Cache::unified(2, 4 << 10, 16),
    Cache::unified(3, 108 << 10, 12).with(COMPLEX),
];
pub(super) const CLEARWATER_FOREST: Set = [
    Cache::data(32, 8),
    Cache::instruction(64, 8),
    Cache::unified(2, 4 << 10, 16),
    Cache::unified(3, 528 << 10, 16).with(COMPLEX),
];
pub(super) const YONGFENG: Set = [
    Cache::data(32, 8).tagged(),
    Cache::instruction(64, 16).tagged(),
    Cache::unified(2, 256, 8).with(INCLUSIVE),
    Cache::unified(3, 8 << 10, 16).with(INCLUSIVE | NO_WBINVD),
];

/// EPYC's caches as QEMU first had them, with values that no CPU reports.
const fn first(l1i: Cache, l2_kib: u32, l3_kib: u32, l3: u32) -> Set {
    [
        Cache::data(32, 8).with(NO_WBINVD).tagged(),
        l1i.with(NO_WBINVD).tagged(),
        Cache::unified(2, l2_kib, 8).needs_software().tagged(),
        Cache::unified(3, l3_kib, 16).with(l3).tagged(),
    ]
}

/// EPYC's caches as the CPUs report them.
const fn zen(l1d: Cache, l1i: Cache, l2: Cache, l3_kib: u32) -> Set {
    [
        l1d.tagged(),
        l1i.tagged(),
        l2.with(INCLUSIVE).tagged(),
        Cache::unified(3, l3_kib, 16).with(NO_WBINVD).tagged(),
    ]
}
