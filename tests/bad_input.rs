//! A machine that can't run fails before the guest starts, with an exit status and one line that names the faulty input and the remedy.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

#[path = "support/mod.rs"]
mod support;

use std::{
    fs, io,
    net::TcpListener,
    os::unix::{
        fs::{MetadataExt, PermissionsExt},
        process::CommandExt,
    },
    path::Path,
    process::Stdio,
};

use support::{Running, expect, guest, no_kvm, nvmm};

const USAGE: i32 = 2;
const COULD_NOT: i32 = 1;
/// `nvmm nest`: level 0 failed.
const HOST_FAILED: i32 = 10;

/// Runs nvmm, and checks that it fails with `status` and one line that contains all of `parts`.
#[track_caller]
fn refused(options: &[&str], status: i32, parts: &[&str]) {
    let output = nvmm().args(options).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{options:?}: {stderr}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "", "{options:?}");
    for part in parts {
        assert!(stderr.contains(part), "{options:?}: no {part:?} in {stderr}");
    }
    if status == COULD_NOT {
        assert_eq!(stderr.lines().count(), 1, "{options:?}: {stderr}");
    }
}

/// No machine is needed to tell that a word is wrong.
#[test]
fn words_of_ctl() {
    let cases: [(&[&str], &str); 10] = [
        (&["migrate"], "migrate: give tcp:HOST:PORT or unix:PATH"),
        (&["migrate", "tcp:h:1", "verify=maybe"], "migrate: verify=maybe: give on or off"),
        (&["migrate", "tcp:h:1", "foo=1"], "migrate: 'foo=1' means nothing"),
        (&["migrate", "tcp:h:1", "downtime-limit=x"], "downtime-limit=x: give a number of milliseconds"),
        (&["migrate", "tcp:h:1", "downtime-limit=-1"], "downtime-limit=-1: give a number of milliseconds"),
        (&["migrate", "tcp:h:1", "downtime-limit=null"], "downtime-limit=null: give a number"),
        (&["snapshot"], "snapshot: give one directory to make"),
        (&["snapshot", "a", "b"], "snapshot: give one directory to make"),
        (&["snapshot", ""], "'' names no file"),
        (&["stop", "--stop"], "--stop goes with snapshot"),
    ];
    for (words, why) in cases {
        refused(&[&["ctl", "/nowhere"], words].concat(), USAGE, &[why]);
    }
}

fn with_kernel<'a>(kernel: &'a Path, options: &[&'a str]) -> Vec<&'a str> {
    [&["--kernel", kernel.to_str().unwrap()], options].concat()
}

#[test]
fn the_command_line() {
    let kernel = guest("power_off");
    let cases: [(&[&str], &[&str]); 18] = [
        (&["--memory", "0"], &["--memory 0", "such as 512M"]),
        (&["--memory", "lots"], &["--memory lots", "such as 2G"]),
        (&["--memory", "size=1G,huge=on"], &["huge", "hugepages"]),
        (&["--smp", "0"], &["--smp 0", "at least one"]),
        (&["--smp", "many"], &["many", "--smp"]),
        (
            &["--smp", "4,cores=3"],
            &["--smp 4,cores=3: 1 socket x 1 die x 3 cores x 1 thread make 3 vCPUs, not 4"],
        ),
        (&["--smp", "2,maxcpus=4"], &["--smp 2,maxcpus=4: maxcpus=4", "make it 2"]),
        (&["--smp", "100000"], &["100000 vCPUs are too many"]),
        (&["--cpu", "Cray-1"], &["Cray-1", "nvmm cpu list"]),
        (&["--disk", "path=x,colour=red"], &["colour", "readonly"]),
        (&["--serial", "tty"], &["--serial tty", "stdio"]),
        (&["--debug-exit", "0x10000"], &["0x10000", "0xfffc"]),
        (&["--debug-exit", "0xfffd"], &["0xfffd", "the first of four", "0xfffc"]),
        (&["-smp", "0"], &["--smp 0", "at least one"]),
        (&["-fda", "x.raw"], &["-fda is QEMU's", "--disk PATH"]),
        (&["-netdev", "user,id=n"], &["-netdev user,id=n: no -device virtio-net-pci,netdev=ID takes n"]),
        (
            &["-drive", "file=x,if=virtio,format=vdi"],
            &["-drive file=x,if=virtio,format=vdi: --disk path=x,format=vdi: ", "qcow2"],
        ),
        (&["x.raw"], &["x.raw is not expected here", "--disk x.raw"]),
    ];
    for (options, parts) in cases {
        refused(&with_kernel(&kernel, options), USAGE, parts);
    }
    refused(&[], USAGE, &["--kernel"]);
    refused(&["-fda", "x.raw"], USAGE, &["-fda is QEMU's", "--disk PATH"]);
}

/// The command line is right, and what it names is not there: status 1, whatever the option is.
#[test]
fn files_that_are_not_there() {
    if no_kvm() {
        return;
    }
    let kernel = guest("power_off");
    let folder = tempfile::tempdir().unwrap();
    let none = folder.path().join("none").to_str().unwrap().to_owned();
    refused(&["--kernel", &none], COULD_NOT, &[&none]);
    refused(&["--disk", &none], COULD_NOT, &[&none]);
    refused(&["--domain", &none], COULD_NOT, &[&none, "No such file"]);
    refused(&["--restore", &none], COULD_NOT, &[&none]);
    refused(&["cpu", "show", &format!("file:{none}")], COULD_NOT, &[&none, "No such file"]);
    for (option, before) in [
        ("--disk", ""),
        ("--disk", "path="),
        ("--cdrom", ""),
        ("--initrd", ""),
        ("--bios", ""),
        ("--firmware", ""),
        ("--rng", ""),
        ("--cpu", "file:"),
        ("--ssh-key", ""),
        ("--cloud-init", "user-data="),
        ("--cloud-init", "meta-data="),
        ("--cloud-init", "network-config="),
        ("--fw-cfg", "opt/a,file="),
        ("--smbios", "type=11,path="),
        ("--display", "vnc=:7,password-file="),
    ] {
        let value = format!("{before}{none}");
        refused(&with_kernel(&kernel, &[option, &value]), COULD_NOT, &[&none]);
    }
}

#[test]
fn kvm() {
    if no_kvm() {
        return;
    }
    let kernel = guest("power_off");
    refused(
        &with_kernel(&kernel, &["--kvm", "/dev/no-kvm"]),
        COULD_NOT,
        &["/dev/no-kvm is missing", "modprobe"],
    );
    refused(&with_kernel(&kernel, &["--kvm", "/dev/null"]), COULD_NOT, &["/dev/null is not KVM"]);
    refused(&with_kernel(&kernel, &["--smp", "20000"]), COULD_NOT, &["--smp 20000", "at most"]);
    refused(&with_kernel(&kernel, &["--memory", "4000T"]), COULD_NOT, &["4000 TiB", "give less"]);
    refused(&with_kernel(&kernel, &["--memory", "60T"]), COULD_NOT, &["60 TiB", "give less"]);
}

#[test]
fn kvm_that_is_not_for_this_user() {
    const NOBODY: u32 = 65534;
    let mode = fs::metadata("/dev/kvm").map(|node| node.mode());
    if !rustix::process::getuid().is_root() || mode.is_ok_and(|mode| mode & 0o006 != 0) || no_kvm() {
        println!("skipped: needs root, and a /dev/kvm that is not for everyone");
        return;
    }
    for (words, status, before) in [
        (["--kernel", "k"], COULD_NOT, "nvmm: "),
        // It is no skip, which a CI job takes for success.
        (["nest", "--levels=1"], HOST_FAILED, "level 0: no access to KVM: "),
    ] {
        let output = nvmm().args(words).uid(NOBODY).gid(NOBODY).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{stderr}");
        let expected = "/dev/kvm can't be opened by this user: join its group (mostly usermod -aG kvm $USER";
        assert!(stderr.starts_with(&format!("{before}{expected}")), "{stderr}");
    }
}

#[test]
fn kernels() {
    if no_kvm() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    let good = fs::read(guest("power_off")).unwrap();
    let mut arm = good.clone();
    arm[18] = 183;
    let cases = [
        (folder.path().join("none"), "can't be read: No such file"),
        (folder.path().to_owned(), "can't be read: is a directory"),
        (file("empty", b""), "the file is empty"),
        (file("text", b"hello"), "no kernel"),
        (file("half", &good[..0x180]), "truncated"),
        (file("arm", &arm), "not for x86"),
        ("/dev/null".into(), "can't be read: it is a character device; give a file or a pipe"),
    ];
    for (kernel, part) in cases {
        refused(&with_kernel(&kernel, &[]), COULD_NOT, &[kernel.to_str().unwrap(), part]);
    }
    let kernel = guest("power_off");
    refused(
        &with_kernel(&kernel, &["--memory", "1028K"]),
        COULD_NOT,
        &["needs memory up to", "--memory at least"],
    );
    let initramfs = file("initramfs", &vec![0; 16 << 20]);
    let options = ["--memory", "16M", "--initramfs", initramfs.to_str().unwrap()];
    refused(&with_kernel(&kernel, &options), COULD_NOT, &["16777216 bytes do not fit", "--memory at least"]);
    let empty = file("no-initramfs", b"");
    let options = ["--initramfs", empty.to_str().unwrap()];
    refused(
        &with_kernel(&kernel, &options),
        COULD_NOT,
        &["--initramfs", "the file is empty", "leave the option out"],
    );
    let long = "x".repeat(5000);
    refused(
        &with_kernel(&kernel, &["--cmdline", &long]),
        COULD_NOT,
        &["--cmdline: 5000 bytes", "at most 2047"],
    );
}

#[test]
fn disks() {
    if no_kvm() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let kernel = guest("echo");
    let (empty, good) = (folder.path().join("empty"), folder.path().join("good"));
    fs::write(&empty, b"").unwrap();
    fs::write(&good, vec![0; 1 << 20]).unwrap();
    for (disk, part) in [
        (folder.path().join("none"), "does not exist"),
        (folder.path().to_owned(), "is a directory"),
        (empty, "is empty"),
        ("/dev/null".into(), "neither a file nor a block device"),
    ] {
        let disk = disk.to_str().unwrap();
        refused(&with_kernel(&kernel, &["--disk", disk]), COULD_NOT, &[disk, part]);
    }
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(&good, &link).unwrap();
    let (good, link) = (good.to_str().unwrap(), link.to_str().unwrap());
    let parts = [link, "is in use by this nvmm itself: another disk", "give each its own"];
    refused(&with_kernel(&kernel, &["--disk", good, "--disk", link]), COULD_NOT, &parts);
    let mut command = nvmm();
    command.args(with_kernel(&kernel, &["--disk", good])).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut first = Running::start(&mut command);
    expect(
        first.0.stdout.as_mut().unwrap(),
        "ready
",
    );
    refused(&with_kernel(&kernel, &["--disk", good]), COULD_NOT, &[good, "in use by"]);
    refused(
        &with_kernel(&kernel, &["--disk", &format!("{good},readonly=on")]),
        COULD_NOT,
        &[good, "in use by"],
    );
    drop(first);
}

#[test]
fn sources_of_random_bytes() {
    if no_kvm() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let kernel = guest("power_off");
    for (source, part) in
        [(folder.path().join("none"), "No such file"), (folder.path().to_owned(), "is a directory")]
    {
        let source = source.to_str().unwrap();
        let parts = [&format!("--rng {source} can't be read"), "or off", part];
        refused(&with_kernel(&kernel, &["--rng", source]), COULD_NOT, &parts);
    }
}

/// Reports of `nest` don't overwrite the files from which its levels are made.
#[test]
fn reports_over_other_files() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    for name in ["disk", "base", "kernel"] {
        fs::write(at(name), [0; 4096]).unwrap();
    }
    let over = format!("path={},overlay={}", at("base"), at("top"));
    let nest = ["nest", "--disk", &at("disk"), "--disk", &over, "--kernel", &at("kernel")];
    for option in ["--json", "--junit", "--html"] {
        for (file, other) in [("disk", "--disk"), ("base", "--disk"), ("kernel", "--kernel")] {
            let path = at(file);
            let taken = format!("{option} {path}: that is a file of {other} {path} too");
            refused(&[&nest[..], &[option, &path]].concat(), COULD_NOT, &[&taken]);
            assert_eq!(fs::read(&path).unwrap(), [0; 4096]);
        }
        // Detected before a level runs.
        let nowhere = at("no/such/report");
        refused(
            &["nest", "--kernel", &at("kernel"), option, &nowhere],
            COULD_NOT,
            &[option, &nowhere, "No such file"],
        );
    }
}

#[test]
fn debug_exits_where_others_are() {
    let folder = tempfile::tempdir().unwrap();
    let kernel = folder.path().join("kernel").to_str().unwrap().to_owned();
    fs::copy(guest("power_off"), &kernel).unwrap();
    for (port, why) in [
        ("0x40", "KVM's own"),
        ("0x1e", "KVM's own"),
        ("0x4d1", "KVM's own"),
        ("0xcf8", "overlaps the device at 0xcf8; give another port, such as 0xf4"),
        ("0x3f8", "ports 0x3f8 to 0x3fb overlap those of COM1; give another port, such as 0xf4"),
    ] {
        let args = ["--kernel", &kernel, "--serial", "null", "--debug-exit", port];
        refused(&args, COULD_NOT, &[&format!("--debug-exit {port}"), why]);
    }
}

/// A machine doesn't write to files that it reads. If a later step fails, an output file keeps its contents.
#[test]
fn outputs_that_keep_what_they_have() {
    if no_kvm() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let kernel = guest("power_off");
    let kept = folder.path().join("kept");
    fs::write(&kept, "text").unwrap();
    let kept = kept.to_str().unwrap();
    let (serial, log) = (format!("file={kept}"), format!("null,log={kept}"));
    let refused = |options: &[&str], parts: &[&str]| {
        refused(&with_kernel(&kernel, options), COULD_NOT, parts);
        assert_eq!(fs::read_to_string(kept).unwrap(), "text", "{options:?}");
    };
    let smbios = format!("type=11,path={kept}");
    for (option, value) in [("--rng", kept), ("--smbios", &smbios)] {
        let taken = format!("{kept}: that is a file of {option} {kept} too, which would be overwritten");
        for output in [["--serial", &serial], ["--serial", &log], ["--stats", kept]] {
            refused(&[&[option, value], &output[..]].concat(), &[output[0], &taken]);
        }
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let socket = format!("tcp={},server", listener.local_addr().unwrap());
    for output in [&serial, &log] {
        refused(&["--serial", output, "--serial", &socket], &[&socket, "another program listens there"]);
        refused(&["--serial", output, "--stats", "/nowhere/x"], &["--stats /nowhere/x"]);
        refused(&["--serial", output, "--debug-exit", "0x3f8"], &["COM1"]);
    }
    // A machine that runs starts with an empty file.
    let output = nvmm().args(with_kernel(&kernel, &["--serial", &log])).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(!fs::read_to_string(kept).unwrap().contains("text"));
}

#[test]
fn more_devices_than_the_bus_has_room_for() {
    const MOST: usize = 248;
    if no_kvm() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let kernel = guest("power_off");
    let disks: Vec<_> = (0..MOST).map(|number| folder.path().join(number.to_string())).collect();
    let mut options = vec!["--serial", "null"];
    for disk in &disks {
        fs::write(disk, [0; 512]).unwrap();
        options.extend(["--disk", disk.to_str().unwrap()]);
    }
    let why = "pci bus 0 is full: it has room for 248 devices";
    refused(
        &with_kernel(&kernel, &options),
        COULD_NOT,
        &[&format!("virtio-rng can't be plugged in (--rng off leaves it out): {why}")],
    );
    options.extend(["--rng", "off", "--balloon"]);
    refused(
        &with_kernel(&kernel, &options),
        COULD_NOT,
        &[&format!("virtio-balloon can't be plugged in (leave out --balloon): {why}")],
    );
    // The screen gets the last slot, and its tablet none.
    let fewer = [&options[..2 + 2 * (MOST - 1)], &["--rng", "off", "--display", "vga"]].concat();
    refused(
        &with_kernel(&kernel, &fewer),
        COULD_NOT,
        &[&format!("the tablet can't be plugged in (leave out another device): {why}")],
    );
}

#[test]
fn a_disk_given_twice() {
    let folder = tempfile::tempdir().unwrap();
    let [kernel, disk] = ["kernel", "disk"].map(|name| folder.path().join(name).to_str().unwrap().to_owned());
    fs::copy(guest("power_off"), &kernel).unwrap();
    fs::write(&disk, [0; 4096]).unwrap();
    let args = ["--kernel", &kernel, "--serial", "null", "--disk", &disk, "--disk", &disk];
    refused(&args, USAGE, &[&disk, "the image is given twice"]);
}

/// A program that could not start at the last level is refused before any level starts.
#[test]
fn programs_for_nest() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let write = |name: &str, text: &[u8], mode: u32| {
        fs::write(at(name), text).unwrap();
        fs::set_permissions(at(name), fs::Permissions::from_mode(mode)).unwrap();
        at(name)
    };
    let script = write("script", b"#!/no/such/shell\n", 0o755);
    let arm = write("arm", b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\xb7\0\x01\0\0\0\0\0\0\0\0\0\0\0\x40\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x40\0\x38\0\0\0\x40\0\0\0\0\0", 0o755);
    let cases = [
        (at("none"), "No such file"),
        (folder.path().to_str().unwrap().to_owned(), "it is a directory"),
        ("/dev/null".to_owned(), "no regular file"),
        (write("text", b"hello\n", 0o755), "neither an ELF program nor a script that begins with #!"),
        (write("locked", b"#!/bin/sh\n", 0o644), "is not executable; chmod +x"),
        (script.clone(), "/no/such/shell, which the level lacks; add it with --add HOST:/no/such/shell"),
        (arm, "another processor than x86"),
    ];
    for (file, why) in &cases {
        refused(&["nest", "--exec", file], COULD_NOT, &[&format!("--exec {file}"), why]);
    }
    refused(
        &["nest", "--exec", &script, "--add", &at("none")],
        COULD_NOT,
        &["--add", &at("none"), "No such file"],
    );
    let own = format!("{script}:/init");
    refused(&["nest", "--exec", &script, "--add", &own], COULD_NOT, &["--add", "/init is nvmm's own"]);
    refused(&["nest", "--exec", &script, "--add", "x:y"], USAGE, &["HOST:/y"]);
    refused(&["nest", "--exec-args", "x"], USAGE, &["--exec"]);
    // nvmm itself is a static program, but too large for a level of this size.
    let small = ["nest", "--levels", "1", "--memory", "64M", "--exec", env!("CARGO_BIN_EXE_nvmm")];
    refused(&small, COULD_NOT, &["--memory: level 1 has 64 MiB, and needs at least"]);
    let over =
        ["nest", "--exec", env!("CARGO_BIN_EXE_nvmm"), "--add", &format!("{script}:/s"), "--json", &script];
    refused(&over, COULD_NOT, &[&format!("--json {script}: that is a file of --add {script} too")]);
}

/// Invalid uses of kept levels: levels that can't be kept, or were not kept.
#[test]
fn kept_levels_for_nest() {
    let folder = tempfile::tempdir().unwrap();
    let nowhere = folder.path().join("nowhere").to_str().unwrap().to_owned();
    let nvmm = env!("CARGO_BIN_EXE_nvmm");
    refused(
        &["nest", "--keep", &nowhere, "--emulated", "svm"],
        COULD_NOT,
        &["--emulated svm: only levels on this machine's own KVM can be kept"],
    );
    assert!(!folder.path().join("nowhere").exists());
    refused(&["nest", "--keep", &nowhere, "--exec", nvmm], USAGE, &["--keep", "--exec"]);
    refused(&["nest", "--from", &nowhere], USAGE, &["--exec"]);
    for option in [["--levels", "2"], ["--cpu", "host"], ["--keep", &nowhere]] {
        let words = [&["nest", "--from", &nowhere, "--exec", nvmm][..], &option].concat();
        refused(&words, USAGE, &["--from", option[0]]);
    }
    refused(
        &["nest", "--from", &nowhere, "--exec", nvmm],
        COULD_NOT,
        &[
            &format!("--from {nowhere}"),
            "nothing was kept there: it has no nest.json; `nvmm nest --keep` makes one",
        ],
    );
}

/// The exit status of `nest` is right even if its reader has closed the pipe (`nvmm nest | head -1`).
#[test]
fn nest_without_a_reader() {
    const SKIPPED: i32 = 77;
    let nest = ["nest", "--kernel", "/nowhere"];
    if nvmm().args(nest).output().unwrap().status.code() != Some(SKIPPED) {
        return println!("skipped: this machine's KVM can nest");
    }
    let closed = || {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        writer
    };
    let output = nvmm().args(nest).stdout(closed()).output().unwrap();
    assert_eq!(output.status.code(), Some(SKIPPED), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.stderr, b"");
    // The report goes to stdout, and the line to stderr.
    let status = nvmm().args(nest).args(["--json", "-"]).stdout(closed()).stderr(closed()).status().unwrap();
    assert_eq!(status.code(), Some(SKIPPED));
}
