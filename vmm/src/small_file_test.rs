use super::*;

#[test]
fn a_file_without_end_is_refused() {
    let error = read(Path::new("/dev/zero")).unwrap_err();
    assert!(error.to_string().contains("more than 16 MiB"), "{error}");
    assert_eq!(read(Path::new("/dev/null")).unwrap(), "");
    assert!(read(Path::new("/no/such/file")).is_err());
}
