//! `nvmm disk info`.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt,
    process::{Command, Stdio},
};

use devices::printable::is_plain;

use crate::{
    images::{Images, MIB},
    support::{self, Running},
};

#[test]
fn info_describes_an_image() {
    let Some(images) = Images::new() else { return };
    images.raw("disk", 48 * MIB);
    images.of_every_kind("disk");
    let text = images.prints("info top.qcow2");
    let chain: Vec<_> = text.lines().skip_while(|line| !line.starts_with("chain")).collect();
    assert_eq!(chain.len(), 3, "{text}");
    for (line, name) in chain.iter().zip(["top.qcow2", "middle.qcow2", "v2.qcow2"]) {
        assert!(line.contains(name) && line.contains("48 MiB"), "{text}");
    }
    for part in ["format        qcow2, version 3\n", "(50331648 bytes)", "clusters      64 KiB"] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    let text = images.prints("info streamOptimized.vmdk");
    for part in ["vmdk, streamOptimized", "sparse, 48 MiB in grains of 64 KiB, compressed"] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    let json = |name: &str| -> serde_json::Value {
        serde_json::from_str(&images.prints(&format!("info --json {name}"))).unwrap()
    };
    let v2 = json("v2.qcow2");
    assert_eq!((&v2["problem"], &v2["chain"][0]["qcow2"]["version"]), (&serde_json::Value::Null, &2.into()));
    assert_eq!(json("disk")["chain"][0]["format_guessed"], true);
    assert_eq!(json("-f raw v2.qcow2")["chain"][0]["format"], "raw");
}

#[test]
fn info_reports_faults() {
    let Some(images) = Images::new() else { return };
    images.qemu_img("create -f qcow2 base.qcow2 3M");
    images.qemu_img("create -f qcow2 -b base.qcow2 -F qcow2 guess.qcow2");
    // qemu-img no longer creates one without the format, so change the type of its header extension.
    let guess = images.path("guess.qcow2");
    let extension = [0xe2, 0x79, 0x2a, 0xca];
    let place = fs::read(&guess).unwrap().windows(4).position(|bytes| *bytes == extension).unwrap();
    File::options().write(true).open(&guess).unwrap().write_all_at(&[1], place as u64).unwrap();
    images.qemu_img("create -f qcow2 -b base.qcow2 -F qcow2 top.qcow2");
    images.qemu_img("create -f qcow2 -o compression_type=zstd zstd.qcow2 3M");
    fs::remove_file(images.path("base.qcow2")).unwrap();
    for (name, parts) in [
        (
            "guess.qcow2",
            ["base          base.qcow2, a format that is not recorded", "qemu-img rebase -u -F FORMAT"],
        ),
        ("top.qcow2", ["base          base.qcow2, qcow2", "base.qcow2 does not exist"]),
        ("zstd.qcow2", ["compression   zstd", "compressed by zstd"]),
    ] {
        let output = images.disk(&format!("info {name}"));
        let (text, stderr) =
            (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        assert_eq!((output.status.code(), stderr.as_str()), (Some(1), ""), "{text}");
        for part in parts.iter().chain(&["\n✗ disk ", "size          3 MiB"]) {
            assert!(text.contains(part), "{part}\n{text}");
        }
        let output = images.disk(&format!("info --json {name}"));
        let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(json["problem"].as_str().is_some_and(|problem| problem.contains(parts[1])), "{json:#}");
    }
    images.refused("info none", 1, &["disk none does not exist"]);
    images.refused("info .", 1, &["is a directory"]);
}

#[test]
fn info_works_on_an_image_in_use() {
    let Some(images) = Images::new() else { return };
    images.qemu_img("create -f qcow2 disk.qcow2 3M");
    // It keeps the image open for writing as long as its input is open.
    let mut qemu_io = Command::new("qemu-io");
    qemu_io.args(["-f", "qcow2", "disk.qcow2"]).current_dir(&images.0);
    let mut qemu_io = Running::start(qemu_io.stdin(Stdio::piped()).stdout(Stdio::piped()));
    support::expect(qemu_io.0.stdout.as_mut().unwrap(), "qemu-io> ");
    let text = images.prints("info disk.qcow2");
    let line = format!("in use        by qemu-io (pid {}), which writes to it\n", qemu_io.0.id());
    assert!(text.contains(&line), "{text}");
    images.refused("convert disk.qcow2 copy", 1, &["is in use by qemu-io"]);
    fs::write(images.path("copy"), "old").unwrap();
    drop(qemu_io);
}

/// A terminal prints strings from an image safely.
#[test]
fn text_from_an_image_is_printed_safely() {
    let Some(images) = Images::new() else { return };
    const EVIL: &str = "\x1b]0;x\x07\x1b[2J\r\u{9b}31m\u{202e}\tfdmv";
    let descriptor = |lines: &str| format!("# Disk DescriptorFile\nversion=1\nCID=1\n{lines}\n");
    for (name, text) in [
        ("type", descriptor(&format!("createType=\"{EVIL}\""))),
        ("cid", descriptor(&format!("CID={EVIL}\ncreateType=\"custom\"\nRW 1 ZERO"))),
        (
            "parent",
            descriptor(&format!(
                "parentCID=2\nparentFileNameHint=\"{EVIL}\"\ncreateType=\"custom\"\nRW 1 ZERO"
            )),
        ),
        ("orphan", descriptor(&format!("parentFileNameHint=\"{EVIL}\"\ncreateType=\"custom\"\nRW 1 ZERO"))),
        (
            "extent",
            descriptor(&format!("createType=\"custom\"\nRW 1 {}x \"a\"", EVIL.replace(['\r', '\t'], ""))),
        ),
        ("name", descriptor(&format!("createType=\"custom\"\nRW 1 FLAT \"{EVIL}\" 0"))),
        ("size", descriptor(&format!("createType=\"custom\"\nRW {EVIL} FLAT \"a\" 0"))),
    ] {
        fs::write(images.path(name), text).unwrap();
    }
    // A name and a format, both of which contain a line that looks like nvmm's.
    let long = "x".repeat(EVIL.len());
    for (name, evil) in [("backing", EVIL.to_owned()), ("forged", EVIL.replace("\t", "\n"))] {
        images.qemu_img(&format!("create -q -u -f qcow2 -F raw -b {long} {name} 1M"));
        let image = fs::read(images.path(name)).unwrap();
        let at = image.windows(long.len()).position(|it| it == long.as_bytes()).unwrap();
        let file = File::options().write(true).open(images.path(name)).unwrap();
        file.write_all_at(evil.as_bytes(), at as u64).unwrap();
    }
    fs::copy(images.path("backing"), images.path("format")).unwrap();
    let image = fs::read(images.path("format")).unwrap();
    let at = image.windows(4).position(|it| it == [0xe2, 0x79, 0x2a, 0xca]).unwrap() as u64;
    let format = File::options().write(true).open(images.path("format")).unwrap();
    format.write_all_at(b"\x1b[A", at + 8).unwrap();
    // A file with such a name.
    fs::write(images.path(EVIL), [0; 4096]).unwrap();
    fs::write(images.path("there"), descriptor(&format!("createType=\"custom\"\nRW 8 FLAT \"{EVIL}\" 0")))
        .unwrap();

    let names = images.names();
    let mut said = 0;
    for name in names.iter().map(String::as_str) {
        for words in [&["info"][..], &["info", "--json"], &["convert", "--force"], &["resize"]] {
            let mut command = images.command("");
            command.args(words).arg(name);
            match words[0] {
                "convert" => command.arg("copy"),
                "resize" => command.arg("16M"),
                _ => &mut command,
            };
            let output = command.output().unwrap();
            for text in [output.stdout, output.stderr] {
                let text = String::from_utf8(text).unwrap();
                let is_json = words.len() > 1 && words[1] == "--json";
                let plain = |c: char| c == '\n' || if is_json { !c.is_ascii_control() } else { is_plain(c) };
                assert!(text.chars().all(plain), "{words:?} {name}: {text:?}");
                said += usize::from(text.contains("\\x1b[") || text.contains("\\u001b["));
                // Each message is one line, except those about fields to be written.
                assert!(words[0] == "info" || text.lines().count() <= 1, "{words:?} {name}: {text:?}");
            }
        }
    }
    assert!(said >= 2 * names.len(), "{said} of {} say what is in the image", names.len());
}

/// A raw extent looks like a disk, but is only a part of one.
#[test]
fn a_part_of_a_disk_is_reported_with_its_disk() {
    let Some(images) = Images::new() else { return };
    images.qemu_img("create -q -f vmdk -o subformat=monolithicFlat flat.vmdk 1M");
    images.qemu_img("create -q -f vmdk -o subformat=twoGbMaxExtentSparse split.vmdk 1M");
    let output = images.disk("info flat-flat.vmdk");
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    assert!(stderr.contains("flat-flat.vmdk is a piece of flat.vmdk, by its name"), "{stderr}");
    let output = images.disk("info split-s001.vmdk");
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stdout}");
    let told = "a piece of a disk; give the file that names it, ";
    assert!(stdout.contains(told) && stdout.ends_with("/split.vmdk\n"), "{stdout}");
}

#[test]
fn a_raw_file_with_the_name_of_another_format_is_warned_of() {
    let Some(images) = Images::new() else { return };
    for (name, format) in [
        ("a.qcow2", "qcow2"),
        ("a.QCOW2", "qcow2"),
        ("a.vmdk", "vmdk"),
        ("a.vdi", "vdi"),
        ("a.vhdx", "vhdx"),
        ("a.vhd", "vpc"),
    ] {
        images.raw(name, MIB);
        let output = images.disk(&format!("info {name}"));
        let stderr = String::from_utf8(output.stderr).unwrap();
        let warning = format!(
            "disk {name} is named as a {format} image, but does not begin as one, and is used as raw; if that is \
             meant, say so by format=raw (nvmm disk: -f raw)\n"
        );
        assert_eq!((output.status.code(), stderr), (Some(0), format!("nvmm: {warning}")));
        let output = images.disk(&format!("info -f raw {name}"));
        assert_eq!((output.status.code(), &*output.stderr), (Some(0), &b""[..]), "{name}");
    }
    for name in ["disk.img", "disk.raw", "disk", "qcow2", "a.qcow2.bak"] {
        images.raw(name, MIB);
        let output = images.disk(&format!("info {name}"));
        assert_eq!((output.status.code(), &*output.stderr), (Some(0), &b""[..]), "{name}");
    }
}
