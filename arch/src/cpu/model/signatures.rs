//! The processors of each generation, by family, model and stepping. A model of QEMU's has the signature of one of them; host-model has to
//! recognize the others.
//!
//! libvirt's src/cpu_map; where a generation has processors that libvirt does not list, Linux's arch/x86/include/asm/intel-family.h (cores
//! of the same name) and `bsp_init_amd` of arch/x86/kernel/cpu/amd.c (which models of a family are which Zen), and the titles of AMD's
//! guides to family 15h.

use std::ops::RangeInclusive;

use crate::cpu::signature::Signature;

/// Processors of one generation.
#[derive(Debug)]
pub(super) struct Processors {
    /// The generation: a model's name without its version.
    pub(super) generation: &'static str,
    family: u32,
    models: Models,
    steppings: RangeInclusive<u32>,
}

#[derive(Debug)]
enum Models {
    Listed(&'static [u32]),
    Ranges(&'static [RangeInclusive<u32>]),
}

pub(super) const PROCESSORS: &[Processors] = &[
    listed("Conroe", 6, &[15, 22]),
    listed("Penryn", 6, &[23, 29]),
    listed("Nehalem", 6, &[26, 30, 31, 46]),
    listed("Westmere", 6, &[37, 44, 47]),
    listed("SandyBridge", 6, &[42, 45]),
    listed("IvyBridge", 6, &[58, 62]),
    listed("Haswell", 6, &[60, 63, 69, 70]),
    listed("Broadwell", 6, &[61, 71, 79, 86]),
    // Skylake, Kaby Lake and Coffee Lake; Comet Lake.
    listed("Skylake-Client", 6, &[78, 94, 142, 158, 165, 166]),
    listed("Skylake-Server", 6, &[85]).steppings(0..=4),
    listed("Cascadelake-Server", 6, &[85]).steppings(5..=7),
    listed("Cooperlake", 6, &[85]).steppings(10..=11),
    // Ice Lake-SP and -D.
    listed("Icelake-Server", 6, &[106, 108]),
    // Sapphire Rapids and Emerald Rapids.
    listed("SapphireRapids", 6, &[143, 207]),
    // Granite Rapids-SP and -D.
    listed("GraniteRapids", 6, &[173, 174]),
    listed("DiamondRapids", 19, &[1]),
    listed("KnightsMill", 6, &[133]),
    // Bonnell.
    listed("n270", 6, &[28, 38]),
    // Goldmont.
    listed("Denverton", 6, &[92, 95]),
    // Tremont.
    listed("Snowridge", 6, &[134, 150, 156]),
    // Crestmont.
    listed("SierraForest", 6, &[175, 182]),
    listed("ClearwaterForest", 6, &[221]),
    // K10.
    listed("Opteron_G3", 16, &[2, 4, 5, 6, 8, 9, 10]),
    // Bulldozer.
    listed("Opteron_G4", 21, &[1]),
    // Piledriver, in servers and in models 10h to 1Fh.
    ranges("Opteron_G5", 21, &[0x02..=0x02, 0x10..=0x1f]),
    // Zen and Zen+.
    ranges("EPYC", 23, &[0x00..=0x2f, 0x50..=0x5f]),
    // Zen 2.
    ranges("EPYC-Rome", 23, &[0x30..=0x4f, 0x60..=0x7f, 0x90..=0x91, 0xa0..=0xaf]),
    // Zen 3.
    ranges("EPYC-Milan", 25, &[0x00..=0x0f, 0x20..=0x5f]),
    // Zen 4.
    ranges("EPYC-Genoa", 25, &[0x10..=0x1f, 0x60..=0xaf]),
    // Zen 5.
    ranges("EPYC-Turin", 26, &[0x00..=0x2f, 0x40..=0x4f, 0x60..=0x7f]),
    listed("Dhyana", 24, &[0]),
    listed("YongFeng", 7, &[11, 91]),
];

impl Processors {
    /// Returns whether a processor with this signature belongs to this generation.
    pub(super) fn contain(&self, signature: Signature) -> bool {
        let Signature { family, model, stepping } = signature;
        let listed = match self.models {
            Models::Listed(models) => models.contains(&model),
            Models::Ranges(ranges) => ranges.iter().any(|range| range.contains(&model)),
        };
        self.family == family && listed && self.steppings.contains(&stepping)
    }

    const fn steppings(self, steppings: RangeInclusive<u32>) -> Self {
        Self { steppings, generation: self.generation, family: self.family, models: self.models }
    }
}

const fn listed(generation: &'static str, family: u32, models: &'static [u32]) -> Processors {
    Processors { generation, family, models: Models::Listed(models), steppings: 0..=15 }
}

const fn ranges(generation: &'static str, family: u32, models: &'static [RangeInclusive<u32>]) -> Processors {
    Processors { generation, family, models: Models::Ranges(models), steppings: 0..=15 }
}

#[cfg(test)]
#[path = "signatures_test.rs"]
mod tests;
