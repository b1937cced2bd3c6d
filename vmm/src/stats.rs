//! KVM's counters while a machine ran: exits by reason, page faults, halts, entries of nested guests.
#![expect(unsafe_code, reason = "an ioctl that no crate has, and the file that it makes")]

use std::{
    collections::BTreeMap,
    fmt,
    fs::File,
    io::{self, Read},
    os::fd::{AsRawFd, FromRawFd},
};

use kvm_bindings::{
    KVM_STATS_TYPE_CUMULATIVE, KVM_STATS_TYPE_INSTANT, KVM_STATS_TYPE_MASK, KVM_STATS_TYPE_PEAK, KVMIO,
};
use kvm_ioctls::Error;
use libc::c_ulong;
use serde::{Deserialize, Serialize};
use vmm_sys_util::ioctl::{_IOC_NONE, ioctl, ioctl_expr};

use crate::ioctls::again;

/// `_IO(KVMIO, 0xce)`.
const KVM_GET_STATS_FD: c_ulong = ioctl_expr(_IOC_NONE, KVMIO, 0xce, 0);

/// Values by KVM's names.
///
/// Counts, current values and peaks. Histograms are left out: other counters have their counts and sums.
pub type Counters = BTreeMap<String, u64>;

/// The statistics of a machine since it was built.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// KVM's counters for the whole machine.
    pub vm: Counters,
    /// KVM's counters for each vCPU.
    pub vcpus: Vec<Counters>,
}

impl Stats {
    /// The sum of the vCPUs' values.
    #[must_use]
    pub fn vcpu_total(&self) -> Counters {
        let mut total = Counters::new();
        for (name, value) in self.vcpus.iter().flatten() {
            let sum = total.entry(name.clone()).or_default();
            *sum = value.saturating_add(*sum);
        }
        total
    }
}

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = self.vcpu_total();
        write!(f, "{} exits", total.get("exits").unwrap_or(&0))?;
        for (reason, count) in by_reason(&total) {
            write!(f, ", {reason} {count}")?;
        }
        match total.get("nested_run") {
            Some(entries @ 1..) => write!(f, "; nested entries {entries}"),
            _ => Ok(()),
        }
    }
}

/// Parses the [`Display`](fmt::Display) text of statistics, as counters of all vCPUs together.
pub(crate) fn read_back(text: &str) -> Option<Counters> {
    let (text, entries) = match text.split_once("; nested entries ") {
        Some((text, entries)) => (text, Some(entries.parse().ok()?)),
        None => (text, None),
    };
    let mut parts = text.split(", ");
    let exits = parts.next()?.strip_suffix(" exits")?.parse().ok()?;
    let mut counters = Counters::from([("exits".to_owned(), exits)]);
    for part in parts {
        let (reason, count) = part.rsplit_once(' ')?;
        counters.insert(format!("{reason}_exits"), count.parse().ok()?);
    }
    counters.extend(entries.map(|entries| ("nested_run".to_owned(), entries)));
    Some(counters)
}

/// The exits by KVM's reasons, the most frequent first: `io` for its `io_exits`.
///
/// The counts don't add up to all `exits`: KVM counts some exits twice (an interrupt window's also as an interrupt's), and others, such as those
/// of page faults, under other names.
pub fn by_reason(counters: &Counters) -> Vec<(&str, u64)> {
    let mut reasons: Vec<_> = counters
        .iter()
        .filter(|&(_, &count)| count > 0)
        .filter_map(|(name, &count)| Some((name.strip_suffix("_exits")?, count)))
        .collect();
    reasons.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
    reasons
}

/// The statistics of a VM or a vCPU; none if this KVM keeps none (`KVM_CAP_BINARY_STATS_FD`, since Linux 5.14).
///
/// The VM or vCPU must stay open while its statistics are read: kernels before 6.5 did not keep it alive for them.
pub(crate) fn of(kvm: &impl AsRawFd) -> Option<Counters> {
    read(kvm).unwrap_or_else(|error| {
        log::warn!("KVM does not tell what it counted: KVM_GET_STATS_FD: {error}");
        None
    })
}

/// Linux, "KVM API", "KVM_GET_STATS_FD".
fn read(kvm: &impl AsRawFd) -> io::Result<Option<Counters>> {
    // SAFETY: takes no argument, and makes a file descriptor.
    let made = again(|| match unsafe { ioctl(kvm, KVM_GET_STATS_FD) } {
        fd @ 0.. => Ok(fd),
        _ => Err(Error::last()),
    });
    let fd = match made {
        Err(error) if [libc::EINVAL, libc::ENOTTY].contains(&error.errno()) => return Ok(None),
        made => made?,
    };
    // SAFETY: the descriptor is new, and nothing else owns it.
    let mut file = unsafe { File::from_raw_fd(fd) };
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    parse(&bytes).map(Some).ok_or_else(|| io::Error::other("KVM's statistics are not as their header says"))
}

/// Uses only the file's own layout: the header and the descriptors give the blocks, the names' size and the values' offsets.
///
/// Linux, "KVM API", `struct kvm_stats_header` and `struct kvm_stats_desc`.
fn parse(file: &[u8]) -> Option<Counters> {
    const DESCRIPTOR: usize = 16;
    let [name_size, descriptors, descriptor_block, data_block] =
        [4, 8, 16, 20].map(|place| number(file, place));
    let (name_size, descriptor_block, data_block) = (name_size?, descriptor_block?, data_block?);
    let descriptor_size = name_size.checked_add(DESCRIPTOR)?;
    let mut counters = Counters::new();
    for index in 0..descriptors? {
        let start = index.checked_mul(descriptor_size)?.checked_add(descriptor_block)?;
        let descriptor = file.get(start..start.checked_add(descriptor_size)?)?;
        let (flags, offset) = (u32::from_le_bytes(*descriptor.first_chunk()?), number(descriptor, 8)?);
        // Only histograms have several values.
        if !matches!(
            flags & KVM_STATS_TYPE_MASK,
            KVM_STATS_TYPE_CUMULATIVE | KVM_STATS_TYPE_INSTANT | KVM_STATS_TYPE_PEAK
        ) {
            continue;
        }
        let name = descriptor.get(DESCRIPTOR..)?.split(|&byte| byte == 0).next()?;
        let value = file.get(data_block.checked_add(offset)?..)?.first_chunk()?;
        counters.insert(String::from_utf8_lossy(name).into_owned(), u64::from_le_bytes(*value));
    }
    Some(counters)
}

/// The 32-bit number at `place`.
fn number(bytes: &[u8], place: usize) -> Option<usize> {
    let number = u32::from_le_bytes(*bytes.get(place..)?.first_chunk()?);
    usize::try_from(number).ok()
}

#[cfg(test)]
#[path = "stats_test.rs"]
mod tests;
