//! Linux' reading of the leaves, by the rules that its versions have had: `arch/x86/kernel/cpu/{topology,common,intel,amd,cacheinfo}.c`
//! of 6.1, and `topology_{common,ext,amd}.c`, which took their place in 6.9.

use std::collections::BTreeSet;

use proptest::{prelude::*, sample};

use super::*;
use crate::cpu::{
    apic_id::FIRST_X2APIC_ID,
    cpuid::{Cpuid, Leaf, Register, Registers},
    testing,
    vendor::Manual,
};

/// The versions' rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Linux {
    /// Up to 6.8.
    Old,
    /// From 6.9 on. As the old one, it reads AMD's leaf 0BH only beside the topology extensions.
    Gated,
    /// From 6.17 on, where leaf 0BH is worth reading on any CPU.
    Free,
}

const ALL: [Linux; 3] = [Linux::Old, Linux::Gated, Linux::Free];

/// Linux' facts of one CPU.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    package: u32,
    die: u32,
    core: u32,
    /// Threads of a core, or APIC ids set aside for them.
    threads: u32,
    /// Level, type, and what CPUs that share the cache have in common.
    caches: Vec<(u32, u32, u32)>,
}

fn order(count: u32) -> u32 {
    count.next_power_of_two().trailing_zeros()
}

/// Kinds of levels, and the lowest of the domains that they are taken for.
const SMT: u32 = 1;
const CORE: u32 = 2;
const DIE: u32 = 5;

struct Cpu<'a> {
    cpuid: &'a Cpuid,
    manual: Manual,
}

impl Cpu<'_> {
    fn leaf(&self, function: u32) -> Registers {
        self.cpuid.get(Leaf::new(function))
    }

    fn covers(&self, function: u32) -> bool {
        self.leaf(function & 0x8000_0000).eax >= function
    }

    fn topoext(&self) -> bool {
        self.manual == Manual::Amd && self.leaf(0x8000_0001).ecx >> 22 & 1 == 1
    }

    /// The levels of a leaf: kind, shift and processors.
    fn levels(&self, function: u32) -> Option<Vec<(u32, u32, u32)>> {
        let subleaves = (0..).map(|index| self.cpuid.get(Leaf::sub(function, index)));
        let levels = subleaves.map(|leaf| (leaf.ecx >> 8 & 0xff, leaf.eax & 0x1f, leaf.ebx & 0xffff));
        let levels: Vec<_> = levels.take_while(|&(kind, ..)| kind != 0).collect();
        (self.covers(function)
            && levels.first().is_some_and(|&(kind, _, processors)| kind == SMT && processors > 0))
        .then_some(levels)
    }

    /// `detect_extended_topology`; 6.9 has one more leaf, and AMD's kinds in it are one number lower than Intel's.
    fn extended(&self, leaves: &[u32]) -> Option<Seen> {
        let (function, levels) =
            leaves.iter().find_map(|&function| Some((function, self.levels(function)?)))?;
        let id = self.cpuid.get(Leaf::sub(function, 0)).edx;
        let shift = |kind| levels.iter().find(|level| level.0 == kind).map(|level| level.1);
        let smt = shift(SMT).unwrap_or_default();
        let die = shift(CORE).unwrap_or(smt);
        let package = levels.last().map_or(0, |level| level.1);
        let mask = |shift: u32| (1u32 << shift) - 1;
        let has_dies = shift(DIE).is_some() || function == 0x8000_0026;
        Some(Seen {
            package: id >> package,
            die: if has_dies { (id & mask(package)) >> die } else { 0 },
            core: (id & mask(package)) >> smt,
            threads: levels[0].2,
            caches: vec![],
        })
    }

    /// Leaves 01H and 04H: `detect_num_cpu_cores` and `detect_ht`, and `parse_legacy`.
    fn intel(&self) -> Seen {
        let Registers { ebx, edx, .. } = self.leaf(1);
        let id = ebx >> 24;
        let leaf_4 = self.cpuid.get(Leaf::sub(4, 0)).eax;
        let cores = if self.covers(4) && leaf_4 & 0x1f != 0 { (leaf_4 >> 26) + 1 } else { 1 };
        if edx >> 28 & 1 == 0 {
            return Seen { package: id, die: 0, core: 0, threads: 1, caches: vec![] };
        }
        let siblings = ebx >> 16 & 0xff;
        let threads = siblings / cores;
        Seen {
            package: id >> order(siblings),
            die: 0,
            core: id >> order(threads) & ((1 << order(cores)) - 1),
            threads,
            caches: vec![],
        }
    }

    /// Function 8000_0008H, and 8000_001EH with the topology extensions: `amd_detect_cmp`, `amd_get_topology`, `parse_8000_001e`.
    fn amd(&self) -> Seen {
        let id = self.leaf(1).ebx >> 24;
        let ecx = self.leaf(0x8000_0008).ecx;
        let bits = match (self.covers(0x8000_0008), ecx >> 12 & 0xf) {
            (false, _) => 0,
            (true, 0) => order((ecx & 0xff) + 1),
            (true, bits) => bits,
        };
        let mut seen =
            Seen { package: id >> bits, die: 0, core: id & ((1 << bits) - 1), threads: 1, caches: vec![] };
        if self.topoext() {
            let Registers { ebx, ecx, .. } = self.leaf(0x8000_001e);
            seen.threads = (ebx >> 8 & 0xff) + 1;
            // Before family 17H these are the numbers of compute units, with the same effect.
            seen.core = ebx & 0xff;
            seen.die = ecx & 0xff;
        }
        seen
    }

    fn see(&self, linux: Linux) -> Seen {
        let leaves: &[u32] = match linux {
            Linux::Free => &[0x1f, 0x8000_0026, 0xb],
            _ if self.manual == Manual::Amd && !self.topoext() => &[],
            Linux::Gated => &[0x1f, 0x8000_0026, 0xb],
            Linux::Old => &[0x1f, 0xb],
        };
        let old = || if self.manual == Manual::Amd { self.amd() } else { self.intel() };
        let mut seen = self.extended(leaves).unwrap_or_else(old);
        seen.caches = self.caches();
        seen
    }

    /// `__cache_cpumap_setup`, `__cache_amd_cpumap_setup`.
    fn caches(&self) -> Vec<(u32, u32, u32)> {
        let extended = self.cpuid.function(0xb).next().map(|(_, leaf)| leaf.edx);
        let id = extended.unwrap_or(self.leaf(1).ebx >> 24);
        let function = if self.manual == Manual::Amd { 0x8000_001d } else { 4 };
        if self.manual == Manual::Amd && !self.topoext() || !self.covers(function) {
            return vec![];
        }
        let caches = self.cpuid.function(function).map(|(_, leaf)| leaf.eax).filter(|eax| eax & 0x1f != 0);
        caches
            .map(|eax| {
                let sharing = (eax >> 14 & 0xfff) + 1;
                let same = if self.manual == Manual::Amd { id / sharing } else { id >> order(sharing) };
                (eax >> 5 & 7, eax & 0x1f, same)
            })
            .collect()
    }
}

/// Every recorded host's leaves.
fn hosts() -> impl Iterator<Item = (&'static str, Cpuid, Manual)> {
    testing::all().into_iter().map(|(name, host)| (name, host.offered(), host.manual()))
}

/// A CPU with these maxima, as a model may have them, and with the topology extensions or without.
fn limited(mut cpuid: Cpuid, manual: Manual, level: u32, xlevel: u32, topoext: bool) -> Cpuid {
    for (base, max) in [(0, level), (0x8000_0000, xlevel)] {
        cpuid.0.get_mut(&Leaf::new(base)).unwrap().eax = max;
    }
    if manual == Manual::Amd {
        let ecx = cpuid.0.get_mut(&Leaf::new(0x8000_0001)).unwrap().get_mut(Register::Ecx);
        *ecx = *ecx & !(1 << 22) | u32::from(topoext) << 22;
    }
    cpuid.0.retain(|leaf, _| leaf.function <= if leaf.function < 0x8000_0000 { level } else { xlevel });
    cpuid
}

/// Checks what Linux sees of `topology` against what was asked for.
fn check(topology: &Topology, cpuid: &Cpuid, manual: Manual, linux: Linux, name: &str) {
    let mut cpuid = cpuid.clone();
    for patch in topology.rewrite(&mut cpuid, manual) {
        patch.apply(&mut cpuid);
    }
    let seen: Vec<_> = (0..topology.vcpus())
        .map(|vcpu| {
            let mut cpuid = cpuid.clone();
            topology.personalize(&mut cpuid, manual, vcpu);
            Cpu { cpuid: &cpuid, manual }.see(linux)
        })
        .collect();
    // Without the topology extensions nothing that it read tells AMD's threads or dies.
    let topoext = Cpu { cpuid: &cpuid, manual }.topoext();
    let blind = linux != Linux::Free && manual == Manual::Amd && !topoext;
    let (die, core) = match blind {
        true => (topology.threads_per_package(), 1),
        false => (topology.threads_per_die(), topology.threads),
    };
    let threads = if blind { 1 } else { topology.threads };
    let mut groups = Groups::default();
    for (vcpu, seen) in (0..).zip(&seen) {
        let Seen { package, .. } = *seen;
        let rounded = threads.next_power_of_two();
        assert!([threads, rounded].contains(&seen.threads), "{name} {linux:?} {topology}: {vcpu} {seen:?}");
        groups.add("package", vec![package], vcpu / topology.threads_per_package());
        groups.add("die", vec![package, seen.die], vcpu / die);
        groups.add("core", vec![package, seen.core], vcpu / core);
        for &(level, kind, sharing) in &seen.caches {
            let asked = vcpu / if level <= 2 { core } else { die };
            groups.add("cache", vec![level, kind, sharing], asked);
        }
    }
    groups.check(&format!("{name} {linux:?} {topology}"));
}

/// For each kind of thing, which one each vCPU was found in and which one it was asked to be in.
#[derive(Debug, Default)]
struct Groups(BTreeSet<(&'static str, Vec<u32>, u32)>);

impl Groups {
    fn add(&mut self, kind: &'static str, found: Vec<u32>, asked: u32) {
        self.0.insert((kind, found, asked));
    }

    /// Checks that the found groups correspond one to one to the requested ones.
    fn check(&self, what: &str) {
        let found: BTreeSet<_> = self.0.iter().map(|(kind, found, _)| (kind, found)).collect();
        // A cache's level and type are not for the topology to change.
        let asked: BTreeSet<_> =
            self.0.iter().map(|(kind, found, asked)| (kind, cache(kind, found), asked)).collect();
        assert_eq!((found.len(), asked.len()), (self.0.len(), self.0.len()), "{what}: {self:?}");
    }
}

fn cache<'a>(kind: &str, found: &'a [u32]) -> &'a [u32] {
    if kind == "cache" { &found[..2] } else { &[] }
}

fn small() -> impl Strategy<Value = Topology> {
    (1u32..4, 1u32..4, 1u32..7, 1u32..4)
        .prop_map(|(sockets, dies, cores, threads)| Topology::new(sockets, dies, cores, threads).unwrap())
}

proptest! {
    #[test]
    fn linux_sees_what_was_asked(
        topology in small(),
        (name, cpuid, manual) in sample::select(hosts().collect::<Vec<_>>()),
        level in sample::select(vec![1u32, 4, 5, 0xa, 0xb, 0xd, 0x10, 0x16, 0x1f, 0x20]),
        xlevel in sample::select(vec![0x8000_0004u32, 0x8000_0008, 0x8000_000a, 0x8000_001e, 0x8000_0022, 0x8000_0026]),
        topoext in any::<bool>(),
    ) {
        let cpuid = limited(cpuid, manual, level, xlevel, topoext);
        // Without leaf 0BH it knew of AMD's cores by function 8000_0008H, and of their ids by the eight bits in leaf 01H.
        let knew = xlevel >= 0x8000_0008 && topology.max_apic_id() < FIRST_X2APIC_ID;
        for linux in ALL {
            if linux == Linux::Free || manual == Manual::Intel || topoext || knew {
                check(&topology, &cpuid, manual, linux, name);
            }
        }
    }

    #[test]
    fn apic_ids_are_unique_and_packed(topology in small()) {
        let ids: Vec<_> = (0..topology.vcpus()).map(|vcpu| topology.apic_id(vcpu)).collect();
        prop_assert!(ids.is_sorted_by(|a, b| a < b), "{:?}", ids);
        // A count of one takes no bit, and no count takes one more than it needs.
        let counts = [topology.dies, topology.cores, topology.threads];
        let set_aside: u32 = counts.map(u32::next_power_of_two).iter().product();
        prop_assert_eq!(topology.max_apic_id() / set_aside, topology.sockets - 1);
        prop_assert!(topology.max_apic_id() < set_aside * topology.sockets);
    }
}

#[test]
fn linux_sees_machines_with_more_than_255_vcpus() {
    for (name, cpuid, manual) in hosts() {
        for (level, topoext) in [(4, false), (0xd, true), (0x20, false)] {
            let cpuid = limited(cpuid.clone(), manual, level, 0x8000_001e, topoext);
            for topology in [[1, 1, 300, 1], [2, 1, 65, 2], [3, 3, 11, 3]] {
                let [sockets, dies, cores, threads] = topology;
                let topology = Topology::new(sockets, dies, cores, threads).unwrap();
                for linux in ALL {
                    if linux == Linux::Free || manual == Manual::Intel || topoext {
                        check(&topology, &cpuid, manual, linux, name);
                    }
                }
            }
        }
    }
}

/// 128 cores are more than leaf 04H can tell, though their ids fit into eight bits.
#[test]
fn linux_sees_more_cores_than_leaf_4_holds() {
    for (name, cpuid, manual) in hosts() {
        let cpuid = limited(cpuid, manual, 0xa, 0x8000_0008, false);
        for linux in ALL {
            check(&Topology::flat(128).unwrap(), &cpuid, manual, linux, name);
        }
    }
}
