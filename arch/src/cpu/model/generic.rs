//! The oldest CPUs, and CPUs that never existed: QEMU's, KVM's and RHEL's own.

use super::{caches::Caches, row::Model, vmx};
use crate::cpu::signature::Signature;

pub(super) const MODELS: &[Model] = &[
    Model {
        name: "486",
        signature: Signature::new(4, 8, 0),
        level: 0x1,
        xlevel: 0x0,
        features: "
            fpu pse vme
        ",
        caches: Caches::OLD,
        ..Model::INTEL
    },
    Model {
        name: "pentium",
        signature: Signature::new(5, 4, 3),
        level: 0x1,
        xlevel: 0x0,
        features: "
            apic cx8 de fpu mce mmx msr pse tsc vme
        ",
        caches: Caches::OLD,
        ..Model::INTEL
    },
    Model {
        name: "pentium2",
        signature: Signature::new(6, 5, 2),
        level: 0x2,
        xlevel: 0x0,
        features: "
            apic cmov cx8 de fpu fxsr mca mce mmx msr mtrr pae pat pge pse pse36 sep tsc vme
        ",
        caches: Caches::OLD,
        ..Model::INTEL
    },
    Model {
        name: "pentium3",
        signature: Signature::new(6, 7, 3),
        level: 0x3,
        xlevel: 0x0,
        features: "
            apic cmov cx8 de fpu fxsr mca mce mmx msr mtrr pae pat pge pse pse36 sep sse tsc vme
        ",
        caches: Caches::OLD,
        ..Model::INTEL
    },
    Model {
        name: "athlon",
        signature: Signature::new(6, 2, 3),
        level: 0x2,
        xlevel: 0x8000_0008,
        brand: "QEMU Virtual CPU version 2.5+",
        features: "
            3dnow 3dnowext apic cmov cx8 de fpu fxsr mca mce mmx mmxext msr mtrr pae pat pge pse
            pse36 sep sse sse2 tsc vme
        ",
        caches: Caches::ATHLON,
        ..Model::AMD
    },
    Model {
        name: "qemu32",
        signature: Signature::new(6, 6, 3),
        level: 0x4,
        xlevel: 0x8000_0004,
        brand: "QEMU Virtual CPU version 2.5+",
        features: "
            apic cmov cx8 de fpu fxsr mce mmx msr pae pat pge pni pse sep sse sse2 tsc
        ",
        ..Model::INTEL
    },
    Model {
        name: "kvm32",
        signature: Signature::new(15, 6, 1),
        level: 0x5,
        xlevel: 0x8000_0008,
        brand: "Common 32-bit KVM processor",
        features: "
            apic clflush cmov cx8 de fpu fxsr mca mce mmx msr mtrr pae pat pge pni pse pse36 sep sse
            sse2 tsc vme
        ",
        vmx: Some(&vmx::CORE_DUO),
        ..Model::INTEL
    },
    Model {
        name: "qemu64",
        signature: Signature::new(15, 107, 1),
        level: 0xd,
        xlevel: 0x8000_000a,
        brand: "QEMU Virtual CPU version 2.5+",
        features: "
            apic clflush cmov cx16 cx8 de fpu fxsr lahf-lm lm mca mce mmx msr mtrr nx pae pat pge
            pni pse pse36 sep sse sse2 svm syscall tsc
        ",
        ..Model::AMD
    },
    Model {
        name: "kvm64",
        signature: Signature::new(15, 6, 1),
        level: 0xd,
        xlevel: 0x8000_0008,
        brand: "Common KVM processor",
        features: "
            apic clflush cmov cx16 cx8 de fpu fxsr lm mca mce mmx msr mtrr nx pae pat pge pni pse
            pse36 sep sse sse2 syscall tsc vme
        ",
        vmx: Some(&vmx::KVM64),
        ..Model::INTEL
    },
    // From RHEL's QEMU. libvirt leaves out what Intel's CPUs lack: sse4a, abm and svm.
    Model {
        name: "cpu64-rhel6",
        signature: Signature::new(6, 13, 3),
        level: 0x4,
        xlevel: 0x8000_000a,
        brand: "QEMU Virtual CPU version (cpu64-rhel6)",
        features: "
            abm apic clflush cmov cx16 cx8 de fpu fxsr lahf-lm lm mca mce mmx msr mtrr nx pae pat
            pge pni pse pse36 sep sse sse2 sse4a svm syscall tsc
        ",
        ..Model::AMD
    },
];
