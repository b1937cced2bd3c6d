//! Describes the cost of the last level's exits.

use std::fmt::Write as _;

use super::words::{escape, one_line, plain, shortened, thousands};
use crate::nest::explain::advice::msr_name;
use crate::nest::explain::cost::{Access, Cost, Place, Reason};
use crate::nest::record::{LevelRecord, Record};

/// The width in columns if the terminal doesn't tell it.
const WIDTH: usize = 100;
/// The most places, registers and ports that are shown on a terminal.
const MOST: usize = 5;
/// The longest function name and sentence that may come from a level.
const LONG: usize = 200;

/// All costs as lines for a terminal of `width` columns: the total, the exits by level and place, and advice.
pub(super) fn lines(record: &Record, width: Option<usize>) -> Vec<String> {
    let width = width.unwrap_or(WIDTH);
    let mut lines = Vec::new();
    for level in &record.levels {
        if let Some(why) = untraced(level) {
            lines.extend(wrapped(&why, "", " ", width));
        }
        for (place, cost) in level.costs.iter().enumerate() {
            lines.extend(wrapped(&title(record, level, cost), "", " ", width));
            for (name, mut parts) in parts(record, level, cost) {
                parts.truncate(MOST);
                lines.extend(wrapped(&parts.join(", "), &format!("  {name}: "), ", ", width));
            }
            for advice in advice(cost, &level.costs[..place]) {
                lines.extend(wrapped(&advice, "  advice on ", " ", width));
            }
        }
    }
    lines
}

/// All costs as a part of the HTML page.
pub(super) fn html(record: &Record) -> String {
    let mut text = String::new();
    for level in &record.levels {
        if let Some(why) = untraced(level) {
            let _ = writeln!(text, "<p>{}</p>", escape(&why));
        }
        for (place, cost) in level.costs.iter().enumerate() {
            let _ = writeln!(text, "<h3>{}</h3>", escape(&title(record, level, cost)));
            text.push_str("<div class=\"wide\"><table class=\"compact\">\n");
            for (name, parts) in parts(record, level, cost) {
                let parts: Vec<_> =
                    parts.iter().map(|part| format!("<code>{}</code>", escape(part))).collect();
                let parts = format!("<div class=\"chips\">{}</div>", parts.concat());
                let _ = writeln!(text, "<tr><td>{}</td><td>{parts}</td></tr>", escape(&name));
            }
            text.push_str("</table></div>\n");
            for advice in advice(cost, &level.costs[..place]) {
                let _ = writeln!(text, "<p>Advice on {}.</p>", escape(&advice));
            }
        }
    }
    if text.is_empty() { text } else { format!("<h2>What an exit costs</h2>\n{text}") }
}

/// `one CPUID of level 2 became 7.2 exits to level 0 (2,000 measured)`.
fn title(record: &Record, level: &LevelRecord, cost: &Cost) -> String {
    let (noun, exits, last) = (cost.work.noun(), number(cost.exits), record.wanted);
    let measured = thousands(cost.measured);
    format!("one {noun} of level {last} became {exits} exits to level {} ({measured} measured)", level.level)
}

/// The reason why a level could not tell more.
fn untraced(level: &LevelRecord) -> Option<String> {
    let why = shortened(&one_line(level.untraced.as_ref()?), LONG);
    Some(format!(
        "level {} counts by KVM's statistics; its tracepoints tell who made an exit, and where: {why}",
        level.level
    ))
}

/// Lists the exits of a cost by level and place, each with its parts, the most frequent first.
fn parts(record: &Record, level: &LevelRecord, cost: &Cost) -> Vec<(String, Vec<String>)> {
    let mut parts: Vec<(String, Vec<String>)> = Vec::new();
    for Reason { level: by, reason, exits } in &cost.reasons {
        let by = who(record.wanted, level.level, *by);
        let part = format!("{} {}", plain(reason), number(*exits));
        match parts.iter_mut().find(|(who, _)| *who == by) {
            Some((_, parts)) => parts.push(part),
            None => parts.push((by, vec![part])),
        }
    }
    let place = |place: &Place| {
        let function = plain(place.function.as_ref().unwrap_or(&place.address));
        format!("{function} {} {}", plain(&place.reason), number(place.exits))
    };
    let msr = |msr: &Access| {
        access(&msr_name(msr.number).map_or_else(|| format!("{:#x}", msr.number), str::to_owned), msr)
    };
    let port = |port: &Access| access(&format!("{:#x}", port.number), port);
    let more = [
        ("at", cost.places.iter().map(place).collect::<Vec<_>>()),
        ("MSRs", cost.msrs.iter().map(msr).collect()),
        ("ports", cost.ports.iter().map(port).collect()),
    ];
    parts.extend(
        more.into_iter().filter(|(_, parts)| !parts.is_empty()).map(|(name, parts)| (name.into(), parts)),
    );
    parts
}

/// Advice that was not given for an `earlier` cost of the same level.
fn advice(cost: &Cost, earlier: &[Cost]) -> Vec<String> {
    let is_new = |text: &str| !earlier.iter().flat_map(|cost| &cost.advice).any(|advice| advice.text == text);
    let new = cost.advice.iter().filter(|advice| is_new(&advice.text));
    new.map(|advice| format!("{}: {}", number(advice.exits), advice.text)).collect()
}

/// The levels that may have made exits to `level`, of `last` ones: a level can only distinguish the next one's from those of all others.
fn who(last: u32, level: u32, by: Option<u32>) -> String {
    match by {
        None => "all levels".to_owned(),
        Some(by) if by > level + 1 && by < last => format!("levels {by} to {last}"),
        Some(by) => format!("level {by}"),
    }
}

fn access(name: &str, access: &Access) -> String {
    format!("{name} {} {}", if access.write { "written" } else { "read" }, number(access.times))
}

/// `7.2`.
fn number(number: f64) -> String {
    format!("{number:.1}")
}

/// Text after `before`, in indented lines that are broken at `between`.
fn wrapped(text: &str, before: &str, between: &str, width: usize) -> Vec<String> {
    let (mut lines, mut line, mut is_empty) = (Vec::new(), before.to_owned(), true);
    for part in text.split(between) {
        if is_empty {
            line.push_str(part);
        } else if line.chars().count() + between.len() + part.chars().count() <= width {
            line.push_str(between);
            line.push_str(part);
        } else {
            line.push_str(between.trim_end());
            lines.push(std::mem::replace(&mut line, format!("    {part}")));
        }
        is_empty = false;
    }
    lines.push(line);
    lines
}

#[cfg(test)]
#[path = "costs_test.rs"]
mod tests;
