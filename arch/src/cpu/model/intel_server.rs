//! Server CPUs of Intel.

use super::{
    caches::{self, Caches},
    row::{Model, Version},
    vmx,
};
use crate::cpu::signature::Signature;

pub(super) const MODELS: &[Model] = &[
    Model {
        name: "KnightsMill",
        signature: Signature::new(6, 133, 0),
        level: 0xd,
        xlevel: 0x8000_0008,
        brand: "Intel Xeon Phi Processor (Knights Mill)",
        features: "
            3dnowprefetch abm adx aes apic arat avx avx2 avx512-4fmaps avx512-4vnniw
            avx512-vpopcntdq avx512cd avx512er avx512f avx512pf bmi1 bmi2 clflush cmov cx16 cx8 de
            erms f16c fma fpu fsgsbase fxsr lahf-lm lm mca mce mmx movbe msr mtrr nx pae pat
            pclmulqdq pdpe1gb pge pni popcnt pse pse36 rdrand rdseed rdtscp sep smep ss sse sse2
            sse4.1 sse4.2 ssse3 syscall tsc tsc-deadline vme x2apic xsave xsaveopt
        ",
        ..Model::INTEL
    },
    Model {
        name: "Skylake-Server",
        signature: Signature::new(6, 85, 4),
        level: 0xd,
        xlevel: 0x8000_0008,
        brand: "Intel Xeon Processor (Skylake)",
        features: "
            3dnowprefetch abm adx aes apic arat avx avx2 avx512bw avx512cd avx512dq avx512f avx512vl
            bmi1 bmi2 clflush clflushopt clwb cmov cx16 cx8 de erms f16c fma fpu fsgsbase fxsr hle
            invpcid lahf-lm lm mca mce mmx movbe msr mtrr nx pae pat pcid pclmulqdq pdpe1gb pge pku
            pni popcnt pse pse36 rdrand rdseed rdtscp rtm sep smap smep sse sse2 sse4.1 sse4.2 ssse3
            syscall tsc tsc-deadline vme x2apic xgetbv1 xsave xsavec xsaveopt
        ",
        vmx: Some(&vmx::SKYLAKE_SERVER),
        versions: &[
            Version {
                alias: Some("Skylake-Server-IBRS"),
                brand: Some("Intel Xeon Processor (Skylake, IBRS)"),
                added: "spec-ctrl",
                removed: "clflushopt",
                ..Version::SAME
            },
            Version {
                alias: Some("Skylake-Server-noTSX-IBRS"),
                brand: Some("Intel Xeon Processor (Skylake, IBRS, no TSX)"),
                removed: "hle rtm",
                ..Version::SAME
            },
            Version { added: "vmx-eptp-switching", ..Version::SAME },
            Version { added: "vmx-xsaves xsaves", ..Version::SAME },
            Version { added: "vmx-mbec", ..Version::SAME },
        ],
        ..Model::INTEL
    },
    Model {
        name: "Cascadelake-Server",
        signature: Signature::new(6, 85, 6),
        level: 0xd,
        xlevel: 0x8000_0008,
        brand: "Intel Xeon Processor (Cascadelake)",
        features: "
            3dnowprefetch abm adx aes apic arat avx avx2 avx512bw avx512cd avx512dq avx512f avx512vl
            avx512vnni bmi1 bmi2 clflush clflushopt clwb cmov cx16 cx8 de erms f16c fma fpu fsgsbase
            fxsr hle invpcid lahf-lm lm mca mce mmx movbe msr mtrr nx pae pat pcid pclmulqdq pdpe1gb
            pge pku pni popcnt pse pse36 rdrand rdseed rdtscp rtm sep smap smep spec-ctrl ssbd sse
            sse2 sse4.1 sse4.2 ssse3 syscall tsc tsc-deadline vme x2apic xgetbv1 xsave xsavec
            xsaveopt
        ",
        vmx: Some(&vmx::SKYLAKE_SERVER),
        versions: &[
            Version {
                added: "arch-capabilities ibrs-all mds-no rdctl-no skip-l1dfl-vmentry",
                ..Version::SAME
            },
            Version { alias: Some("Cascadelake-Server-noTSX"), removed: "hle rtm", ..Version::SAME },
            Version { added: "vmx-eptp-switching", ..Version::SAME },
            Version { added: "vmx-xsaves xsaves", ..Version::SAME },
            Version { added: "fb-clear gds-no psdp-no rfds-no sbdr-ssdp-no", ..Version::SAME },
            Version { added: "vmx-mbec", ..Version::SAME },
        ],
        ..Model::INTEL
    },
    Model {
        name: "Cooperlake",
        signature: Signature::new(6, 85, 10),
        level: 0xd,
        xlevel: 0x8000_0008,
        brand: "Intel Xeon Processor (Cooperlake)",
        features: "
            3dnowprefetch abm adx aes apic arat arch-capabilities avx avx2 avx512-bf16 avx512bw
            avx512cd avx512dq avx512f avx512vl avx512vnni bmi1 bmi2 clflush clflushopt clwb cmov
            cx16 cx8 de erms f16c fma fpu fsgsbase fxsr hle ibrs-all invpcid lahf-lm lm mca mce
            mds-no mmx movbe msr mtrr nx pae pat pcid pclmulqdq pdpe1gb pge pku pni popcnt
            pschange-mc-no pse pse36 rdctl-no rdrand rdseed rdtscp rtm sep skip-l1dfl-vmentry smap
            smep spec-ctrl ssbd sse sse2 sse4.1 sse4.2 ssse3 stibp syscall taa-no tsc tsc-deadline
            vme x2apic xgetbv1 xsave xsavec xsaveopt
        ",
        vmx: Some(&vmx::BROADWELL),
        versions: &[Version { added: "vmx-xsaves xsaves", ..Version::SAME }],
        ..Model::INTEL
    },
    Model {
        name: "Icelake-Server",
        signature: Signature::new(6, 134, 0),
        level: 0xd,
        xlevel: 0x8000_0008,
        brand: "Intel Xeon Processor (Icelake)",
        features: "
            3dnowprefetch abm adx aes apic arat avx avx2 avx512-vpopcntdq avx512bitalg avx512bw
            avx512cd avx512dq avx512f avx512vbmi avx512vbmi2 avx512vl avx512vnni bmi1 bmi2 clflush
            clflushopt clwb cmov cx16 cx8 de erms f16c fma fpu fsgsbase fxsr gfni hle invpcid la57
            lahf-lm lm mca mce mmx movbe msr mtrr nx pae pat pcid pclmulqdq pdpe1gb pge pku pni
            popcnt pse pse36 rdrand rdseed rdtscp rtm sep smap smep spec-ctrl ssbd sse sse2 sse4.1
            sse4.2 ssse3 syscall tsc tsc-deadline umip vaes vme vpclmulqdq wbnoinvd x2apic xgetbv1
            xsave xsavec xsaveopt
        ",
        vmx: Some(&vmx::ICELAKE_SERVER),
        versions: &[
            Version { alias: Some("Icelake-Server-noTSX"), removed: "hle rtm", ..Version::SAME },
            Version {
                added: "
                    arch-capabilities ibrs-all mds-no pschange-mc-no rdctl-no skip-l1dfl-vmentry
                    taa-no
                ",
                ..Version::SAME
            },
            Version {
                model: Some(106),
                added: "avx512ifma fsrm rdpid sha-ni vmx-eptp-switching vmx-pml vmx-rdseed-exit",
                ..Version::SAME
            },
            Version { added: "vmx-xsaves xsaves", ..Version::SAME },
            Version { added: "vmx-page-walk-5", ..Version::SAME },
            Version { added: "hle rtm", ..Version::SAME },
            Version { added: "fb-clear gds-no psdp-no rfds-no sbdr-ssdp-no", ..Version::SAME },
            Version { added: "vmx-mbec", ..Version::SAME },
        ],
        ..Model::INTEL
    },
    Model {
        name: "SapphireRapids",
        signature: Signature::new(6, 143, 4),
        level: 0x20,
        xlevel: 0x8000_0008,
        brand: "Intel Xeon Processor (SapphireRapids)",
        features: "
            3dnowprefetch abm adx aes amx-bf16 amx-int8 amx-tile apic arat arch-capabilities avx
            avx-vnni avx2 avx512-bf16 avx512-fp16 avx512-vpopcntdq avx512bitalg avx512bw avx512cd
            avx512dq avx512f avx512ifma avx512vbmi avx512vbmi2 avx512vl avx512vnni bmi1 bmi2
            bus-lock-detect clflush clflushopt clwb cmov cx16 cx8 de erms f16c fma fpu fsgsbase fsrc
            fsrm fsrs fxsr fzrm gfni hle ibrs-all invpcid la57 lahf-lm lm mca mce mds-no mmx movbe
            msr mtrr nx pae pat pcid pclmulqdq pdpe1gb pge pku pni popcnt pschange-mc-no pse pse36
            rdctl-no rdpid rdrand rdseed rdtscp rtm sep serialize sha-ni skip-l1dfl-vmentry smap
            smep spec-ctrl ssbd sse sse2 sse4.1 sse4.2 ssse3 syscall taa-no tsc tsc-deadline
            tsx-ldtrk umip vaes vme vpclmulqdq wbnoinvd x2apic xfd xgetbv1 xsave xsavec xsaveopt
            xsaves
        ",
        vmx: Some(&vmx::SAPPHIRE_RAPIDS),
        versions: &[
            Version { added: "fbsdp-no psdp-no sbdr-ssdp-no", ..Version::SAME },
            Version { added: "cldemote movdir64b movdiri ss tsc-adjust", ..Version::SAME },
            Version { caches: Some(Caches::own(&caches::SAPPHIRE_RAPIDS)), ..Version::SAME },
            Version { added: "cet-ibt cet-ss vmx-entry-load-cet vmx-exit-save-cet", ..Version::SAME },
            Version { added: "its-no", ..Version::SAME },
            Version { added: "gds-no rfds-no", ..Version::SAME },
            Version { added: "vmx-mbec", ..Version::SAME },
        ],
        ..Model::INTEL
    },
    Model {
        name: "GraniteRapids",
        signature: Signature::new(6, 173, 0),
        level: 0x20,
        xlevel: 0x8000_0008,
        brand: "Intel Xeon Processor (GraniteRapids)",
        features: "
            3dnowprefetch abm adx aes amx-bf16 amx-fp16 amx-int8 amx-tile apic arat
            arch-capabilities avx avx-vnni avx2 avx512-bf16 avx512-fp16 avx512-vpopcntdq
            avx512bitalg avx512bw avx512cd avx512dq avx512f avx512ifma avx512vbmi avx512vbmi2
            avx512vl avx512vnni bmi1 bmi2 bus-lock-detect clflush clflushopt clwb cmov cx16 cx8 de
            erms f16c fbsdp-no fma fpu fsgsbase fsrc fsrm fsrs fxsr fzrm gfni hle ibrs-all invpcid
            la57 lahf-lm lm mca mcdt-no mce mds-no mmx movbe msr mtrr nx pae pat pbrsb-no pcid
            pclmulqdq pdpe1gb pge pku pni popcnt prefetchiti pschange-mc-no psdp-no pse pse36
            rdctl-no rdpid rdrand rdseed rdtscp rtm sbdr-ssdp-no sep serialize sha-ni
            skip-l1dfl-vmentry smap smep spec-ctrl ssbd sse sse2 sse4.1 sse4.2 ssse3 syscall taa-no
            tsc tsc-deadline tsx-ldtrk umip vaes vme vpclmulqdq wbnoinvd x2apic xfd xgetbv1 xsave
            xsavec xsaveopt xsaves
        ",
        vmx: Some(&vmx::SAPPHIRE_RAPIDS),
        versions: &[
            Version {
                stepping: Some(1),
                avx10: Some(1),
                added: "
                    avx10 avx10-128 avx10-256 avx10-512 cldemote movdir64b movdiri ss tsc-adjust
                ",
                ..Version::SAME
            },
            Version { caches: Some(Caches::own(&caches::GRANITE_RAPIDS)), ..Version::SAME },
            Version { added: "cet-ibt cet-ss vmx-entry-load-cet vmx-exit-save-cet", ..Version::SAME },
            Version { added: "its-no", ..Version::SAME },
            Version { added: "gds-no rfds-no", ..Version::SAME },
            Version { added: "vmx-mbec", ..Version::SAME },
        ],
        ..Model::INTEL
    },
    Model {
        name: "DiamondRapids",
        signature: Signature::new(19, 1, 0),
        level: 0x29,
        xlevel: 0x8000_0008,
        brand: "Intel Xeon Processor (DiamondRapids)",
        avx10: 2,
        features: "
            3dnowprefetch abm adx aes amx-avx512 amx-bf16 amx-bf16-alias amx-complex
            amx-complex-alias amx-fp16 amx-fp16-alias amx-fp8 amx-int8 amx-int8-alias amx-movrs
            amx-tf32 amx-tile apic apx-nci-ndd-nf apxf arat arch-capabilities avx avx-ifma
            avx-ne-convert avx-vnni avx-vnni-int8 avx10 avx10-128 avx10-256 avx10-512 avx10-vnni-int
            avx2 avx512-bf16 avx512-fp16 avx512-vpopcntdq avx512bitalg avx512bw avx512cd avx512dq
            avx512f avx512ifma avx512vbmi avx512vbmi2 avx512vl avx512vnni bhi-ctrl bhi-no bmi1 bmi2
            bus-lock-detect cet-ibt cet-ss cldemote clflush clflushopt clwb cmov cmpccxadd cx16 cx8
            ddpd-u de erms f16c fbsdp-no fdp-excptn-only flush-l1d fma fpu fred fsgsbase fsrc fsrm
            fsrs fxsr fzrm gds-no gfni hle ibrs-all intel-psfd invpcid ipred-ctrl la57 lahf-lm lam
            lkgs lm mca mcdt-no mce md-clear mds-no mmx movbe movdir64b movdiri movrs msr mtrr nx
            pae pat pbrsb-no pcid pclmulqdq pdpe1gb pge pku pni popcnt prefetchiti pschange-mc-no
            psdp-no pse pse36 rdctl-no rdpid rdrand rdseed rdtscp rfds-no rrsba-ctrl rtm
            sbdr-ssdp-no sep serialize sha-ni skip-l1dfl-vmentry smap smep spec-ctrl ss ssbd sse
            sse2 sse4.1 sse4.2 ssse3 stibp syscall taa-no tsc tsc-adjust tsc-deadline tsx-ldtrk umip
            vaes vme vpclmulqdq wbnoinvd wrmsrns x2apic xfd xgetbv1 xsave xsavec xsaveopt xsaves
            zero-fcs-fds
        ",
        vmx: Some(&vmx::DIAMOND_RAPIDS),
        versions: &[Version { added: "vmx-mbec", ..Version::SAME }],
        ..Model::INTEL
    },
];
