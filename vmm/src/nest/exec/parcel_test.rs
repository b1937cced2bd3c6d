use super::*;
use crate::nest::exec::{tree::Tree, unpack::unpack};

/// The disk as a level reads it, without the page cache, which not every file system supports.
fn on_a_disk(parcel: &Memfd) -> Option<tempfile::NamedTempFile> {
    let file = tempfile::Builder::new().tempfile_in("/var/tmp").unwrap();
    let from = File::open(parcel.path()).unwrap();
    // The rest of it is empty.
    io::copy(&mut from.take(16 << 20), &mut file.as_file()).unwrap();
    file.as_file().set_len(SIZE).unwrap();
    let flags = OFlags::DIRECT.bits().cast_signed();
    if OpenOptions::new().read(true).custom_flags(flags).open(file.path()).is_err() {
        eprintln!("skipped: /var/tmp has no direct access");
        return None;
    }
    Some(file)
}

#[test]
fn a_program_arrives_with_all_its_files() {
    let folder = tempfile::tempdir().unwrap();
    let long: Vec<u8> = (0..3_000_001_u32).map(|number| number.to_le_bytes()[1]).collect();
    fs::write(folder.path().join("long"), &long).unwrap();
    std::os::unix::fs::symlink("long", folder.path().join("link")).unwrap();
    let mut tree = Tree::default();
    tree.add(folder.path(), Path::new("/data")).unwrap();
    // More than a block of arguments.
    let program =
        Program { file: "it".into(), arguments: vec!["argument".into(); 2000], ..Program::default() };
    let parcel = pack(program.clone(), |disk| tree.write(disk)).unwrap();
    assert_eq!(parcel.0.metadata().unwrap().len(), SIZE);
    let Some(disk) = on_a_disk(&parcel) else { return };
    let (letter, archive) = receive(disk.path()).unwrap();
    assert_eq!(letter.program, program);
    assert_eq!(letter.seed.len(), SEED);
    let root = tempfile::tempdir().unwrap();
    unpack(archive, root.path()).unwrap();
    assert_eq!(fs::read(root.path().join("data/long")).unwrap(), long);
    assert_eq!(fs::read_link(root.path().join("data/link")).unwrap(), Path::new("long"));
    // Two parcels have different random bytes.
    let other = pack(program, |disk| tree.write(disk)).unwrap();
    let Some(disk) = on_a_disk(&other) else { return };
    assert_ne!(receive(disk.path()).unwrap().0.seed, letter.seed);
}

#[test]
fn a_level_waits_until_there_is_a_program() {
    let parcel = pack(Program::default(), |disk| Tree::default().write(disk)).unwrap();
    let Some(disk) = on_a_disk(&empty().unwrap()) else { return };
    let path = disk.path().to_owned();
    let waits = thread::spawn(move || receive(&path).map(|(letter, _)| letter.program));
    let mut first = vec![0; 1 << 16];
    parcel.0.read_exact_at(&mut first, 0).unwrap();
    // All except the first block, and then that one.
    disk.as_file().write_all_at(&first[4096..], 4096).unwrap();
    assert!(!waits.is_finished());
    disk.as_file().write_all_at(&first[..4096], 0).unwrap();
    assert_eq!(waits.join().unwrap().unwrap(), Program::default());
}

#[test]
fn another_format_is_reported() {
    let parcel = pack(Program::default(), |disk| Tree::default().write(disk)).unwrap();
    let Some(disk) = on_a_disk(&parcel) else { return };
    disk.as_file().write_all_at(&[9], 16).unwrap();
    let error = receive(disk.path()).map(drop).unwrap_err().to_string();
    assert!(error.starts_with("the program comes in form 9"), "{error}");
}
