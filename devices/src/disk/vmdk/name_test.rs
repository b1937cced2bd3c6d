use std::{ffi::OsStr, fs, os::unix::ffi::OsStrExt};

use tempfile::TempDir;
use vm_memory::VolatileSlice;

use super::super::{super::Disk, Vmdk};

/// A file is found by its name's bytes or their decoded form; the bytes come first, as in QEMU.
#[test]
fn a_file_is_found_by_bytes_and_by_meaning() {
    let folder = TempDir::new().unwrap();
    let at = |name: &[u8]| folder.path().join(OsStr::from_bytes(name));
    let text = "# Disk DescriptorFile\nversion=1\nencoding=\"windows-1252\"\nCID=1\ncreateType=\"custom\"\n";
    fs::write(at(b"disk.vmdk"), [text.as_bytes(), b"RW 1 FLAT \"b\xe4se.img\" 0\n"].concat()).unwrap();
    let open = || Vmdk::open(&at(b"disk.vmdk"), &[]);
    let first = || {
        let mut sector = vec![0; 512];
        open().unwrap().read_at(&[VolatileSlice::from(&mut sector[..])], 0).unwrap();
        sector[0]
    };
    let said = open().unwrap_err().to_string();
    assert!(said.contains("bäse.img (named by ") && said.ends_with("does not exist"), "{said}");
    fs::write(at("bäse.img".as_bytes()), [1; 512]).unwrap();
    assert_eq!(first(), 1);
    fs::write(at(b"b\xe4se.img"), [2; 512]).unwrap();
    assert_eq!(first(), 2);
}
