//! Text from levels, for the terminal.

use devices::printable::is_plain;

/// Removes everything that could move a terminal's cursor or change its colours.
pub(super) fn printable(text: &str) -> String {
    text.chars().map(|c| if c == '\t' { ' ' } else { c }).filter(|&c| is_plain(c)).collect()
}
