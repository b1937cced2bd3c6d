//! A search for the places in the manual that answer a question, asked in ordinary words.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
};

use super::{
    block::{Block, blocks},
    page::{Page, every},
    word::{stems, wanted},
};
use crate::cpu::text::{self, Paint};

/// The most pages to show, the most places of the first page, and of each other page.
const MOST_PAGES: usize = 5;
const PLACES: [usize; 2] = [3, 2];
/// The most lines of text and of code to show of a place.
const LINES: usize = 3;
/// The columns before these lines.
const INDENT: usize = 4;

/// Pages for those who work on nvmm. They come after the others.
const DEVELOPERS: [&str; 3] = ["architecture", "bounds", "faults"];

/// A paragraph with its code, an item of a list, or a row of a table.
struct Place {
    page: &'static Page,
    /// The page begins with it, so that it says what the page is about.
    is_first: bool,
    /// The heading above it.
    section: String,
    /// A row's first cell, which is what the row is about.
    key: Option<String>,
    text: String,
    code: Vec<String>,
}

/// A place, with how well it answers.
struct Hit<'a> {
    place: &'a Place,
    /// The number of words that are in it, in its heading, or among its page's names.
    count: usize,
    score: usize,
}

/// The places that have most of the words, page by page; the best pages come first.
pub(super) fn search(words: &[String], paint: Paint) -> String {
    let wanted = wanted(&words.join(" "));
    let places: Vec<_> = every().flat_map(places).collect();
    let mut hits = hits(&places, &wanted);
    let most = hits.iter().map(|hit| hit.count).max().unwrap_or_default();
    hits.retain(|hit| hit.count == most);
    hits.sort_by_key(|hit| Reverse(hit.score));
    let mut pages: Vec<(&Page, Vec<&Place>)> = Vec::new();
    for hit in &hits {
        match pages.iter_mut().find(|(page, _)| page.name == hit.place.page.name) {
            Some((_, places)) => places.push(hit.place),
            None => pages.push((hit.place.page, vec![hit.place])),
        }
    }
    let mut told = String::new();
    if most > 0 && most < wanted.len() {
        told.push_str("No place has all of these words; these have most:\n");
    }
    for (number, (page, places)) in pages.iter().take(MOST_PAGES).enumerate() {
        // Writing to a string can't fail.
        let _ = writeln!(told, "{}", paint.bold(&format!("nvmm help {}", page.name)));
        let shown = PLACES[number.min(1)];
        for place in places.iter().take(shown) {
            for (number, line) in lines(place, &wanted).iter().enumerate() {
                let _ = writeln!(told, "  {} {line}", if number == 0 { "-" } else { " " });
            }
        }
        if let Some(more) = places.len().checked_sub(shown).filter(|&more| more > 0) {
            let _ = writeln!(told, "    and {more} more");
        }
    }
    told
}

/// A page's places.
fn places(page: &'static Page) -> Vec<Place> {
    let mut places: Vec<Place> = Vec::new();
    let mut section = String::new();
    // Code belongs to the paragraph right before it or, if it comes right after a heading, to the one after it.
    let mut goes_on = false;
    for block in blocks(page.text) {
        let is_first = places.is_empty();
        let new = |key, text| Place { page, is_first, section: section.clone(), key, text, code: Vec::new() };
        match block {
            Block::Heading(text) => {
                section = text;
                goes_on = false;
            }
            Block::Paragraph(_, text) => {
                match places.last_mut().filter(|last| goes_on && last.text.is_empty()) {
                    Some(last) => last.text = text,
                    None => places.push(new(None, text)),
                }
                goes_on = true;
            }
            Block::Row(cells) => {
                places.push(new(cells.first().cloned(), cells.join("  ")));
                goes_on = false;
            }
            Block::Code(line) => {
                if !goes_on {
                    places.push(new(None, String::new()));
                    goes_on = true;
                }
                if let Some(place) = places.last_mut() {
                    add(&mut place.code, line.trim());
                }
            }
            Block::Empty => {}
        }
    }
    // The README's tables are no answers by themselves: they lead to the manual, and compare.
    places.retain(|place| page.name != "readme" || place.key.is_none());
    places
}

/// Adds a line of code, to the line before it if that goes on.
fn add(code: &mut Vec<String>, line: &str) {
    match code.last_mut() {
        Some(last) if last.ends_with('\\') => {
            last.pop();
            last.push_str(line);
        }
        _ => code.push(line.to_owned()),
    }
}

/// The places that have any of the words.
fn hits<'a>(places: &'a [Place], wanted: &BTreeSet<String>) -> Vec<Hit<'a>> {
    let own: Vec<_> =
        places.iter().map(|place| stems(&format!("{} {}", place.text, place.code.join(" ")))).collect();
    // A word that few places have tells more than one that is everywhere.
    let weight = |word: &String| {
        let with = own.iter().filter(|words| words.contains(word)).count();
        usize::try_from((places.len() / with.max(1)).max(1).ilog2()).unwrap_or_default() + 1
    };
    let weights: BTreeMap<_, _> = wanted.iter().map(|word| (word, weight(word))).collect();
    let hit = |(place, own): (&'a Place, &BTreeSet<String>)| {
        let (section, key) = (stems(&place.section), stems(place.key.as_deref().unwrap_or_default()));
        let (name, about) = (stems(place.page.name), stems(place.page.about));
        let names = stems(&format!("{} {}", place.page.name, place.page.also.join(" ")));
        let option = stems(option_of(place).unwrap_or_default());
        let times = |word: &String| {
            let has = |words: &BTreeSet<String>, times| if words.contains(word) { times } else { 0 };
            let names = has(&names, if place.is_first { 6 } else { 3 });
            has(own, 3)
                + has(&section, 3)
                + has(&key, 3)
                + has(&option, 3)
                + names
                + has(&name, 2)
                + has(&about, 1)
        };
        let count = wanted.iter().filter(|word| times(word) > 0).count();
        let score: usize = weights.iter().map(|(word, weight)| weight * times(word)).sum();
        let bonus = if has_command(place, wanted) { 4 } else { 0 };
        // A long place has more words by chance.
        let score = (score + bonus) * 1000 / (400 + own.len());
        let score = if DEVELOPERS.contains(&place.page.name) { score / 3 } else { score };
        Hit { place, count, score }
    };
    places.iter().zip(&own).map(hit).filter(|hit| hit.count > 0).collect()
}

/// The option that a row is about.
fn option_of(place: &Place) -> Option<&str> {
    place.key.as_deref()?.split([' ', ',']).next()?.strip_prefix("--")
}

fn has_command(place: &Place, wanted: &BTreeSet<String>) -> bool {
    place.code.iter().any(|line| stems(line).intersection(wanted).next().is_some())
}

/// The lines of a place around the words: of its code, if it has any, and of its text.
fn lines(place: &Place, wanted: &BTreeSet<String>) -> Vec<String> {
    let count = |line: &str| stems(line).intersection(wanted).count();
    let is_title = place.page.text.starts_with(&format!("# {}\n", place.section));
    let mut text = place.text.clone();
    if !place.section.is_empty() && (place.key.is_some() || !is_title) {
        let colon = if place.section.ends_with('?') { "" } else { ":" };
        text = format!("{}{colon} {text}", place.section);
    }
    let filled = text::fill(text.split_whitespace(), INDENT + "... ".len() + " ...".len());
    let mut code: Vec<_> = place.code.iter().enumerate().collect();
    code.retain(|(_, line)| count(line) > 0 || filled.is_empty() || place.is_first);
    code.sort_by_key(|(_, line)| Reverse(count(line)));
    code.truncate(LINES - filled.len().min(1));
    code.sort_by_key(|(number, _)| *number);
    let room = (LINES - code.len()).min(filled.len());
    let windows = 0..=filled.len() - room;
    let best = windows.min_by_key(|&start| Reverse(count(&filled[start..start + room].join(" "))));
    let start = best.unwrap_or_default();
    let mut shown = filled[start..start + room].to_vec();
    if let Some(first) = shown.first_mut().filter(|_| start > 0) {
        first.insert_str(0, "... ");
    }
    if let Some(last) = shown.last_mut().filter(|_| start + room < filled.len()) {
        last.push_str(" ...");
    }
    let indent = if shown.is_empty() { "" } else { "  " };
    shown.extend(code.into_iter().map(|(_, line)| format!("{indent}{line}")));
    shown
}
