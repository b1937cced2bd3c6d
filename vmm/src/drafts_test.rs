use std::os::unix::fs::symlink;

use rustix::fs::{CWD, FileType, Mode, mknodat};
use tempfile::TempDir;

use super::*;

const PICTURE: Contents<'_> = Contents::File(b"P6\n");
const SNAPSHOT: Contents<'_> = Contents::Directory(&["state", "memory"]);

fn names(folder: &TempDir) -> Vec<String> {
    let names = fs::read_dir(folder.path()).unwrap();
    let mut names: Vec<_> = names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn remove_of_a(folder: &TempDir, contents: Contents<'_>) {
    remove_left(folder.path(), &prefix(OsStr::new("a")), contents);
}

#[test]
fn abandoned_drafts_are_removed() {
    let folder = TempDir::new().unwrap();
    let at = |name: &str| folder.path().join(name);
    for name in [".a.nvmm-left00", ".a.nvmm-usedZZ", ".b.nvmm-left00", "a", ".a"] {
        fs::write(at(name), "P6\n1 1").unwrap();
    }
    fs::write(at(".a.nvmm-empty0"), "").unwrap();
    fs::write(at(".a.nvmm-begun0"), "P6").unwrap();
    symlink(at("a"), at(".a.nvmm-link00")).unwrap();
    let used = File::open(at(".a.nvmm-usedZZ")).unwrap();
    lock(&used).unwrap();
    remove_of_a(&folder, PICTURE);
    assert_eq!(names(&folder), [".a", ".a.nvmm-link00", ".a.nvmm-usedZZ", ".b.nvmm-left00", "a"]);
    drop(used);
    remove_of_a(&folder, PICTURE);
    assert_eq!(names(&folder), [".a", ".a.nvmm-link00", ".b.nvmm-left00", "a"]);
    // A directory that can't be read is skipped.
    remove_left(&at("missing"), &prefix(OsStr::new("a")), PICTURE);
}

#[test]
fn abandoned_directories_are_removed() {
    let folder = TempDir::new().unwrap();
    let at = |name: &str| folder.path().join(name);
    for name in [".a.nvmm-empty0", ".a.nvmm-left00"] {
        fs::create_dir(at(name)).unwrap();
    }
    fs::write(at(".a.nvmm-left00/state"), "x").unwrap();
    fs::write(at(".a.nvmm-left00/memory"), "x").unwrap();
    remove_of_a(&folder, SNAPSHOT);
    assert!(names(&folder).is_empty());
}

/// A user's own files may have such names.
#[test]
fn all_else_stays() {
    let folder = TempDir::new().unwrap();
    let at = |name: &str| folder.path().join(name);
    for name in [".a.nvmm-notes0", ".a.nvmm-backup-of-mine", ".a.nvmm-short", ".a.nvmm-12345_", ".a.nvmm-"] {
        fs::write(at(name), "mine").unwrap();
    }
    for (name, file) in [(".a.nvmm-other0", "mine"), (".a.nvmm-longer-name", "state")] {
        fs::create_dir(at(name)).unwrap();
        fs::write(at(name).join("state"), "x").unwrap();
        fs::write(at(name).join(file), "x").unwrap();
    }
    fs::create_dir_all(at(".a.nvmm-nested/state")).unwrap();
    mknodat(CWD, at(".a.nvmm-pipe00"), FileType::Fifo, Mode::RWXU, 0).unwrap();
    fs::write(at(".a.nvmm-linked"), "P6\n").unwrap();
    fs::hard_link(at(".a.nvmm-linked"), at("linked")).unwrap();
    let before = names(&folder);
    for contents in [PICTURE, SNAPSHOT] {
        remove_of_a(&folder, contents);
        assert_eq!(names(&folder), before);
    }
    assert!(at(".a.nvmm-other0/state").exists(), "nothing in it is removed, either");
}

#[test]
fn files_of_other_users_stay() {
    if !geteuid().is_root() {
        return println!("skipped: only root can give files away");
    }
    let folder = TempDir::new().unwrap();
    let draft = folder.path().join(".a.nvmm-theirs");
    fs::write(&draft, "").unwrap();
    std::os::unix::fs::chown(&draft, Some(65533), None).unwrap();
    remove_of_a(&folder, PICTURE);
    assert!(draft.exists());
}
