use tempfile::TempDir;

use super::*;

#[test]
fn missing_proc_or_direct_io_is_reported() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("disk");
    std::fs::write(&path, [0; 4096]).unwrap();
    let options = DiskOptions { read_only: true, direct: true };
    // As in a chroot without /proc.
    let failure = reopen_by(folder.path(), &File::open(&path).unwrap(), &options).unwrap_err();
    let said = Failure::of(&path)(failure).to_string();
    assert!(said.ends_with("without /proc; mount it, or use direct=off"), "{said}");
    // The file's name is not needed.
    let file = File::open(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    match reopen(&file, &options) {
        Ok(_) | Err(Failure(Problem::NoDirect, _)) => {}
        Err(failure) => panic!("{}", Failure::of(&path)(failure)),
    }
}
