//! Shows the user's program: a line about it, and its output.

use super::words::{between, escape, one_line, seconds, thousands};
use crate::nest::exec::outcome::ProgramRecord;
use crate::nest::record::Record;

/// `mytest at level 2: status 3 after 1.5 s, 1,024 bytes of output`.
pub(super) fn line(record: &Record) -> Option<String> {
    let program = record.program.as_ref()?;
    let end = match (program.status, &program.signal) {
        (Some(status), _) => format!("status {status}"),
        (None, Some(signal)) => signal.clone(),
        (None, None) if program.started.is_some() => "did not end".to_owned(),
        (None, None) => "not started".to_owned(),
    };
    let took = between(program.started, program.ended).map(|took| format!(" after {}", seconds(took)));
    let output = match (program.bytes, program.lost) {
        (0, _) => String::new(),
        (bytes, 0) => format!(", {} bytes of output", thousands(bytes)),
        (bytes, lost) => format!(", {} bytes of output, {} of them lost", thousands(bytes), thousands(lost)),
    };
    let name = one_line(&program.name);
    Some(format!("{name} at level {}: {end}{}{output}", record.wanted, took.unwrap_or_default()))
}

/// The output for XML and HTML, with a note about what was left out.
pub(super) fn output(program: &ProgramRecord) -> String {
    let kept = u64::try_from(program.output.len()).unwrap_or(u64::MAX);
    let left_out = program.bytes.saturating_sub(program.lost).saturating_sub(kept);
    let head = match left_out {
        // Bytes that are not UTF-8 take more.
        0 => String::new(),
        more => format!("({} bytes before this)\n", thousands(more)),
    };
    head + &escape(&program.output)
}

/// The program's part of the HTML page.
pub(super) fn html(record: &Record) -> String {
    let (Some(program), Some(line)) = (&record.program, line(record)) else { return String::new() };
    let mut text = format!("<h2>Program</h2>\n<p>{}</p>\n", escape(&line));
    if !program.output.is_empty() {
        text.push_str(&format!("<pre>{}</pre>\n", output(program)));
    }
    text
}
