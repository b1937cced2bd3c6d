//! The table of levels on a terminal.

use super::cells::{Cells, is_to_blame, reasons, status};
use super::costs;
use super::program;
use super::words::{plain, shortened, thousands};
use crate::nest::record::{LevelRecord, Record, Status};

/// The columns between two cells.
const GAP: usize = 2;

/// The steps by which the table is made narrower, in order, until it fits.
const STEPS: [Step; 11] = [
    Step::Drop("kernel"),
    Step::Drop("run by"),
    Step::Shorten("CPU", 24),
    Step::Drop("exits"),
    Step::Shorten("CPU", 14),
    Step::Drop("entry"),
    Step::Drop("KVM"),
    Step::Drop("disk"),
    Step::Drop("CPU"),
    Step::Drop("to /init"),
    Step::Drop("nesting"),
];

#[derive(Clone, Copy)]
enum Step {
    Drop(&'static str),
    Shorten(&'static str, usize),
}

/// One column.
struct Column {
    title: &'static str,
    cells: Vec<String>,
    /// Aligned to the right, for numbers.
    right: bool,
}

impl Column {
    fn width(&self) -> usize {
        let cells = self.cells.iter().map(|cell| cell.chars().count());
        cells.chain([self.title.len()]).max().unwrap_or_default()
    }
}

/// Makes the table: a row for each level, and below them the exits of each level's guest by reason, the cost of the last level's exits, and
/// the result of the user's program.
///
/// With a `width` in columns, less important parts are left out until the rest fits.
#[must_use]
pub fn table(record: &Record, width: Option<usize>, colour: bool) -> String {
    let mut columns = columns(record);
    if let Some(width) = width {
        for step in STEPS {
            if line_width(&columns) <= width {
                break;
            }
            match step {
                Step::Drop(title) => columns.retain(|column| column.title != title),
                Step::Shorten(title, width) => {
                    let column = columns.iter_mut().filter(|column| column.title == title);
                    column
                        .flat_map(|column| &mut column.cells)
                        .for_each(|cell| *cell = shortened(cell, width));
                }
            }
        }
    }

    let title = columns.iter().map(|column| line_cell(column, column.title));
    let mut text = paint("2", title.collect::<String>().trim_end(), colour) + "\n";
    for (row, level) in record.levels.iter().enumerate() {
        // The status is the last column, so that its colour takes no width.
        let (last, others) =
            columns.split_last().map_or((None, &columns[..]), |(last, others)| (Some(last), others));
        for column in others {
            text.push_str(&line_cell(column, &column.cells[row]));
        }
        if let Some(last) = last {
            text.push_str(&paint(code(record, level), &last.cells[row], colour));
        }
        text.push('\n');
    }
    for level in &record.levels {
        if let Some(line) = exits(level, width) {
            text.push_str(&line);
            text.push('\n');
        }
    }
    for line in costs::lines(record, width) {
        text.push_str(&line);
        text.push('\n');
    }
    if let Some(line) = program::line(record) {
        text.push_str(&line);
        text.push('\n');
    }
    text
}

fn columns(record: &Record) -> Vec<Column> {
    let rows: Vec<_> = record.levels.iter().map(|level| (level, Cells::new(record, level))).collect();
    let column = |title, right, cell: fn(&LevelRecord, &Cells) -> String| {
        let cells = rows.iter().map(|(level, cells)| cell(level, cells)).collect();
        Column { title, cells, right }
    };
    let statuses = record.levels.iter().map(|level| status(record, level).to_owned()).collect();
    vec![
        column("level", false, |level, _| level.level.to_string()),
        column("run by", false, |level, _| plain(&level.run_by)),
        column("kernel", false, |_, cells| cells.kernel.clone()),
        column("CPU", false, |_, cells| cells.cpu.clone()),
        column("nesting", false, |_, cells| cells.nesting.clone()),
        column("to /init", true, |_, cells| cells.boot.clone()),
        column("KVM", true, |_, cells| cells.kvm.clone()),
        column("entry", true, |_, cells| cells.entry.clone()),
        column("disk", false, |_, cells| cells.disk.clone()),
        column("exits", true, |_, cells| cells.exits.clone()),
        Column { title: "status", cells: statuses, right: false },
    ]
}

fn line_width(columns: &[Column]) -> usize {
    columns.iter().map(|column| column.width() + GAP).sum::<usize>().saturating_sub(GAP)
}

/// The cell and the gap after it.
fn line_cell(column: &Column, cell: &str) -> String {
    let width = column.width();
    if column.right { format!("{cell:>width$}  ") } else { format!("{cell:width$}  ") }
}

/// Writes `exits of level 1, by level 0: 146,200: io 80,000, halt 300`, with as many reasons as there is room for.
fn exits(level: &LevelRecord, width: Option<usize>) -> Option<String> {
    let all = thousands(*level.exits.get("exits")?);
    let mut line = format!("exits of level {}: {all}", level.level + 1);
    for (place, (reason, count)) in reasons(level).iter().enumerate() {
        let separator = if place == 0 { ": " } else { ", " };
        let part = format!("{separator}{reason} {}", thousands(*count));
        if width.is_some_and(|width| line.chars().count() + part.chars().count() > width) {
            break;
        }
        line.push_str(&part);
    }
    Some(line)
}

/// The colour of a status: green, red, yellow; faint if there is nothing to report.
fn code(record: &Record, level: &LevelRecord) -> &'static str {
    match level.status {
        Status::Passed => "32",
        Status::Failed if is_to_blame(record, level.level) => "31",
        Status::Failed | Status::Skipped => "33",
        Status::NotReached => "2",
    }
}

fn paint(code: &str, text: &str, colour: bool) -> String {
    if colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
}

#[cfg(test)]
#[path = "table_test.rs"]
mod tests;
