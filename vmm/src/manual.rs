//! `nvmm help`: the manual's pages, which are part of the program, and a search in them.

mod block;
mod option;
mod page;
mod search;
mod shown;
mod word;

use std::fmt::Write;

use anyhow::Result;
use clap::{Args, Command};
use devices::printable::ToPrintable;

use self::page::{Page, every};
use crate::cpu::text::{self, Paint};

/// The arguments of `nvmm help`.
#[derive(Args, Debug)]
pub struct HelpArgs {
    /// A page, such as disks, an option, or words to look for
    ///
    /// A page, such as disks, an option, such as rng or --rng, a command, such as disk info, or words to look for in all pages; without any, all
    /// options and pages are listed
    #[arg(value_name = "PAGE|WORD", allow_hyphen_values = true)]
    words: Vec<String>,
}

/// Prints a page of the manual, the text of one of nvmm's options, the places that contain the words, or the list of options and pages.
///
/// # Errors
///
/// No page contains the words, or stdout can't be written to.
pub fn run(args: &HelpArgs, nvmm: &mut Command) -> Result<u8> {
    let told = told(&args.words, nvmm, Paint::stdout());
    if told.is_empty() {
        let words = args.words.join(" ").printable().to_string();
        anyhow::bail!("help: no place in the manual has a word of '{words}'; `nvmm help` lists its pages");
    }
    text::print(&told)?;
    Ok(0)
}

fn told(words: &[String], nvmm: &mut Command, paint: Paint) -> String {
    nvmm.build();
    match words {
        [] => format!("{}\n{}", nvmm.render_help(), contents()),
        [name] => match (option::of_machine(nvmm, name, paint), page::named(name)) {
            (option, Some(page)) => {
                let gap = if option.is_empty() { "" } else { "\n" };
                format!("{option}{gap}{}", shown::page(page.text, paint))
            }
            (option, None) if !option.is_empty() => option,
            (_, None) => match option::of_commands(nvmm, name, paint) {
                option if option.is_empty() => search::search(words, paint),
                option => option,
            },
        },
        _ => option::help_of(nvmm, words, paint).unwrap_or_else(|| search::search(words, paint)),
    }
}

/// A line for each page.
fn contents() -> String {
    let longest = every().map(|page| page.name.len()).max().unwrap_or_default();
    let mut lines = String::from("Pages of the manual, for `nvmm help PAGE`:\n");
    for Page { name, about, .. } in every() {
        // Writing to a string can't fail.
        let _ = writeln!(lines, "  {name:longest$}  {about}");
    }
    lines
}

#[cfg(test)]
#[path = "manual_test.rs"]
mod tests;

#[cfg(test)]
#[path = "manual/commands_test.rs"]
mod commands_tests;

#[cfg(test)]
mod lines;

#[cfg(test)]
#[path = "manual/options_test.rs"]
mod options_tests;
