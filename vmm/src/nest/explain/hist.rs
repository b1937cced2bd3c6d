//! Parses texts of tracefs: histograms of events, and the names of exit reasons.

use std::collections::BTreeMap;

/// The entries of a histogram: the values of its keys in order, as printed, and the count.
///
/// Linux, "Event Histograms": `{ exit_reason:        114, guest_rip: 401000 } hitcount:       2000`.
pub(super) fn entries(text: &str) -> impl Iterator<Item = (Vec<&str>, u64)> {
    text.lines().filter_map(|line| {
        let (keys, values) = line.trim_start().strip_prefix('{')?.split_once('}')?;
        let (_, count) = values.split_once("hitcount:")?;
        let count = count.split_whitespace().next()?.parse().ok()?;
        let keys = keys.split(',').map(|key| Some(key.split_once(':')?.1.trim())).collect::<Option<_>>()?;
        Some((keys, count))
    })
}

/// The names of KVM's exit reasons, for both kinds of CPUs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Names(BTreeMap<u32, String>);

impl Names {
    /// Parses the `format` of `kvm_exit`: it has VMX's reasons (`isa` 1), and then SVM's.
    ///
    /// Linux, arch/x86/kvm/trace.h.
    pub(super) fn parse(format: &str, is_svm: bool) -> Self {
        let mut tables = format.split("__print_symbolic(").skip(1);
        let table = if is_svm { tables.nth(1) } else { tables.next() };
        let mut names = BTreeMap::new();
        for entry in table.unwrap_or_default().split('{').skip(1) {
            let Some((entry, rest)) = entry.split_once('}') else { break };
            if let Some((number, name)) = entry.split_once(',')
                && let Some(number) = sum(number)
            {
                let name = name.trim().trim_matches('"').to_ascii_lowercase();
                names.entry(number).or_insert(name);
            }
            // The table ends if no further entry follows.
            if !rest.trim_start().starts_with(',') || !rest.contains(',') {
                break;
            }
        }
        Self(names)
    }

    /// The name of a reason.
    pub(super) fn get(&self, reason: u32) -> String {
        // VMX has flags in the upper half.
        let basic = self.0.get(&reason).or_else(|| self.0.get(&(reason & 0xffff)));
        basic.cloned().unwrap_or_else(|| format!("reason {reason}"))
    }
}

/// Parses `0x040 + 1`, the form in which the kernel's macros are printed.
fn sum(text: &str) -> Option<u32> {
    text.split('+').try_fold(0u32, |sum, part| {
        let part = part.trim().trim_matches(['(', ')']);
        let number = match part.strip_prefix("0x") {
            Some(hex) => u32::from_str_radix(hex, 16).ok()?,
            None => part.parse().ok()?,
        };
        sum.checked_add(number)
    })
}

#[cfg(test)]
#[path = "hist_test.rs"]
mod tests;
