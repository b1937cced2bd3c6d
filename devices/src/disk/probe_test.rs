use std::{fs, process::Command};

use proptest::{collection::vec, prelude::*, sample::select};
use tempfile::TempDir;

use super::*;

/// The first sector of each format, without the rest.
fn samples() -> Vec<(Looks, Vec<u8>)> {
    let bochs = |version: u32| {
        let mut sector = vec![0; 512];
        for (at, text) in [(0, &b"Bochs Virtual HD Image"[..]), (32, b"Redolog"), (48, b"Growing")] {
            sector[at..at + text.len()].copy_from_slice(text);
        }
        sector[64..68].copy_from_slice(&version.to_le_bytes());
        sector
    };
    let starts: [(Looks, &[u8]); 18] = [
        (Looks::Qcow, b"QFI\xfb\0\0\0\x01"),
        (Looks::Qcow, b"QFI\xfb\0\0\0\x03"),
        (Looks::Qed, b"QED\0"),
        (Looks::Vmdk, b"KDMV"),
        (Looks::Vmdk, b"COWD"),
        (Looks::Vmdk, b"# Disk DescriptorFile\nversion=1\n"),
        (Looks::Vmdk, b"# Disk Descriptor File\r\nversion=2\r\n"),
        (Looks::Vmdk, b"#Disk DescriptorFile\n#\n  \n \r\nversion=3\n"),
        (Looks::Vmdk, b"version=1\nRW 1 FLAT \"/etc/shadow\" 0\n"),
        (Looks::Vhdx, b"vhdxfile"),
        (Looks::Vpc, b"conectix"),
        (Looks::Parallels, b"WithoutFreeSpace\x02\0\0\0"),
        (Looks::Parallels, b"WithouFreSpacExt\x02\0\0\0"),
        (Looks::Cloop, CLOOP),
        (Looks::Luks, b"LUKS\xba\xbe\0\x01"),
        (Looks::Bochs, &bochs(0x2_0000)),
        (Looks::Bochs, &bochs(0x1_0000)),
        (Looks::Vdi, &[&[b' '; 64][..], &[0x7f, 0x10, 0xda, 0xbe]].concat()),
    ];
    starts.map(|(looks, start)| (looks, start.to_vec())).to_vec()
}

/// Returns whether qemu-img detects a format other than raw: it then says so, or fails on the rest of the file. `None`: there is no
/// qemu-img.
fn qemu_img_knows(name: &str, sector: &[u8]) -> Option<bool> {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join(name);
    let mut bytes = sector.to_vec();
    bytes.resize(8192, 0);
    fs::write(&path, bytes).unwrap();
    match Command::new("qemu-img").args(["info", "--output=json"]).arg(&path).output() {
        Ok(output) => Some(!String::from_utf8_lossy(&output.stdout).contains("\"format\": \"raw\"")),
        Err(error) => {
            eprintln!("skipped: qemu-img: {error}");
            None
        }
    }
}

#[test]
fn each_format_is_detected_as_by_qemu_img() {
    for (looks, sector) in samples() {
        let text = String::from_utf8_lossy(&sector);
        assert_eq!(Looks::of(&sector), Some(looks), "{text:?}");
        let Some(known) = qemu_img_knows("image", &sector) else { continue };
        assert!(known, "qemu-img takes {text:?} for raw");
    }
    for (name, looks) in [("x.dmg", Some(Looks::Dmg)), (".dmg", None), ("x.DMG", None), ("dmg", None)] {
        assert_eq!(Looks::named(Path::new(name)), looks, "{name}");
    }
}

/// Complete images made by qemu-img.
#[test]
fn images_of_qemu_img_are_known() {
    let folder = TempDir::new().unwrap();
    for (format, looks) in [
        ("qcow", Looks::Qcow),
        ("qcow2", Looks::Qcow),
        ("qed", Looks::Qed),
        ("vmdk", Looks::Vmdk),
        ("vdi", Looks::Vdi),
        ("vhdx", Looks::Vhdx),
        ("vpc", Looks::Vpc),
        ("parallels", Looks::Parallels),
    ] {
        let path = folder.path().join(format);
        match Command::new("qemu-img").args(["create", "-q", "-f", format]).arg(&path).arg("4M").output() {
            Err(error) => return eprintln!("skipped: qemu-img: {error}"),
            // A build of qemu-img without this format.
            Ok(output) if !output.status.success() => continue,
            Ok(_) => {}
        }
        assert_eq!(Looks::of(&fs::read(&path).unwrap()[..512]), Some(looks), "{format}");
    }
}

/// Near misses: files that nvmm detects as raw are also raw for qemu-img.
#[test]
fn images_raw_here_are_raw_to_qemu_img() {
    let mut sectors: Vec<Vec<u8>> = Vec::new();
    for (_, sector) in samples() {
        for at in 0..sector.len().min(70) {
            let mut near = sector.clone();
            near[at] ^= 0x20;
            sectors.push(near);
        }
    }
    for text in [
        "\nversion=1\n",
        "\u{feff}# Disk DescriptorFile\nversion=1\n",
        "version=4\n",
        "version = 1\n",
        "Version=1\n",
        " version=1\n",
        "# Disk",
        "version=1",
        "\r\nversion=1\r\n",
        "#\0\nversion=1\n",
        "\0version=1\n",
    ] {
        sectors.push(text.as_bytes().to_vec());
    }
    // A comment up to the last byte that is examined, and one byte less and more.
    for len in 498..=512 {
        sectors.push([&b"#"[..], &vec![b'x'; len - 12], b"\nversion=1\n"].concat());
    }
    // Each run of qemu-img takes a while; these are enough to detect a wrong rule.
    let step = 1 + sectors.len() / 150;
    let texts = sectors.len() - 30..sectors.len();
    for (index, sector) in sectors.iter().enumerate() {
        let mut sector = sector.clone();
        sector.resize(512, 0);
        if Looks::of(&sector).is_some() || !(index % step == 0 || texts.contains(&index)) {
            continue;
        }
        match qemu_img_knows("image", &sector) {
            None => return,
            Some(known) => assert!(!known, "{:?}", String::from_utf8_lossy(&sector)),
        }
    }
}

proptest! {
    /// An independent formulation of the rule for descriptors.
    #[test]
    fn comments_and_blank_lines_come_before_the_version(
        lines in vec(select(vec!["#\n", "# Disk\n", "#a\r\n", " \n", "   \r\n", "\n", "x\n", "\r\n"]), 0..6),
        version in select(vec!["version=1\n", "version=2\r\n", "version=3\n", "version=0\n", "version=1"]),
    ) {
        let sector = lines.concat() + version;
        let skipped = lines.iter().all(|line| line.starts_with(['#', ' ']));
        prop_assert_eq!(Looks::of(sector.as_bytes()).is_some(), skipped && version.len() > 9 && !version.contains('0'));
    }
}
