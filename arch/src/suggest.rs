//! Suggestions of names that are like one that doesn't exist.

/// The most names to suggest: more don't help.
const MOST: usize = 3;
/// The shortest part of a name to compare: shorter ones are in too many names.
const MIN_PART: usize = 3;

/// The names most like `name`, the best first; at most three, and none if nothing is near.
///
/// A name is near if one or two typing mistakes lead to it, or if one of both is a part of the other.
#[must_use]
pub fn nearest<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let name = bare(name);
    let mut near: Vec<_> = names.filter_map(|other| Some((rank(&name, other)?, other))).collect();
    near.sort_unstable();
    near.dedup();
    near.into_iter().map(|(_, other)| other).take(MOST).collect()
}

/// Writes ` (did you mean a, b or c?)`, or nothing.
#[must_use]
pub fn suggestion(nearest: &[&str]) -> String {
    match nearest {
        [] => String::new(),
        [one] => format!(" (did you mean {one}?)"),
        [some @ .., last] => format!(" (did you mean {} or {last}?)", some.join(", ")),
    }
}

/// The distance of a name: typing mistakes, then the difference in length. A name that contains `name` counts as one mistake away. A name
/// that makes up at least half of `name` counts as two.
fn rank(name: &str, other: &str) -> Option<(usize, usize)> {
    let other = bare(other);
    let slips = strsim::damerau_levenshtein(name, &other);
    let slips = if name.len() >= MIN_PART && other.contains(name) {
        slips.min(1)
    } else if other.len() >= MIN_PART && other.len() * 2 >= name.len() && name.contains(&other) {
        slips.min(2)
    } else {
        slips
    };
    (slips <= allowed(name)).then_some((slips, name.len().abs_diff(other.len())))
}

/// Removes the characters that people get wrong, and leaves letters and digits in lower case.
fn bare(name: &str) -> String {
    name.chars().filter(|c| !"-_.".contains(*c)).map(|c| c.to_ascii_lowercase()).collect()
}

/// The number of typing mistakes to allow: fewer in short names, because short names often differ by one letter.
fn allowed(name: &str) -> usize {
    match name.len() {
        0..MIN_PART => 0,
        MIN_PART..6 => 1,
        _ => 2,
    }
}

#[cfg(test)]
#[path = "suggest_test.rs"]
mod tests;
