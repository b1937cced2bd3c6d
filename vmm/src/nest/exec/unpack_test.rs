use std::os::unix::fs::{FileTypeExt, MetadataExt};

use super::*;
use crate::nest::cpio::Writer;

fn archive(write: impl FnOnce(&mut Writer<Vec<u8>>)) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    write(&mut writer);
    writer.finish().unwrap()
}

#[test]
fn files_are_made_as_linux_makes_them() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("old"), "it was longer").unwrap();
    let bytes = archive(|archive| {
        archive.directory("folder", 0o1750).unwrap();
        archive.file("folder/run", 0o4755, b"12345").unwrap();
        archive.file("old", 0o600, b"new").unwrap();
        archive.link("folder/link", Path::new("../old")).unwrap();
        archive.special("fifo", 0o010_640, 0).unwrap();
        archive.directory("dev", 0o700).unwrap();
    });
    fs::create_dir(root.path().join("dev")).unwrap();
    let before = fs::metadata(root.path().join("dev")).unwrap().mode();
    unpack(&bytes[..], root.path()).unwrap();
    let mode = |name: &str| fs::symlink_metadata(root.path().join(name)).unwrap().mode() & 0o7777;
    assert_eq!(
        [mode("folder"), mode("folder/run"), mode("old"), mode("fifo")],
        [0o1750, 0o4755, 0o600, 0o640]
    );
    assert_eq!(fs::read(root.path().join("folder/run")).unwrap(), b"12345");
    assert_eq!(fs::read(root.path().join("folder/link")).unwrap(), b"new");
    assert!(fs::metadata(root.path().join("fifo")).unwrap().file_type().is_fifo());
    assert_eq!(fs::metadata(root.path().join("dev")).unwrap().mode(), before, "the kernel's own stays");
}

#[test]
fn invalid_archives_are_refused() {
    let root = tempfile::tempdir().unwrap();
    let whole = archive(|archive| archive.file("a", 0o644, b"some text").unwrap());
    for end in 0..whole.len() - 1 {
        // The last bytes are only padding.
        if end < whole.len() - 4 {
            assert!(unpack(&whole[..end], root.path()).is_err(), "{end} bytes");
        }
    }
    let outside = archive(|archive| archive.file("../outside", 0o644, b"").unwrap());
    let error = unpack(&outside[..], root.path()).unwrap_err().to_string();
    assert!(error.contains("../outside"), "{error}");
    assert!(unpack(&[b'0'; 4096][..], root.path()).is_err());
}
