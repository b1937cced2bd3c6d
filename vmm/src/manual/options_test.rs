//! Compares the manual's lists of options and exit statuses with the program's.

use std::collections::{BTreeMap, BTreeSet};

use clap::{Arg, Command, CommandFactory};

use super::{block::blocks, page, *};
use crate::{args::MachineArgs, cli::Cli, crash::Reason, exit, manual::block::Block};

/// Defaults of options that are not in clap's definition: nvmm applies them itself.
const OWN_DEFAULTS: [(&str, &str); 1] = [("--cmdline", "console=ttyS0")];

fn page(name: &str) -> &'static str {
    page::named(name).unwrap().text
}

/// The parts in backquotes.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// An option's names with their dashes.
fn names(option: &Arg) -> BTreeSet<String> {
    let longs = option.get_long().into_iter().chain(option.get_all_aliases().unwrap_or_default());
    let longs = longs.map(|long| format!("--{long}"));
    longs.chain(option.get_short().map(|short| format!("-{short}"))).collect()
}

/// The rows of the options' table: the names in the first cell, and the text.
fn rows() -> Vec<(BTreeSet<String>, String)> {
    let rows = page("options").lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| {
        let (options, text) = row[2..].split_once(" | ").unwrap();
        let names = code(options).filter_map(|option| option.split([' ', '[']).next());
        let names = names.filter(|name| name.starts_with('-') && !name.starts_with("-vv"));
        (names.map(str::to_owned).collect(), text.to_owned())
    })
    .collect()
}

#[test]
fn the_options_page_has_every_option_and_no_other() {
    let mut options: BTreeMap<String, &str> = BTreeMap::new();
    let command = MachineArgs::command();
    for option in command.get_arguments() {
        for name in names(option) {
            options.insert(name, option.get_id().as_str());
        }
    }
    let mut listed = BTreeSet::new();
    for name in rows().iter().flat_map(|(names, _)| names) {
        assert!(listed.insert(name.clone()), "{name} is listed twice");
    }
    assert_eq!(listed, options.into_keys().collect());
}

#[test]
fn the_options_page_has_the_defaults() {
    let command = MachineArgs::command();
    let mut seen = 0;
    for (names_of_row, text) in rows() {
        let of_row: Vec<_> =
            command.get_arguments().filter(|option| !names(option).is_disjoint(&names_of_row)).collect();
        let takes_value = of_row.iter().filter(|option| option.get_action().takes_values());
        let mut defaults: BTreeSet<String> = takes_value
            .flat_map(|option| option.get_default_values())
            .map(|value| value.to_str().unwrap().to_owned())
            .collect();
        let own = OWN_DEFAULTS.iter().filter(|(name, _)| names_of_row.contains(*name));
        defaults.extend(own.map(|(_, value)| (*value).to_owned()));
        let said: BTreeSet<_> = text
            .match_indices("default `")
            .map(|(at, word)| text[at + word.len()..].split('`').next().unwrap().to_owned())
            .collect();
        assert_eq!(said, defaults, "{names_of_row:?}: {text}");
        seen += defaults.len();
    }
    assert!(seen >= 10, "{seen}");
}

/// The page about a command describes each of its options.
#[test]
fn every_option_of_a_command_is_in_the_manual() {
    fn look_at(command: &Command, page: &str, (seen, missing): (&mut usize, &mut Vec<String>)) {
        let words: BTreeSet<_> = page
            .split(|letter: char| letter.is_whitespace() || "`[]()|,;:=".contains(letter))
            .map(|word| word.trim_end_matches(['.', '\\']))
            .collect();
        for option in command.get_opts().filter(|option| option.get_id() != "help") {
            if !names(option).iter().any(|name| words.contains(name.as_str())) {
                missing.push(format!("{} {option}", command.get_name()));
            }
            *seen += 1;
        }
        command.get_subcommands().for_each(|inner| look_at(inner, page, (seen, missing)));
    }
    let (mut seen, mut missing) = (0, Vec::new());
    let mut nvmm = Cli::command();
    nvmm.build();
    for command in nvmm.get_subcommands() {
        let name = match command.get_name() {
            "cpu" => "cpus",
            "ctl" => "control",
            "console" => "serial",
            "disk" => "disks",
            "snapshot" => "snapshots",
            "help" => continue,
            name => name,
        };
        look_at(command, page(name), (&mut seen, &mut missing));
    }
    assert_eq!(missing, [""; 0]);
    assert!(seen > 40, "{seen}");
}

/// The statuses in the first cells of the table below a heading.
fn statuses_of_page(command: &str) -> BTreeSet<String> {
    let mut below = false;
    let mut found = BTreeSet::new();
    for block in blocks(page("statuses")) {
        match block {
            Block::Heading(heading) => below = heading == command,
            Block::Row(cells) if below => {
                assert!(found.insert(cells[0].clone()), "{command}: {cells:?}");
            }
            _ => {}
        }
    }
    found
}

/// The statuses listed in a help text.
fn statuses_of_help(help: &str) -> BTreeSet<String> {
    let lines = help.lines().skip_while(|line| *line != "Exit status:").skip(1);
    let statuses = lines.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    statuses.map(|line| line.split_whitespace().next().unwrap().to_owned()).collect()
}

#[test]
fn the_statuses_page_has_those_of_every_commands_help() {
    fn look_at(command: &Command, names: &str, seen: &mut BTreeSet<String>) {
        for inner in command.get_subcommands() {
            let name = format!("{names} {}", inner.get_name());
            let of_help = inner.get_after_help().map(|help| statuses_of_help(&help.to_string()));
            let of_help = of_help.unwrap_or_default();
            assert_eq!(statuses_of_page(&name), of_help, "{name}");
            if !of_help.is_empty() {
                seen.insert(name.clone());
            }
            look_at(inner, &name, seen);
        }
    }
    let mut seen = BTreeSet::new();
    look_at(&Cli::command(), "nvmm", &mut seen);
    let headings = page("statuses").lines().filter_map(|line| line.strip_prefix("## "));
    let headings: BTreeSet<_> =
        headings.filter(|heading| *heading != "A machine").map(str::to_owned).collect();
    assert_eq!(seen, headings);
    assert!(seen.len() >= 8, "{seen:?}");
}

/// All statuses that the code has names for, those of guests that crashed, and those of signals and a debug exit.
#[test]
fn the_statuses_page_has_every_status_of_a_machine_and_no_other() {
    let named = include_str!("../exit.rs").lines().filter_map(|line| {
        let (name, value) = line.strip_prefix("pub const ")?.split_once(": u8 = ")?;
        (name != "SIGNAL").then(|| value.trim_end_matches(';').to_owned())
    });
    let named: BTreeSet<_> = named.collect();
    assert!(named.len() >= 5 && named.contains(&exit::REFUSED.to_string()), "{named:?}");
    let broken = [
        Reason::TripleFault,
        Reason::FailEntry(0),
        Reason::Internal(1),
        Reason::Internal(2),
        Reason::Unexpected(0),
    ];
    let broken = broken.into_iter().map(|reason| match reason {
        // Add a new reason to the list above.
        Reason::TripleFault | Reason::FailEntry(_) | Reason::Internal(_) | Reason::Unexpected(_) => {
            reason.status().to_string()
        }
    });
    let others = ["0".to_owned(), format!("{}+N", exit::SIGNAL), "odd".to_owned()];
    let all: BTreeSet<_> = named.into_iter().chain(broken).chain(others).collect();
    assert_eq!(statuses_of_page("A machine"), all);
    // The help lists signals one by one.
    let mut of_help = statuses_of_help(exit::HELP);
    assert!(of_help.remove(&(exit::SIGNAL + 15).to_string()));
    of_help.insert(format!("{}+N", exit::SIGNAL));
    assert_eq!(of_help, all);
}

/// `nvmm help` with these words.
fn help(line: &str) -> String {
    let words: Vec<_> = line.split_whitespace().map(str::to_owned).collect();
    told(&words, &mut Cli::command(), Paint::PLAIN)
}

#[test]
fn a_word_may_be_an_option() {
    for name in ["rng", "--rng", "-rng"] {
        let text = help(name);
        assert!(
            text.starts_with("--rng <off|PATH>\n    Random bytes for the guest, by virtio-rng: "),
            "{text}"
        );
        assert!(text.contains("\n    Default: /dev/urandom\n"), "{text}");
        assert!(text.contains("\n    More: nvmm help options"), "{text}");
    }
    assert!(help("-m").starts_with("--memory <SIZE>\n"), "{}", help("-m"));
    assert!(help("initrd").starts_with("--initramfs <FILE>\n"));
    assert!(help("bios").starts_with("--firmware <bios|uefi|PATH>\n"));
    // An option with a page: both.
    let disk = help("disk");
    assert!(disk.starts_with("--disk <DISK>\n    Disk: PATH, or path=PATH[,KEY=VALUE]..."), "{disk}");
    assert!(disk.contains("\nDisks\n"), "{disk}");
    // An option of a command's.
    assert!(help("exec-args").starts_with("nvmm nest --exec-args "), "{}", help("exec-args"));
    let root = help("backing-root");
    assert!(root.starts_with("nvmm disk info --backing-root <DIR>\n"), "{root}");
    assert!(root.contains("\nnvmm disk resize --backing-root <DIR>\n"), "{root}");
    // A command with its words.
    let info = help("disk info");
    assert!(info.contains("Usage: nvmm disk info "), "{info}");
    assert!(info.contains("raw if they are nothing else's"), "{info}");
    assert_eq!(help("xyzzy"), "");
}

/// Each option of a machine has a text of its own, and all that `--help` says in short.
#[test]
fn every_option_has_a_text() {
    let command = MachineArgs::command();
    for option in command.get_arguments().filter(|option| option.get_id() != "help") {
        let text = help(option.get_long().unwrap());
        assert!(text.starts_with(&format!("--{}", option.get_long().unwrap())), "{text}");
        assert!(
            text.lines().nth(1).is_some_and(|line| line.starts_with("    ") && line.len() > 10),
            "{text}"
        );
    }
}

#[test]
fn status_12_is_found_on_its_page() {
    let found = help("status 12");
    assert!(found.starts_with("nvmm help statuses\n"), "{found}");
    assert!(
        found.lines().take(4).any(|line| line.contains("12  the guest's kernel panicked")
            || line.contains("12 the guest's kernel panicked")),
        "{found}"
    );
}
