use std::fs;

use devices::disk::image as disk;
use tempfile::TempDir;

use super::*;

/// Firmware with this many pages, which begins with `start` and has code at its end.
fn firmware(pages: usize, start: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; pages << 12];
    bytes[..start.len()].copy_from_slice(start);
    let end = bytes.len() - RESET_VECTOR;
    bytes[end] = 0xea;
    bytes
}

/// The same with a firmware volume.
fn uefi(pages: usize) -> Vec<u8> {
    let mut bytes = firmware(pages, b"");
    bytes[VOLUME_AT..VOLUME_AT + VOLUME.len()].copy_from_slice(VOLUME);
    bytes
}

fn error(bytes: &[u8]) -> String {
    kind(bytes).unwrap_err().to_string()
}

#[test]
fn uefi_is_known_by_its_volumes() {
    assert_eq!(kind(&firmware(64, b"")), Ok(Kind::Bios));
    assert_eq!(kind(&uefi(64)), Ok(Kind::Uefi));
    let below = [firmware(16, b""), uefi(64)].concat();
    assert_eq!(kind(&below), Ok(Kind::Uefi), "in any page");
}

#[test]
fn other_files_are_refused_by_what_they_are() {
    for (bytes, expected) in [
        (firmware(64, b"\x7fELF"), "it is an ELF file"),
        (firmware(64, b"MZ"), "it is a Windows or EFI program"),
        (firmware(8, b"\x55\xaa"), "it is an option ROM"),
        (vec![], "it has 0 bytes, and firmware comes in whole pages of 4 KiB, from 64 KiB to 16 MiB"),
        (firmware(15, b""), "it has 61440 bytes"),
        (vec![1; (64 << 10) + 1], "it has 65537 bytes"),
        (firmware(4097, b""), "it has 16781312 bytes"),
        (vec![0xff; 64 << 10], "there is no code at its end"),
        (vec![0; 64 << 10], "there is no code at its end"),
    ] {
        assert!(error(&bytes).starts_with(expected), "{}", error(&bytes));
    }
}

#[test]
fn firmware_for_other_machines_is_refused_by_name() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    for name in ["OVMF_CODE.fd", "OVMF_CODE.secboot.fd", "bios-microvm.bin", "qboot.rom"] {
        fs::write(path(name), uefi(64)).unwrap();
    }
    // Like Debian's, whose name does not show it.
    std::os::unix::fs::symlink("OVMF_CODE.secboot.fd", path("OVMF_CODE.ms.fd")).unwrap();
    let read = |name: &str| {
        let files = Files { code: path(name), variables: None };
        read(&files).map(|image| image.kind).map_err(|error| match error {
            FirmwareError::Image { source, .. } => source.to_string(),
            other => other.to_string(),
        })
    };
    assert_eq!(read("OVMF_CODE.fd"), Ok(Kind::Uefi));
    for (name, expected) in [
        ("OVMF_CODE.secboot.fd", "it is a Secure Boot build that needs System Management Mode"),
        ("OVMF_CODE.ms.fd", "it is a Secure Boot build that needs System Management Mode"),
        ("bios-microvm.bin", "it is a SeaBIOS for QEMU's microvm"),
        ("qboot.rom", "it is qboot, which starts no disks"),
        ("none", "firmware "),
    ] {
        let error = read(name).unwrap_err();
        assert!(error.starts_with(expected), "{name}: {error}");
    }
}

#[test]
fn variables_lie_below_the_code() {
    let folder = TempDir::new().unwrap();
    let [code, variables] = ["code", "variables"].map(|name| folder.path().join(name));
    fs::write(&code, uefi(64)).unwrap();
    fs::write(&variables, vec![7; 4096]).unwrap();
    let Image { bytes, kind, variables } = read(&Files { code, variables: Some(variables) }).unwrap();
    assert_eq!(variables, 0x1000);
    assert_eq!((bytes.len(), kind), (65 << 12, Kind::Uefi));
    assert_eq!((bytes[4095], &bytes[4096..]), (7, &uefi(64)[..]));
}

#[test]
fn a_device_without_an_end_is_too_long() {
    let error = read(&Files { code: "/dev/zero".into(), variables: None }).unwrap_err();
    assert!(matches!(error, FirmwareError::Image { source: ImageError::Len(_), .. }), "{error}");
}

#[test]
fn qcow2_is_read_as_the_disk_that_it_is() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("OVMF_CODE_4M.qcow2");
    let status = std::process::Command::new("qemu-img")
        .args(["create", "-q", "-f", "qcow2"])
        .arg(&path)
        .arg("256K")
        .status();
    if !status.is_ok_and(|status| status.success()) {
        return println!("skipped: no qemu-img");
    }
    {
        let options = OpenOptions { format: Some(Format::Qcow2), ..OpenOptions::default() };
        let image = disk::open(&path, &options).unwrap();
        let mut bytes = uefi(64);
        image.disk.write_at(&[VolatileSlice::from(&mut bytes[..])], 0).unwrap();
        image.disk.flush().unwrap();
    }
    let Image { bytes, kind, .. } = read(&Files { code: path, variables: None }).unwrap();
    assert_eq!((bytes == uefi(64), kind), (true, Kind::Uefi));
}
