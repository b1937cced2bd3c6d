//! Numbers and texts in the form of all reports.

use devices::printable::is_plain;

/// The longest text that may come from a level, apart from its console.
pub(super) const LONGEST: usize = 60;

/// The seconds between two times, if both are known.
pub(super) fn between(from: Option<f64>, to: Option<f64>) -> Option<f64> {
    Some((to? - from?).max(0.0))
}

/// `59.1 s`.
pub(super) fn seconds(seconds: f64) -> String {
    format!("{seconds:.1} s")
}

/// `1,234,567`.
pub(super) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Removes trademarks, the frequency and words that every CPU has: `Intel Xeon Gold 6230` for `Intel(R) Xeon(R) Gold 6230 CPU @ 2.10GHz`.
pub(super) fn short_cpu(name: &str) -> String {
    let name = name.split('@').next().unwrap_or_default();
    let name =
        ["(R)", "(r)", "(TM)", "(tm)"].iter().fold(name.to_owned(), |name, mark| name.replace(mark, ""));
    let words = name.split_whitespace().filter(|word| !["CPU", "Processor"].contains(word));
    let words: Vec<_> = words.filter(|word| !word.ends_with("-Core")).collect();
    if words.is_empty() { "-".to_owned() } else { words.join(" ") }
}

/// Shortens to [`LONGEST`] characters, and removes those that move a terminal's cursor or end a line.
pub(super) fn plain(text: &str) -> String {
    shortened(&one_line(text), LONGEST)
}

/// Removes characters that move a terminal's cursor or end a line.
pub(super) fn one_line(text: &str) -> String {
    text.chars().map(|c| if is_plain(c) { c } else { ' ' }).collect()
}

/// Shortens to `width` characters.
pub(super) fn shortened(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let kept: String = text.chars().take(width.saturating_sub(1)).collect();
    format!("{}…", kept.trim_end())
}

/// Escapes text for elements and attributes of XML and HTML. Characters that XML can't contain are replaced.
///
/// Extensible Markup Language (XML) 1.0, "Characters".
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\n' | '\t' => escaped.push(c),
            '\u{fffe}' | '\u{ffff}' => escaped.push(char::REPLACEMENT_CHARACTER),
            c if !is_plain(c) => escaped.push(char::REPLACEMENT_CHARACTER),
            c => escaped.push(c),
        }
    }
    escaped
}
