//! The long texts of options, which are part of the command line's definition: `nvmm --help` shows a line of each.

use std::fmt::Write;

use clap::{Arg, Command};

use super::page::PAGES;
use crate::cpu::text::{self, Paint};

/// The columns before an option's text.
const INDENT: usize = 4;
/// The most pages that are listed for an option.
const MOST_PAGES: usize = 4;

/// The text of the machine's option `name`, with or without dashes; empty if there is none.
pub(super) fn of_machine(nvmm: &Command, name: &str, paint: Paint) -> String {
    of(nvmm, name, "", paint)
}

/// The texts of commands' options called `name`; empty if there are none.
pub(super) fn of_commands(nvmm: &Command, name: &str, paint: Paint) -> String {
    let mut texts = String::new();
    add(nvmm, "nvmm ", name, paint, &mut texts);
    texts
}

fn add(command: &Command, names: &str, name: &str, paint: Paint, texts: &mut String) {
    for inner in command.get_subcommands() {
        let names = format!("{names}{} ", inner.get_name());
        texts.push_str(&of(inner, name, &names, paint));
        add(inner, &names, name, paint, texts);
    }
}

/// The help of the command named by `words`, such as `disk info`, and the texts of its options that are longer than a line.
pub(super) fn help_of(nvmm: &mut Command, words: &[String], paint: Paint) -> Option<String> {
    let command = words.iter().try_fold(nvmm, |command, word| command.find_subcommand_mut(word))?;
    let mut text = command.render_help().to_string();
    for option in command.get_opts().filter(|option| option.get_long_help().is_some()) {
        text.push('\n');
        text.push_str(&shown(option, "", paint));
    }
    Some(text)
}

fn of(command: &Command, name: &str, before: &str, paint: Paint) -> String {
    let name = name.trim_start_matches('-');
    let is_meant = |option: &&Arg| {
        let longs = option.get_long_and_visible_aliases().unwrap_or_default();
        let hidden = option.get_aliases().unwrap_or_default();
        longs.iter().chain(&hidden).any(|long| *long == name)
            || option.get_short().is_some_and(|short| name.chars().eq([short]))
    };
    let options = command.get_arguments().filter(|option| option.get_id() != "help").filter(is_meant);
    options.map(|option| shown(option, before, paint)).collect()
}

fn shown(option: &Arg, before: &str, paint: Paint) -> String {
    let long = option.get_long().unwrap_or_default();
    let mut text = paint.bold(&format!("{before}{}", option.to_string().trim_end_matches("...")));
    text.push('\n');
    let whole = option.get_long_help().or(option.get_help()).map(ToString::to_string).unwrap_or_default();
    // The first paragraph is the line in `--help`.
    let about = whole.split_once("\n\n").map_or(whole.as_str(), |(_, rest)| rest);
    put(&mut text, about);
    let default = option.get_default_values().first().map(|value| value.to_string_lossy());
    if let Some(default) = default.filter(|default| !default.is_empty() && option.get_action().takes_values())
    {
        put(&mut text, &format!("Default: {default}"));
    }
    let shorts = option.get_short().map(|short| format!("-{short}"));
    let aliases = option.get_visible_aliases().unwrap_or_default();
    let others: Vec<_> = shorts.into_iter().chain(aliases.iter().map(|alias| format!("--{alias}"))).collect();
    if !others.is_empty() {
        put(&mut text, &format!("Also: {}", others.join(", ")));
    }
    let mention = format!("`--{long}");
    let mentions = |text: &str| text.match_indices(&mention).any(|(at, _)| ends(&text[at + mention.len()..]));
    let pages = PAGES.iter().filter(|page| mentions(page.text)).take(MOST_PAGES);
    let pages: Vec<_> = pages.map(|page| format!("nvmm help {}", page.name)).collect();
    if !pages.is_empty() {
        put(&mut text, &format!("More: {}", pages.join(", ")));
    }
    text
}

/// Returns whether an option's name ends before `rest`.
fn ends(rest: &str) -> bool {
    !rest.starts_with(|next: char| next == '-' || next.is_alphanumeric())
}

fn put(text: &mut String, paragraph: &str) {
    for line in text::fill(paragraph.split_whitespace(), INDENT) {
        // Writing to a string can't fail.
        let _ = writeln!(text, "{:INDENT$}{line}", "");
    }
}
