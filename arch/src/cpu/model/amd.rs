//! CPUs of AMD, and Hygon's.

use super::{
    caches::{self, Caches},
    row::{Model, Version},
};
use crate::cpu::signature::Signature;

pub(super) const MODELS: &[Model] = &[
    Model {
        name: "phenom",
        signature: Signature::new(16, 2, 3),
        level: 0x5,
        xlevel: 0x8000_001a,
        brand: "AMD Phenom(tm) 9550 Quad-Core Processor",
        features: "
            3dnow 3dnowext abm apic clflush cmov cx16 cx8 de fpu fxsr fxsr-opt lahf-lm lm mca mce
            mmx mmxext monitor msr mtrr npt nx pae pat pdpe1gb pge pni popcnt pse pse36 rdtscp sep
            sse sse2 sse4a svm syscall tsc vme
        ",
        ..Model::AMD
    },
    Model {
        name: "Opteron_G1",
        signature: Signature::new(15, 6, 1),
        level: 0x5,
        xlevel: 0x8000_0008,
        brand: "AMD Opteron 240 (Gen 1 Class Opteron)",
        features: "
            apic clflush cmov cx8 de fpu fxsr lm mca mce mmx msr mtrr nx pae pat pge pni pse pse36
            sep sse sse2 syscall tsc vme
        ",
        ..Model::AMD
    },
    Model {
        name: "Opteron_G2",
        signature: Signature::new(15, 6, 1),
        level: 0x5,
        xlevel: 0x8000_0008,
        brand: "AMD Opteron 22xx (Gen 2 Class Opteron)",
        features: "
            apic clflush cmov cx16 cx8 de fpu fxsr lahf-lm lm mca mce mmx msr mtrr nx pae pat pge
            pni pse pse36 sep sse sse2 svm syscall tsc vme
        ",
        ..Model::AMD
    },
    Model {
        name: "Opteron_G3",
        signature: Signature::new(16, 2, 3),
        level: 0x5,
        xlevel: 0x8000_0008,
        brand: "AMD Opteron 23xx (Gen 3 Class Opteron)",
        features: "
            abm apic clflush cmov cx16 cx8 de fpu fxsr lahf-lm lm mca mce misalignsse mmx monitor
            msr mtrr nx pae pat pge pni popcnt pse pse36 rdtscp sep sse sse2 sse4a svm syscall tsc
            vme
        ",
        ..Model::AMD
    },
    Model {
        name: "Opteron_G4",
        signature: Signature::new(21, 1, 2),
        level: 0xd,
        xlevel: 0x8000_001a,
        brand: "AMD Opteron 62xx class CPU",
        features: "
            3dnowprefetch abm aes apic avx clflush cmov cx16 cx8 de fma4 fpu fxsr lahf-lm lm mca mce
            misalignsse mmx msr mtrr npt nrip-save nx pae pat pclmulqdq pdpe1gb pge pni popcnt pse
            pse36 rdtscp sep sse sse2 sse4.1 sse4.2 sse4a ssse3 svm syscall tsc vme xop xsave
        ",
        ..Model::AMD
    },
    Model {
        name: "Opteron_G5",
        signature: Signature::new(21, 2, 0),
        level: 0xd,
        xlevel: 0x8000_001a,
        brand: "AMD Opteron 63xx class CPU",
        features: "
            3dnowprefetch abm aes apic avx clflush cmov cx16 cx8 de f16c fma fma4 fpu fxsr lahf-lm
            lm mca mce misalignsse mmx msr mtrr npt nrip-save nx pae pat pclmulqdq pdpe1gb pge pni
            popcnt pse pse36 rdtscp sep sse sse2 sse4.1 sse4.2 sse4a ssse3 svm syscall tbm tsc vme
            xop xsave
        ",
        ..Model::AMD
    },
    Model {
        name: "EPYC",
        signature: Signature::new(23, 1, 2),
        level: 0xd,
        xlevel: 0x8000_001e,
        brand: "AMD EPYC Processor",
        features: "
            3dnowprefetch abm adx aes apic arat avx avx2 bmi1 bmi2 clflush clflushopt cmov cr8legacy
            cx16 cx8 de f16c fma fpu fsgsbase fxsr fxsr-opt lahf-lm lm mca mce misalignsse mmx
            mmxext monitor movbe msr mtrr npt nrip-save nx osvw pae pat pclmulqdq pdpe1gb pge pni
            popcnt pse pse36 rdrand rdseed rdtscp sep sha-ni smap smep sse sse2 sse4.1 sse4.2 sse4a
            ssse3 svm syscall topoext tsc vme xgetbv1 xsave xsavec xsaveopt
        ",
        caches: Caches::own(&caches::EPYC),
        versions: &[
            Version {
                alias: Some("EPYC-IBPB"),
                brand: Some("AMD EPYC Processor (with IBPB)"),
                added: "ibpb",
                ..Version::SAME
            },
            Version {
                brand: Some("AMD EPYC Processor"),
                added: "clzero perfctr-core xsaveerptr xsaves",
                ..Version::SAME
            },
            Version {
                brand: Some("AMD EPYC-v4 Processor"),
                caches: Some(Caches::own(&caches::EPYC_V4)),
                ..Version::SAME
            },
            Version {
                brand: Some("AMD EPYC-v5 Processor"),
                caches: Some(Caches::own(&caches::EPYC_V5)),
                added: "
                    flushbyasid lbrv overflow-recov pause-filter pfthreshold succor tsc-scale
                    v-vmsave-vmload vgif vmcb-clean
                ",
                ..Version::SAME
            },
        ],
        ..Model::AMD
    },
    Model {
        name: "EPYC-Rome",
        signature: Signature::new(23, 49, 0),
        level: 0xd,
        xlevel: 0x8000_001e,
        brand: "AMD EPYC-Rome Processor",
        features: "
            3dnowprefetch abm adx aes amd-stibp apic arat avx avx2 bmi1 bmi2 clflush clflushopt clwb
            clzero cmov cr8legacy cx16 cx8 de f16c fma fpu fsgsbase fxsr fxsr-opt ibpb lahf-lm lm
            mca mce misalignsse mmx mmxext monitor movbe msr mtrr npt nrip-save nx osvw pae pat
            pclmulqdq pdpe1gb perfctr-core pge pni popcnt pse pse36 rdpid rdrand rdseed rdtscp sep
            sha-ni smap smep sse sse2 sse4.1 sse4.2 sse4a ssse3 svm syscall topoext tsc umip vme
            wbnoinvd xgetbv1 xsave xsavec xsaveerptr xsaveopt xsaves
        ",
        caches: Caches::own(&caches::EPYC_ROME),
        versions: &[
            Version { added: "amd-ssbd ibrs", ..Version::SAME },
            Version {
                brand: Some("AMD EPYC-Rome-v3 Processor"),
                caches: Some(Caches::own(&caches::EPYC_ROME_V3)),
                ..Version::SAME
            },
            Version {
                brand: Some("AMD EPYC-Rome-v4 Processor (no XSAVES)"),
                removed: "xsaves",
                ..Version::SAME
            },
            Version {
                brand: Some("AMD EPYC-Rome-v5 Processor"),
                caches: Some(Caches::own(&caches::EPYC_ROME_V5)),
                added: "
                    flushbyasid lbrv overflow-recov pause-filter pfthreshold succor tsc-scale
                    v-vmsave-vmload vgif vmcb-clean
                ",
                ..Version::SAME
            },
        ],
        ..Model::AMD
    },
    Model {
        name: "EPYC-Milan",
        signature: Signature::new(25, 1, 1),
        level: 0xd,
        xlevel: 0x8000_001e,
        brand: "AMD EPYC-Milan Processor",
        features: "
            3dnowprefetch abm adx aes amd-ssbd amd-stibp apic arat avx avx2 bmi1 bmi2 clflush
            clflushopt clwb clzero cmov cr8legacy cx16 cx8 de erms f16c fma fpu fsgsbase fsrm fxsr
            fxsr-opt ibpb ibrs invpcid lahf-lm lm mca mce misalignsse mmx mmxext monitor movbe msr
            mtrr npt nrip-save nx osvw pae pat pcid pclmulqdq pdpe1gb perfctr-core pge pku pni
            popcnt pse pse36 rdpid rdrand rdseed rdtscp sep sha-ni smap smep sse sse2 sse4.1 sse4.2
            sse4a ssse3 svm svme-addr-chk syscall topoext tsc umip vme wbnoinvd xgetbv1 xsave xsavec
            xsaveerptr xsaveopt xsaves
        ",
        caches: Caches::own(&caches::EPYC_MILAN),
        versions: &[
            Version {
                brand: Some("AMD EPYC-Milan-v2 Processor"),
                caches: Some(Caches::own(&caches::EPYC_MILAN_V2)),
                added: "
                    amd-psfd lfence-always-serializing no-nested-data-bp null-sel-clr-base
                    stibp-always-on vaes vpclmulqdq
                ",
                ..Version::SAME
            },
            Version {
                brand: Some("AMD EPYC-Milan-v3 Processor"),
                caches: Some(Caches::own(&caches::EPYC_MILAN_V3)),
                added: "
                    flushbyasid lbrv overflow-recov pause-filter pfthreshold succor tsc-scale
                    v-vmsave-vmload vgif vmcb-clean
                ",
                ..Version::SAME
            },
            Version { brand: Some("AMD EPYC-Milan-v4 Processor"), added: "gmet", ..Version::SAME },
        ],
        ..Model::AMD
    },
    Model {
        name: "EPYC-Genoa",
        signature: Signature::new(25, 17, 0),
        level: 0xd,
        xlevel: 0x8000_0022,
        brand: "AMD EPYC-Genoa Processor",
        features: "
            3dnowprefetch abm adx aes amd-psfd amd-ssbd amd-stibp apic arat auto-ibrs avx avx2
            avx512-bf16 avx512-vpopcntdq avx512bitalg avx512bw avx512cd avx512dq avx512f avx512ifma
            avx512vbmi avx512vbmi2 avx512vl avx512vnni bmi1 bmi2 clflush clflushopt clwb clzero cmov
            cr8legacy cx16 cx8 de erms f16c fma fpu fsgsbase fsrm fxsr fxsr-opt gfni ibpb ibrs
            invpcid la57 lahf-lm lfence-always-serializing lm mca mce misalignsse mmx mmxext monitor
            movbe msr mtrr no-nested-data-bp npt nrip-save null-sel-clr-base nx osvw pae pat pcid
            pclmulqdq pdpe1gb perfctr-core pge pku pni popcnt pse pse36 rdpid rdrand rdseed rdtscp
            sep sha-ni smap smep sse sse2 sse4.1 sse4.2 sse4a ssse3 stibp-always-on svm
            svme-addr-chk syscall topoext tsc umip vaes vme vnmi vpclmulqdq wbnoinvd xgetbv1 xsave
            xsavec xsaveerptr xsaveopt xsaves
        ",
        caches: Caches::own(&caches::EPYC_GENOA),
        versions: &[
            Version {
                brand: Some("AMD EPYC-Genoa-v2 Processor"),
                caches: Some(Caches::own(&caches::EPYC_GENOA_V2)),
                added: "
                    flushbyasid fs-gs-base-ns lbrv overflow-recov pause-filter perfmon-v2
                    pfthreshold succor tsc-scale v-vmsave-vmload vgif vmcb-clean
                ",
                ..Version::SAME
            },
            Version { brand: Some("AMD EPYC-Genoa-v3 Processor"), added: "gmet", ..Version::SAME },
        ],
        ..Model::AMD
    },
    Model {
        name: "EPYC-Turin",
        signature: Signature::new(26, 0, 0),
        level: 0xd,
        xlevel: 0x8000_0022,
        brand: "AMD EPYC-Turin Processor",
        features: "
            3dnowprefetch abm adx aes amd-psfd amd-ssbd amd-stibp apic arat auto-ibrs avx avx-vnni
            avx2 avx512-bf16 avx512-vp2intersect avx512-vpopcntdq avx512bitalg avx512bw avx512cd
            avx512dq avx512f avx512ifma avx512vbmi avx512vbmi2 avx512vl avx512vnni bmi1 bmi2 clflush
            clflushopt clwb clzero cmov cr8legacy cx16 cx8 de erms f16c flushbyasid fma fpu
            fs-gs-base-ns fsgsbase fsrm fxsr fxsr-opt gfni ibpb ibpb-brtype ibrs invpcid la57
            lahf-lm lbrv lfence-always-serializing lm mca mce misalignsse mmx mmxext monitor movbe
            movdir64b movdiri msr mtrr no-nested-data-bp npt nrip-save null-sel-clr-base nx osvw
            overflow-recov pae pat pause-filter pcid pclmulqdq pdpe1gb perfctr-core perfmon-v2
            pfthreshold pge pku pni popcnt prefetchi pse pse36 rdpid rdrand rdseed rdtscp sbpb sep
            sha-ni smap smep srso-user-kernel-no sse sse2 sse4.1 sse4.2 sse4a ssse3 stibp-always-on
            succor svm svme-addr-chk syscall topoext tsc tsc-scale umip v-vmsave-vmload vaes vgif
            vmcb-clean vme vnmi vpclmulqdq wbnoinvd xgetbv1 xsave xsavec xsaveerptr xsaveopt xsaves
        ",
        caches: Caches::own(&caches::EPYC_TURIN),
        versions: &[Version { brand: Some("AMD EPYC-Turin-v2 Processor"), added: "gmet", ..Version::SAME }],
        ..Model::AMD
    },
    Model {
        name: "Dhyana",
        maker: "HygonGenuine",
        signature: Signature::new(24, 0, 1),
        level: 0xd,
        xlevel: 0x8000_001e,
        brand: "Hygon Dhyana Processor",
        features: "
            3dnowprefetch abm adx apic arat avx avx2 bmi1 bmi2 clflush clflushopt cmov cr8legacy
            cx16 cx8 de f16c fma fpu fsgsbase fxsr fxsr-opt ibpb lahf-lm lm mca mce misalignsse mmx
            mmxext monitor movbe msr mtrr npt nrip-save nx osvw pae pat pdpe1gb pge pni popcnt pse
            pse36 rdrand rdseed rdtscp sep smap smep sse sse2 sse4.1 sse4.2 sse4a ssse3 svm syscall
            topoext tsc vme xgetbv1 xsave xsavec xsaveopt
        ",
        caches: Caches::own(&caches::EPYC),
        versions: &[Version { added: "xsaves", ..Version::SAME }],
        ..Model::AMD
    },
];
