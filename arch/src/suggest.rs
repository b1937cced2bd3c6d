//! Names like one that doesn't exist.

/// More names than these don't help.
const MOST: usize = 3;
/// Parts shorter than this are in too many names.
const MIN_PART: usize = 3;

/// The names most like `name`, the best first; at most three, and none if nothing is near.
///
/// A name is near if a slip of the fingers or two lead to it, or if one of both is a part of the other.
#[must_use]
pub fn nearest<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let name = bare(name);
    let mut near: Vec<_> = names.filter_map(|other| Some((rank(&name, other)?, other))).collect();
    near.sort_unstable();
    near.dedup();
    near.into_iter().map(|(_, other)| other).take(MOST).collect()
}

/// ` (did you mean a, b or c?)`, or nothing.
#[must_use]
pub fn suggestion(nearest: &[&str]) -> String {
    match nearest {
        [] => String::new(),
        [one] => format!(" (did you mean {one}?)"),
        [some @ .., last] => format!(" (did you mean {} or {last}?)", some.join(", ")),
    }
}

/// The distance of a name: slips, then the difference in length. A name with all that was given in it is one slip away, a
/// name that is the better half of what was given two.
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

/// The characters that people get right: letters and digits.
fn bare(name: &str) -> String {
    name.chars().filter(|c| !"-_.".contains(*c)).map(|c| c.to_ascii_lowercase()).collect()
}

/// Short names differ by one letter and are still other names.
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
