//! DSP0134, "Processor Information (Type 4)".

use zerocopy::{Immutable, IntoBytes, Unaligned, little_endian::U16};

use super::{
    strings::Strings,
    tables::{Tables, Type},
    values::Processor,
};
use crate::cpu::{cpuid::Leaf, feature::FeatureId, profile::CpuProfile, topology::Topology};

#[derive(Immutable, IntoBytes, Unaligned)]
#[repr(C)]
struct ProcessorInformation {
    socket: u8,
    kind: u8,
    family: u8,
    manufacturer: u8,
    /// CPUID.01H:EAX and EDX.
    id: [[u8; 4]; 2],
    version: u8,
    voltage: u8,
    external_clock: U16,
    max_speed: U16,
    current_speed: U16,
    status: u8,
    upgrade: u8,
    /// Handles of the caches of the first three levels.
    caches: [U16; 3],
    serial: u8,
    asset: u8,
    part: u8,
    cores: u8,
    enabled_cores: u8,
    threads: u8,
    characteristics: U16,
    family2: U16,
    cores2: U16,
    enabled_cores2: U16,
    threads2: U16,
}

/// Bits of `characteristics`.
mod has {
    pub(super) const X64: u16 = 1 << 2;
    pub(super) const CORES: u16 = 1 << 3;
    pub(super) const THREADS: u16 = 1 << 4;
    pub(super) const EXECUTE_PROTECTION: u16 = 1 << 5;
    pub(super) const VIRTUALIZATION: u16 = 1 << 6;
}

/// Values of "Processor Information - Processor Family", by names that people give CPUs.
const FAMILIES: [(&str, u8); 8] = [
    ("Xeon", 0xb3),
    ("Core(TM) i3", 0xce),
    ("Core(TM) i5", 0xcd),
    ("Core(TM) i7", 0xc6),
    ("Core(TM) i9", 0xcf),
    ("EPYC", 0x6b),
    ("Ryzen", 0x6b),
    ("Opteron", 0x84),
];
const OTHER: u8 = 1;

/// Adds the processor of a socket.
pub(super) fn processor(
    tables: &mut Tables,
    socket: u32,
    cpu: &CpuProfile,
    topology: &Topology,
    values: &Processor,
) {
    const CENTRAL_PROCESSOR: u8 = 3;
    const POPULATED_AND_ENABLED: u8 = 1 << 6 | 1;
    const NO_CACHE: u16 = 0xffff;
    let leaves = cpu.leaves(0);
    let [name, signature] = [0, 1].map(|function| leaves.get(Leaf::new(function)));
    let maker: Vec<u8> = [name.ebx, name.edx, name.ecx].iter().flat_map(|part| part.to_le_bytes()).collect();
    let brand = values.version.clone().unwrap_or_else(|| cpu.brand());
    let family = FAMILIES.iter().find(|(word, _)| brand.contains(word)).map_or(OTHER, |&(_, family)| family);
    let (cores, threads) = (topology.cores_per_socket(), topology.threads_per_socket());
    let mut strings = Strings::default();
    let structure = ProcessorInformation {
        socket: strings.add(&format!("{} {socket}", values.socket_prefix.as_deref().unwrap_or("CPU"))),
        kind: CENTRAL_PROCESSOR,
        family,
        manufacturer: match &values.manufacturer {
            Some(manufacturer) => strings.add(manufacturer),
            None => strings.add(&maker.escape_ascii().to_string()),
        },
        id: [signature.eax.to_le_bytes(), signature.edx.to_le_bytes()],
        version: strings.add(&brand),
        voltage: 0,
        external_clock: 0.into(),
        max_speed: values.max_speed.unwrap_or_default().into(),
        current_speed: values.current_speed.unwrap_or_default().into(),
        status: POPULATED_AND_ENABLED,
        upgrade: OTHER,
        caches: [NO_CACHE.into(); 3],
        serial: strings.add_if(values.serial.as_ref()),
        asset: strings.add_if(values.asset.as_ref()),
        part: strings.add_if(values.part.as_ref()),
        cores: short(cores),
        enabled_cores: short(cores),
        threads: short(threads),
        characteristics: characteristics(cpu, cores, threads).into(),
        family2: u16::from(family).into(),
        cores2: long(cores),
        enabled_cores2: long(cores),
        threads2: long(threads),
    };
    tables.add(Type::Processor, u16::try_from(socket).unwrap_or(u16::MAX), &structure, &strings);
}

fn characteristics(cpu: &CpuProfile, cores: u32, threads: u32) -> u16 {
    let feature = |name: &str| FeatureId::find(name).is_some_and(|feature| cpu.features().contains(feature));
    [
        (feature("lm"), has::X64),
        (cores > 1, has::CORES),
        (threads > cores, has::THREADS),
        (feature("nx"), has::EXECUTE_PROTECTION),
        (feature("vmx") || feature("svm"), has::VIRTUALIZATION),
    ]
    .into_iter()
    .filter_map(|(is, bit)| is.then_some(bit))
    .sum()
}

/// A count in a byte. FFH refers to the longer field.
fn short(count: u32) -> u8 {
    u8::try_from(count).unwrap_or(u8::MAX)
}

fn long(count: u32) -> U16 {
    u16::try_from(count).unwrap_or(u16::MAX).into()
}
