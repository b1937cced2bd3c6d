//! `--from-qemu`: a command line as a single text, in a shell's syntax, as users paste it.

use std::{
    borrow::Cow,
    ffi::{OsStr, OsString},
    path::Path,
};

/// nvmm's name, put in front of its options.
const NAME: &str = "nvmm";
/// Words that may come before the program's name.
const BEFORE: [&str; 5] = ["sudo", "exec", "nohup", "time", "env"];
const PROGRAMS: [&str; 6] = ["qemu-system-x86_64", "qemu-system-i386", "qemu-kvm", "qemu", "kvm", NAME];

/// Splits a QEMU command line, with or without the program's name in front, into nvmm's name and the arguments.
///
/// # Errors
///
/// A quote is not closed, or a part of it needs a shell.
pub(crate) fn words_of(line: &OsStr) -> Result<Vec<OsString>, String> {
    let line = line.to_str().ok_or("the line is not UTF-8")?;
    let words = shell_words::split(line).map_err(|_| "a quote is not closed")?;
    if let Some(word) = words.iter().find(|word| is_the_shells(word)) {
        return Err(format!("'{word}' is for a shell; give QEMU's words alone"));
    }
    if let Some(word) = words.iter().find(|word| has_variable(word)) {
        return Err(format!(
            "'{word}' has a variable or a command of a shell in it; put its value there, or the line in double quotes"
        ));
    }
    let is_before = |word: &&String| {
        let is_assignment = word.split_once('=').is_some_and(|(name, _)| {
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_')
        });
        is_assignment || BEFORE.contains(&word.as_str())
    };
    let before = words.iter().take_while(is_before).count();
    let name = words.get(before).and_then(|word| Path::new(word).file_name()?.to_str());
    let program = if name.is_some_and(|name| PROGRAMS.contains(&name)) { before + 1 } else { 0 };
    Ok([NAME.to_owned()].into_iter().chain(words.into_iter().skip(program)).map(OsString::from).collect())
}

/// nvmm's options as a command for a shell, with each option on its own line.
pub(crate) fn command(words: &[OsString]) -> String {
    let mut text = String::new();
    for word in words.iter().map(|word| word.to_string_lossy()) {
        if !text.is_empty() {
            text.push_str(if word.starts_with('-') { " \\\n    " } else { " " });
        }
        text.push_str(&quoted(&word));
    }
    text
}

/// Quotes a word for a shell. Braces and commas need more than shell_words quotes.
fn quoted(word: &str) -> Cow<'_, str> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-./,:=+@%".contains(c);
    match !word.is_empty() && word.chars().all(is_plain) {
        true => word.into(),
        false => format!("'{}'", word.replace('\'', "'\\''")).into(),
    }
}

/// Returns whether a shell would interpret a word instead of passing it on.
fn is_the_shells(word: &str) -> bool {
    ["\\", "|", "||", "&", "&&", ";", "(", ")"].contains(&word)
        || word.trim_start_matches(|c: char| c.is_ascii_digit()).starts_with(['<', '>'])
}

/// Returns whether a shell would replace a part of a word. The `$` of hashed passwords (`$6$...`) is taken literally.
fn has_variable(word: &str) -> bool {
    let starts =
        |rest: &str| rest.starts_with(|c: char| c.is_ascii_alphabetic() || ['_', '{', '('].contains(&c));
    let mut parts = word.split('$').skip(1);
    let is_hash = word.matches('$').count() > 2
        && parts.clone().next().is_some_and(|kind| (1..=3).contains(&kind.len()));
    word.contains('`') || !is_hash && parts.any(starts)
}

#[cfg(test)]
#[path = "line_test.rs"]
mod tests;
