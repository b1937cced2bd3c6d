use super::*;

/// The part of a bzImage with its release.
fn bzimage(version: &[u8]) -> Vec<u8> {
    let mut image = vec![0; 0x400];
    image[0x202..0x206].copy_from_slice(b"HdrS");
    image[0x20e..0x210].copy_from_slice(&0x100u16.to_le_bytes());
    image[0x300..0x300 + version.len()].copy_from_slice(version);
    image
}

#[test]
fn a_bzimage_contains_its_release() {
    let image = bzimage(b"6.1.0-56-cloud-amd64 (debian-kernel@lists.debian.org) #1 SMP");
    assert_eq!(release(&image), Some("6.1.0-56-cloud-amd64"));
    assert_eq!(release(&bzimage(b"6.6.0")), Some("6.6.0"));
}

#[test]
fn other_images_tell_none() {
    let good = bzimage(b"6.6.0");
    assert_eq!(release(&bzimage(b"")), None);
    for len in [0, 0x205, 0x20f, 0x300, 0x302] {
        assert_eq!(release(&good[..len]), None, "{len:#x} bytes");
    }
    let mut pointing_out = good.clone();
    pointing_out[0x20e..0x210].copy_from_slice(&[0xff, 0xff]);
    assert_eq!(release(&pointing_out), None);
    assert_eq!(release(b"\x7fELF"), None);
}

#[test]
fn modules_are_found_beside_an_unpacked_kernel() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir_all(root.path().join("boot")).unwrap();
    let path = root.path().join("boot/vmlinuz");
    fs::write(&path, bzimage(b"6.6.0 x")).unwrap();
    let kernel = Kernel::find(Some(&path)).unwrap();
    let error = kernel.modules().unwrap_err().to_string();
    assert!(error.contains("lib/modules/6.6.0") && error.contains("--modules"), "{error}");

    let dir = root.path().join("lib/modules/6.6.0");
    fs::create_dir_all(&dir).unwrap();
    assert_eq!(kernel.modules().unwrap(), fs::canonicalize(&dir).unwrap());

    let inside = dir.join("vmlinuz");
    fs::copy(&path, &inside).unwrap();
    assert_eq!(Kernel::find(Some(&inside)).unwrap().modules().unwrap(), fs::canonicalize(&dir).unwrap());
}

#[test]
fn a_kernel_without_release_needs_modules_to_be_named() {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), b"\x7fELF").unwrap();
    let error = Kernel::find(Some(file.path())).unwrap().modules().unwrap_err().to_string();
    assert!(error.contains("--modules DIR"), "{error}");
}

#[test]
fn files_other_than_kernels_are_refused() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let error = Kernel::find(Some(file.path())).unwrap_err().to_string();
    assert_eq!(
        error,
        format!("{} is not a kernel: neither a bzImage nor an ELF file", file.path().display())
    );
    assert!(Kernel::find(Some(Path::new("/nowhere/vmlinuz"))).unwrap_err().to_string().contains("/nowhere"));
}
