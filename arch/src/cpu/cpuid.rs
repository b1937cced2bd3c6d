//! CPUID as data: leaves, and what each register of a leaf holds.

use std::{collections::BTreeMap, fmt, str::FromStr};

use kvm_bindings::{KVM_CPUID_FLAG_SIGNIFCANT_INDEX, kvm_cpuid_entry2};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

use super::hex;

/// The first function of the hypervisor's range. It gives the range's last function, and the hypervisor's signature.
pub const HYPERVISOR: u32 = 0x4000_0000;
/// The first function of the extended range. It gives the range's last function.
pub const EXTENDED: u32 = 0x8000_0000;
/// KVM's limit for `KVM_SET_CPUID2` (`KVM_MAX_CPUID_ENTRIES`).
pub(super) const MAX_ENTRIES: usize = 256;

/// One answer of the CPUID instruction: the function asked for in EAX and, where it matters, the index in ECX.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Leaf {
    /// EAX on entry.
    pub function: u32,
    /// ECX on entry, if the function has subleaves.
    pub index: Option<u32>,
}

/// A register that CPUID answers in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Register {
    /// EAX.
    Eax,
    /// EBX.
    Ebx,
    /// ECX.
    Ecx,
    /// EDX.
    Edx,
}

/// The answer of CPUID.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Registers {
    /// EAX.
    pub eax: u32,
    /// EBX.
    pub ebx: u32,
    /// ECX.
    pub ecx: u32,
    /// EDX.
    pub edx: u32,
}

/// Every leaf of a CPU. In files, each leaf is a line: `"0x00000004.1": "eax=0x... ebx=0x... ecx=0x... edx=0x..."`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cpuid(pub BTreeMap<Leaf, Registers>);

impl Cpuid {
    /// Converts the answer of `KVM_GET_SUPPORTED_CPUID` or `KVM_GET_CPUID2`. If a leaf has two entries, the first counts, as in KVM.
    #[must_use]
    pub fn from_entries(entries: &[kvm_cpuid_entry2]) -> Self {
        let mut leaves = BTreeMap::new();
        for entry in entries {
            let indexed = entry.flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX != 0;
            let leaf = Leaf { function: entry.function, index: indexed.then_some(entry.index) };
            leaves.entry(leaf).or_insert(Registers {
                eax: entry.eax,
                ebx: entry.ebx,
                ecx: entry.ecx,
                edx: entry.edx,
            });
        }
        Self(leaves)
    }

    /// Converts the leaves to entries for `KVM_SET_CPUID2`.
    #[must_use]
    pub fn to_entries(&self) -> Vec<kvm_cpuid_entry2> {
        let entry = |(leaf, registers): (&Leaf, &Registers)| kvm_cpuid_entry2 {
            function: leaf.function,
            index: leaf.index.unwrap_or(0),
            flags: leaf.index.map_or(0, |_| KVM_CPUID_FLAG_SIGNIFCANT_INDEX),
            eax: registers.eax,
            ebx: registers.ebx,
            ecx: registers.ecx,
            edx: registers.edx,
            ..kvm_cpuid_entry2::default()
        };
        self.0.iter().map(entry).collect()
    }

    /// A leaf's registers, all zero if the leaf isn't there, as the CPUID instruction answers.
    #[must_use]
    pub fn get(&self, leaf: Leaf) -> Registers {
        self.0.get(&leaf).copied().unwrap_or_default()
    }

    /// The leaves of a function.
    pub fn function(&self, function: u32) -> impl Iterator<Item = (Leaf, Registers)> {
        let all = Leaf::new(function)..=Leaf::sub(function, u32::MAX);
        self.0.range(all).map(|(&leaf, &registers)| (leaf, registers))
    }

    /// Removes all leaves of a function.
    pub fn remove(&mut self, function: u32) {
        self.0.retain(|leaf, _| leaf.function != function);
    }

    /// Returns whether a function is at most the greatest of its range, as leaf 0 or 0x80000000 gives it.
    #[must_use]
    pub fn covers(&self, function: u32) -> bool {
        self.get(Leaf::new(function & 0x8000_0000)).eax >= function
    }

    /// Returns whether a function is covered, but all its registers are zero or missing.
    #[must_use]
    pub fn leaves_blank(&self, function: u32) -> bool {
        self.covers(function) && self.function(function).all(|(_, registers)| registers.is_zero())
    }
}

impl Leaf {
    /// A function without subleaves.
    #[must_use]
    pub const fn new(function: u32) -> Self {
        Self { function, index: None }
    }

    /// A subleaf.
    #[must_use]
    pub const fn sub(function: u32, index: u32) -> Self {
        Self { function, index: Some(index) }
    }
}

/// Writes a leaf as the SDM does: `CPUID.01H`, `CPUID.(EAX=0DH,ECX=1)`.
impl fmt::Display for Leaf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.index {
            None => write!(f, "CPUID.{:02X}H", self.function),
            Some(index) => write!(f, "CPUID.(EAX={:02X}H,ECX={index})", self.function),
        }
    }
}

impl fmt::Display for Register {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Eax => "EAX",
            Self::Ebx => "EBX",
            Self::Ecx => "ECX",
            Self::Edx => "EDX",
        })
    }
}

impl Register {
    /// All four registers.
    pub const ALL: [Self; 4] = [Self::Eax, Self::Ebx, Self::Ecx, Self::Edx];
}

impl Registers {
    /// The value of one register.
    #[must_use]
    pub fn get(&self, register: Register) -> u32 {
        match register {
            Register::Eax => self.eax,
            Register::Ebx => self.ebx,
            Register::Ecx => self.ecx,
            Register::Edx => self.edx,
        }
    }

    /// The value of one register, to change it.
    pub fn get_mut(&mut self, register: Register) -> &mut u32 {
        match register {
            Register::Eax => &mut self.eax,
            Register::Ebx => &mut self.ebx,
            Register::Ecx => &mut self.ecx,
            Register::Edx => &mut self.edx,
        }
    }

    /// The maker's name, if these are the registers of leaf 0 or [`EXTENDED`].
    #[must_use]
    pub fn maker(&self) -> [u8; 12] {
        text([self.ebx, self.edx, self.ecx])
    }

    /// The hypervisor's signature, if these are the registers of the first leaf of a hypervisor's block, such as [`HYPERVISOR`]. A shorter
    /// name ends with zeros.
    #[must_use]
    pub fn signature(&self) -> [u8; 12] {
        text([self.ebx, self.ecx, self.edx])
    }

    /// Returns whether all are zero, as in a leaf that isn't there.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        *self == Self::default()
    }
}

/// The twelve letters in three registers.
fn text(registers: [u32; 3]) -> [u8; 12] {
    let mut text = [0; 12];
    let (letters, _) = text.as_chunks_mut();
    letters.iter_mut().zip(registers).for_each(|(letters, register)| *letters = register.to_le_bytes());
    text
}

impl fmt::Display for Registers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { eax, ebx, ecx, edx } = self;
        write!(f, "eax={eax:#010x} ebx={ebx:#010x} ecx={ecx:#010x} edx={edx:#010x}")
    }
}

impl FromStr for Registers {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut words = text.split_whitespace();
        let mut number = |name: &str| {
            let number = words.next()?.strip_prefix(name)?.strip_prefix('=')?;
            hex::parse_u32(number)
        };
        let registers = (number("eax"), number("ebx"), number("ecx"), number("edx"));
        match (registers, words.next()) {
            ((Some(eax), Some(ebx), Some(ecx), Some(edx)), None) => Ok(Self { eax, ebx, ecx, edx }),
            _ => Err(()),
        }
    }
}

impl Serialize for Registers {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Registers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let expected = "eax=0x... ebx=0x... ecx=0x... edx=0x...";
        text.parse().map_err(|()| D::Error::custom(format!("\"{text}\" is not of the form \"{expected}\"")))
    }
}

impl Serialize for Leaf {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.index {
            None => serializer.collect_str(&format_args!("{:#010x}", self.function)),
            Some(index) => serializer.collect_str(&format_args!("{:#010x}.{index}", self.function)),
        }
    }
}

impl<'de> Deserialize<'de> for Leaf {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let leaf = match text.split_once('.') {
            None => hex::parse_u32(&text).map(Self::new),
            Some((function, index)) => hex::parse_u32(function)
                .zip(index.parse().ok())
                .map(|(function, index)| Self::sub(function, index)),
        };
        leaf.ok_or_else(|| D::Error::custom(format!("\"{text}\" is no CPUID leaf, such as 0x00000004.1")))
    }
}

#[cfg(test)]
#[path = "cpuid_test.rs"]
mod tests;
