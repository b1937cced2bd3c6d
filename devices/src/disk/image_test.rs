use std::{error::Error, fs, process::Command};

use tempfile::TempDir;
use vm_memory::VolatileSlice;

use super::{
    super::{info, options::Overlay},
    *,
};

fn open_as(path: &Path, format: Option<Format>) -> Result<Arc<dyn Disk>, OpenError> {
    opened_as(path, format).map(|image| image.disk)
}

fn opened_as(path: &Path, format: Option<Format>) -> Result<Image, OpenError> {
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

const MAGICS: [&[u8]; 13] = [
    b"QFI\xfb",
    b"QED\0",
    b"KDMV",
    b"COWD",
    b"# Disk DescriptorFile",
    // The tests of `probe` distinguish the others.
    b"version=1\n",
    b"#\n \nversion=3\r\n",
    b"vhdxfile",
    b"conectix",
    b"WithouFreSpacExt\x02\0\0\0",
    b"LUKS\xba\xbe\0\x01",
    b"#!/bin/sh\n#V2.0 Format\nmodprobe cloop file=$0 && mount -r -t iso9660 /dev/cloop $1\n",
    &VDI,
];

const VDI: [u8; 68] = {
    let mut start = [b' '; 68];
    [start[64], start[65], start[66], start[67]] = [0x7f, 0x10, 0xda, 0xbe];
    start
};

/// A disk that was detected as raw never starts to look like another format.
#[test]
fn a_guess_stays_right() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("disk");
    for magic in MAGICS {
        fs::write(&path, [0x55; 4096]).unwrap();
        let disk = open_as(&path, None).unwrap();
        let hostile = sector(magic);
        // However the write is divided, and however much is written with it.
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

        // In other places it has no meaning, and a disk may be written as before.
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

/// A known format that can't be read: the error has the format, and both remedies.
#[test]
fn a_foreign_image_is_not_taken_for_raw() {
    let folder = TempDir::new().unwrap();
    for (name, start, looks) in [
        ("disk", &b"QED\0"[..], "begins as a qed image"),
        ("disk", &VDI, "begins as a vdi image"),
        ("disk", b"vhdxfile", "begins as a vhdx image"),
        ("disk", b"LUKS\xba\xbe\0\x01", "begins as a luks image"),
        ("disk.dmg", b"", "has the name of a dmg image"),
    ] {
        let path = folder.path().join(name);
        fs::write(&path, sector(start).repeat(8)).unwrap();
        let error = open_as(&path, None).unwrap_err().to_string();
        assert!(error.contains(looks) && error.contains("format=raw"), "{error}");
        assert!(error.contains("qemu-img convert -f ") || looks.contains("luks"), "{error}");
        assert!(matches!(open_as(&path, None), Err(OpenError::Foreign { .. })));
        assert!(info::look(&path, &OpenOptions::default()).is_err());

        // If the user gives the format, the guest can also change it.
        let disk = open_as(&path, Some(Format::Raw)).unwrap();
        write(&*disk, 0, &[&sector(b"QFI\xfb")]).unwrap();
    }
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
            let Image { disk, format } = opened_as(&path, format).unwrap();
            assert_eq!(format, given);
            assert_eq!((disk.size(), disk.is_read_only()), (1 << 20, given == Format::Vmdk));
        }
        let file = fs::metadata(&path).unwrap().len();
        assert_eq!(open_as(&path, Some(Format::Raw)).unwrap().size(), file.next_multiple_of(512));
        fs::remove_file(&path).unwrap();
    }
    fs::write(&path, [0; 700]).unwrap();
    let Image { disk, format } = opened_as(&path, None).unwrap();
    assert_eq!((disk.size(), format), (1024, Format::Raw));
    drop(disk);
    let error = open_as(&path, Some(Format::Qcow2)).unwrap_err();
    assert!(error.source().unwrap().to_string().contains("doesn't begin as qcow2"), "{error}");
    let error = open_as(&path, Some(Format::Vmdk)).unwrap_err().to_string();
    assert!(error.contains("is not a vmdk"), "{error}");
    // Shorter than any magic.
    fs::write(&path, "QF").unwrap();
    assert_eq!(open_as(&path, None).unwrap().size(), 512);
}

/// A vmdk is only read, so others may also read it, even if its format was detected.
#[test]
fn a_vmdk_that_was_found_is_shared() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("disk.vmdk");
    let text = "# Disk DescriptorFile\nversion=1\nCID=1\nparentCID=ffffffff\n\
                createType=\"monolithicFlat\"\nRW 8 ZERO\n";
    fs::write(&path, text).unwrap();
    let found = opened_as(&path, None).unwrap();
    assert_eq!((found.format, found.disk.size()), (Format::Vmdk, 4096));
    let other = opened_as(&path, Some(Format::Vmdk)).unwrap();
    // But no one may write to it.
    let writer = open(&path, &OpenOptions { format: Some(Format::Raw), ..OpenOptions::default() });
    assert!(writer.unwrap_err().to_string().contains("is in use by"));
    drop((found, other));
    open_as(&path, Some(Format::Raw)).unwrap();
}

/// An image is opened once: its format and its contents come from the same file, even if its name changes meanwhile.
#[test]
fn a_file_is_opened_once() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("disk");
    fs::write(&path, [7; 4096]).unwrap();
    let options = OpenOptions { overlay: Some(Overlay::Temp), ..OpenOptions::default() };
    let opened = Opened::open(&path, &file_options(&options)).unwrap();
    let found = found(&opened, &path, &options).unwrap();
    fs::remove_file(&path).unwrap();
    let disk = super::open_as(found, opened, &path, &options).unwrap().disk;
    let mut byte = [0];
    disk.read_at(&[VolatileSlice::from(&mut byte[..])], 4095).unwrap();
    assert_eq!(byte, [7]);
}
