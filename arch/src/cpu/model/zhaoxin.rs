//! CPUs of Zhaoxin.

use super::{
    caches::{self, Caches},
    row::{Model, Version},
    vmx,
};
use crate::cpu::signature::Signature;

pub(super) const MODELS: &[Model] = &[Model {
    name: "YongFeng",
    maker: "CentaurHauls",
    signature: Signature::new(7, 11, 3),
    level: 0x1f,
    xlevel: 0x8000_0008,
    brand: "Zhaoxin YongFeng Processor",
    features: "
            3dnowprefetch abm ace2 acpi adx aes apic arch-capabilities avx avx2 bmi1 bmi2 clflush
            cmov cx16 cx8 de f16c fma fpu fsgsbase fxsr invpcid invtsc lahf-lm lm mca mce mds-no mmx
            monitor movbe msr mtrr nx pae pat pcid pclmulqdq pdpe1gb pge phe phe-en pku pmm pmm-en
            pni popcnt pschange-mc-no pse pse36 rdctl-no rdpid rdrand rdseed rdtscp sep sha-ni
            skip-l1dfl-vmentry smap smep spec-ctrl ss ssb-no sse sse2 sse4.1 sse4.2 ssse3 syscall
            tsc tsc-deadline umip vme x2apic xcrypt xcrypt-en xsave xsaveopt xstore xstore-en
        ",
    vmx: Some(&vmx::YONGFENG),
    versions: &[
        Version { model: Some(91), ..Version::SAME },
        Version { caches: Some(Caches::own(&caches::YONGFENG)), ..Version::SAME },
    ],
    ..Model::INTEL
}];
