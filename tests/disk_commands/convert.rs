//! `nvmm disk convert`.

use std::{
    fs::{self, File},
    io::Read,
    os::unix::fs::FileExt,
    process::{Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::{
    images::{Images, MIB},
    support::{self, Running, nvmm},
};

#[test]
fn raw_copies_are_those_of_qemu_img() {
    let Some(images) = Images::new() else { return };
    images.raw("disk", 48 * MIB + 512);
    for from in images.of_every_kind("disk") {
        assert_eq!(images.prints(&format!("convert {from} copy")), "");
        images.same_as_qemu_img(&from, "copy");
        fs::remove_file(images.path("copy")).unwrap();
    }
}

#[test]
fn qcow2_copies_are_sound_and_equal() {
    let Some(images) = Images::new() else { return };
    images.raw("disk", 48 * MIB + 512);
    for from in images.of_every_kind("disk") {
        assert_eq!(images.prints(&format!("convert -O qcow2 {from} copy.qcow2")), "");
        images.sound("copy.qcow2");
        let kind = if from.ends_with("vmdk") {
            "vmdk"
        } else if from == "disk" {
            "raw"
        } else {
            "qcow2"
        };
        images.qemu_img(&format!("compare -f {kind} -F qcow2 {from} copy.qcow2"));
        images.qemu_img(&format!("convert -t unsafe -f {kind} -O qcow2 {from} theirs.qcow2"));
        let (ours, theirs) = (images.allocated("copy.qcow2"), images.allocated("theirs.qcow2"));
        assert!(ours <= theirs + MIB, "{from}: {ours} bytes taken, and not {theirs}");
        fs::remove_file(images.path("copy.qcow2")).unwrap();
    }
}

/// A dirty image, which can only be read, is converted with a warning, to the same result as by qemu-img.
#[test]
fn a_dirty_image_is_converted() {
    let Some(images) = Images::new() else { return };
    images.raw("in", MIB);
    images.qemu_img("convert -f raw -O qcow2 in dirty.qcow2");
    File::options().write(true).open(images.path("dirty.qcow2")).unwrap().write_all_at(&[3], 79).unwrap();
    let output = images.disk("convert dirty.qcow2 out");
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    for mark in ["dirty.qcow2: it is marked as dirty", "dirty.qcow2: it is marked as corrupt"] {
        assert!(stderr.contains(mark), "{stderr}");
    }
    assert!(fs::read(images.path("out")).unwrap() == fs::read(images.path("in")).unwrap());
    images.refused("resize dirty.qcow2 1G", 1, &["is marked as dirty; repair it"]);
}

/// All files of an image can be open at once, whatever the soft limit is.
#[test]
fn an_image_of_many_files() {
    let images = Images(TempDir::new().unwrap());
    let mut text = "# Disk DescriptorFile\nversion=1\nCID=1\ncreateType=\"custom\"\n".to_owned();
    for number in 0..100 {
        fs::write(images.path(&format!("part{number}")), [7; 512]).unwrap();
        text += &format!("RW 1 FLAT \"part{number}\" 0\n");
    }
    fs::write(images.path("many.vmdk"), text).unwrap();
    let convert = images.command("convert many.vmdk copy");
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -Sn 64; exec \"$@\"", "sh"]).arg(convert.get_program());
    let output = limited.args(convert.get_args()).current_dir(&images.0).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(fs::read(images.path("copy")).unwrap(), [7; 51200]);
}

/// Even SIGKILL leaves no files behind, if the file system supports unnamed files.
#[test]
fn a_killed_copy_leaves_nothing() {
    let images = Images(TempDir::new().unwrap());
    images.endless();
    if devices::disk::unnamed_file(images.0.path(), 0o600).unwrap().is_none() {
        return eprintln!("skipped: {} has no files without a name", images.0.path().display());
    }
    fs::write(images.path("old"), "old").unwrap();
    let before = images.names();
    for words in [
        "convert endless.vmdk copy",
        "convert -O qcow2 endless.vmdk copy",
        "convert --force endless.vmdk old",
    ] {
        let mut convert = Running::start(&mut images.command(words));
        images.begun(&convert);
        convert.0.kill().unwrap();
        assert_eq!(convert.status(), None);
        assert_eq!(images.names(), before, "{words}");
        assert_eq!(fs::read(images.path("old")).unwrap(), b"old");
    }
}

#[test]
fn an_interrupted_copy_leaves_nothing() {
    let images = Images(TempDir::new().unwrap());
    images.endless();
    let before = images.names();
    for (signal, status) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)] {
        let mut convert = images.heeding_signals("convert endless.vmdk copy");
        let mut convert = Running::start(convert.stderr(Stdio::piped()));
        images.begun(&convert);
        assert!(!images.names().contains(&"copy".to_owned()));
        kill_process(Pid::from_child(&convert.0), Signal::USR1).unwrap();
        support::expect(convert.0.stderr.as_mut().unwrap(), " % of it is done\n");
        kill_process(Pid::from_child(&convert.0), signal).unwrap();
        assert_eq!(convert.status(), Some(status));
        let mut stderr = String::new();
        convert.0.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        assert_eq!(stderr, "nvmm: interrupted; copy was not made\n");
        assert_eq!(images.names(), before);
    }
}

#[test]
fn progress_is_shown_where_it_is_wanted() {
    let images = Images(TempDir::new().unwrap());
    File::create(images.path("disk")).unwrap().write_all_at(&vec![1; 20 << 20], 0).unwrap();
    let tenths: String = (1..=10).map(|tenth| format!("{:3} %\n", tenth * 10)).collect();
    for (options, expected) in [("", ""), ("-q", ""), ("-p", tenths.as_str())] {
        let output = images.disk(&format!("convert {options} disk copy{options}"));
        assert_eq!(output.status.code(), Some(0));
        assert_eq!(String::from_utf8(output.stderr).unwrap(), expected, "{options}");
    }
}

#[test]
fn a_copy_that_fails_leaves_nothing() {
    let images = Images(TempDir::new().unwrap());
    images.raw("disk", 48 * MIB);
    // The file-size limit, in blocks of 1024 bytes: less than the copy, and more than its data.
    let limited = |blocks: &str, words: &str| {
        let program = nvmm().get_program().to_owned();
        let mut sh = Command::new("sh");
        sh.args(["-c", "ulimit -f $1; shift; exec \"$@\"", "sh", blocks]).arg(program).arg("disk");
        sh.args(words.split(' ')).current_dir(&images.0).stdin(Stdio::null()).output().unwrap()
    };
    let output = limited("1000", "convert disk copy");
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), stderr.lines().count()), (Some(1), 1), "{stderr}");
    assert!(stderr.contains("copy can't have 48 MiB: File too large"), "{stderr}");
    assert_eq!(images.names(), ["disk"]);
}
