//! The commands in a page, which tests of the README and the manual check and run.

/// The lines of code in a page; lines continued with a backslash are joined.
pub(crate) fn lines(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut goes_on = false;
    for line in text.lines() {
        let Some(line) = line.strip_prefix("    ") else {
            goes_on = false;
            continue;
        };
        let part = line.trim_end_matches('\\');
        match lines.last_mut().filter(|_| goes_on) {
            Some(last) => *last = format!("{last} {}", part.trim()),
            None => lines.push(part.trim().to_owned()),
        }
        goes_on = part != line;
    }
    lines
}
