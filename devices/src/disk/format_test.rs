use std::{error::Error, fs, process::Command, thread, time::Duration};

use tempfile::TempDir;

use super::*;

/// Opens a disk that nobody else has. A child that another test has just forked holds a lock that was dropped here until it
/// runs its program.
fn open_as(path: &Path, format: Option<Format>) -> Result<Arc<dyn Disk>, OpenError> {
    for _ in 0..100 {
        match open(path, &OpenOptions { format, ..OpenOptions::default() }) {
            Err(error) if format!("{error:?}").contains("InUse") => thread::sleep(Duration::from_millis(20)),
            opened => return opened,
        }
    }
    open(path, &OpenOptions { format, ..OpenOptions::default() })
}

fn write(disk: &dyn Disk, offset: u64, parts: &[&[u8]]) -> io::Result<()> {
    let mut parts: Vec<_> = parts.iter().map(|part| part.to_vec()).collect();
    let slices: Vec<_> = parts.iter_mut().map(|part| VolatileSlice::from(part.as_mut_slice())).collect();
    disk.write_at(&slices, offset)
}

/// A first sector with `start`.
fn sector(start: &[u8]) -> Vec<u8> {
    let mut bytes = start.to_vec();
    bytes.resize(512, 0xaa);
    bytes
}

const MAGICS: [&[u8]; 5] = [b"QFI\xfb", b"QED\0", b"KDMV", b"COWD", b"# Disk DescriptorFile"];

/// A disk that was guessed to be raw never looks like another.
#[test]
fn a_guess_stays_right() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("disk");
    for magic in MAGICS {
        fs::write(&path, [0x55; 4096]).unwrap();
        let disk = open_as(&path, None).unwrap();
        let hostile = sector(magic);
        // However it is cut up, and however much comes with it.
        for parts in [
            &[&hostile[..]][..],
            &[&hostile[..2], &hostile[2..]],
            &[&[], &hostile[..1], &hostile[1..3], &hostile[3..], &[1; 1024]],
        ] {
            let error = write(&*disk, 0, parts).unwrap_err().to_string();
            assert!(error.contains("add format=raw"), "{error}");
        }
        assert!(write(&*disk, 0, &[&magic[..2]]).is_ok());
        assert!(write(&*disk, 2, &[&magic[2..]]).is_err());
        let now = fs::read(&path).unwrap();
        assert_eq!((&now[..2], &now[2..]), (&magic[..2], &[0x55; 4094][..]));

        // Elsewhere it means nothing, and a disk may be written as before.
        write(&*disk, 512, &[&hostile]).unwrap();
        write(&*disk, 0, &[&[1; 100], &[2; 412], &[3; 600], &[4; 424]]).unwrap();
        let now = fs::read(&path).unwrap();
        let expected = [&[1; 100][..], &[2; 412], &[3; 600], &[4; 424], &[0x55; 2560]].concat();
        assert_eq!(now, expected);
        drop(disk);

        let disk = open_as(&path, Some(Format::Raw)).unwrap();
        write(&*disk, 0, &[&hostile]).unwrap();
        assert_eq!(fs::read(&path).unwrap()[..512], hostile);
    }
}

#[test]
fn a_disk_keeps_the_looks_that_it_has() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("disk");
    fs::write(&path, sector(b"QED\0").repeat(8)).unwrap();
    let disk = open_as(&path, None).unwrap();
    write(&*disk, 0, &[&sector(b"QED\0...")]).unwrap();
    assert!(write(&*disk, 0, &[&sector(b"QFI\xfb")]).is_err());
    write(&*disk, 0, &[&[0; 512]]).unwrap();
    assert!(write(&*disk, 0, &[&sector(b"QED\0")]).is_err());
}

#[test]
fn formats_by_name_and_by_looks() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("image");
    for (format, given) in [("qcow2", Format::Qcow2), ("vmdk", Format::Vmdk)] {
        let qemu_img = Command::new("qemu-img").args(["create", "-f", format]).arg(&path).arg("1M").output();
        if let Err(error) = qemu_img {
            return eprintln!("skipped: qemu-img: {error}");
        }
        for format in [None, Some(given)] {
            let disk = open_as(&path, format).unwrap();
            assert_eq!((disk.size(), disk.is_read_only()), (1 << 20, given == Format::Vmdk));
        }
        let file = fs::metadata(&path).unwrap().len();
        assert_eq!(open_as(&path, Some(Format::Raw)).unwrap().size(), file.next_multiple_of(512));
        fs::remove_file(&path).unwrap();
    }
    fs::write(&path, [0; 700]).unwrap();
    assert_eq!(open_as(&path, None).unwrap().size(), 1024);
    let error = open_as(&path, Some(Format::Qcow2)).unwrap_err();
    assert!(error.source().unwrap().to_string().contains("doesn't begin as qcow2"), "{error}");
    let error = open_as(&path, Some(Format::Vmdk)).unwrap_err().to_string();
    assert!(error.contains("is not a vmdk"), "{error}");
    // Shorter than any magic.
    fs::write(&path, "QF").unwrap();
    assert_eq!(open_as(&path, None).unwrap().size(), 512);
}
