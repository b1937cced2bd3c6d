//! The run as a self-contained page: no script, no font, no other file.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use super::cells::{Cells, is_to_blame, reasons, status, summary};
use super::costs;
use super::differences::differences;
use super::program;
use super::timeline::{Doing, Span, spans, ticks};
use super::words::{escape, plain, seconds, thousands};
use crate::nest::record::{LevelRecord, Record, Status, Verdict};

const STYLE: &str = include_str!("page.css");

/// The width in hundredths of the run below which a bar has no room for its length on any screen.
const TOO_NARROW: f64 = 2.0;

/// The run as a document.
#[must_use]
pub fn html(record: &Record) -> String {
    let title = escape(&summary(record));
    let class = match record.verdict {
        Verdict::Passed => "passed",
        Verdict::Failed { .. } => "failed",
        Verdict::Skipped { .. } => "skipped",
    };
    let sections = [
        head(record, class, &title),
        console(record),
        program::html(record),
        timeline(record),
        levels(record),
        features(record),
        exits(record),
        costs::html(record),
    ];
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>nvmm nest: {title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n{}</body>\n</html>\n",
        sections.concat()
    )
}

fn head(record: &Record, class: &str, title: &str) -> String {
    let sign = match record.verdict {
        Verdict::Passed => "✓",
        Verdict::Failed { .. } => "✗",
        Verdict::Skipped { .. } => "–",
    };
    let mut text = format!(
        "<h1>nvmm nest</h1>\n<p class=\"verdict\"><span class=\"{class}\">{sign}</span><strong>{title}</strong></p>\n"
    );
    if let Verdict::Failed { why, .. } = &record.verdict {
        let _ = writeln!(text, "<p>{}</p>", escape(why));
    }
    let (version, host) = (escape(&record.version), escape(&record.host));
    let _ = writeln!(text, "<p class=\"faint\">nvmm {version}. Level 0 is {host}.</p>");
    text
}

/// A bar for each level, below each other on a common axis.
fn timeline(record: &Record) -> String {
    let rows: Vec<_> = record.levels.iter().map(|level| (level, spans(record, level))).collect();
    let ends = rows.iter().flat_map(|(_, spans)| spans).map(|span| span.to);
    let end = ends.fold(record.seconds, f64::max);
    if rows.iter().all(|(_, spans)| spans.is_empty()) || end <= 0.0 {
        return String::new();
    }
    let mut text = "<h2>Timeline</h2>\n".to_owned();
    for (level, spans) in &rows {
        text.push_str(&row(level, spans, end));
    }
    text.push_str("<div class=\"row\" aria-hidden=\"true\"><span></span><div class=\"axis\">");
    // The end of the axis has no room for a number.
    for tick in ticks(end).into_iter().filter(|tick| tick / end < 0.97) {
        let _ = write!(text, "<span style=\"left:{:.2}%\">{tick} s</span>", 100.0 * tick / end);
    }
    text.push_str("</div></div>\n<div class=\"legend\">");
    for doing in Doing::ALL {
        if rows.iter().any(|(_, spans)| spans.iter().any(|span| span.doing == doing)) {
            let _ = write!(text, "<span><b class=\"{}\"></b>{}</span>", doing.class(), doing.words());
        }
    }
    text.push_str("</div>\n");
    text
}

fn row(level: &LevelRecord, spans: &[Span], end: f64) -> String {
    let told = |span: &Span| format!("{}: {}", span.doing.words(), seconds(span.to - span.from));
    let label: Vec<_> = spans.iter().map(told).collect();
    let mut text = format!(
        "<div class=\"row\"><span>level {} <small>{}</small></span><div class=\"track\" role=\"img\" aria-label=\"level {}: {}\">",
        level.level,
        escape(&level.run_by),
        level.level,
        label.join(", "),
    );
    for span in spans {
        let (left, width) = (100.0 * span.from / end, 100.0 * (span.to - span.from) / end);
        let narrow = width < TOO_NARROW;
        // If the text doesn't fit, the style moves it to a second line, as a line may break before it.
        let length =
            if narrow { String::new() } else { format!("&#8203;<b>{}</b>", seconds(span.to - span.from)) };
        let _ = write!(
            text,
            "<i class=\"{}{}\" style=\"left:{left:.2}%;width:{width:.2}%\" title=\"{}\">{length}</i>",
            span.doing.class(),
            if narrow { " short" } else { "" },
            told(span),
        );
    }
    text.push_str("</div></div>\n");
    text
}

fn levels(record: &Record) -> String {
    let columns = [
        ("level", false),
        ("run by", false),
        ("kernel", false),
        ("CPU", false),
        ("nesting", false),
        ("to /init", true),
        ("KVM", true),
        ("entry", true),
        ("disk", false),
        ("exits of its guest", true),
        ("status", false),
    ];
    let mut text = "<h2>Levels</h2>\n<div class=\"wide\"><table>\n<tr>".to_owned();
    for (title, number) in columns {
        let _ = write!(text, "<th{}>{title}</th>", class(number));
    }
    text.push_str("</tr>\n");
    for level in &record.levels {
        let cells = Cells::new(record, level);
        let run_by = plain(&level.run_by);
        let number = level.level.to_string();
        let values = [
            &number,
            &run_by,
            &cells.kernel,
            &cells.cpu,
            &cells.nesting,
            &cells.boot,
            &cells.kvm,
            &cells.entry,
            &cells.disk,
            &cells.exits,
        ];
        text.push_str("<tr>");
        for (value, (_, number)) in values.iter().zip(columns) {
            let _ = write!(text, "<td{}>{}</td>", class(number), escape(value));
        }
        let (class, word) = (status_class(record, level), status(record, level));
        let _ = writeln!(text, "<td class=\"{class}\">{word}</td></tr>");
    }
    text.push_str(
        "</table></div>\n<p class=\"faint\">To /init: from the start of the level's VMM. KVM: until its modules are loaded. \
         Entry: until its first guest runs.</p>\n",
    );
    text
}

fn class(number: bool) -> &'static str {
    if number { " class=\"number\"" } else { "" }
}

fn status_class(record: &Record, level: &LevelRecord) -> &'static str {
    match level.status {
        Status::Passed => "passed",
        Status::Failed if !is_to_blame(record, level.level) => "skipped",
        Status::Failed => "failed",
        Status::Skipped => "skipped",
        Status::NotReached => "not-reached",
    }
}

/// The features that each level lacks but the one below it has, and the features that it has in addition.
fn features(record: &Record) -> String {
    let differences = differences(record);
    if differences.is_empty() {
        return String::new();
    }
    let mut text = "<h2>CPU features from level to level</h2>\n".to_owned();
    for difference in differences {
        let (below, level, same) = (difference.below, difference.level, difference.same);
        if difference.lacks.is_empty() && difference.gains.is_empty() {
            let _ = writeln!(text, "<h3>Level {level} has what level {below} has ({same})</h3>");
            continue;
        }
        let lacks = format!("What level {level} lacks that level {below} has");
        let gains = format!("What level {level} has that level {below} lacks");
        for (title, features) in [(lacks, &difference.lacks), (gains, &difference.gains)] {
            if !features.is_empty() {
                let _ = writeln!(text, "<h3>{title} ({})</h3>", features.len());
                text.push_str(&chips(features));
            }
        }
        let _ = writeln!(text, "<p class=\"faint\">Both have {same} more.</p>");
    }
    text
}

fn chips(features: &BTreeSet<&str>) -> String {
    let chips: String = features.iter().map(|feature| format!("<code>{}</code>", escape(feature))).collect();
    format!("<div class=\"chips\">{chips}</div>\n")
}

/// Exits by reason, a column for each level that ran a guest.
fn exits(record: &Record) -> String {
    let ran: Vec<_> = record.levels.iter().filter(|level| level.exits.contains_key("exits")).collect();
    if ran.is_empty() {
        return String::new();
    }
    let mut rows: BTreeMap<String, BTreeMap<u32, u64>> = BTreeMap::new();
    for level in &ran {
        for (reason, count) in reasons(level) {
            rows.entry(reason).or_default().insert(level.level, count);
        }
    }
    let mut rows: Vec<_> = rows.into_iter().collect();
    rows.sort_by_key(|(_, counts)| std::cmp::Reverse(counts.values().max().copied()));
    let all = ran.iter().filter_map(|level| Some((level.level, *level.exits.get("exits")?))).collect();
    rows.insert(0, ("all".to_owned(), all));

    let mut text = "<h2>Exits of each level, as KVM below it counted</h2>\n<div class=\"wide\"><table class=\"compact\">\n<tr><th>reason</th>".to_owned();
    for level in &ran {
        let _ = write!(text, "<th class=\"number\">level {}</th>", level.level + 1);
    }
    text.push_str("</tr>\n");
    for (reason, counts) in rows {
        let _ = write!(text, "<tr><td>{}</td>", escape(&reason));
        for level in &ran {
            let count = counts.get(&level.level).map_or_else(|| "-".to_owned(), |&count| thousands(count));
            let _ = write!(text, "<td class=\"number\">{count}</td>");
        }
        text.push_str("</tr>\n");
    }
    text.push_str(
        "</table></div>\n<p class=\"faint\">KVM has no reason for some exits, and two for others.</p>\n",
    );
    text
}

/// The end of the console of the level that failed.
fn console(record: &Record) -> String {
    let Verdict::Failed { level, console, .. } = &record.verdict else { return String::new() };
    if console.is_empty() {
        return String::new();
    }
    let lines: Vec<_> = console.iter().map(|line| escape(line)).collect();
    format!("<h2>The end of level {level}'s console</h2>\n<pre>{}</pre>\n", lines.join("\n"))
}

#[cfg(test)]
#[path = "html_test.rs"]
mod tests;
