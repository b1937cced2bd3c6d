//! Man pages: one of nvmm and one of each of its commands, made from clap's tree of commands and from `more`.

use anyhow::Result;
use clap::{Arg, Command};
use clap_mangen::{
    Man,
    roff::{Inline, Roff, bold, italic, roman},
};

use crate::{
    blocks::{Block, Section, sections},
    more::{self, More},
};

/// A man page.
#[derive(Debug)]
pub(crate) struct Page {
    /// The name, such as `nvmm-disk`. All pages are of section 1.
    pub(crate) name: String,
    /// The text, in roff.
    pub(crate) text: String,
}

/// The pages of `nvmm` and its commands, for a release of the `day`.
///
/// # Errors
///
/// There are none: clap only writes to memory.
pub(crate) fn pages(nvmm: Command, day: &str) -> Result<Vec<Page>> {
    let mut nvmm = told_once(nvmm);
    nvmm.build();
    let mut pages = vec![page(&nvmm, &commands(&nvmm), day)?];
    for command in nvmm.get_subcommands() {
        pages.push(page(command, &subcommands(command)?, day)?);
    }
    Ok(pages)
}

/// Shapes each option's help for a page. Of a long help, the first paragraph is the line that `--help` shows, and the others say it whole. An
/// option's other names, which clap_mangen leaves out, are added, and a list of values is left out that the name of the value has.
fn told_once(command: Command) -> Command {
    let tell = |arg: Arg| {
        let help = arg.get_long_help().or(arg.get_help()).map(ToString::to_string).unwrap_or_default();
        let mut help = help.split_once("\n\n").map_or(help.as_str(), |(_, whole)| whole).to_owned();
        if let Some(aliases) = arg.get_visible_aliases().filter(|aliases| !aliases.is_empty()) {
            help = format!("{help} [alias: --{}]", aliases.join(", --"));
        }
        let names_values =
            arg.get_value_names().is_some_and(|names| names.iter().any(|name| name.contains('|')));
        let hide_values = names_values || arg.is_hide_possible_values_set();
        arg.help(help).long_help(None::<&str>).hide_possible_values(hide_values)
    };
    command.mut_args(tell).mut_subcommands(told_once)
}

/// A command's page, with the text about its subcommands.
fn page(command: &Command, subcommands: &str, day: &str) -> Result<Page> {
    let name = command.get_display_name().unwrap_or(command.get_name()).to_owned();
    let more = more::of(&name);
    let man = Man::new(command.clone().override_usage(usage(command)))
        .title(name.to_uppercase())
        .date(day)
        .source(concat!("nvmm ", env!("CARGO_PKG_VERSION")))
        .manual("nvmm");
    let (untitled, titled): (Vec<_>, Vec<_>) =
        after(command).into_iter().partition(|section| section.title.is_empty());
    let preamble = Roff::new().render();
    let mut text = preamble.clone();
    text.push_str(&part(|to| man.render_title(to))?);
    // Words as they are typed, without hyphens of the page's own, and one space between words.
    text.push_str(".nh\n.ad l\n");
    text.push_str(&part(|to| man.render_name_section(to))?);
    text.push_str(&part(|to| man.render_synopsis_section(to))?);
    text.push_str(&part(|to| man.render_description_section(to))?);
    text.push_str(&rest(|roff| {
        for paragraph in more.description {
            roff.control("PP", []).text([roman(*paragraph)]);
        }
        untitled.iter().for_each(|section| blocks(roff, section));
    }));
    text.push_str(&part(|to| man.render_options_section(to))?);
    text.push_str(subcommands);
    text.push_str(&rest(|roff| {
        for section in &titled {
            roff.control("SH", [section.title.to_uppercase().as_str()]);
            blocks(roff, section);
        }
        add_more(roff, more);
    }));
    Ok(Page { name, text: breakable(&text) })
}

/// The longest word that fits any line.
const LONG_WORD: usize = 40;

/// The text with places in its long words, lists of values and keys, where a line may end.
fn breakable(text: &str) -> String {
    let break_up = |word: &str| match word.len() {
        0..=LONG_WORD => word.to_owned(),
        _ => word.replace("|,", "|\\:,").replace("],", "]\\:,").replace("][", "]\\:[").replace(".[", ".\\:["),
    };
    let lines = text.lines().map(|line| match line.starts_with('.') {
        true => line.to_owned(),
        false => line.split(' ').map(break_up).collect::<Vec<_>>().join(" "),
    });
    lines.flat_map(|line| [line, "\n".to_owned()]).collect()
}

/// The text that clap_mangen writes, without the preamble that each of its parts begins with.
fn part(write: impl FnOnce(&mut Vec<u8>) -> std::io::Result<()>) -> Result<String> {
    let mut bytes = Vec::new();
    write(&mut bytes)?;
    let text = String::from_utf8(bytes)?;
    let preamble = Roff::new().render();
    Ok(text.strip_prefix(&preamble).unwrap_or(&text).to_owned())
}

/// Text of our own, without the preamble.
fn rest(write: impl FnOnce(&mut Roff)) -> String {
    let mut roff = Roff::new();
    write(&mut roff);
    let text = roff.render();
    text.strip_prefix(&Roff::new().render()).unwrap_or(&text).to_owned()
}

/// The lines after `Usage:` in a command's help.
fn usage(command: &Command) -> String {
    let usage = command.clone().render_usage().to_string();
    usage.trim_start_matches("Usage:").lines().map(str::trim).collect::<Vec<_>>().join("\n")
}

/// The sections of a command's text after its options.
fn after(command: &Command) -> Vec<Section> {
    let text = command.get_after_long_help().or(command.get_after_help());
    sections(&text.map(ToString::to_string).unwrap_or_default())
}

/// The section of nvmm's page that names those of its commands.
fn commands(nvmm: &Command) -> String {
    rest(|roff| {
        roff.control("SH", ["COMMANDS"]);
        for command in nvmm.get_subcommands() {
            let name = command.get_display_name().unwrap_or(command.get_name());
            roff.control("TP", []).text([bold(name), roman("(1)")]).text([roman(about(command))]);
        }
    })
}

fn about(command: &Command) -> String {
    command.get_about().map(ToString::to_string).unwrap_or_default()
}

/// The section with a command's subcommands, each with its options.
fn subcommands(command: &Command) -> Result<String> {
    let mut text = String::new();
    for (number, each) in command.get_subcommands().enumerate() {
        text.push_str(&rest(|roff| {
            if number == 0 {
                roff.control("SH", ["COMMANDS"]);
            }
            roff.control("SS", [usage(each).as_str()]).text([roman(about(each))]);
        }));
        text.push_str(&own_options(each)?);
        text.push_str(&rest(|roff| {
            for section in after(each) {
                if !section.title.is_empty() {
                    roff.control("PP", []).text([bold(format!("{}:", section.title))]);
                }
                blocks(roff, &section);
            }
        }));
    }
    Ok(text)
}

/// The options of a subcommand, without those that all of its command's have.
fn own_options(command: &Command) -> Result<String> {
    let of_all = |arg: Arg| {
        let hidden = arg.is_global_set() || arg.get_id() == "help";
        arg.hide(hidden)
    };
    let man = Man::new(command.clone().mut_args(of_all));
    let text = part(|to| man.render_options_section(to))?;
    let without_heading = text.lines().filter(|line| *line != ".SH OPTIONS");
    Ok(without_heading.flat_map(|line| [line, "\n"]).collect::<String>().replace("\n.SH ", "\n.PP\n.B "))
}

/// Writes the blocks of a section.
fn blocks(roff: &mut Roff, section: &Section) {
    for (number, block) in section.blocks.iter().enumerate() {
        match block {
            Block::Paragraph(text) => {
                if number > 0 || section.title.is_empty() {
                    roff.control("PP", []);
                }
                roff.text([roman(text)]);
            }
            Block::List(entries) => {
                for (key, text) in entries {
                    roff.control("TP", []).text([bold(key)]).text([roman(text)]);
                }
            }
            Block::Lines(lines) => {
                if number > 0 {
                    roff.control("PP", []);
                }
                as_they_are(roff, lines);
            }
        }
    }
}

/// Writes lines that stay as they are.
fn as_they_are<S: AsRef<str>>(roff: &mut Roff, lines: &[S]) {
    roff.control("RS", ["4"]).control("nf", []);
    for line in lines {
        roff.text([roman(line.as_ref())]);
    }
    roff.control("fi", []).control("RE", []);
}

/// Writes the sections that are told here and not by clap.
fn add_more(roff: &mut Roff, more: &More) {
    for (title, entries) in [("SIGNALS", more.signals), ("KEYS", more.keys), ("FILES", more.files)] {
        if !entries.is_empty() {
            roff.control("SH", [title]);
        }
        for (key, text) in entries {
            let key: Inline = if title == "FILES" { italic(*key) } else { bold(*key) };
            roff.control("TP", []).text([key]).text([roman(*text)]);
        }
    }
    if !more.examples.is_empty() {
        roff.control("SH", ["EXAMPLES"]);
    }
    for (number, (text, line)) in more.examples.iter().enumerate() {
        if number > 0 {
            roff.control("PP", []);
        }
        roff.text([roman(*text)]).control("PP", []);
        as_they_are(roff, &line.lines().collect::<Vec<_>>());
    }
    roff.control("SH", ["SEE ALSO"]);
    for (number, name) in more.see.iter().enumerate() {
        let end = if number + 1 < more.see.len() { "," } else { "" };
        roff.text([bold(*name), roman(format!("(1){end}"))]);
    }
    let pages: Vec<_> = more.pages.iter().map(|page| format!("nvmm help {page}")).collect();
    roff.control("PP", []).text([roman(format!("The manual has more: {}.", pages.join(", ")))]);
}

#[cfg(test)]
#[path = "man_test.rs"]
mod tests;
