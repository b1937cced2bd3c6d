//! A command line that runs nothing: it asks for the help, or it is wrong, in a line of nvmm's form for each fault.

use std::{ffi::OsString, fmt, process};

use clap::{
    Command,
    error::{ContextKind, ContextValue, ErrorKind},
};
use devices::printable::PrintableLines;

use super::qemu;
use crate::exit::{COULD_NOT, USAGE};

/// The reason for which a command line runs nothing.
#[derive(Debug)]
pub enum Error {
    /// A help or the version is asked for. A command without its words gets its help, too.
    Answer(Box<clap::Error>),
    /// The command line is wrong: a line for each fault.
    Wrong(Vec<String>),
    /// The command line is right, but nvmm could not do what comes before the machine.
    Failed(String),
}

/// The beginnings of kernels' names.
const KERNELS: [&str; 2] = ["vmlinu", "bzImage"];

impl Error {
    /// Puts clap's error about `words`, whose first is the program's name, into nvmm's form.
    pub(super) fn of(error: clap::Error, words: &[OsString], root: &Command) -> Self {
        let line = match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => match swallowed(words) {
                Some(word) => {
                    let (names, command) = place(words, root);
                    unknown_option(&error, &word, words, (&names, command))
                }
                None => return Self::Answer(Box::new(error)),
            },
            ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => return Self::Answer(Box::new(error)),
            _ => line(&error, words, root),
        };
        Self::Wrong(vec![line])
    }

    /// nvmm's exit status.
    #[must_use]
    pub fn status(&self) -> u8 {
        match self {
            Self::Answer(error) if !error.use_stderr() => 0,
            Self::Answer(_) | Self::Wrong(_) => USAGE,
            Self::Failed(_) => COULD_NOT,
        }
    }

    /// Prints it, and ends nvmm.
    pub fn exit(&self) -> ! {
        match self {
            Self::Answer(answer) => {
                // A reader that has seen enough is no error.
                let _ = answer.print();
            }
            Self::Wrong(lines) => {
                lines.iter().for_each(|line| eprintln!("nvmm: {}", PrintableLines(line)));
            }
            Self::Failed(line) => eprintln!("nvmm: {}", PrintableLines(line)),
        }
        process::exit(self.status().into())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answer(answer) => write!(f, "{answer}"),
            Self::Wrong(lines) => write!(f, "{}", lines.join("\n")),
            Self::Failed(line) => write!(f, "{line}"),
        }
    }
}

impl std::error::Error for Error {}

/// The word that clap took for `-h` or `-V` with others after it: `-hostfwd`, for example.
fn swallowed(words: &[OsString]) -> Option<String> {
    let mut options = words.iter().skip(1).take_while(|word| *word != "--").filter_map(|word| word.to_str());
    if options.clone().any(|word| ["-h", "-V", "-help", "--help", "--version", "help"].contains(&word)) {
        return None;
    }
    options
        .find(|word| word.len() > 2 && (word.starts_with("-h") || word.starts_with("-V")))
        .map(str::to_owned)
}

/// The names of the command that `words` are for, each with a space after it, and the command.
fn place<'a>(words: &[OsString], root: &'a Command) -> (String, &'a Command) {
    let (mut names, mut command) = (String::new(), root);
    if words.get(1).is_some_and(|word| !word.as_encoded_bytes().starts_with(b"-")) {
        for inner in words.iter().skip(1) {
            if let Some(inner) = command.find_subcommand(inner) {
                command = inner;
                names = names + command.get_name() + " ";
            }
        }
    }
    (names, command)
}

/// clap's error in a line.
fn line(error: &clap::Error, words: &[OsString], root: &Command) -> String {
    let (names, command) = place(words, root);
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    let texts = |kind| match error.get(kind) {
        Some(ContextValue::Strings(texts)) => texts.clone(),
        Some(ContextValue::String(text)) => vec![text.clone()],
        _ => Vec::new(),
    };
    let argument = text(ContextKind::InvalidArg).unwrap_or_default();
    let name = name(argument);
    let value = text(ContextKind::InvalidValue).unwrap_or_default();
    match error.kind() {
        ErrorKind::UnknownArgument => match argument.starts_with('-') {
            true => unknown_option(error, argument, words, (&names, command)),
            false => stray(&names, argument, words, " is not expected here"),
        },
        ErrorKind::InvalidSubcommand => {
            let word = text(ContextKind::InvalidSubcommand).unwrap_or_default();
            match (texts(ContextKind::SuggestedSubcommand), looks_like_a_path(word, words)) {
                (_, true) if names.is_empty() => stray("", word, words, ": no such command"),
                (like, _) if !like.is_empty() => {
                    format!("{names}{word}: no such command; did you mean {}?", one_of(&like))
                }
                _ => format!("{names}{word}: no such command; nvmm {names}--help lists them"),
            }
        }
        ErrorKind::ArgumentConflict => {
            // clap takes each word after a machine's options for a command.
            if let Some(word) = text(ContextKind::InvalidSubcommand) {
                return match root.find_subcommand(word) {
                    Some(_) => format!("{word}: a command comes first, and takes no options of a machine's"),
                    None => stray("", word, words, " is not expected here"),
                };
            }
            match texts(ContextKind::PriorArg) {
                others if others.iter().any(|other| other == argument) => {
                    format!("{names}{name} is given twice; give it once")
                }
                others if others.is_empty() => format!("{names}{name} can't be given with other options"),
                others => {
                    let others: Vec<_> = others.iter().map(|other| self::name(other)).collect();
                    format!("{names}{name} can't be given with {}", one_of(&others))
                }
            }
        }
        ErrorKind::InvalidValue if value.is_empty() => format!("{names}{name} needs a value: {argument}"),
        ErrorKind::InvalidValue => {
            format!("{names}{name} {value}: give {}", one_of(&texts(ContextKind::ValidValue)))
        }
        ErrorKind::ValueValidation => {
            let why = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
            format!("{names}{name} {value}: {why}")
        }
        ErrorKind::MissingRequiredArgument => {
            let missing = texts(ContextKind::InvalidArg);
            let are = if missing.len() == 1 { "is" } else { "are" };
            let names = names.trim_end();
            let colon = if names.is_empty() { "" } else { ": " };
            format!("{names}{colon}{} {are} missing{}", missing.join(" "), usage(error))
        }
        ErrorKind::InvalidUtf8 => {
            let word = words.iter().skip(1).find(|word| word.to_str().is_none());
            format!(
                "{names}{}: not UTF-8, which is needed here",
                word.map(|word| word.to_string_lossy()).unwrap_or_default()
            )
        }
        // A number of values that is not the option's.
        _ => {
            let text = error.to_string();
            let first = text.lines().next().unwrap_or_default();
            format!("{names}{}", first.strip_prefix("error: ").unwrap_or(first))
        }
    }
}

/// The line about an option that does not exist. One dash is not taken for two after a command: commands have short options of
/// their own, and words that are a program's.
fn unknown_option(
    error: &clap::Error,
    argument: &str,
    words: &[OsString],
    (names, command): (&str, &Command),
) -> String {
    // clap has a letter, or what stands before a =.
    let written =
        words.iter().skip(1).filter_map(|word| word.to_str()).find(|word| word.starts_with(argument));
    let written = written.unwrap_or(argument).split('=').next().unwrap_or_default();
    let longs = qemu::own_options(command);
    let long = written.strip_prefix('-').and_then(|name| longs.get_key_value(name));
    let tip = match (long, error.get(ContextKind::SuggestedArg), error.get(ContextKind::Suggested)) {
        (Some((long, _)), ..) => format!("; did you mean --{long}?"),
        (_, Some(ContextValue::String(like)), _) => format!("; did you mean {}?", name(like)),
        (_, _, Some(ContextValue::StyledStrs(tips))) if !tips.is_empty() => {
            format!("; {}", tips[0].to_string().replace('\'', ""))
        }
        // clap looked for a letter only, or for a command's.
        _ if written.len() > 2 => qemu::nearest_of(written, &longs, names.is_empty()),
        _ => String::new(),
    };
    format!("{names}{written}: no such option{tip}")
}

/// The line about a word that is neither an option nor a command: QEMU takes one for a disk.
fn stray(names: &str, word: &str, words: &[OsString], fault: &str) -> String {
    let has_kernel = words.iter().any(|word| qemu::name_of(word) == Some("kernel"));
    let tip = match (names.is_empty(), looks_like_a_path(word, words)) {
        (true, true) if has_kernel => format!("; a disk is given with --disk {word}"),
        (true, true) => format!("; a kernel is given with --kernel {word}, a disk with --disk {word}"),
        (true, false) => "; a value with spaces needs quotes".to_owned(),
        (false, _) => String::new(),
    };
    format!("{names}{word}{fault}{tip}")
}

fn looks_like_a_path(word: &str, words: &[OsString]) -> bool {
    let has_kernel = words.iter().any(|word| qemu::name_of(word) == Some("kernel"));
    let like_a_kernel = !has_kernel && KERNELS.iter().any(|start| word.starts_with(start));
    (word.contains(['.', '/']) || like_a_kernel) && !word.contains('=')
}

/// An option without its value's name, or that name: `--grace` of `--grace <SECONDS>`, `SIZE` of `[SIZE]`.
fn name(argument: &str) -> String {
    let first = argument.split(' ').next().unwrap_or_default();
    first.trim_end_matches('.').trim_matches(['<', '>', '[', ']']).to_owned()
}

/// `; usage: nvmm disk info <PATH>`.
fn usage(error: &clap::Error) -> String {
    match error.get(ContextKind::Usage) {
        Some(ContextValue::StyledStr(usage)) => {
            let usage = usage.to_string();
            let words: Vec<_> = usage.trim_start_matches("Usage:").split_whitespace().collect();
            format!("; usage: {}", words.join(" "))
        }
        _ => String::new(),
    }
}

/// `a, b or c`.
fn one_of(words: &[String]) -> String {
    match words {
        [before @ .., last] if !before.is_empty() => format!("{} or {last}", before.join(", ")),
        words => words.concat(),
    }
}

#[cfg(test)]
#[path = "error_test.rs"]
mod tests;
