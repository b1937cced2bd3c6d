//! `nvmm help`: the manual's pages, which are in the program, and a search through them.

mod block;
mod page;
mod search;
mod shown;

use std::fmt::Write;

use anyhow::Result;
use clap::Args;
use devices::printable::ToPrintable;

use self::page::{PAGES, Page};
use crate::cpu::text::{self, Paint};

/// The arguments of `nvmm help`.
#[derive(Args, Debug)]
pub struct HelpArgs {
    /// A page, such as disks, or words to look for in all pages; without any, all options and pages are listed
    #[arg(value_name = "PAGE|WORD")]
    words: Vec<String>,
}

/// Prints a page of the manual, the places where the words stand, or `options` and the pages that there are.
///
/// # Errors
///
/// No page has the words, or stdout can't be written to.
pub fn run(args: &HelpArgs, options: &str) -> Result<u8> {
    let paint = Paint::stdout();
    let words = &args.words;
    let page = if let [name] = words.as_slice() { page::named(name) } else { None };
    let told = match page {
        Some(page) => shown::page(page.text, paint),
        None if words.is_empty() => format!("{options}\n{}", contents()),
        None => search::search(words, paint),
    };
    if told.is_empty() {
        let words = words.join(" ").printable().to_string();
        anyhow::bail!("help: no place in the manual has all of '{words}'; `nvmm help` lists its pages");
    }
    text::print(&told)?;
    Ok(0)
}

/// A line for each page.
fn contents() -> String {
    let longest = PAGES.iter().map(|page| page.name.len()).max().unwrap_or_default();
    let mut lines = String::from("Pages of the manual, for `nvmm help PAGE`:\n");
    for Page { name, about, .. } in PAGES {
        // Writing to a string can't fail.
        let _ = writeln!(lines, "  {name:longest$}  {about}");
    }
    lines
}

#[cfg(test)]
#[path = "manual_test.rs"]
mod tests;

#[cfg(test)]
#[path = "manual_commands_test.rs"]
mod commands_test;
