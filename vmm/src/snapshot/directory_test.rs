use std::ffi::OsString;

use tempfile::TempDir;

use super::*;

fn names(folder: &TempDir) -> Vec<OsString> {
    let mut names: Vec<_> =
        fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    names
}

#[test]
fn a_snapshot_has_its_name_once_it_is_complete() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("snap");
    let mut new = NewDirectory::create(&path, false).unwrap();
    new.write(MACHINE, b"{}").unwrap();
    assert!(!path.exists());
    new.finish().unwrap();
    assert_eq!(names(&folder), ["snap"]);
    assert_eq!(fs::read(path.join(MACHINE)).unwrap(), b"{}");
}

#[test]
fn only_the_user_reads_it() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("snap");
    let mut new = NewDirectory::create(&path, false).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(new.draft.path()), 0o700, "nor while it is written");
    new.write(MACHINE, b"{}").unwrap();
    new.finish().unwrap();
    assert_eq!((mode(&path), mode(&path.join(MACHINE))), (0o700, 0o600));
}

#[test]
fn an_abandoned_directory_leaves_nothing() {
    let folder = TempDir::new().unwrap();
    let mut new = NewDirectory::create(&folder.path().join("snap"), false).unwrap();
    new.write(MACHINE, b"{}").unwrap();
    drop(new);
    assert!(names(&folder).is_empty());
}

#[test]
fn another_save_removes_what_was_killed_and_nothing_else() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("snap");
    for name in [".snap.nvmm-killed", ".snap.nvmm-kill00", ".other.nvmm-kill00", "snap.nvmm-mine"] {
        fs::create_dir(folder.path().join(name)).unwrap();
    }
    let being_filled = NewDirectory::create(&path, false).unwrap();
    let other = NewDirectory::create(&path, false).unwrap();
    assert!(being_filled.draft.path().exists(), "it is locked");
    being_filled.finish().unwrap();
    let error = other.finish().unwrap_err();
    assert!(
        format!("{error:#}").contains("snap: another save, or program, has made that meanwhile"),
        "{error:#}"
    );
    assert_eq!(names(&folder), [".other.nvmm-kill00", "snap", "snap.nvmm-mine"]);
}

#[test]
fn only_a_snapshot_is_replaced_and_only_if_that_is_wanted() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("snap");
    fs::create_dir(&path).unwrap();
    let error = |replaces| format!("{:#}", NewDirectory::create(&path, replaces).unwrap_err());
    assert!(error(false).contains("that is there already; give the name of a new directory"));
    assert!(error(true).contains("is no snapshot"));
    fs::write(path.join(MACHINE), "old").unwrap();
    assert!(error(false).contains("that is there already"));
    let mut new = NewDirectory::create(&path, true).unwrap();
    new.write(MACHINE, b"new").unwrap();
    assert_eq!(fs::read(path.join(MACHINE)).unwrap(), b"old");
    new.finish().unwrap();
    assert_eq!(fs::read(path.join(MACHINE)).unwrap(), b"new");
    assert_eq!(names(&folder), ["snap"]);
}

#[test]
fn missing_directories_are_reported() {
    let folder = TempDir::new().unwrap();
    let error = NewDirectory::create(&folder.path().join("missing/snap"), false).unwrap_err();
    assert!(format!("{error:#}").contains("no directory can be made there"), "{error:#}");
    assert!(NewDirectory::create(Path::new("/"), false).is_err());
}
