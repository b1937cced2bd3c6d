//! Words as a search compares them: whole, in any case, without simple endings.

use std::collections::BTreeSet;

/// Words of a question that don't describe its subject.
const LITTLE: [&str; 66] = [
    "a", "about", "am", "an", "and", "any", "are", "at", "be", "by", "can", "could", "do", "does", "doing",
    "for", "from", "get", "give", "has", "have", "how", "i", "if", "in", "into", "is", "it", "its", "make",
    "many", "more", "much", "me", "mean", "means", "my", "need", "no", "not", "nvmm", "of", "on", "or",
    "see", "should", "so", "some", "take", "that", "the", "then", "there", "this", "to", "use", "want",
    "what", "when", "where", "which", "why", "will", "with", "you", "your",
];

/// The words of a question that a place should have.
pub(super) fn wanted(question: &str) -> BTreeSet<String> {
    let words: Vec<_> = words(question).filter(|word| !is_little(word)).collect();
    let is_status = words.iter().any(|word| word == "exit" || is_number(word));
    words.iter().map(|word| stem(if is_status && word == "code" { "status" } else { word })).collect()
}

/// All words of a text.
pub(super) fn stems(text: &str) -> BTreeSet<String> {
    words(text).map(|word| stem(&word)).collect()
}

/// Words of letters and digits. A number with a dot in it, such as 6.12, is one word.
fn words(text: &str) -> impl Iterator<Item = String> {
    let text = text.to_lowercase().replace("'s", "");
    let parts: Vec<_> =
        text.split(|letter: char| !letter.is_alphanumeric() && letter != '.').map(str::to_owned).collect();
    parts.into_iter().flat_map(|part| {
        let part = part.trim_matches('.');
        let inner = if part.starts_with(|first: char| first.is_ascii_digit()) { '\0' } else { '.' };
        part.split(inner).filter(|word| !word.is_empty()).map(str::to_owned).collect::<Vec<_>>()
    })
}

/// Returns whether a word says nothing, as a single letter does: the t of `can't`.
fn is_little(word: &str) -> bool {
    LITTLE.contains(&word) || word.len() == 1 && !is_number(word)
}

fn is_number(word: &str) -> bool {
    word.bytes().all(|byte| byte.is_ascii_digit())
}

/// A word without its ending: `run` of `running`, and `sav` of `saves`, `saved` and `saving`.
fn stem(word: &str) -> String {
    if word.bytes().any(|byte| byte.is_ascii_digit()) {
        return word.to_owned();
    }
    let strip = |ending: &str| word.strip_suffix(ending).filter(|rest| rest.chars().count() >= 3);
    let hisses = ["sses", "uses", "xes", "ches", "shes"].iter().any(|ending| word.ends_with(ending));
    let is_plural = !["ss", "us", "is"].iter().any(|ending| word.ends_with(ending));
    let plural = if hisses { strip("es") } else { strip("s").filter(|_| is_plural) };
    let rest = plural.or_else(|| strip("ing")).or_else(|| strip("ed")).unwrap_or(word);
    let rest = rest.strip_suffix('e').filter(|rest| rest.chars().count() >= 3).unwrap_or(rest);
    let mut last = rest.chars().rev();
    match (last.next(), last.next()) {
        (Some(one), Some(other)) if one == other && rest.chars().count() > 3 => {
            rest[..rest.len() - one.len_utf8()].to_owned()
        }
        _ => rest.to_owned(),
    }
}

#[cfg(test)]
#[path = "word_test.rs"]
mod tests;
