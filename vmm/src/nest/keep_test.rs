use tempfile::tempdir;

use super::*;

fn run() -> Record {
    let verdict = super::super::record::Verdict::Passed;
    let version = "0".to_owned();
    Record { version, wanted: 2, host: "it".into(), seconds: 1.0, verdict, program: None, levels: vec![] }
}

#[test]
fn incomplete_directories_are_removed() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("kept");
    let keep = Keep::new(&path).unwrap();
    fs::create_dir(keep.snapshot()).unwrap();
    assert!(!keep.is_saved());
    drop(keep);
    assert!(!path.exists());
}

#[test]
fn complete_directories_are_kept() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("kept");
    let kernel = folder.path().join("kernel");
    fs::write(&kernel, "a kernel").unwrap();
    let keep = Keep::new(&path).unwrap();
    let disk = Memfd::new(c"disk").unwrap();
    disk.0.set_len(4096).unwrap();
    keep.add_disk(&disk).unwrap();
    assert!(keep.is_saved());
    keep.finish(&kernel, 512, &run()).unwrap();
    assert_eq!(fs::read_to_string(path.join(KERNEL)).unwrap(), "a kernel");
    assert_eq!(fs::metadata(path.join(DISK)).unwrap().len(), 4096);
    assert!(path.join(NEST).exists());
}

#[test]
fn existing_files_are_not_changed() {
    let folder = tempdir().unwrap();
    fs::write(folder.path().join("mine"), "").unwrap();
    let error = format!("{:#}", Keep::new(folder.path()).unwrap_err());
    assert!(error.starts_with("--keep /") && error.contains("exists"), "{error}");
    assert!(folder.path().join("mine").exists());
}
