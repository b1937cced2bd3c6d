use std::collections::BTreeSet;

use super::*;
use crate::repository;

fn installed() -> Vec<Installed> {
    let completions =
        vec![Completions { folder: "share/zsh/site-functions", file: "_nvmm", text: b"zsh".to_vec() }];
    let pages = vec![Page { name: "nvmm".to_owned(), text: "page".to_owned() }];
    let made = Made { nvmm: b"program".to_vec(), pages, completions, licences: String::new() };
    files(repository(), made).unwrap()
}

#[test]
fn programs_can_be_run_and_others_only_read() {
    for file in installed() {
        let is_program = file.path == "bin/nvmm" || file.bytes.starts_with(b"#!");
        assert_eq!(file.mode, if is_program { 0o755 } else { 0o644 }, "{}", file.path);
    }
}

#[test]
fn every_path_is_there_once() {
    let files = installed();
    let paths: BTreeSet<_> = files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(paths.len(), files.len());
    for path in
        ["bin/nvmm", "share/man/man1/nvmm.1.gz", "share/zsh/site-functions/_nvmm", "share/nvmm/lab/images"]
    {
        assert!(paths.contains(path), "{path}: {paths:?}");
    }
}

/// Links of documents lead to files that are installed, too.
#[test]
fn links_lead_somewhere() {
    let files = installed();
    let mut links = 0;
    for file in files.iter().filter(|file| file.path.ends_with(".md")) {
        let text = std::str::from_utf8(&file.bytes).unwrap();
        let text: String =
            text.lines().filter(|line| !line.starts_with("    ")).flat_map(|line| [line, "\n"]).collect();
        for (target, _) in text.split("](").skip(1).filter_map(|after| after.split_once(')')) {
            let target = target.split('#').next().unwrap_or_default();
            if target.starts_with("http") || target.is_empty() {
                continue;
            }
            let mut path: Vec<_> = file.path.split('/').collect();
            path.pop();
            for part in target.split('/') {
                match part {
                    ".." => drop(path.pop()),
                    part => path.push(part),
                }
            }
            let path = path.join("/");
            assert!(files.iter().any(|file| file.path == path), "{}: {target}", file.path);
            links += 1;
        }
    }
    assert!(links > 50, "{links}");
}

#[test]
fn folders_are_open_to_all_whatever_the_umask_is() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("a/b");
    folder(&path).unwrap();
    for path in [&path, path.parent().unwrap()] {
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o755);
    }
}
