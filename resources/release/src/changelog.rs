//! CHANGELOG.md, which has the day of each version.

use anyhow::{Context, Result};

/// The text of CHANGELOG.md.
const TEXT: &str = include_str!("../../../CHANGELOG.md");

/// The day of this version, such as 2026-11-29.
///
/// # Errors
///
/// The changelog does not have this version yet.
pub(crate) fn day() -> Result<&'static str> {
    let version = env!("CARGO_PKG_VERSION");
    day_of(TEXT, version)
        .with_context(|| format!("CHANGELOG.md has no line '## [{version}] - YEAR-MONTH-DAY'"))
}

fn day_of<'a>(text: &'a str, version: &str) -> Option<&'a str> {
    let start = format!("## [{version}] - ");
    text.lines().find_map(|line| line.strip_prefix(&start)).filter(|day| is_day(day))
}

/// Returns whether a text has the form of a day.
fn is_day(text: &str) -> bool {
    let digits = |part: &str, count| part.len() == count && part.bytes().all(|byte| byte.is_ascii_digit());
    let parts: Vec<_> = text.split('-').collect();
    matches!(parts[..], [year, month, day] if digits(year, 4) && digits(month, 2) && digits(day, 2))
}

#[cfg(test)]
#[path = "changelog_test.rs"]
mod tests;
