//! Compares a vCPU's CPUID with the one that it was given.

use std::fmt;

use super::{
    cpuid::{
        Cpuid, Leaf,
        Register::{self, Eax, Ebx, Ecx, Edx},
    },
    field::Field,
    nesting,
};

/// Bits that need not read back as they were set. Most follow the vCPU's state (`kvm_update_cpuid_runtime`).
const LIVE: [Field; 8] = [
    // Follows CR4.OSXSAVE.
    Field::bit(0x1, Ecx, 27, "osxsave"),
    // Follows the enable bit in IA32_APIC_BASE.
    Field::bit(0x1, Edx, 9, "apic"),
    // Follows IA32_MISC_ENABLE[18].
    Field::bit(0x1, Ecx, 3, "monitor"),
    // Follows CR4.PKE.
    Field::bit(0x7, Ecx, 4, "ospke").at(Leaf::sub(0x7, 0)),
    // Follow XCR0, and IA32_XSS.
    Field::new(0xd, Ebx, 31, 0, "xsave area size").at(Leaf::sub(0xd, 0)),
    Field::new(0xd, Ebx, 31, 0, "compacted xsave area size").at(Leaf::sub(0xd, 1)),
    // Is cleared if HLT doesn't exit.
    Field::bit(0x4000_0001, Eax, 7, "kvm-pv-unhalt"),
    // A software KVM without 5-level page tables offers this bit all the same, and then clears it.
    Field::bit(0x7, Ecx, 16, "la57").at(Leaf::sub(0x7, 0)),
];

/// Registers in which every bit is a feature.
const FEATURES: [(Leaf, Register); 9] = [
    (Leaf::new(0x1), Ecx),
    (Leaf::new(0x1), Edx),
    (Leaf::sub(0x7, 0), Ebx),
    (Leaf::sub(0x7, 0), Ecx),
    (Leaf::sub(0x7, 0), Edx),
    (Leaf::sub(0x7, 1), Eax),
    (Leaf::sub(0xd, 1), Eax),
    (Leaf::new(0x8000_0001), Ecx),
    (Leaf::new(0x8000_0001), Edx),
];

/// A register that reads back from KVM with another value than it was set to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// The leaf.
    pub leaf: Leaf,
    /// The register.
    pub register: Register,
    /// The value that it was set to, 0 if it was not set.
    pub set: u32,
    /// KVM's value, 0 if it has none.
    pub read: u32,
    /// The value that KVM offers.
    pub offered: u32,
}

impl Mismatch {
    /// Returns whether KVM kept everything and only shows more than it was given. A software KVM does that: it runs the guest's code on the
    /// processor itself, and can't hide the processor's features, or the state that XSAVE has room for. It can't add VMX and SVM like this,
    /// because it would have to emulate them.
    #[must_use]
    pub fn only_adds(&self) -> bool {
        let place = (self.leaf, self.register);
        let nesting = [nesting::VMX, nesting::SVM].iter().filter(|bit| (bit.leaf, bit.register) == place);
        let may_add = !nesting.fold(0, |bits, bit| bits | bit.mask());
        // Leaf 0DH, and the number of subleaves of leaf 7.
        let state = self.leaf.function == 0xd || place == (Leaf::sub(0x7, 0), Eax);
        let own = state && self.read == self.offered;
        own || FEATURES.contains(&place)
            && self.set & !self.read == 0
            && self.read & !self.set & !may_add == 0
    }
}

/// Writes `CPUID.01H:ECX is 0x0 and not 0x80000000`.
impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { leaf, register, set, read, .. } = self;
        write!(f, "{leaf}:{register} is {read:#x} and not {set:#x}")
    }
}

/// Returns every register that differs, apart from the bits that need not read back. A leaf that isn't there reads as zero. `offered` are
/// the leaves that KVM offers.
#[must_use]
pub fn compare(set: &Cpuid, read: &Cpuid, offered: &Cpuid) -> Vec<Mismatch> {
    let unset = read.0.keys().filter(|leaf| !set.0.contains_key(leaf));
    let mut mismatches = Vec::new();
    for &leaf in set.0.keys().chain(unset) {
        let (set, read) = (set.get(leaf), read.get(leaf));
        if set == read {
            continue;
        }
        for register in Register::ALL {
            let live = LIVE.iter().filter(|field| (field.leaf, field.register) == (leaf, register));
            let fixed = live.fold(u32::MAX, |bits, field| bits & !field.mask());
            let (set, read) = (set.get(register) & fixed, read.get(register) & fixed);
            if set != read {
                let offered = offered.get(leaf).get(register);
                mismatches.push(Mismatch { leaf, register, set, read, offered });
            }
        }
    }
    mismatches.sort_by_key(|mismatch| (mismatch.leaf, mismatch.register));
    mismatches
}
