//! Client CPUs of Intel.

use super::{
    row::{Model, Version},
    vmx,
};
use crate::cpu::signature::Signature;

pub(super) const MODELS: &[Model] = &[
    Model {
        name: "coreduo",
        signature: Signature::new(6, 14, 8),
        level: 0xa,
        xlevel: 0x8000_0008,
        brand: "Genuine Intel(R) CPU           T2600  @ 2.16GHz",
        features: "
            acpi apic clflush cmov cx8 de fpu fxsr mca mce mmx monitor msr mtrr nx pae pat pge pni
            pse sep ss sse sse2 tsc vme
        ",
        vmx: Some(&vmx::CORE_DUO),
        ..Model::INTEL
    },
    Model {
        name: "n270",
        signature: Signature::new(6, 28, 2),
        level: 0xa,
        xlevel: 0x8000_0008,
        brand: "Intel(R) Atom(TM) CPU N270   @ 1.60GHz",
        features: "
            acpi apic clflush cmov cx8 de fpu fxsr lahf-lm mca mce mmx monitor movbe msr mtrr nx pae
            pat pge pni pse sep ss sse sse2 ssse3 tsc vme
        ",
        ..Model::INTEL
    },
    Model {
        name: "core2duo",
        signature: Signature::new(6, 15, 11),
        level: 0xa,
        xlevel: 0x8000_0008,
        brand: "Intel(R) Core(TM)2 Duo CPU     T7700  @ 2.40GHz",
        features: "
            acpi apic clflush cmov cx16 cx8 de fpu fxsr lahf-lm lm mca mce mmx monitor msr mtrr nx
            pae pat pge pni pse pse36 sep ss sse sse2 ssse3 syscall tsc vme
        ",
        vmx: Some(&vmx::CORE2),
        ..Model::INTEL
    },
    Model {
        name: "Conroe",
        signature: Signature::new(6, 15, 3),
        level: 0xa,
        xlevel: 0x8000_0008,
        brand: "Intel Celeron_4x0 (Conroe/Merom Class Core 2)",
        features: "
            apic clflush cmov cx8 de fpu fxsr lahf-lm lm mca mce mmx msr mtrr nx pae pat pge pni pse
            pse36 sep sse sse2 ssse3 syscall tsc vme
        ",
        vmx: Some(&vmx::CORE2),
        ..Model::INTEL
    },
    Model {
        name: "Penryn",
        signature: Signature::new(6, 23, 3),
        level: 0xa,
        xlevel: 0x8000_0008,
        brand: "Intel Core 2 Duo P9xxx (Penryn Class Core 2)",
        features: "
            apic clflush cmov cx16 cx8 de fpu fxsr lahf-lm lm mca mce mmx msr mtrr nx pae pat pge
            pni pse pse36 sep sse sse2 sse4.1 ssse3 syscall tsc vme
        ",
        vmx: Some(&vmx::PENRYN),
        ..Model::INTEL
    },
    Model {
        name: "Nehalem",
        signature: Signature::new(6, 26, 3),
        level: 0xb,
        xlevel: 0x8000_0008,
        brand: "Intel Core i7 9xx (Nehalem Class Core i7)",
        features: "
            apic clflush cmov cx16 cx8 de fpu fxsr lahf-lm lm mca mce mmx msr mtrr nx pae pat pge
            pni popcnt pse pse36 sep sse sse2 sse4.1 sse4.2 ssse3 syscall tsc vme
        ",
        vmx: Some(&vmx::NEHALEM),
        versions: &[Version {
            alias: Some("Nehalem-IBRS"),
            brand: Some("Intel Core i7 9xx (Nehalem Core i7, IBRS update)"),
            added: "spec-ctrl",
            ..Version::SAME
        }],
        ..Model::INTEL
    },
    Model {
        name: "Westmere",
        signature: Signature::new(6, 44, 1),
        level: 0xb,
        xlevel: 0x8000_0008,
        brand: "Westmere E56xx/L56xx/X56xx (Nehalem-C)",
        features: "
            aes apic arat clflush cmov cx16 cx8 de fpu fxsr lahf-lm lm mca mce mmx msr mtrr nx pae
            pat pclmulqdq pge pni popcnt pse pse36 sep sse sse2 sse4.1 sse4.2 ssse3 syscall tsc vme
        ",
        vmx: Some(&vmx::WESTMERE),
        versions: &[Version {
            alias: Some("Westmere-IBRS"),
            brand: Some("Westmere E56xx/L56xx/X56xx (IBRS update)"),
            added: "spec-ctrl",
            ..Version::SAME
        }],
        ..Model::INTEL
    },
    Model {
        name: "SandyBridge",
        signature: Signature::new(6, 42, 1),
        level: 0xd,
        xlevel: 0x8000_0008,
        brand: "Intel Xeon E312xx (Sandy Bridge)",
        features: "
            aes apic arat avx clflush cmov cx16 cx8 de fpu fxsr lahf-lm lm mca mce mmx msr mtrr nx
            pae pat pclmulqdq pge pni popcnt pse pse36 rdtscp sep sse sse2 sse4.1 sse4.2 ssse3
            syscall tsc tsc-deadline vme x2apic xsave xsaveopt
        ",
        vmx: Some(&vmx::SANDY_BRIDGE),
        versions: &[Version {
            alias: Some("SandyBridge-IBRS"),
            brand: Some("Intel Xeon E312xx (Sandy Bridge, IBRS update)"),
            added: "spec-ctrl",
            ..Version::SAME
        }],
        ..Model::INTEL
    },
    Model {
        name: "IvyBridge",
        signature: Signature::new(6, 58, 9),
        level: 0xd,
        xlevel: 0x8000_0008,
        brand: "Intel Xeon E3-12xx v2 (Ivy Bridge)",
        features: "
            aes apic arat avx clflush cmov cx16 cx8 de erms f16c fpu fsgsbase fxsr lahf-lm lm mca
            mce mmx msr mtrr nx pae pat pclmulqdq pge pni popcnt pse pse36 rdrand rdtscp sep smep
            sse sse2 sse4.1 sse4.2 ssse3 syscall tsc tsc-deadline vme x2apic xsave xsaveopt
        ",
        vmx: Some(&vmx::IVY_BRIDGE),
        versions: &[Version {
            alias: Some("IvyBridge-IBRS"),
            brand: Some("Intel Xeon E3-12xx v2 (Ivy Bridge, IBRS)"),
            added: "spec-ctrl",
            ..Version::SAME
        }],
        ..Model::INTEL
    },
    Model {
        name: "Haswell",
        signature: Signature::new(6, 60, 4),
        level: 0xd,
        xlevel: 0x8000_0008,
        brand: "Intel Core Processor (Haswell)",
        features: "
            abm aes apic arat avx avx2 bmi1 bmi2 clflush cmov cx16 cx8 de erms f16c fma fpu fsgsbase
            fxsr hle invpcid lahf-lm lm mca mce mmx movbe msr mtrr nx pae pat pcid pclmulqdq pge pni
            popcnt pse pse36 rdrand rdtscp rtm sep smep sse sse2 sse4.1 sse4.2 ssse3 syscall tsc
            tsc-deadline vme x2apic xsave xsaveopt
        ",
        vmx: Some(&vmx::HASWELL),
        versions: &[
            Version {
                alias: Some("Haswell-noTSX"),
                stepping: Some(1),
                brand: Some("Intel Core Processor (Haswell, no TSX)"),
                removed: "hle rtm",
                ..Version::SAME
            },
            Version {
                alias: Some("Haswell-IBRS"),
                stepping: Some(4),
                brand: Some("Intel Core Processor (Haswell, IBRS)"),
                added: "hle rtm spec-ctrl",
                ..Version::SAME
            },
            Version {
                alias: Some("Haswell-noTSX-IBRS"),
                stepping: Some(1),
                brand: Some("Intel Core Processor (Haswell, no TSX, IBRS)"),
                removed: "hle rtm",
                ..Version::SAME
            },
        ],
        ..Model::INTEL
    },
    Model {
        name: "Broadwell",
        signature: Signature::new(6, 61, 2),
        level: 0xd,
        xlevel: 0x8000_0008,
        brand: "Intel Core Processor (Broadwell)",
        features: "
            3dnowprefetch abm adx aes apic arat avx avx2 bmi1 bmi2 clflush cmov cx16 cx8 de erms
            f16c fma fpu fsgsbase fxsr hle invpcid lahf-lm lm mca mce mmx movbe msr mtrr nx pae pat
            pcid pclmulqdq pge pni popcnt pse pse36 rdrand rdseed rdtscp rtm sep smap smep sse sse2
            sse4.1 sse4.2 ssse3 syscall tsc tsc-deadline vme x2apic xsave xsaveopt
        ",
        vmx: Some(&vmx::BROADWELL),
        versions: &[
            Version {
                alias: Some("Broadwell-noTSX"),
                brand: Some("Intel Core Processor (Broadwell, no TSX)"),
                removed: "hle rtm",
                ..Version::SAME
            },
            Version {
                alias: Some("Broadwell-IBRS"),
                brand: Some("Intel Core Processor (Broadwell, IBRS)"),
                added: "hle rtm spec-ctrl",
                ..Version::SAME
            },
            Version {
                alias: Some("Broadwell-noTSX-IBRS"),
                brand: Some("Intel Core Processor (Broadwell, no TSX, IBRS)"),
                removed: "hle rtm",
                ..Version::SAME
            },
        ],
        ..Model::INTEL
    },
    Model {
        name: "Skylake-Client",
        signature: Signature::new(6, 94, 3),
        level: 0xd,
        xlevel: 0x8000_0008,
        brand: "Intel Core Processor (Skylake)",
        features: "
            3dnowprefetch abm adx aes apic arat avx avx2 bmi1 bmi2 clflush cmov cx16 cx8 de erms
            f16c fma fpu fsgsbase fxsr hle invpcid lahf-lm lm mca mce mmx movbe msr mtrr nx pae pat
            pcid pclmulqdq pge pni popcnt pse pse36 rdrand rdseed rdtscp rtm sep smap smep sse sse2
            sse4.1 sse4.2 ssse3 syscall tsc tsc-deadline vme x2apic xgetbv1 xsave xsavec xsaveopt
        ",
        vmx: Some(&vmx::SKYLAKE_CLIENT),
        versions: &[
            Version {
                alias: Some("Skylake-Client-IBRS"),
                brand: Some("Intel Core Processor (Skylake, IBRS)"),
                added: "spec-ctrl",
                ..Version::SAME
            },
            Version {
                alias: Some("Skylake-Client-noTSX-IBRS"),
                brand: Some("Intel Core Processor (Skylake, IBRS, no TSX)"),
                removed: "hle rtm",
                ..Version::SAME
            },
            Version { added: "vmx-xsaves xsaves", ..Version::SAME },
        ],
        ..Model::INTEL
    },
];
