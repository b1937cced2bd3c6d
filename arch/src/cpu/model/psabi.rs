//! The levels of x86-64: the features that programs compiled for a level may use, and those that a kernel needs besides. System V ABI,
//! AMD64 supplement, "Micro-Architecture Levels".

use super::row::{Model, Version};
use crate::cpu::signature::Signature;

pub(super) const MODELS: &[Model] = &[
    // With the signature of qemu64, which OSes know as a CPU of no particular age.
    Model {
        name: "x86-64",
        signature: Signature::new(15, 107, 1),
        level: 0xd,
        xlevel: 0x8000_0008,
        brand: "x86-64 processor",
        features: "
            apic clflush cmov cx8 de fpu fxsr lm mca mce mmx msr mtrr nx pae pat pge pse pse36 sep
            sse sse2 syscall tsc vme
        ",
        versions: &[
            Version {
                brand: Some("x86-64-v2 processor"),
                added: "cx16 lahf-lm pni popcnt sse4.1 sse4.2 ssse3",
                ..Version::SAME
            },
            Version {
                brand: Some("x86-64-v3 processor"),
                added: "abm avx avx2 bmi1 bmi2 f16c fma movbe xsave",
                ..Version::SAME
            },
            Version {
                brand: Some("x86-64-v4 processor"),
                added: "avx512bw avx512cd avx512dq avx512f avx512vl",
                ..Version::SAME
            },
        ],
        ..Model::ANY
    },
];
