//! Hosts to test with: the lab's, as KVM describes them there.

use std::collections::BTreeMap;

use super::{
    cpuid::{Cpuid, Leaf, Registers},
    host::HostCpu,
};

type Row = (u32, Option<u32>, [u32; 4]);

fn cpuid(rows: &[Row]) -> Cpuid {
    let leaf = |&(function, index, [eax, ebx, ecx, edx]): &Row| {
        (Leaf { function, index }, Registers { eax, ebx, ecx, edx })
    };
    Cpuid(rows.iter().map(leaf).collect())
}

/// Registers that spell a text.
fn text(text: &str) -> [u32; 4] {
    let mut bytes = [0; 16];
    bytes[..text.len()].copy_from_slice(text.as_bytes());
    let word = |n: usize| u32::from_le_bytes(bytes[n * 4..][..4].try_into().unwrap());
    [word(0), word(1), word(2), word(3)]
}

const KVM_SIGNATURE: Row = (0x4000_0000, None, [0x4000_0001, 0x4b4d_564b, 0x564b_4d56, 0x4d]);

/// Bochs' corei7_haswell_4770: VMX with EPT, VPID, unrestricted guest and shadow VMCS.
pub(super) fn haswell() -> HostCpu {
    HostCpu {
        supported: cpuid(&[
            (0x0, None, [0xd, 0x756e_6547, 0x6c65_746e, 0x4965_6e69]),
            (0x1, None, [0x0003_06c3, 0x0001_0800, 0xf6fa_3223, 0x0f8b_fbff]),
            (0x2, None, [0x7603_6301, 0x00f0_b5ff, 0, 0x00c1_0000]),
            (0x4, Some(0), [0x1c00_4121, 0x01c0_003f, 0x3f, 0]),
            (0x4, Some(1), [0x1c00_4122, 0x01c0_003f, 0x3f, 0]),
            (0x4, Some(2), [0x1c00_4143, 0x01c0_003f, 0x1ff, 0]),
            (0x4, Some(3), [0x1c03_c163, 0x03c0_003f, 0x1fff, 6]),
            (0x4, Some(4), [0; 4]),
            (0x6, None, [0x4, 0, 0, 0]),
            (0x7, Some(0), [0, 0x27ab, 0, 0x9c00_0000]),
            (0xa, None, [0x0730_0403, 0, 0, 0x603]),
            (0xb, Some(0), [0; 4]),
            (0xd, Some(0), [0x7, 0x340, 0x340, 0]),
            (0xd, Some(1), [0x1, 0, 0, 0]),
            (0xd, Some(2), [0x100, 0x240, 0, 0]),
            (0x8000_0000, None, [0x8000_0008, 0, 0, 0]),
            (0x8000_0001, None, [0, 0, 0x21, 0x2c10_0800]),
            (0x8000_0002, None, [0; 4]),
            (0x8000_0006, None, [0, 0, 0x0100_6040, 0]),
            (0x8000_0008, None, [0x3027, 0, 0, 0]),
            KVM_SIGNATURE,
            (0x4000_0001, None, [0x0100_7efb, 0, 0, 0]),
        ]),
        native: cpuid(&[
            (0x4, Some(0), [0x1c00_4121, 0x01c0_003f, 0x3f, 0]),
            (0x8000_0002, None, text("Intel(R) Core(TM")),
            (0x8000_0003, None, text(") i7-4770 CPU @ ")),
            (0x8000_0004, None, text("3.40GHz")),
        ]),
        feature_msrs: BTreeMap::from([
            (0x8b, 0x1_0000_0000),
            (0x10a, 0),
            (0x480, 0x00d8_1000_0000_002b),
            (0x481, 0x7f_0000_0016),
            (0x482, 0xf7f9_fffe_0401_e172),
            (0x485, 0x2004_01e0),
            (0x48b, 0x0004_7fff_0000_0000),
            (0x48c, 0x0000_0f01_0633_4141),
            (0x491, 0x1),
        ]),
        tsc_deadline: true,
        nested_state: true,
    }
}

/// QEMU's `-cpu EPYC,+vgif` under TCG: SVM with nested paging.
pub(super) fn epyc() -> HostCpu {
    HostCpu {
        supported: cpuid(&[
            (0x0, None, [0xd, 0x6874_7541, 0x444d_4163, 0x6974_6e65]),
            (0x1, None, [0x0080_0f12, 0x0000_0800, 0xd6d8_3203, 0x078b_fbff]),
            (0x6, None, [0x4, 0, 0, 0]),
            (0x7, Some(0), [0, 0x209c_01a9, 0, 0x2000_0000]),
            (0xb, Some(0), [0; 4]),
            (0xd, Some(0), [0x7, 0x340, 0x340, 0]),
            (0xd, Some(1), [0x5, 0, 0, 0]),
            (0xd, Some(2), [0x100, 0x240, 0, 0]),
            (0x8000_0000, None, [0x8000_001e, 0x6874_7541, 0x444d_4163, 0x6974_6e65]),
            (0x8000_0001, None, [0x0080_0f12, 0, 0x0040_03f7, 0x2fd3_fbff]),
            (0x8000_0002, None, text("AMD EPYC Process")),
            (0x8000_0003, None, text("or")),
            (0x8000_0004, None, [0; 4]),
            (0x8000_0005, None, [0xff01_ff01, 0xff01_ff01, 0x2002_0140, 0x4004_0140]),
            (0x8000_0006, None, [0, 0x4200_4200, 0x0200_8140, 0x0080_9140]),
            (0x8000_0008, None, [0x3028, 0x1000, 0x3000, 0]),
            (0x8000_000a, None, [0x1, 0x8, 0, 0x0001_0001]),
            (0x8000_001d, Some(0), [0; 4]),
            (0x8000_001e, None, [0; 4]),
            KVM_SIGNATURE,
            (0x4000_0001, None, [0x0100_7efb, 0, 0, 0]),
        ]),
        native: cpuid(&[
            (0x8000_001d, Some(0), [0x121, 0x01c0_003f, 0x3f, 1]),
            (0x8000_001d, Some(1), [0x122, 0x00c0_003f, 0xff, 1]),
            (0x8000_001d, Some(2), [0x143, 0x01c0_003f, 0x3ff, 0]),
            (0x8000_001d, Some(3), [0x163, 0x03c0_003f, 0x1fff, 6]),
        ]),
        feature_msrs: BTreeMap::from([(0x8b, 0x0100_0065), (0xc001_1029, 0)]),
        tsc_deadline: true,
        nested_state: true,
    }
}
