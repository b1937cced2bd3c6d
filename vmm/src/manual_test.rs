use std::{collections::BTreeSet, fs, path::Path};

use super::{page::PAGES, *};

#[test]
fn every_page_of_the_manual_is_listed_once() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../resources/manual");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let files: BTreeSet<_> = files.map(|name| name.strip_suffix(".md").unwrap().to_owned()).collect();
    let listed: BTreeSet<_> = PAGES.iter().map(|page| page.name.to_owned()).collect();
    assert_eq!(listed, files);
    let mut names = BTreeSet::new();
    for name in PAGES.iter().flat_map(|page| page.also.iter().chain([&page.name])) {
        assert!(names.insert(name), "{name} stands for two pages");
    }
}

/// Checks the lines of pages as shown on a terminal of 80 columns.
#[test]
fn a_page_is_shown_without_marks() {
    for page in PAGES {
        let shown = shown::page(page.text, Paint::PLAIN);
        for line in shown.lines().filter(|line| !line.starts_with("        ")) {
            assert!(!line.contains("](") && !line.contains("**"), "{}: {line}", page.name);
        }
        assert!(!shown.contains("| ---"), "{}", page.name);
    }
}

#[test]
fn words_are_found_in_any_case_and_place() {
    let found = |words: &str| search::search(&[words.to_owned()], Paint::PLAIN);
    // In one paragraph, across lines, and with other word endings.
    assert!(found("READS permission").contains("It opens KVM instead of reading permissions"));
    assert_eq!(found("what is xyzzy?"), "");
    assert_eq!(found("the"), "");
}

/// Questions of people who see nvmm for the first time, in their words, with the page that answers each.
#[test]
fn strangers_find_answers() {
    for (words, page) in [
        ("how do I run my RHEL7 vmdk with its snapshot", "readme"),
        ("what is the sandbox doing", "sandbox"),
        ("what does exit status 12 mean", "statuses"),
        ("exit code 77", "statuses"),
        ("how do I get a console", "serial"),
        ("why is vmx missing in my guest", "cpus"),
        ("permission denied /dev/kvm", "check"),
        ("nested on ESXi", "check"),
        ("guest hangs at boot", "hangs"),
        ("no network in the guest", "network"),
        ("how do I see the guest's screen", "vnc"),
        ("live migration", "migration"),
        ("save a machine with its guests running", "snapshots"),
        ("share a folder", "disks"),
        ("is there hotplug", "readme"),
        ("turn nesting on", "check"),
        ("vmx missing", "cpus"),
        ("ssh into L2", "lab"),
        ("status 12", "statuses"),
        ("run qcow2", "disks"),
        ("port forward", "network"),
        ("save running guest", "snapshots"),
        ("qemu -drive", "qemu"),
        ("guest hangs", "hangs"),
        ("virtfs", "qemu"),
        ("more memory", "options"),
        ("give the guest more memory", "options"),
        ("screenshot", "vnc"),
        ("how do I save a screenshot", "vnc"),
        ("how do I take a screenshot", "vnc"),
        ("slow", "hangs"),
        ("why is my guest so slow", "hangs"),
    ] {
        let told = search::search(&[words.to_owned()], Paint::PLAIN);
        assert!(told.starts_with(&format!("nvmm help {page}\n")), "{words}, {page}: {told}");
    }
}

/// The first lines have the answer itself: the command, or the row.
#[test]
fn an_answer_is_at_the_top() {
    for (words, answer) in [
        (
            "how do I run my RHEL7 vmdk with its snapshot",
            "nvmm --disk path=RHEL7_Server-000002.vmdk,overlay=",
        ),
        ("save a machine with its guests running", "nvmm ctl vm.sock snapshot saved --stop"),
        ("permission denied /dev/kvm", "sudo usermod -aG kvm $USER"),
        ("how do I get a console", "nvmm console /run/vm/com2"),
        ("how do I see the guest's screen", "--display vnc=:1"),
        ("live migration", "nvmm --incoming tcp:"),
        ("what does exit status 12 mean", "A machine: 12 the guest's kernel panicked"),
        ("exit code 77", "nvmm nest: 77 this host can't nest"),
        ("share a folder", "nvmm has no virtio-fs"),
        ("more memory", "--memory SIZE, -m the guest's memory: 2G"),
        ("screenshot", "nvmm ctl vm.sock screendump a.png"),
        ("slow", "nvmm nest --explain"),
    ] {
        let told = search::search(&[words.to_owned()], Paint::PLAIN);
        assert!(told.lines().take(6).any(|line| line.contains(answer)), "{words}: {told}");
    }
}

#[test]
fn a_word_that_is_nowhere_is_left_out() {
    let found = |words: &str| search::search(&[words.to_owned()], Paint::PLAIN);
    let told = found("xyzzy sandbox");
    let begin = "No place has all of these words; these have most:\nnvmm help sandbox\n";
    assert!(told.starts_with(begin), "{told}");
    // 12 is no part of 128.
    assert!(!found("status 12").contains("128"), "{}", found("status 12"));
}

#[test]
fn places_are_short() {
    for words in ["guest", "disk", "guest memory", "nvmm nest"] {
        let told = search::search(&[words.to_owned()], Paint::PLAIN);
        let mut lines = 0;
        for line in told.lines() {
            lines = if line.starts_with("    ") { lines + 1 } else { 1 };
            assert!(lines <= 4, "{words}: {told}");
        }
        assert!(told.lines().count() < 60, "{words}: {told}");
    }
}

#[test]
fn the_readme_is_a_page() {
    let shown = shown::page(page::named("readme").unwrap().text, Paint::PLAIN);
    assert!(shown.contains("nvmm help install") && shown.contains("SECURITY.md"), "{shown}");
    assert!(!shown.contains("](") && !shown.contains("resources/pictures"), "{shown}");
}

fn slug(heading: &str) -> String {
    let kept = heading.to_lowercase();
    let kept = kept.chars().filter(|letter| letter.is_alphanumeric() || matches!(letter, ' ' | '-' | '_'));
    kept.collect::<String>().replace(' ', "-")
}

/// In the README, the manual and the files next to them, each link to a file has a target, and each link to a heading too.
#[test]
fn every_link_leads_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let manual = root.join("resources/manual");
    let mut pages: Vec<_> =
        ["README.md", "CONTRIBUTING.md", "SECURITY.md"].map(|name| root.join(name)).into();
    pages.extend(PAGES.iter().map(|page| manual.join(page.name).with_extension("md")));
    let mut links = 0;
    for page in &pages {
        let text = fs::read_to_string(page).unwrap();
        let code_left_out =
            text.lines().filter(|line| !line.starts_with("    ")).collect::<Vec<_>>().join("\n");
        for (target, _) in code_left_out.split("](").skip(1).filter_map(|after| after.split_once(')')) {
            if target.starts_with("http") {
                continue;
            }
            let (file, heading) = target.split_once('#').unwrap_or((target, ""));
            let file = if file.is_empty() { page.clone() } else { page.parent().unwrap().join(file) };
            let there = fs::read(&file).unwrap_or_else(|error| panic!("{page:?}: {target}: {error}"));
            // A picture has no headings.
            let there = String::from_utf8_lossy(&there);
            let has =
                |line: &str| line.starts_with('#') && slug(line.trim_start_matches('#').trim()) == heading;
            assert!(heading.is_empty() || there.lines().any(has), "{page:?}: {target}");
            links += 1;
        }
    }
    assert!(links > 50, "{links}");
}

#[test]
fn the_front_pages_fit_a_screen() {
    for text in [include_str!("../../README.md"), include_str!("../../CONTRIBUTING.md")] {
        let long = text.lines().find(|line| line.chars().count() > 120 && !line.starts_with('|'));
        assert_eq!(long, None);
    }
}
