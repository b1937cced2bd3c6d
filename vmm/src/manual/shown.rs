//! A page formatted for a terminal.

use std::fmt::Write;

use super::block::{Block, blocks};
use crate::cpu::text::{self, Paint};

/// The columns before a page's text.
const INDENT: usize = 4;

/// A page, in lines of the terminal's width.
pub(super) fn page(text: &str, paint: Paint) -> String {
    let mut shown = String::new();
    for block in blocks(text) {
        match block {
            Block::Heading(text) => put(&mut shown, 0, &paint.bold(&text)),
            Block::Paragraph(marker, text) => {
                let width = marker.len();
                for (number, line) in filled(&text, INDENT + width).iter().enumerate() {
                    let marker = if number == 0 { &marker } else { "" };
                    put(&mut shown, INDENT, &format!("{marker:width$}{line}"));
                }
            }
            // The first cell, with the others below it: few tables fit the width of a terminal.
            Block::Row(cells) => {
                for (number, cell) in cells.iter().enumerate().filter(|(_, cell)| !cell.is_empty()) {
                    let indent = if number == 0 { INDENT } else { 2 * INDENT };
                    for line in filled(cell, indent) {
                        let line = if number == 0 { paint.bold(&line) } else { line };
                        put(&mut shown, indent, &line);
                    }
                }
            }
            Block::Code(line) => put(&mut shown, INDENT, &line),
            Block::Empty => shown.push('\n'),
        }
    }
    shown
}

fn put(shown: &mut String, indent: usize, line: &str) {
    // Writing to a string can't fail.
    let _ = writeln!(shown, "{:indent$}{line}", "");
}

fn filled(text: &str, indent: usize) -> Vec<String> {
    text::fill(text.split_whitespace(), indent)
}
