//! The text that clap shows after a command's options, in blocks.

/// A part of the text, with its own title or without.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Section {
    /// The title, without the colon.
    pub(crate) title: String,
    /// The blocks.
    pub(crate) blocks: Vec<Block>,
}

/// A block of a section.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Block {
    /// A paragraph.
    Paragraph(String),
    /// A list: the key and the text of each entry.
    List(Vec<(String, String)>),
    /// Lines that stay as they are.
    Lines(Vec<String>),
}

/// Titles of lists; what other titles are for stays in lines.
const LISTS: [&str; 1] = ["Exit status"];

/// Reads the text. A line that ends with a colon, before others that are indented, is a title; so is the beginning of a line, if it is
/// that of a list.
pub(crate) fn sections(text: &str) -> Vec<Section> {
    let mut sections = vec![Section::default()];
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if line.is_empty() {
            continue;
        }
        let whole = line.strip_suffix(':').filter(|_| lines.peek().is_some_and(|next| is_indented(next)));
        let list =
            LISTS.iter().find_map(|title| Some((*title, line.strip_prefix(title)?.strip_prefix(": ")?)));
        if let Some(title) = whole {
            sections.push(Section { title: title.to_owned(), blocks: Vec::new() });
        } else if let Some((title, rest)) = list {
            let blocks = vec![Block::Paragraph(rest.to_owned())];
            sections.push(Section { title: title.to_owned(), blocks });
            continue;
        }
        let Some(section) = sections.last_mut() else { break };
        if whole.is_none() && !is_indented(line) {
            let mut paragraph = line.to_owned();
            while let Some(next) = lines.next_if(|next| !next.is_empty() && !is_indented(next)) {
                paragraph.push(' ');
                paragraph.push_str(next);
            }
            section.blocks.push(Block::Paragraph(paragraph));
        }
        let mut indented = if is_indented(line) { vec![line] } else { Vec::new() };
        while let Some(next) = lines.next_if(|next| is_indented(next)) {
            indented.push(next);
        }
        let is_list = LISTS.contains(&section.title.as_str());
        match indented.as_slice() {
            [] => {}
            lines if is_list => section.blocks.push(Block::List(entries(lines))),
            lines => section.blocks.push(Block::Lines(without_margin(lines))),
        }
    }
    sections.retain(|section| !section.blocks.is_empty());
    sections
}

fn is_indented(line: &str) -> bool {
    line.starts_with(' ')
}

/// The entries in lines such as `  2  the command line is wrong`. A line that is indented further goes on with the one before it.
fn entries(lines: &[&str]) -> Vec<(String, String)> {
    let mut entries: Vec<(String, String)> = Vec::new();
    for line in without_margin(lines) {
        let text = line.trim_start();
        match entries.last_mut() {
            Some((_, before)) if is_indented(&line) => {
                before.push(' ');
                before.push_str(text);
            }
            _ => {
                let (key, text) = text.split_once(' ').unwrap_or((text, ""));
                entries.push((key.to_owned(), text.trim_start().to_owned()));
            }
        }
    }
    entries
}

/// The lines without the spaces that all of them begin with.
fn without_margin(lines: &[&str]) -> Vec<String> {
    let margin = lines.iter().map(|line| line.len() - line.trim_start().len()).min().unwrap_or_default();
    lines.iter().map(|line| line[margin..].to_owned()).collect()
}

#[cfg(test)]
#[path = "blocks_test.rs"]
mod tests;
