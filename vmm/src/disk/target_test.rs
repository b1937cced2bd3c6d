use std::{io::Write, os::unix::fs::symlink};

use tempfile::TempDir;

use devices::disk::raw::{DiskOptions, RawDisk};

use super::*;

/// The names in a directory.
fn names(folder: &TempDir) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_target_has_its_name_once_it_is_complete() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("disk");
    let target = Target::new(&path, false).unwrap();
    (&mut target.file()).write_all(b"whole").unwrap();
    assert_eq!(fs::read(target.path()).unwrap(), b"whole");
    match (&target.file, &names(&folder)[..]) {
        (Made::Unnamed(_), []) => {}
        (Made::Named(_), [name]) => {
            assert!(name.starts_with("disk.") && name.ends_with(".partial"), "{name}");
        }
        other => panic!("{other:?}"),
    }
    target.keep().unwrap();
    assert_eq!(names(&folder), ["disk"]);
    assert_eq!(fs::read(&path).unwrap(), b"whole");
    drop(Target::new(&folder.path().join("other"), false).unwrap());
    assert_eq!(names(&folder), ["disk"]);
}

#[test]
fn existing_files_are_kept_unless_they_are_to_be_replaced() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("disk");
    fs::write(&path, "old").unwrap();
    assert!(matches!(Target::new(&path, false), Err(TargetError::Exists(_))));
    fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();

    let link = folder.path().join("link");
    symlink("disk", &link).unwrap();
    let target = Target::new(&link, true).unwrap();
    (&mut target.file()).write_all(b"new").unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"old");
    target.keep().unwrap();
    assert_eq!(
        (fs::read(&path).unwrap(), names(&folder)),
        (b"new".to_vec(), vec!["disk".into(), "link".into()])
    );
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o640);
    assert!(link.is_symlink());

    // A file that was created in the meantime.
    let late = folder.path().join("late");
    let target = Target::new(&late, false).unwrap();
    fs::write(&late, "theirs").unwrap();
    assert!(matches!(target.keep(), Err(TargetError::Exists(_))));
    assert_eq!((fs::read(&late).unwrap(), names(&folder).len()), (b"theirs".to_vec(), 3));
}

/// A file system that doesn't support unnamed files.
#[test]
fn a_file_under_another_name_is_kept_as_well() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("disk");
    for (replaces, contents) in [(false, "first"), (true, "second")] {
        let mut file = in_the_meantime(&path, |names| names.tempfile_in(&folder)).unwrap();
        file.write_all(contents.as_bytes()).unwrap();
        let target = Target { file: Made::Named(file), path: path.clone(), replaces };
        assert!(target.path().extension().is_some_and(|it| it == "partial"));
        target.keep().unwrap();
        assert_eq!(
            (fs::read_to_string(&path).unwrap().as_str(), &names(&folder)[..]),
            (contents, &["disk".to_owned()][..])
        );
    }
}

#[test]
fn targets_that_are_no_files_or_in_use_are_refused() {
    let folder = TempDir::new().unwrap();
    assert!(matches!(Target::new(folder.path(), true), Err(TargetError::NotAFile(_))));
    assert!(matches!(Target::new("/dev/null".as_ref(), true), Err(TargetError::NotAFile(_))));
    let none = folder.path().join("none/disk");
    assert!(matches!(Target::new(&none, false), Err(TargetError::Folder { .. })));
    let path = folder.path().join("disk");
    fs::write(&path, "used").unwrap();
    let user = RawDisk::open(&path, &DiskOptions { read_only: true, direct: false }).unwrap();
    assert!(matches!(Target::new(&path, true), Err(TargetError::Needed(_))));
    drop(user);
    assert_eq!(names(&folder), ["disk"]);
}
