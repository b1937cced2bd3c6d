//! A page as a list of blocks. The pages use only a part of Markdown: headings, paragraphs, lists, tables, code, links.

use super::page::named;

/// A block of a page.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Block {
    /// A heading's text.
    Heading(String),
    /// A paragraph, or a list item with its marker; the marker is empty for a paragraph.
    Paragraph(String, String),
    /// The cells of a table's row; the header row is left out.
    Row(Vec<String>),
    /// A line of code, with its indentation.
    Code(String),
    /// An empty line.
    Empty,
}

/// A page's blocks, without Markdown's syntax.
pub(super) fn blocks(page: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = page.lines().peekable();
    let mut in_table = false;
    while let Some(line) = lines.next() {
        let was_in_table = std::mem::replace(&mut in_table, line.starts_with('|'));
        if in_table {
            if was_in_table && !line.starts_with("| ---") {
                blocks.push(Block::Row(cells(line)));
            }
        } else if line.is_empty() {
            blocks.push(Block::Empty);
        } else if line.starts_with("![") {
            // A terminal shows no pictures.
        } else if let Some(heading) = line.strip_prefix('#') {
            blocks.push(Block::Heading(plain(heading.trim_start_matches('#').trim())));
        } else if line.starts_with("    ") {
            blocks.push(Block::Code(line.to_owned()));
        } else {
            let marker = marker(line);
            let mut text = line[marker.len()..].to_owned();
            while let Some(next) = lines.next_if(|next| goes_on(next)) {
                text.push(' ');
                text.push_str(next.trim_start());
            }
            blocks.push(Block::Paragraph(marker.to_owned(), plain(&text)));
        }
    }
    blocks
}

/// Returns whether a line continues the paragraph or list item before it.
fn goes_on(line: &str) -> bool {
    !line.is_empty() && !line.starts_with(['|', '#']) && marker(line).is_empty()
}

/// The marker of a list item: `- ` or `1. `.
fn marker(line: &str) -> &str {
    if line.starts_with("- ") {
        return &line[..2];
    }
    let digits = line.bytes().take_while(u8::is_ascii_digit).count();
    if digits > 0 && line[digits..].starts_with(". ") { &line[..digits + 2] } else { "" }
}

/// A row's cells; a `|` in one is written `\|`.
fn cells(row: &str) -> Vec<String> {
    let row = row.trim().trim_start_matches('|').replace("\\|", "\0");
    let row = row.strip_suffix('|').unwrap_or(&row);
    row.split('|').map(|cell| plain(&cell.trim().replace('\0', "|"))).collect()
}

/// The text without Markdown's syntax. A link is followed by its target.
fn plain(text: &str) -> String {
    let text = text.replace("**", "").replace('`', "");
    let mut rest = text.as_str();
    let mut plain = String::new();
    while let Some((before, after)) = rest.split_once("](") {
        let (before, name) = before.rsplit_once('[').unwrap_or((before, ""));
        let (target, after) = after.split_once(')').unwrap_or((after, ""));
        plain.push_str(before);
        plain.push_str(&link(name, target));
        rest = after;
    }
    plain + rest
}

fn link(name: &str, target: &str) -> String {
    // The README's links begin at the root.
    let target = target.strip_prefix("resources/manual/").unwrap_or(target);
    let file = target.split_once('#').map_or(target, |(file, _)| file);
    match file.strip_suffix(".md") {
        _ if file.is_empty() => name.to_owned(),
        Some(page) if named(page).is_some() && name == file => format!("nvmm help {page}"),
        Some(page) if named(page).is_some() => format!("{name} (nvmm help {page})"),
        _ if name == target => name.to_owned(),
        _ => format!("{name} ({})", target.trim_start_matches("../")),
    }
}

#[cfg(test)]
#[path = "block_test.rs"]
mod tests;
