use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::*;

#[test]
fn a_file_without_end_is_refused() {
    let error = read(Path::new("/dev/zero")).unwrap_err();
    assert!(error.to_string().contains("more than 16 MiB"), "{error}");
    assert_eq!(read(Path::new("/dev/null")).unwrap(), "");
    assert!(read(Path::new("/no/such/file")).is_err());
    assert!(read_bytes(Path::new("/")).is_err());
}

#[test]
fn only_regular_files_are_opened_if_that_is_wanted() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    mknodat(CWD, &pipe, FileType::Fifo, Mode::RWXU, 0).unwrap();
    for path in [folder.path(), &pipe, Path::new("/dev/null")] {
        let error = read_regular(path).unwrap_err();
        assert_eq!(error.to_string(), "that is no regular file", "{}", path.display());
    }
    let (file, link) = (folder.path().join("file"), folder.path().join("link"));
    fs::write(&file, "text").unwrap();
    std::os::unix::fs::symlink(&file, &link).unwrap();
    assert_eq!(read_regular(&link).unwrap(), "text");
}

#[test]
fn bytes_need_not_be_text() {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), b"\x1f\x8b\xff").unwrap();
    assert_eq!(read_bytes(file.path()).unwrap(), b"\x1f\x8b\xff");
    let error = read(file.path()).unwrap_err();
    assert!(error.to_string().contains("no text"), "{error}");
}
