//! Server CPUs of Intel with small cores.

use super::{
    caches::{self, Caches},
    row::{Model, Version},
    vmx,
};
use crate::cpu::signature::Signature;

pub(super) const MODELS: &[Model] = &[
    Model {
        name: "Denverton",
        signature: Signature::new(6, 95, 1),
        level: 0x15,
        xlevel: 0x8000_0008,
        brand: "Intel Atom Processor (Denverton)",
        features: "
            3dnowprefetch aes apic arat arch-capabilities clflush clflushopt cmov cx16 cx8 de erms
            fpu fsgsbase fxsr lahf-lm lm mca mce mmx monitor movbe mpx msr mtrr nx pae pat pclmulqdq
            pdpe1gb pge pni popcnt pse pse36 rdctl-no rdrand rdseed rdtscp sep sha-ni
            skip-l1dfl-vmentry smap smep spec-ctrl ssbd sse sse2 sse4.1 sse4.2 ssse3 syscall tsc
            tsc-deadline vme x2apic xgetbv1 xsave xsavec xsaveopt
        ",
        vmx: Some(&vmx::DENVERTON),
        versions: &[
            Version { removed: "monitor mpx", ..Version::SAME },
            Version { added: "vmx-xsaves xsaves", ..Version::SAME },
        ],
        ..Model::INTEL
    },
    Model {
        name: "Snowridge",
        signature: Signature::new(6, 134, 1),
        level: 0x1b,
        xlevel: 0x8000_0008,
        brand: "Intel Atom Processor (SnowRidge)",
        features: "
            3dnowprefetch aes apic arat arch-capabilities cldemote clflush clflushopt clwb cmov
            core-capability cx16 cx8 de erms fpu fsgsbase fxsr gfni lahf-lm lm mca mce mmx monitor
            movbe movdir64b movdiri mpx msr mtrr nx pae pat pclmulqdq pdpe1gb pge pni popcnt pse
            pse36 rdrand rdseed rdtscp sep sha-ni smap smep spec-ctrl split-lock-detect ssbd sse
            sse2 sse4.1 sse4.2 ssse3 syscall tsc tsc-deadline umip vme x2apic xgetbv1 xsave xsavec
            xsaveopt
        ",
        vmx: Some(&vmx::DENVERTON),
        versions: &[
            Version {
                brand: Some("Intel Atom Processor (Snowridge, no MPX)"),
                removed: "mpx",
                ..Version::SAME
            },
            Version { added: "vmx-xsaves xsaves", ..Version::SAME },
            Version { removed: "core-capability split-lock-detect", ..Version::SAME },
        ],
        ..Model::INTEL
    },
    Model {
        name: "SierraForest",
        signature: Signature::new(6, 175, 0),
        level: 0x23,
        xlevel: 0x8000_0008,
        brand: "Intel Xeon Processor (SierraForest)",
        features: "
            3dnowprefetch abm adx aes apic arat arch-capabilities avx avx-ifma avx-ne-convert
            avx-vnni avx-vnni-int8 avx2 bmi1 bmi2 bus-lock-detect clflush clflushopt clwb cmov
            cmpccxadd cx16 cx8 de erms f16c fbsdp-no fma fpu fsgsbase fsrm fsrs fxsr gfni ibrs-all
            invpcid lahf-lm lm mca mcdt-no mce mds-no mmx movbe msr mtrr nx pae pat pbrsb-no pcid
            pclmulqdq pdpe1gb pge pku pni popcnt pschange-mc-no psdp-no pse pse36 rdctl-no rdpid
            rdrand rdseed rdtscp sbdr-ssdp-no sep serialize sha-ni skip-l1dfl-vmentry smap smep
            spec-ctrl ssbd sse sse2 sse4.1 sse4.2 ssse3 syscall tsc tsc-deadline umip vaes vme
            vpclmulqdq wbnoinvd x2apic xgetbv1 xsave xsavec xsaveopt xsaves
        ",
        vmx: Some(&vmx::SIERRA_FOREST),
        versions: &[
            Version {
                stepping: Some(3),
                added: "
                    bhi-ctrl cldemote gds-no intel-psfd ipred-ctrl lam movdir64b movdiri rfds-no
                    rrsba-ctrl ss tsc-adjust
                ",
                ..Version::SAME
            },
            Version { caches: Some(Caches::own(&caches::SIERRA_FOREST)), ..Version::SAME },
            Version { added: "cet-ibt cet-ss vmx-entry-load-cet vmx-exit-save-cet", ..Version::SAME },
            Version { added: "its-no", ..Version::SAME },
            Version { added: "vmx-mbec", ..Version::SAME },
        ],
        ..Model::INTEL
    },
    Model {
        name: "ClearwaterForest",
        signature: Signature::new(6, 221, 0),
        level: 0x23,
        xlevel: 0x8000_0008,
        brand: "Intel Xeon Processor (ClearwaterForest)",
        features: "
            3dnowprefetch abm adx aes apic arat arch-capabilities avx avx-ifma avx-ne-convert
            avx-vnni avx-vnni-int16 avx-vnni-int8 avx2 bhi-ctrl bhi-no bmi1 bmi2 bus-lock-detect
            cldemote clflush clflushopt clwb cmov cmpccxadd cx16 cx8 ddpd-u de erms f16c fbsdp-no
            fma fpu fsgsbase fsrm fsrs fxsr gds-no gfni ibrs-all intel-psfd invpcid ipred-ctrl
            lahf-lm lam lm mca mcdt-no mce mds-no mmx movbe movdir64b movdiri msr mtrr nx pae pat
            pbrsb-no pcid pclmulqdq pdpe1gb pge pku pni popcnt prefetchiti pschange-mc-no psdp-no
            pse pse36 rdctl-no rdpid rdrand rdseed rdtscp rfds-no rrsba-ctrl sbdr-ssdp-no sep
            serialize sha-ni sha512 skip-l1dfl-vmentry sm3 sm4 smap smep spec-ctrl ss ssbd sse sse2
            sse4.1 sse4.2 ssse3 syscall tsc tsc-adjust tsc-deadline umip vaes vme vpclmulqdq
            wbnoinvd x2apic xgetbv1 xsave xsavec xsaveopt xsaves
        ",
        vmx: Some(&vmx::SIERRA_FOREST),
        versions: &[
            Version { added: "cet-ibt cet-ss vmx-entry-load-cet vmx-exit-save-cet", ..Version::SAME },
            Version {
                caches: Some(Caches::own(&caches::CLEARWATER_FOREST)),
                added: "its-no",
                ..Version::SAME
            },
            Version { added: "vmx-mbec", ..Version::SAME },
        ],
        ..Model::INTEL
    },
];
