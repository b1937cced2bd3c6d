use std::process::Command;

use tempfile::TempDir;

use super::*;

fn lock(path: &Path) -> Result<PidFile, PidFileError> {
    PidFile::lock(path, &Taken::default())
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

#[test]
fn the_file_has_the_process_id_until_the_end() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("pid");
    let file = lock(&path).unwrap();
    assert_eq!(text(&path), "");
    file.write().unwrap();
    assert_eq!(text(&path), format!("{}\n", process::id()));
    drop(file);
    assert!(!path.exists());
    // A machine that could not start also leaves nothing behind.
    drop(lock(&path).unwrap());
    assert!(!path.exists());
}

#[test]
fn two_machines_have_two_files() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("pid");
    let file = lock(&path).unwrap();
    let error = lock(&path).unwrap_err().to_string();
    assert_eq!(
        error,
        format!("--pidfile {}: another machine that runs has this file; give each its own", path.display())
    );
    drop(file);
    lock(&path).unwrap();
}

#[test]
fn the_file_of_a_machine_that_was_killed_is_taken_over() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("pid");
    fs::write(&path, "123456789\n").unwrap();
    let file = lock(&path).unwrap();
    file.write().unwrap();
    assert_eq!(text(&path), format!("{}\n", process::id()));
}

#[test]
fn files_of_others_are_kept() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("pid");
    // The file existed, and the machine can't start.
    fs::write(&path, "notes").unwrap();
    drop(lock(&path).unwrap());
    assert_eq!(text(&path), "notes");
    // The file was created later.
    let file = lock(&path).unwrap();
    file.write().unwrap();
    fs::rename(&path, folder.path().join("old")).unwrap();
    fs::write(&path, "other").unwrap();
    drop(file);
    assert_eq!(text(&path), "other");
}

#[test]
fn only_a_regular_file_that_no_option_names_will_do() {
    let folder = TempDir::new().unwrap();
    let fifo = folder.path().join("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    assert!(lock(&fifo).unwrap_err().to_string().contains("that is no regular file"));
    assert!(lock(folder.path()).is_err());
    let kernel = folder.path().join("kernel");
    fs::write(&kernel, "kernel").unwrap();
    let mut taken = Taken::default();
    taken.add("--kernel", &kernel);
    let error = PidFile::lock(&kernel, &taken).unwrap_err().to_string();
    assert!(error.contains("that is a file of --kernel"), "{error}");
    assert_eq!(text(&kernel), "kernel");
}
