//! `nvmm cpu show`: shows the leaves and MSRs of a guest's CPU, bit by bit, with the source of each.

use std::collections::BTreeMap;

use arch::cpu::{
    address_width::WIDTHS,
    choice::Unmet,
    cpuid::{HYPERVISOR, Leaf, Register, Registers},
    feature::FeatureId,
    msr,
    nesting::Nesting,
    patch::{At, Field, Why},
    profile::CpuProfile,
    spec::{CacheMode, Model, PhysicalBits},
    topology::Topology,
};
use serde::{Serialize, Serializer};

use super::{
    decode::Decoded,
    fact::Fact,
    fields::Owner,
    msrs::{self, State},
    source::Seen,
    text::{Paint, block, comma, fill, width},
    values,
};

/// Leaves that a named model takes from the host: KVM's, sizes of state, and those that describe a feature further.
const HOSTS: [u32; 11] = [
    0xa,
    0xd,
    0x12,
    0x14,
    0x1d,
    0x1e,
    0x24,
    HYPERVISOR,
    HYPERVISOR + 1,
    arch::cpu::svm::FUNCTION,
    0x8000_0022,
];
/// The functions that describe caches.
const CACHES: [u32; 5] = [0x2, 0x4, 0x8000_0005, 0x8000_0006, 0x8000_001d];
/// The width in columns of the places, without the sources.
const PLACE: usize = 14;
/// Columns of a leaf's address.
const LEAF: usize = 27;

/// A guest's CPU.
#[derive(Debug, Serialize)]
pub(super) struct Sheet {
    spec: String,
    canonical: String,
    brand: String,
    signature: String,
    topology: Topology,
    nesting: Nesting,
    /// The features that were asked for and can't be given.
    unmet: Vec<Unmet>,
    /// The features of the model or of the host that the guest lacks.
    removed: Vec<Removed>,
    vcpu: u32,
    cpuid: BTreeMap<Leaf, LeafSheet>,
    #[serde(serialize_with = "by_hex")]
    msrs: BTreeMap<u32, MsrSheet>,
}

#[derive(Debug, Serialize)]
struct Removed {
    name: &'static str,
    by: Why,
}

#[derive(Debug, Serialize)]
struct LeafSheet {
    registers: Registers,
    says: Vec<Entry>,
}

#[derive(Debug, Serialize)]
struct MsrSheet {
    name: String,
    #[serde(serialize_with = "hex")]
    value: u64,
    says: Vec<Entry>,
}

/// A feature that the CPU has, or a number.
#[derive(Debug, Serialize)]
struct Entry {
    /// The full address: `CPUID.01H:ECX[5]`.
    place: String,
    /// The label in a table: the register, and the bits if there are several.
    #[serde(skip)]
    label: String,
    name: String,
    /// The value of a number; none for a feature.
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    by: Why,
}

impl Sheet {
    /// Decodes the CPU of a vCPU.
    pub(super) fn new(spec: &str, profile: &CpuProfile, topology: Topology, vcpu: u32) -> Self {
        let seen = Seen::new(profile, vcpu);
        let absent =
            |why: &Why| matches!(why, Why::Feature | Why::Word(_) | Why::Needs(_) | Why::Restrict(_));
        let removed = profile.decisions().iter().filter(|decision| {
            decision.value == 0 && absent(&decision.why) && FeatureId::find(decision.name).is_some()
        });
        let leaves = seen.cpuid.0.iter().map(|(&leaf, &registers)| {
            (leaf, LeafSheet { registers, says: leaf_entries(profile, &seen, leaf) })
        });
        let msrs = seen.msrs.iter().map(|(&index, &value)| {
            (index, MsrSheet { name: msrs::name(index), value, says: msr_entries(profile, index, value) })
        });
        Self {
            spec: spec.to_owned(),
            canonical: profile.canonical().to_string(),
            brand: profile.brand(),
            signature: values::signature(seen.cpuid.get(Leaf::new(1)).eax),
            topology,
            nesting: *profile.nesting(),
            unmet: profile.unmet().to_vec(),
            removed: removed.map(|decision| Removed { name: decision.name, by: decision.why }).collect(),
            vcpu,
            cpuid: leaves.collect(),
            msrs: msrs.collect(),
        }
    }

    /// The text for a terminal.
    pub(super) fn text(&self, paint: Paint) -> String {
        let mut text = String::new();
        let mut header = |name: &str, words: &[String]| text += &block(name, PLACE, &fill(words, PLACE));
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        header("spec", std::slice::from_ref(&self.spec));
        let parts: Vec<_> = self.canonical.split(',').collect();
        header("canonical", &fill_commas(&parts));
        header("brand", std::slice::from_ref(&self.brand));
        header("signature", &words(&self.signature));
        header("topology", &words(&format!("{}; this is vCPU {}", self.topology, self.vcpu)));
        header("nesting", &words(&self.nesting.to_string()));
        header("not given", &comma(self.unmet.iter().map(ToString::to_string)));
        let removed = self.removed.iter().map(|removed| format!("{} ({})", removed.name, removed.by));
        header("taken away", &comma(removed));

        let all = self.cpuid.values().map(|leaf| &leaf.says).chain(self.msrs.values().map(|msr| &msr.says));
        let by = all.flatten().map(|entry| entry.by.to_string().len()).max().unwrap_or_default() + 2;
        for (leaf, sheet) in &self.cpuid {
            let registers = registers(&sheet.registers.to_string(), width());
            text += &format!("\n{}  {registers}\n", paint.bold(&format!("{:<LEAF$}", leaf.to_string())));
            lines(&mut text, &sheet.says, by, paint);
        }
        for (index, sheet) in &self.msrs {
            let title = format!("MSR {index:#x} {}", sheet.name);
            text += &format!("\n{}  {:#018x}\n", paint.bold(&format!("{title:<36}")), sheet.value);
            lines(&mut text, &sheet.says, by, paint);
        }
        text
    }
}

/// The registers of a leaf, without `0x` where that makes them fit, and else in lines.
fn registers(whole: &str, columns: usize) -> String {
    let indent = LEAF + 2;
    if indent + whole.len() <= columns {
        return whole.to_owned();
    }
    let short = whole.replace("=0x", "=");
    let gap = if indent + short.len() <= columns { " ".to_owned() } else { format!("\n{:indent$}", "") };
    short.replace(" ecx", &format!("{gap}ecx"))
}

/// Formats a list so that lines end after commas.
fn fill_commas(parts: &[&str]) -> Vec<String> {
    let last = parts.len().saturating_sub(1);
    let mut lines: Vec<String> = Vec::new();
    for (number, part) in parts.iter().enumerate() {
        let part = if number == last { (*part).to_owned() } else { format!("{part},") };
        match lines.last_mut() {
            Some(line) if PLACE + line.len() + part.len() <= width() => line.push_str(&part),
            _ => lines.push(part),
        }
    }
    lines
}

/// Writes the entries of a leaf or an MSR: numbers on a line each, features of one register and one source together.
fn lines(text: &mut String, entries: &[Entry], by: usize, paint: Paint) {
    let mut rest = entries;
    let mut last = "";
    while let Some(first) = rest.first() {
        let same =
            |entry: &Entry| entry.value.is_none() && entry.label == first.label && entry.by == first.by;
        let count =
            if first.value.is_some() { 1 } else { rest.iter().take_while(|entry| same(entry)).count() };
        let (group, others) = rest.split_at(count);
        let words: Vec<String> = match &first.value {
            Some(value) if first.name.is_empty() => value.split(' ').map(str::to_owned).collect(),
            Some(value) => format!("{}: {value}", first.name).split(' ').map(str::to_owned).collect(),
            None => group.iter().map(|entry| entry.name.clone()).collect(),
        };
        // Each number has its own place; the features of a register share one.
        let label = if first.value.is_none() && last == first.label { "" } else { &first.label };
        let indent = PLACE + by;
        let filled = fill(words, indent);
        for (number, line) in filled.iter().enumerate() {
            let (label, by_whom) =
                if number == 0 { (label, first.by.to_string()) } else { ("", String::new()) };
            let label = format!("  {label:<width$}", width = PLACE - 2);
            let whom = paint.dim(&format!("{by_whom:by$}"));
            *text += format!("{label}{whom}{line}").trim_end();
            text.push('\n');
        }
        last = if first.value.is_none() { &first.label } else { "" };
        rest = others;
    }
}

fn leaf_entries(profile: &CpuProfile, seen: &Seen, leaf: Leaf) -> Vec<Entry> {
    let Decoded { facts, features, rest } = Decoded::new(&seen.cpuid, leaf);
    let base = base(profile, leaf);
    let registers = seen.cpuid.get(leaf);
    let mut entries = Vec::new();
    // Numbers that are 0 are left out, except for a vCPU's own.
    let told =
        |fact: &Fact| !fact.name.is_empty() && (fact.is_set(&seen.cpuid, leaf) || fact.owner == Owner::Vcpu);
    for fact in facts.into_iter().filter(told) {
        let place = fact.place();
        let full = if place.is_empty() { leaf.to_string() } else { format!("{leaf}:{place}") };
        let by = asked(profile, leaf, fact.bits).unwrap_or(match fact.owner {
            Owner::Topology => Why::Topology,
            Owner::Vcpu => Why::Vcpu,
            Owner::Host => Why::Host,
            Owner::Leaf => decided(profile, &full).unwrap_or(base),
        });
        entries.push(Entry {
            place: full,
            label: place,
            name: fact.name.to_owned(),
            value: Some(fact.value),
            by,
        });
    }
    for (register, rest) in Register::ALL.into_iter().zip(rest) {
        let value = registers.get(register);
        let entry = |bit: u32, name: String, by| Entry {
            place: format!("{leaf}:{register}[{bit}]"),
            label: register.to_string(),
            name,
            value: None,
            by,
        };
        let named = features.iter().filter(|(of, bit, _)| *of == register && value >> bit & 1 == 1);
        let mut bits: Vec<_> =
            named.map(|(_, bit, id)| entry(*bit, id.name().to_owned(), profile.why(*id))).collect();
        if rest == u32::MAX && value != 0 {
            let place = format!("{leaf}:{register}");
            let value = Some(values::hex(value));
            bits.push(Entry { place, label: register.to_string(), name: String::new(), value, by: base });
        } else {
            let unnamed = (0..u32::BITS).filter(|bit| value & rest & 1 << bit != 0);
            bits.extend(unnamed.map(|bit| entry(bit, format!("[{bit}]"), base)));
        }
        bits.sort_by_key(|entry| entry.by.to_string());
        entries.extend(bits);
    }
    entries
}

fn msr_entries(profile: &CpuProfile, index: u32, value: u64) -> Vec<Entry> {
    // Fields of a capability MSR that are no features are the host's.
    let decided = decided(profile, &format!("MSR {index:#x}"));
    let base = match index {
        msr::FEATURE_CONTROL | msr::BIOS_SIGN_ID | msr::MCG_CAP => decided.unwrap_or(Why::Host),
        _ => Why::Host,
    };
    let mut entries = Vec::new();
    if msrs::has_controls(index) {
        let controls = msrs::controls(index, value).into_iter();
        entries.extend(controls.filter(|control| control.state != State::Zero).map(|control| Entry {
            place: format!("MSR({index:X}H)[{}]", control.bit),
            label: control.state.name().to_owned(),
            name: control.feature.map_or_else(|| format!("[{}]", control.bit), |id| id.name().to_owned()),
            value: None,
            by: control.feature.map_or(Why::Host, |id| profile.why(id)),
        }));
        entries.sort_by_key(|entry| (entry.label != State::Either.name(), entry.by.to_string()));
        return entries;
    }
    let msrs::Decoded { facts, features, rest } = msrs::Decoded::new(index, value);
    for (bits, name, text) in facts.into_iter().filter(|(bits, ..)| value & bits != 0) {
        let label = msrs::range(bits);
        let place = format!("MSR({index:X}H){label}");
        entries.push(Entry { place, label, name: name.to_owned(), value: Some(text), by: base });
    }
    let set = |bit: u32| value >> bit & 1 == 1;
    let named = features.into_iter().filter(|(bit, _)| set(*bit));
    let named: Vec<(u32, Option<FeatureId>)> = named.map(|(bit, id)| (bit, Some(id))).collect();
    let unnamed = (0..u64::BITS).filter(|&bit| rest >> bit & 1 == 1 && set(bit)).map(|bit| (bit, None));
    let bits = named.into_iter().chain(unnamed).map(|(bit, id)| Entry {
        place: format!("MSR({index:X}H)[{bit}]"),
        label: String::new(),
        name: id.map_or_else(|| format!("[{bit}]"), |id| id.name().to_owned()),
        value: None,
        by: id.map_or(base, |id| profile.why(id)),
    });
    let mut bits: Vec<_> = bits.collect();
    bits.sort_by_key(|entry| entry.by.to_string());
    entries.extend(bits);
    entries
}

/// The step of the pipeline from which a leaf comes, apart from its features and the topology.
fn base(profile: &CpuProfile, leaf: Leaf) -> Why {
    let spec = profile.canonical();
    let caches = CACHES.contains(&leaf.function) && spec.caches == CacheMode::Passthrough;
    let widths = leaf == WIDTHS && spec.physical_bits == PhysicalBits::Host;
    match spec.model {
        Model::Named(model) if !HOSTS.contains(&leaf.function) && !caches && !widths => {
            Why::Model(&model.name)
        }
        _ => Why::Host,
    }
}

/// Returns the user's word that decided on some of these bits, if there is one and it is not a feature.
fn asked(profile: &CpuProfile, leaf: Leaf, bits: [u32; 4]) -> Option<Why> {
    let overlaps = |field: &Field| {
        let mask = u32::MAX >> (u32::BITS - field.width) << field.shift;
        let of_register =
            Register::ALL.into_iter().zip(bits).find(|(register, _)| *register == field.register);
        field.leaf == leaf && of_register.is_some_and(|(_, bits)| bits & mask != 0)
    };
    let decided = profile.decisions().iter().rev().find(|decision| match &decision.place {
        At::Bits(field) => matches!(decision.why, Why::Feature | Why::Word(_)) && overlaps(field),
        At::Feature(_) | At::Msr(_) => false,
    });
    decided.map(|decision| decision.why)
}

/// The step of the pipeline that decided on a whole field or MSR.
fn decided(profile: &CpuProfile, place: &str) -> Option<Why> {
    profile
        .decisions()
        .iter()
        .rev()
        .find(|decision| decision.place.to_string() == place)
        .map(|decision| decision.why)
}

fn hex<S: Serializer>(value: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{value:#018x}"))
}

fn by_hex<S: Serializer>(msrs: &BTreeMap<u32, MsrSheet>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(msrs.iter().map(|(index, sheet)| (format!("{index:#x}"), sheet)))
}

#[cfg(test)]
#[path = "show_test.rs"]
mod tests;
