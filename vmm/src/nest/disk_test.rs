use super::*;

#[test]
fn the_guest_sees_the_files_contents() {
    let made = make(1).unwrap();
    // A real file: direct I/O on memory files needs a newer kernel.
    let file = tempfile::NamedTempFile::new_in(env!("CARGO_MANIFEST_DIR")).unwrap();
    std::fs::copy(made.path(), file.path()).unwrap();
    let inside = match check(file.path(), 1) {
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
            eprintln!("skipped: no direct I/O on this file system");
            return;
        }
        inside => inside.unwrap(),
    };
    std::fs::copy(file.path(), made.path()).unwrap();
    let Said::Disk { read, wrote, .. } = inside else { panic!("{inside:?}") };
    assert_eq!(outside(&made).unwrap(), (read, wrote));
    assert_ne!(read, wrote);
    let Ok(Said::Disk { read: again, wrote: next, .. }) = check(file.path(), 2) else { panic!() };
    assert!(again == read && next != wrote, "each round writes something else");
}

#[test]
fn levels_and_contents_differ_in_their_checksums() {
    let [one, two] = [1, 2].map(|level| outside(&make(level).unwrap()).unwrap());
    assert_ne!(one.0, two.0);
    let disk = make(1).unwrap();
    (&disk.0).seek(SeekFrom::Start(2 * AREA - 1)).unwrap();
    (&disk.0).write_all(b"x").unwrap();
    let changed = outside(&disk).unwrap();
    assert_eq!(changed.0, one.0);
    assert_ne!(changed.1, one.1);
}
