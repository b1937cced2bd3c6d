//! A search for the places in the manual that contain some words, in any case.

use std::{cmp::Reverse, fmt::Write};

use super::{
    block::{Block, blocks},
    page::{PAGES, Page},
};
use crate::cpu::text::{self, Paint};

/// The most places to show per page, and the most pages.
const PLACES: usize = 3;
const MOST_PAGES: usize = 5;

/// Words of a question that don't describe its subject.
const LITTLE: [&str; 24] = [
    "a", "an", "and", "can", "do", "does", "for", "how", "i", "in", "into", "is", "it", "my", "nvmm", "of",
    "on", "or", "the", "to", "what", "why", "with", "you",
];

/// The pages that contain all words, and of each the paragraphs, rows and lines of code with the most of them. Word endings are ignored.
pub(super) fn search(words: &[String], paint: Paint) -> String {
    let words: Vec<_> =
        words.iter().flat_map(|word| word.split_whitespace()).map(str::to_lowercase).collect();
    let telling: Vec<_> = words.iter().filter(|word| !LITTLE.contains(&word.as_str())).collect();
    let stems: Vec<_> =
        telling.into_iter().map(|word| stem(word.trim_matches(['?', '!', '.', ',']))).collect();
    let mut found: Vec<_> = PAGES.iter().filter_map(|page| Some((page, look(page, &stems)?))).collect();
    found.sort_by_key(|(_, (most, places))| Reverse((*most, places.len())));
    let mut told = String::new();
    for (page, (_, places)) in found.iter().take(MOST_PAGES) {
        // Writing to a string can't fail.
        let _ = writeln!(told, "{}", paint.bold(&format!("nvmm help {}", page.name)));
        for place in places.iter().take(PLACES) {
            for (number, line) in text::fill(place.split_whitespace(), 6).iter().enumerate() {
                let _ = writeln!(told, "  {} {line}", if number == 0 { "-" } else { " " });
            }
        }
        if let Some(more) = places.len().checked_sub(PLACES).filter(|&more| more > 0) {
            let _ = writeln!(told, "    and {more} more");
        }
    }
    told
}

/// The number of words in the best places of a page, and these places; none if a word is missing.
fn look(page: &Page, stems: &[&str]) -> Option<(usize, Vec<String>)> {
    let about = format!("{} {} {}", page.name, page.also.join(" "), page.about).to_lowercase();
    let whole = page.text.to_lowercase();
    let has = |stem: &&str| about.contains(*stem) || whole.contains(*stem);
    if stems.is_empty() || !stems.iter().all(has) {
        return None;
    }
    let count = |text: &str| {
        let text = text.to_lowercase();
        stems.iter().filter(|stem| text.contains(**stem)).count()
    };
    let places: Vec<_> = blocks(page.text).iter().map(Block::text).map(|text| (count(&text), text)).collect();
    let most = places.iter().map(|(count, _)| *count).max().unwrap_or_default();
    let best = places.into_iter().filter(|(count, _)| *count == most).map(|(_, text)| text);
    let named = stems.iter().filter(|stem| about.contains(**stem)).count();
    Some((most + 2 * named, best.collect()))
}

/// A word without its ending: `run` of `running`.
fn stem(word: &str) -> &str {
    let endings = ["ing", "ed", "es", "s"];
    let ending = endings.into_iter().find(|ending| word.len() > ending.len() + 3 && word.ends_with(ending));
    let Some(stem) = ending.and_then(|ending| word.strip_suffix(ending)) else { return word };
    let mut last = stem.chars().rev();
    match (last.next(), last.next()) {
        (Some(one), Some(other)) if one == other => &stem[..stem.len() - one.len_utf8()],
        _ => stem,
    }
}
