//! Counts, and differences between them.

use std::collections::BTreeMap;

use super::hist::entries;

/// A reason and the address of the instruction.
pub(super) type At = (u32, u64);
/// The number of a register or port, and whether it was written.
pub(super) type Access = (u32, bool);

/// Counts from KVM's tracepoints.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Exits of the guest, and of the guests that it runs.
    pub(super) exits: BTreeMap<At, u64>,
    /// Only the exits of the guests that the guest runs.
    pub(super) nested: BTreeMap<At, u64>,
    /// MSRs that KVM read or wrote for the guest.
    pub(super) msrs: BTreeMap<Access, u64>,
    /// Ports that KVM read or wrote for the guest.
    pub(super) ports: BTreeMap<Access, u64>,
}

impl Counts {
    /// Reads the four histograms.
    pub(super) fn parse(exits: &str, nested: &str, msrs: &str, ports: &str) -> Self {
        let at = |keys: &[&str]| Some((keys.first()?.parse().ok()?, hexadecimal(keys.get(1)?)?));
        let access = |keys: &[&str]| {
            let number = u32::try_from(hexadecimal(keys.first()?)?).ok()?;
            Some((number, keys.get(1)?.parse::<u64>().ok()? != 0))
        };
        Self {
            exits: histogram(exits, at),
            nested: histogram(nested, at),
            msrs: histogram(msrs, access),
            ports: histogram(ports, access),
        }
    }

    /// The counts minus those of `other`.
    pub(super) fn without(&self, other: &Self) -> Self {
        Self {
            exits: less(&self.exits, &other.exits),
            nested: less(&self.nested, &other.nested),
            msrs: less(&self.msrs, &other.msrs),
            ports: less(&self.ports, &other.ports),
        }
    }

    /// The guest's own exits.
    pub(super) fn own(&self) -> BTreeMap<At, u64> {
        less(&self.exits, &self.nested)
    }
}

fn histogram<K: Ord>(text: &str, key: impl Fn(&[&str]) -> Option<K>) -> BTreeMap<K, u64> {
    entries(text).filter_map(|(keys, count)| Some((key(&keys)?, count))).collect()
}

fn hexadecimal(text: &str) -> Option<u64> {
    u64::from_str_radix(text, 16).ok()
}

/// Returns `counts` minus those of `other`.
fn less<K: Ord + Copy>(counts: &BTreeMap<K, u64>, other: &BTreeMap<K, u64>) -> BTreeMap<K, u64> {
    let left = |key, count: u64| count.saturating_sub(other.get(key).copied().unwrap_or_default());
    counts.iter().map(|(key, &count)| (*key, left(key, count))).filter(|&(_, count)| count > 0).collect()
}
