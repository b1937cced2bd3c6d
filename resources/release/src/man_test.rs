use std::{collections::BTreeSet, ffi::OsString, fs, path::Path, process::Command as Program};

use clap::CommandFactory;
use vmm::cli::Cli;

use super::*;

fn pages() -> Vec<Page> {
    super::pages(Cli::command(), "2026-11-29").unwrap()
}

/// The lines that a program which checks a man page has against it; none, if it is not installed.
fn complaints(program: &str, options: &[&str], page: &Path) -> String {
    match Program::new(program).args(options).arg(page).output() {
        Err(error) => {
            println!("skipped: {program}: {error}");
            String::new()
        }
        Ok(output) => [output.stdout, output.stderr].map(|said| String::from_utf8(said).unwrap()).concat(),
    }
}

#[test]
fn nvmm_and_each_of_its_commands_has_a_page() {
    let names: Vec<_> = pages().into_iter().map(|page| page.name).collect();
    let commands = Cli::command();
    let commands = commands.get_subcommands().map(|command| format!("nvmm-{}", command.get_name()));
    assert_eq!(names, ["nvmm".to_owned()].into_iter().chain(commands).collect::<Vec<_>>());
    for name in &names {
        assert!(more::PAGES.iter().any(|(page, _)| page == name), "more.rs has nothing of {name}");
    }
    assert_eq!(more::PAGES.len(), names.len());
}

#[test]
fn groff_and_mandoc_have_nothing_against_the_pages() {
    let folder = tempfile::tempdir().unwrap();
    for page in pages() {
        let file = folder.path().join(page.name + ".1");
        fs::write(&file, page.text).unwrap();
        assert_eq!(complaints("groff", &["-man", "-Tutf8", "-ww", "-z"], &file), "", "{}", file.display());
        assert_eq!(complaints("mandoc", &["-Tlint", "-W", "warning"], &file), "", "{}", file.display());
    }
}

#[test]
fn a_page_has_its_options_statuses_and_no_section_twice() {
    for page in pages() {
        let sections: Vec<_> = page.text.lines().filter_map(|line| line.strip_prefix(".SH ")).collect();
        let once: BTreeSet<_> = sections.iter().collect();
        assert_eq!(once.len(), sections.len(), "{}: {sections:?}", page.name);
        assert!(!page.text.contains(".SH EXTRA"), "{}", page.name);
    }
    let text = |name: &str| pages().into_iter().find(|page| page.name == name).unwrap().text;
    let nvmm = text("nvmm");
    for option in Cli::command().get_arguments().filter(|option| !option.is_hide_set()) {
        let Some(long) = option.get_long() else { continue };
        assert!(nvmm.contains(&format!(r"\fB\-\-{}\fR", long.replace('-', r"\-"))), "{long}");
    }
    assert!(nvmm.contains("Initial RAM disk [alias: \\-\\-initrd]\n"), "{nvmm}");
    // The text of `nvmm help disk`, without the line of `nvmm --help` before it.
    assert!(nvmm.contains("\\fI<DISK>\\fR\nDisk: PATH, or path=PATH"), "{nvmm}");
    assert!(nvmm.contains(".SH \"EXIT STATUS\"\n.TP\n\\fB0\\fR\nthe guest powered off"), "{nvmm}");
    let disk = text("nvmm-disk");
    assert!(disk.contains(".SS \"nvmm disk convert [OPTIONS] <SRC> <DST>\"\n"), "{disk}");
    assert!(disk.contains("\\fBExit status:\\fR\n"), "{disk}");
    // The options of every `nvmm cpu` are told once.
    assert_eq!(text("nvmm-cpu").matches(r"\fB\-\-host\fR").count(), 1);
}

#[test]
fn nvmm_takes_the_examples() {
    for (page, more) in more::PAGES {
        for (_, example) in more.examples {
            let line = example.replace("\\\n", " ");
            let words: Vec<_> = line.split_whitespace().map(OsString::from).collect();
            // A saved machine has to be there to be restored.
            if words.iter().any(|word| word == "--restore") {
                continue;
            }
            if let Err(error) = Cli::of(&words) {
                panic!("{page}: {line}: {error}");
            }
        }
    }
}

#[test]
fn pages_point_to_pages_that_are_there() {
    let manual = Path::new(env!("CARGO_MANIFEST_DIR")).join("../manual");
    let names: Vec<_> = pages().into_iter().map(|page| page.name).collect();
    for (page, more) in more::PAGES {
        for see in more.see.iter().filter(|see| see.starts_with("nvmm")) {
            assert!(names.iter().any(|name| name == see), "{page}: {see}");
        }
        for name in more.pages {
            assert!(manual.join(format!("{name}.md")).exists(), "{page}: {name}");
        }
    }
}
