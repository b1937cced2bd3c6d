//! `nvmm cpu diff`: what a guest would see different between two CPUs, by name.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Display,
};

use arch::cpu::{
    brand::BRAND,
    cpuid::{Cpuid, Leaf, Register, Registers},
    feature::FeatureId,
};
use serde::Serialize;

use super::{
    decode::Decoded,
    fact::Fact,
    msrs,
    source::Seen,
    text::{self, Paint},
};

/// The text for a value that a CPU lacks.
const ABSENT: &str = "-";
/// The most columns of the first value, and those that are left for the second.
const WIDEST: usize = 22;
const SHORT: usize = 8;

/// A difference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Row {
    /// The CPUID field or the MSR.
    pub(super) place: String,
    /// The name; empty if it has none.
    pub(super) name: String,
    /// The first CPU's value.
    pub(super) a: String,
    /// The second CPU's value.
    pub(super) b: String,
}

impl Row {
    fn new(place: impl Display, name: impl Display, a: impl Display, b: impl Display) -> Self {
        Self { place: place.to_string(), name: name.to_string(), a: a.to_string(), b: b.to_string() }
    }
}

/// Every difference, in the order of leaves and MSRs.
pub(super) fn rows(a: &Seen, b: &Seen) -> Vec<Row> {
    let brand = Leaf::new(BRAND[0]);
    let leaves: BTreeSet<Leaf> = a.cpuid.0.keys().chain(b.cpuid.0.keys()).copied().chain([brand]).collect();
    let mut rows: Vec<_> = leaves.into_iter().flat_map(|leaf| leaf_rows(&a.cpuid, &b.cpuid, leaf)).collect();
    rows.extend(msr_rows(&a.msrs, &b.msrs));
    rows
}

fn leaf_rows(a: &Cpuid, b: &Cpuid, leaf: Leaf) -> Vec<Row> {
    let (in_a, in_b) = (a.get(leaf), b.get(leaf));
    let (decoded_a, decoded_b) = (Decoded::new(a, leaf), Decoded::new(b, leaf));
    let mut rows = Vec::new();
    for (fact_a, fact_b) in decoded_a.facts.iter().zip(&decoded_b.facts) {
        if fact_a.value != fact_b.value {
            let place = fact_a.place();
            let place = if place.is_empty() { leaf.to_string() } else { format!("{leaf}:{place}") };
            let value = |fact: &Fact, of: &Cpuid, registers: Registers| {
                let absent =
                    registers.is_zero() || fact.value.is_empty() || !fact.is_set(of, leaf) && fact.is_group();
                if absent { ABSENT.to_owned() } else { fact.value.clone() }
            };
            rows.push(Row::new(place, fact_a.name, value(fact_a, a, in_a), value(fact_b, b, in_b)));
        }
    }
    for (register, rest) in Register::ALL.into_iter().zip(decoded_a.rest) {
        let (in_a, in_b) = (in_a.get(register), in_b.get(register));
        let yes = |bit: u32, value: u32| if value >> bit & 1 == 1 { "yes" } else { "no" };
        if rest == u32::MAX {
            if in_a != in_b {
                rows.push(Row::new(format_args!("{leaf}:{register}"), "", hex(in_a), hex(in_b)));
            }
            continue;
        }
        let named = decoded_a.features.iter().filter(|(of, ..)| *of == register);
        let named = named.map(|(_, bit, id)| (*bit, id.name()));
        let unnamed = (0..u32::BITS).filter(|bit| rest >> bit & 1 == 1).map(|bit| (bit, ""));
        let mut bits: Vec<_> =
            named.chain(unnamed).filter(|(bit, _)| (in_a ^ in_b) >> bit & 1 == 1).collect();
        bits.sort_unstable();
        let row = |(bit, name)| {
            Row::new(format_args!("{leaf}:{register}[{bit}]"), name, yes(bit, in_a), yes(bit, in_b))
        };
        rows.extend(bits.into_iter().map(row));
    }
    rows
}

fn msr_rows(a: &BTreeMap<u32, u64>, b: &BTreeMap<u32, u64>) -> Vec<Row> {
    let indexes: BTreeSet<u32> = a.keys().chain(b.keys()).copied().collect();
    let differ = indexes.into_iter().filter(|index| a.get(index) != b.get(index));
    differ.flat_map(|index| msr_row(index, a.get(&index).copied(), b.get(&index).copied())).collect()
}

/// The rows for an MSR that differs: by its controls, fields and features if both have it.
fn msr_row(index: u32, a: Option<u64>, b: Option<u64>) -> Vec<Row> {
    let (Some(in_a), Some(in_b)) = (a, b) else { return vec![whole(index, a, b)] };
    if msrs::is_older(index) {
        // The controls are shown for the "true" MSR.
        return vec![whole(index, a, b)];
    }
    let place = |bits: &str| format!("MSR({index:X}H){bits}");
    if msrs::has_controls(index) {
        let both = msrs::controls(index, in_a).into_iter().zip(msrs::controls(index, in_b));
        let differ = both.filter(|(a, b)| a.state != b.state);
        let row = |(a, b): (msrs::Control, msrs::Control)| {
            let name = a.feature.map_or("", FeatureId::name);
            Row::new(place(&format!("[{}]", a.bit)), name, a.state.name(), b.state.name())
        };
        return differ.map(row).collect();
    }
    let (decoded_a, decoded_b) = (msrs::Decoded::new(index, in_a), msrs::Decoded::new(index, in_b));
    let mut rows = Vec::new();
    for ((bits, name, a), (_, _, b)) in decoded_a.facts.iter().zip(&decoded_b.facts) {
        if a != b {
            rows.push(Row::new(place(&msrs::range(*bits)), name, a, b));
        }
    }
    let yes = |bit: u32, value: u64| if value >> bit & 1 == 1 { "yes" } else { "no" };
    let named = decoded_a.features.iter().map(|(bit, id)| (*bit, id.name()));
    let unnamed = (0..u64::BITS).filter(|bit| decoded_a.rest >> bit & 1 == 1).map(|bit| (bit, ""));
    let bits = named.chain(unnamed).filter(|(bit, _)| (in_a ^ in_b) >> bit & 1 == 1);
    rows.extend(
        bits.map(|(bit, name)| Row::new(place(&format!("[{bit}]")), name, yes(bit, in_a), yes(bit, in_b))),
    );
    rows
}

fn whole(index: u32, a: Option<u64>, b: Option<u64>) -> Row {
    let value = |value: Option<u64>| value.map_or_else(|| ABSENT.to_owned(), |value| format!("{value:#x}"));
    Row::new(format_args!("MSR({index:X}H)"), msrs::name(index), value(a), value(b))
}

fn hex(value: u32) -> String {
    format!("{value:#x}")
}

/// Makes a table. A value that is too long is put below its name.
pub(super) fn text([a, b]: [&str; 2], rows: &[Row], paint: Paint) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let width = |column: fn(&Row) -> &str| rows.iter().map(|row| column(row).len()).max().unwrap_or_default();
    let (place, name) = (width(|row| &row.place), width(|row| &row.name));
    let value = text::width().saturating_sub(place + name + 6 + SHORT).min(WIDEST);
    let mut text = format!("A  {a}\nB  {b}\n\n");
    let head = format!("{:place$}  {:name$}  {:value$}  B", "place", "name", "A");
    text += &format!("{}\n", paint.bold(&head));
    for row in rows {
        let start = format!("{:place$}  {:name$}", row.place, row.name);
        let a = format!("{:value$}", row.a);
        if start.len() + 2 + a.len() + 2 + row.b.len() <= text::width() {
            text += &format!("{start}  {}  {}\n", side(paint, &a), side(paint, &row.b));
        } else {
            text +=
                &format!("{}\n    A  {}\n    B  {}\n", start.trim_end(), row.a.trim_end(), row.b.trim_end());
        }
    }
    let differences = if rows.len() == 1 { "1 difference" } else { &format!("{} differences", rows.len()) };
    text += &format!("{differences}\n");
    text
}

fn side(paint: Paint, value: &str) -> String {
    match value.trim_end() {
        "yes" | "either" => paint.good(value),
        "no" | "-" | "always 0" => paint.bad(value),
        _ => value.to_owned(),
    }
}

#[cfg(test)]
#[path = "diff_test.rs"]
mod tests;
