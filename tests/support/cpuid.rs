//! CPUID as a guest reads it, and as nvmm announces it.
#![allow(dead_code, reason = "each user of it uses a part")]

#[path = "../guests/leaves.rs"]
mod leaves;

use std::collections::{BTreeMap, BTreeSet};

use arch::cpu::{
    cpuid::{Cpuid, Leaf, Registers},
    msr,
    verify::{self, Mismatch},
};

/// A CPU.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cpu {
    /// The leaves.
    pub(crate) leaves: Cpuid,
    /// The VMX capability MSRs, if they were read.
    pub(crate) vmx: BTreeMap<u32, u64>,
}

impl Cpu {
    /// The CPUs of a machine that ran the guest `cpuid`, by their APIC IDs.
    pub(crate) fn of_guest(output: &str) -> Result<Vec<Self>, String> {
        let mut cpus: Vec<Self> = Vec::new();
        for line in output.lines() {
            let words: Vec<_> = line.split(' ').collect();
            let numbers: Option<Vec<_>> = words
                .iter()
                .skip_while(|word| **word == "msr")
                .map(|word| u64::from_str_radix(word, 16).ok())
                .collect();
            match (words[0], numbers.as_deref(), cpus.last_mut()) {
                ("cpu", ..) => cpus.push(Self::default()),
                ("msr", Some(&[index, value]), Some(cpu)) => {
                    cpu.vmx.insert(u32::try_from(index).map_err(|error| error.to_string())?, value);
                }
                (_, Some(numbers), Some(cpu)) => {
                    let numbers: Result<Vec<_>, _> =
                        numbers.iter().map(|number| u32::try_from(*number)).collect();
                    match numbers.as_deref() {
                        Ok(&[function, index, eax, ebx, ecx, edx]) => {
                            cpu.insert(function, index, Registers { eax, ebx, ecx, edx });
                        }
                        _ => return Err(format!("the guest printed {line:?}")),
                    }
                }
                _ => return Err(format!("the guest printed {line:?}")),
            }
        }
        cpus.sort_by_key(|cpu| cpu.leaves.get(Leaf::new(1)).ebx >> 24);
        Ok(cpus)
    }

    /// The CPU in the output of `nvmm cpu show --raw`, which has lines such as `0x00000007 0x00: eax=0x... ebx=0x... ecx=0x... edx=0x...`,
    /// and `MSR 0x480: 0x...`.
    pub(crate) fn of_raw(output: &str) -> Result<Self, String> {
        let mut cpu = Self::default();
        for line in output.lines() {
            cpu.raw_line(line).ok_or_else(|| format!("nvmm printed {line:?}"))?;
        }
        Ok(cpu)
    }

    fn raw_line(&mut self, line: &str) -> Option<()> {
        let (place, value) = line.split_once(": ")?;
        let number = |text: &str| u64::from_str_radix(text.strip_prefix("0x")?, 16).ok();
        match place.split_once(' ')? {
            ("MSR", index) => {
                let index = u32::try_from(number(index)?).ok()?;
                if msr::VMX.contains(&index) {
                    self.vmx.insert(index, number(value)?);
                }
            }
            (function, index) => {
                let (function, index) = (number(function)?, number(index)?);
                self.insert(u32::try_from(function).ok()?, u32::try_from(index).ok()?, value.parse().ok()?);
            }
        }
        Some(())
    }

    /// The CPU on which this runs, without MSRs.
    pub(crate) fn here() -> Self {
        let mut cpu = Self::default();
        leaves::each(|function, index| {
            let leaf = core::arch::x86_64::__cpuid_count(function, index);
            let registers = Registers { eax: leaf.eax, ebx: leaf.ebx, ecx: leaf.ecx, edx: leaf.edx };
            if !registers.is_zero() {
                cpu.insert(function, index, registers);
            }
        });
        cpu
    }

    /// A CPU with the `leaves` that nvmm gives to KVM.
    pub(crate) fn of_leaves(leaves: &Cpuid) -> Self {
        let mut cpu = Self::default();
        for (leaf, registers) in &leaves.0 {
            cpu.insert(leaf.function, leaf.index.unwrap_or(0), *registers);
        }
        cpu
    }

    fn insert(&mut self, function: u32, index: u32, registers: Registers) {
        let indexed = leaves::WITH_SUBLEAVES.contains(&function);
        let leaf = if indexed { Leaf::sub(function, index) } else { Leaf::new(function) };
        self.leaves.0.insert(leaf, registers);
    }

    /// Returns whether the CPU has this range of functions, up to this one at least. For other functions KVM returns another leaf, as some
    /// processors do.
    fn covers(&self, function: u32) -> bool {
        self.leaves.get(Leaf::new(function & 0xc000_0000)).eax >= function
    }

    /// Lists the leaves in which the CPU that was `found` differs from this one, except for bits that change at run time. `offered` is the
    /// CPUID that KVM offers.
    pub(crate) fn leaf_differences(&self, found: &Self, offered: &Cpuid) -> Vec<Mismatch> {
        let mut leaves = found.leaves.clone();
        leaves.0.retain(|leaf, registers| {
            // SDM 2A, "CPUID": a missing level has its number and the APIC ID.
            let no_level = matches!(leaf.function, 0xb | 0x1f) && registers.eax == 0 && registers.ebx == 0;
            self.covers(leaf.function) && (!no_level || self.leaves.0.contains_key(leaf))
        });
        verify::compare(&self.leaves, &leaves, offered)
    }

    /// Lists the differences as text.
    pub(crate) fn differences(&self, found: &Self) -> Vec<String> {
        let indices: BTreeSet<_> = self.vmx.keys().chain(found.vmx.keys()).collect();
        let msrs = indices.into_iter().filter_map(|index| {
            let (planned, read) = (self.vmx.get(index), found.vmx.get(index));
            (planned != read).then(|| format!("MSR {index:#x} is {read:x?} and not {planned:x?}"))
        });
        let leaves = self.leaf_differences(found, &Cpuid::default());
        leaves.iter().map(ToString::to_string).chain(msrs).collect()
    }
}

#[cfg(test)]
#[path = "cpuid_test.rs"]
mod tests;
