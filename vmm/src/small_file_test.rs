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
fn bytes_need_not_be_text() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), b"\x1f\x8b\xff").unwrap();
    assert_eq!(read_bytes(file.path()).unwrap(), b"\x1f\x8b\xff");
    let error = read(file.path()).unwrap_err();
    assert!(error.to_string().contains("no text"), "{error}");
}
