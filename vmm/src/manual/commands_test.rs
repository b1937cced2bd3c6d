//! Checks the commands in the README and the manual with a shell's syntax and nvmm's command line.

use std::{ffi::OsString, fs, path::Path};

use clap::Parser;

use super::{lines::lines, page::PAGES};
use crate::cli::Cli;

/// Options that read a file or wait for a machine before the others are checked.
const READ: [&str; 3] = ["--restore", "--incoming", "--domain"];

/// The arguments of each nvmm in a line of shell, without those of other programs and synopses.
fn commands(line: &str) -> Vec<Vec<OsString>> {
    let line = line.split(" #").next().unwrap_or_default();
    // A command's output can be used in place of a file.
    let line = line.replace("<(", "FILE (");
    let mut commands = Vec::new();
    for part in line.split(['|', ';', '&', '(', ')']) {
        let Ok(words) = shell_words::split(part) else { continue };
        let prefix = |word: &String| word == "sudo" || word == "exec" || word.contains('=');
        let words: Vec<_> = words.into_iter().skip_while(prefix).collect();
        let is_synopsis = words.iter().any(|word| word.contains("...") || word.starts_with('['));
        if words.first().is_some_and(|word| word == "nvmm") && !is_synopsis {
            // Files that its output goes to, and text after them.
            let words = words.into_iter().take_while(|word| !word.starts_with(['>', '<']) && word != "2>");
            commands.push(words.map(OsString::from).collect());
        }
    }
    commands
}

#[test]
fn commands_of_readme_and_manual_are_right() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let fronts = ["README.md", "SECURITY.md", "CONTRIBUTING.md"];
    let fronts = fronts.map(|name| (name, fs::read_to_string(root.join(name)).unwrap()));
    let pages = PAGES.iter().map(|page| (page.name, page.text.to_owned()));
    let mut count = 0;
    let mut wrong = String::new();
    for (page, text) in fronts.into_iter().chain(pages) {
        for words in lines(&text).iter().flat_map(|line| commands(line)) {
            let reads = words.iter().any(|word| READ.iter().any(|option| word == option));
            let parsed = if reads {
                Cli::try_parse_from(&words).map_err(|error| error.to_string())
            } else {
                Cli::of(&words).map_err(|error| error.to_string())
            };
            if let Err(error) = parsed {
                wrong.push_str(&format!("\n{page}: {words:?}: {error}"));
            }
            count += 1;
        }
        // Pasted into a shell, a remark without a mark would be words of the command.
        let of_nvmm = lines(&text).into_iter().filter(|line| line.starts_with("nvmm "));
        for line in
            of_nvmm.filter(|line| line.split(" #").next().unwrap_or_default().trim_end().contains("  "))
        {
            wrong.push_str(&format!("\n{page}: a remark without # in front: {line}"));
        }
    }
    assert_eq!(wrong, "");
    assert!(count > 30, "{count}");
}

#[test]
fn commands_are_found_in_lines_of_shell() {
    let found = |line: &str| {
        let words = |words: Vec<OsString>| words.into_iter().map(|word| word.into_string().unwrap());
        commands(line).into_iter().map(|each| words(each).collect::<Vec<_>>().join(" ")).collect::<Vec<_>>()
    };
    assert_eq!(found("A=1 sudo nvmm a 'b c' >out || nvmm d # nvmm e"), ["nvmm a b c", "nvmm d"]);
    assert!(found("cargo nvmm; nvmm disk [OPTION]; nvmm ctl ...").is_empty());
    assert_eq!(lines("text\n    a \\\n      b\n    c\n\n    d\n"), ["a b", "c", "d"]);
}
