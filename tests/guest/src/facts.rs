//! The facts that a level collects about its machine.

use std::arch::x86_64::__cpuid;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::os::unix::fs::FileExt;

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};

use crate::topology::Place;

/// A machine, from inside.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Facts {
    /// /proc/cpuinfo's `flags`, the same on every CPU.
    pub(crate) flags: BTreeSet<String>,
    /// The `vmx flags`.
    pub(crate) vmx_flags: BTreeSet<String>,
    /// The position of each CPU in the topology.
    pub(crate) cpus: Vec<Place>,
    /// IA32_FEATURE_CONTROL and the VMX capability MSRs, as far as they are readable.
    pub(crate) vmx_msrs: BTreeMap<u32, u64>,
    /// CPUID leaf 0x8000000A: EAX to EDX.
    pub(crate) svm_leaf: [u32; 4],
    /// MemTotal in KiB.
    pub(crate) memory_kib: u64,
    /// The size of System RAM from 4 GiB up.
    pub(crate) high_ram: u64,
    /// The kernel's loader: Linux, "The Linux/x86 Boot Protocol", `type_of_loader`.
    pub(crate) loader: u32,
    /// SMBIOS's names for the machine, by the names of the files in /sys/class/dmi/id.
    pub(crate) dmi: BTreeMap<String, String>,
}

/// The files of /sys/class/dmi/id about the machine as a whole.
const DMI: [&str; 4] = ["sys_vendor", "product_name", "product_serial", "product_uuid"];

/// IA32_FEATURE_CONTROL, and IA32_VMX_BASIC to IA32_VMX_VMFUNC.
const VMX_MSRS: [std::ops::RangeInclusive<u32>; 2] = [0x3a..=0x3a, 0x480..=0x491];

impl Facts {
    /// Collects the facts. The module msr must be loaded if there is VMX.
    pub(crate) fn gather() -> anyhow::Result<Self> {
        let cpuinfo = read("/proc/cpuinfo")?;
        let flags = flags(&cpuinfo, "flags")?;
        let vmx_msrs = if flags.contains("vmx") { vmx_msrs()? } else { BTreeMap::new() };
        let meminfo = read("/proc/meminfo")?;
        let svm = __cpuid(0x8000_000a);
        Ok(Self {
            flags,
            vmx_flags: self::flags(&cpuinfo, "vmx flags")?,
            cpus: Place::all(&cpuinfo)?,
            vmx_msrs,
            svm_leaf: [svm.eax, svm.ebx, svm.ecx, svm.edx],
            memory_kib: values(&meminfo, "MemTotal")
                .next()
                .and_then(|value| value.strip_suffix(" kB")?.parse().ok())
                .context("no MemTotal in /proc/meminfo")?,
            high_ram: high_ram(&read("/proc/iomem")?),
            loader: read("/proc/sys/kernel/bootloader_type")?.trim().parse().context("in bootloader_type")?,
            dmi: DMI.into_iter().filter_map(dmi).collect(),
        })
    }
}

fn read(path: &str) -> anyhow::Result<String> {
    fs::read_to_string(path).with_context(|| format!("reading {path}"))
}

/// None if the tables lack it.
fn dmi(name: &str) -> Option<(String, String)> {
    let value = read(&format!("/sys/class/dmi/id/{name}")).ok()?;
    Some((name.to_owned(), value.trim_end().to_owned()))
}

/// The values of `key`, one for each CPU.
fn values<'a>(text: &'a str, key: &'a str) -> impl Iterator<Item = &'a str> {
    text.lines().filter_map(move |line| {
        let (name, value) = line.split_once(':')?;
        (name.trim_end() == key).then_some(value.trim())
    })
}

fn flags(cpuinfo: &str, key: &str) -> anyhow::Result<BTreeSet<String>> {
    let mut each = values(cpuinfo, key);
    let first = each.next().unwrap_or_default();
    if let Some(other) = each.find(|each| *each != first) {
        bail!("the CPUs' {key} differ: {first}; {other}");
    }
    Ok(first.split_whitespace().map(str::to_owned).collect())
}

fn vmx_msrs() -> anyhow::Result<BTreeMap<u32, u64>> {
    let file = File::open("/dev/cpu/0/msr").context("opening /dev/cpu/0/msr")?;
    let read = |index: u32| {
        let mut value = [0; 8];
        // Reading a missing MSR faults, which is EIO here.
        file.read_exact_at(&mut value, index.into()).ok()?;
        Some((index, u64::from_le_bytes(value)))
    };
    Ok(VMX_MSRS.into_iter().flatten().filter_map(read).collect())
}

/// `100000000-13fffffff : System RAM`.
fn high_ram(iomem: &str) -> u64 {
    let ram = iomem.lines().filter_map(|line| {
        let (range, "System RAM") = line.split_once(" : ")? else { return None };
        let (start, last) = range.split_once('-')?;
        let (start, last) = (u64::from_str_radix(start, 16).ok()?, u64::from_str_radix(last, 16).ok()?);
        (start >= 1 << 32).then(|| last.saturating_sub(start).saturating_add(1))
    });
    ram.sum()
}

#[cfg(test)]
#[path = "facts_test.rs"]
mod tests;
