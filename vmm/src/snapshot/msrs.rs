//! Model-specific registers: which of them a vCPU has, and how they are restored.

use std::collections::{BTreeMap, BTreeSet};

use kvm_bindings::{KVM_MAX_MSR_ENTRIES, Msrs, kvm_msr_entry};
use kvm_ioctls::{Error, VcpuFd};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::error::StateError;
use crate::{tsc::TIME_STAMP_COUNTER, vm::kvm};

/// IA32_APIC_BASE, which is part of the special registers.
const APIC_BASE: u32 = 0x1b;
/// IA32_EFER, which is part of them too.
const EFER: u32 = 0xc000_0080;
/// IA32_FEATURE_CONTROL.
const FEATURE_CONTROL: u32 = 0x3a;
/// IA32_TSC_DEADLINE.
const TSC_DEADLINE: u32 = 0x6e0;
/// IA32_MCG_CAP, and the mask of the number of banks in it.
const MCG_CAP: u32 = 0x179;
const BANKS: u64 = 0xff;
/// IA32_MC0_CTL and IA32_MC0_CTL2: the first has four registers for each bank, the second one.
const MC0_CTL: u32 = 0x400;
const MC0_CTL2: u32 = 0x280;
/// The most banks for which there are register numbers.
const MOST_BANKS: u64 = 32;
/// IA32_MTRRCAP, and the mask of the number of variable ranges in it.
const MTRR_CAP: u32 = 0xfe;
const RANGES: u64 = 0xff;
/// IA32_MTRR_PHYSBASE0: two registers for each range.
const MTRR_PHYSBASE0: u32 = 0x200;
/// The most ranges for which there are register numbers.
const MOST_RANGES: u64 = 16;

/// Registers that KVM supports but does not list, apart from the ranges above.
const UNLISTED: [u32; 18] = [
    // The MTRRs of fixed ranges, and their default type.
    0x250,
    0x258,
    0x259,
    0x268,
    0x269,
    0x26a,
    0x26b,
    0x26c,
    0x26d,
    0x26e,
    0x26f,
    0x2ff,
    // IA32_PAT, IA32_XSS and IA32_MISC_ENABLE, which some KVMs list.
    0x277,
    0xda0,
    0x1a0,
    // IA32_MCG_CTL, IA32_MCG_EXT_CTL, and AMD's HWCR.
    0x17b,
    0x4d0,
    0xc001_0015,
];

/// The values of a vCPU's registers, by their numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Values(pub(super) BTreeMap<u32, u64>);

impl Values {
    /// Reads the registers in `listed`, which is KVM's list, the `planned` ones, with which the machine was created, and those missing from
    /// KVM's list. A listed register that can't be read is left out.
    ///
    /// # Errors
    ///
    /// KVM refuses, or can't read a planned register.
    pub(super) fn read(vcpu: &VcpuFd, listed: &[u32], planned: &[u32]) -> Result<Self, StateError> {
        let wanted: BTreeSet<u32> = listed.iter().chain(planned).copied().chain(UNLISTED).collect();
        let mut values = shown(vcpu, &wanted.into_iter().collect::<Vec<_>>())?;
        let counts = shown(vcpu, &[MTRR_CAP, MCG_CAP])?;
        let count = |index, mask: u64, most: u64| {
            u32::try_from((counts.get(&index).copied().unwrap_or_default() & mask).min(most))
                .unwrap_or_default()
        };
        let (ranges, banks) = (count(MTRR_CAP, RANGES, MOST_RANGES), count(MCG_CAP, BANKS, MOST_BANKS));
        let mtrrs = MTRR_PHYSBASE0..MTRR_PHYSBASE0 + 2 * ranges;
        let checks = (MC0_CTL..MC0_CTL + 4 * banks).chain(MC0_CTL2..MC0_CTL2 + banks);
        values.extend(shown(vcpu, &mtrrs.chain(checks).collect::<Vec<_>>())?);
        match planned.iter().find(|index| !values.contains_key(index)) {
            Some(&index) => Err(StateError::Hidden(index)),
            None => Ok(Self(values)),
        }
    }

    /// The value of a register.
    pub(super) fn get(&self, index: u32) -> Option<u64> {
        self.0.get(&index).copied()
    }

    /// Sets the capabilities: first those of VMX and the like, then IA32_FEATURE_CONTROL. KVM refuses the former once the vCPU is in VMX
    /// operation, and nested state needs the latter.
    ///
    /// # Errors
    ///
    /// KVM refuses values.
    pub(super) fn give_capabilities(
        &self,
        vcpu: &VcpuFd,
        is_capability: impl Fn(u32) -> bool,
    ) -> Result<(), StateError> {
        let capabilities =
            self.0.iter().filter(|&(&index, _)| is_capability(index) && index != FEATURE_CONTROL);
        let control = self.0.get_key_value(&FEATURE_CONTROL);
        give(vcpu, &capabilities.chain(control).map(|(&index, &value)| (index, value)).collect::<Vec<_>>())
    }

    /// Sets all others except the time-stamp counter, with the TSC deadline last: KVM drops a deadline that is set before the counter, or
    /// before the local APIC's timer is in TSC-deadline mode.
    ///
    /// # Errors
    ///
    /// KVM refuses values.
    pub(super) fn give_rest(
        &self,
        vcpu: &VcpuFd,
        is_capability: impl Fn(u32) -> bool,
    ) -> Result<(), StateError> {
        let elsewhere = [APIC_BASE, EFER, FEATURE_CONTROL, TIME_STAMP_COUNTER, TSC_DEADLINE];
        let rest = self.0.iter().filter(|&(&index, _)| !is_capability(index) && !elsewhere.contains(&index));
        let deadline = self.0.get_key_value(&TSC_DEADLINE);
        give(vcpu, &rest.chain(deadline).map(|(&index, &value)| (index, value)).collect::<Vec<_>>())
    }
}

/// Register numbers are in hexadecimal, as in the manuals.
impl Serialize for Values {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer
            .collect_map(self.0.iter().map(|(index, value)| (format!("{index:#x}"), format!("{value:#x}"))))
    }
}

impl<'de> Deserialize<'de> for Values {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let texts = BTreeMap::<String, String>::deserialize(deserializer)?;
        let number = |text: &str| {
            let digits = text.strip_prefix("0x").filter(|digits| !digits.starts_with('+'));
            digits.and_then(|digits| u64::from_str_radix(digits, 16).ok())
        };
        let values = texts.iter().map(|(index, value)| {
            let index = number(index).and_then(|index| u32::try_from(index).ok());
            index.zip(number(value)).ok_or_else(|| de::Error::custom("an msr is no hexadecimal number"))
        });
        values.collect::<Result<_, _>>().map(Self)
    }
}

/// Sets one register.
pub(super) fn set(vcpu: &VcpuFd, index: u32, value: u64) -> Result<(), StateError> {
    match write(vcpu, &[(index, value)])? {
        0 => Err(StateError::Msrs(format!("{value:#x} for MSR {index:#x}"))),
        _ => Ok(()),
    }
}

/// Sets registers whose values differ, in this order, and reports all that KVM refuses.
fn give(vcpu: &VcpuFd, values: &[(u32, u64)]) -> Result<(), StateError> {
    let now = shown(vcpu, &values.iter().map(|&(index, _)| index).collect::<Vec<_>>())?;
    let differ = values.iter().filter(|(index, value)| now.get(index) != Some(value)).copied();
    let differ: Vec<_> = differ.collect();
    let mut left = &differ[..];
    let mut refused = Vec::new();
    while !left.is_empty() {
        let count = write(vcpu, left)?;
        if let Some((index, value)) = left.get(count) {
            refused.push(format!("{value:#x} for MSR {index:#x}"));
        }
        left = left.get(count + 1..).unwrap_or_default();
    }
    if refused.is_empty() { Ok(()) } else { Err(StateError::Msrs(refused.join(", "))) }
}

/// Reads the registers that KVM can read. KVM stops at the first that it can't, which is then skipped.
fn shown(vcpu: &VcpuFd, mut wanted: &[u32]) -> Result<BTreeMap<u32, u64>, StateError> {
    let mut values = BTreeMap::new();
    while !wanted.is_empty() {
        let piece = &wanted[..wanted.len().min(KVM_MAX_MSR_ENTRIES)];
        let mut msrs = entries(piece.iter().map(|&index| (index, 0)))?;
        let count = vcpu.get_msrs(&mut msrs).map_err(kvm("KVM_GET_MSRS"))?.min(piece.len());
        values.extend(msrs.as_slice().iter().take(count).map(|msr| (msr.index, msr.data)));
        let hidden = usize::from(count < piece.len());
        wanted = wanted.get(count + hidden..).unwrap_or_default();
    }
    Ok(values)
}

/// Writes registers up to the first that KVM refuses, and returns their number.
fn write(vcpu: &VcpuFd, values: &[(u32, u64)]) -> Result<usize, StateError> {
    let mut written = 0;
    for piece in values.chunks(KVM_MAX_MSR_ENTRIES) {
        let msrs = entries(piece.iter().copied())?;
        let count = vcpu.set_msrs(&msrs).map_err(kvm("KVM_SET_MSRS"))?.min(piece.len());
        written += count;
        if count < piece.len() {
            break;
        }
    }
    Ok(written)
}

fn entries(values: impl Iterator<Item = (u32, u64)>) -> Result<Msrs, StateError> {
    let entries: Vec<_> =
        values.map(|(index, data)| kvm_msr_entry { index, data, ..Default::default() }).collect();
    Msrs::from_entries(&entries).map_err(|_| kvm("MSRs")(Error::new(libc::E2BIG)).into())
}

#[cfg(test)]
#[path = "msrs_test.rs"]
mod tests;
