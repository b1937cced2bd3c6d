use std::collections::BTreeSet;

use clap::CommandFactory;

use super::*;
use crate::cli::{Cli, MachineAlone};

fn words(line: &str) -> Vec<OsString> {
    ["nvmm"].into_iter().chain(line.split_whitespace()).map(OsString::from).collect()
}

fn respelled(line: &str) -> String {
    let words = words(line);
    let respelled: Vec<_> = with_two_dashes(&words, MachineAlone::command)[1..]
        .iter()
        .map(|word| word.to_str().unwrap().to_owned())
        .collect();
    respelled.join(" ")
}

/// The first line or lines of clap's text, without the usage.
fn refused(line: &str) -> String {
    let error = Cli::of(&words(line)).expect_err(line);
    assert_eq!(error.exit_code(), i32::from(crate::exit::USAGE), "{line}: {error}");
    error.to_string().split("\n\n").next().unwrap().to_owned()
}

#[test]
fn long_options_take_two_dashes() {
    for (line, expected) in [
        ("-cpu host -smp 2", "--cpu host --smp 2"),
        ("-kernel k -initrd i -append quiet", "--kernel k --initrd i --append quiet"),
        ("-cpu=host", "--cpu=host"),
        ("-memory 2G", "--memory 2G"),
        ("-version", "--version"),
        ("-help", "--help"),
        ("-mem-prealloc", "--mem-prealloc"),
        ("-S -s -gdb unix:gdb", "--paused --gdb=tcp::1234 --gdb unix:gdb"),
        ("-kernel k -- -cpu", "--kernel k -- -cpu"),
    ] {
        assert_eq!(respelled(line), expected);
    }
}

#[test]
fn other_words_stay_as_they_are() {
    for line in [
        "-m 2G",
        "-m2G",
        "-m=2G",
        "-v",
        "-vv",
        "-vvv",
        "-h",
        "-V",
        "-",
        "-1",
        "-kernal k",
        "--cpu host",
        "cpu",
        "-é",
    ] {
        assert!(matches!(with_two_dashes(&words(line), MachineAlone::command), Cow::Borrowed(_)), "{line}");
        assert!(refuse(&words(line), Vec::new(), Cli::command).is_none(), "{line}");
    }
}

#[test]
fn words_that_are_no_text_are_left_to_clap() {
    use std::os::unix::ffi::OsStringExt;
    let words = ["nvmm".into(), OsString::from_vec(b"-\xff\xfe".into())];
    assert!(matches!(with_two_dashes(&words, MachineAlone::command), Cow::Borrowed(_)));
    assert!(refuse(&words, Vec::new(), Cli::command).is_none());
    Cli::of(&words).unwrap_err();
}

#[test]
fn every_option_of_the_table_is_a_usage_error_with_its_sentence() {
    for (names, instead) in OPTIONS {
        for name in *names {
            for dashes in ["-", "--"] {
                for rest in ["", " x.raw", "=x.raw"] {
                    let line = format!("{dashes}{name}{rest}");
                    assert_eq!(refused(&line), format!("error: -{name} is QEMU's: {instead}"), "{line}");
                    let line = format!("--kernel k {line}");
                    assert_eq!(refused(&line), format!("error: -{name} is QEMU's: {instead}"), "{line}");
                }
            }
        }
    }
}

#[test]
fn the_table_names_no_option_twice_and_none_that_nvmm_has() {
    let longs = long_options(&MachineAlone::command());
    let mut seen = BTreeSet::new();
    for name in OPTIONS.iter().flat_map(|(names, _)| *names) {
        assert!(seen.insert(name), "{name} is there twice");
        assert!(!longs.iter().any(|long| long == name), "nvmm has --{name}");
        assert!(!["m", "v", "h", "V"].contains(name), "nvmm has -{name}");
    }
}

#[test]
fn the_sentences_name_options_that_nvmm_has() {
    let longs = long_options(&MachineAlone::command());
    let mut seen = 0;
    for (_, instead) in OPTIONS.iter().chain(DEVICES).chain(OBJECTS) {
        for word in instead.split(|letter: char| letter != '-' && !letter.is_alphanumeric()) {
            if let Some(name) = word.strip_prefix("--") {
                assert!(longs.iter().any(|long| long == name), "{instead}");
                seen += 1;
            }
        }
    }
    assert!(seen > 10);
}

#[test]
fn the_network_is_joined_and_refused_with_the_rest() {
    let line = "-kernel k -nic tap,model=virtio-net-pci,ifname=t -netdev bridge,id=b -device virtio-net-pci,netdev=b";
    let net = Cli::of(&words(line)).unwrap().machine.net;
    assert_eq!(net, ["tap,ifname=t", "bridge,id=b"]);
    let text =
        refused("-kernel k -nic tap,model=e1000 -netdev bridge,id=b -enable-kvm -device e1000,netdev=b");
    let starts: Vec<_> = text
        .lines()
        .map(|line| line.trim_start_matches("error:").trim().split_once(" is QEMU's: ").unwrap().0)
        .collect();
    assert_eq!(starts, ["-nic model=e1000", "-netdev bridge", "-enable-kvm", "-device e1000"]);
    // A right network does not make up for the rest.
    assert!(refused("-kernel k -nic tap -hda x").starts_with("error: -hda is QEMU's: "));
}

#[test]
fn the_socket_device_is_taken_or_refused_with_the_rest() {
    let line =
        "-kernel k -device vhost-vsock-pci,guest-cid=3 -netdev user,id=n -device virtio-net-pci,netdev=n";
    let machine = Cli::of(&words(line)).unwrap().machine;
    assert_eq!((machine.vsock, machine.net), (Some("guest-cid=3".into()), vec!["user,id=n".into()]));
    let text = refused("-kernel k -device vhost-vsock-pci -nic tap,model=e1000");
    let starts = text.lines().map(|line| line.trim_start_matches("error:").trim());
    let starts: Vec<_> = starts.map(|line| line.split_once(" is QEMU's: ").unwrap().0).collect();
    assert_eq!(starts, ["-nic model=e1000", "-device vhost-vsock-pci"]);
}

#[test]
fn all_are_told_at_once_and_each_once() {
    let text = refused("-enable-kvm -m 2G -hda a.raw -kernel k --drive file=b.raw -hda c.raw -nographic");
    let options: Vec<_> = text.lines().map(|line| line.trim_start_matches("error:").trim()).collect();
    assert_eq!(options.len(), 4, "{text}");
    for (line, option) in options.iter().zip(["-enable-kvm", "-hda", "-drive", "-nographic"]) {
        assert!(line.starts_with(&format!("{option} is QEMU's: ")), "{text}");
    }
}

#[test]
fn drives_have_ways_of_their_own() {
    for (value, part) in [
        (
            "if=pflash,format=raw,unit=1,file=v.fd",
            "-drive if=pflash is QEMU's: say --firmware uefi,vars=PATH",
        ),
        ("file=v.fd,if=pflash,readonly=on", "-drive if=pflash is QEMU's: say --firmware uefi,vars=PATH"),
        ("file=a.iso,media=cdrom", "-drive media=cdrom is QEMU's: say --cdrom PATH"),
        ("file=a.img,if=ide", "-drive if=ide is QEMU's: give each disk with --disk path=PATH,bus=sata"),
        ("file=a.img,if=virtio", "-drive is QEMU's: give each disk with --disk PATH"),
    ] {
        let text = refused(&format!("-drive {value}"));
        assert!(text.contains(part), "{value}: {text}");
    }
}

#[test]
fn devices_have_ways_of_their_own() {
    for (value, part) in [
        ("isa-debug-exit,iobase=0xf4", "-device isa-debug-exit is QEMU's: say --debug-exit PORT"),
        ("virtio-blk-pci,drive=d", "-device virtio-blk is QEMU's: give each disk with --disk"),
        (
            "e1000,netdev=n",
            "-device e1000 is QEMU's: say virtio-net-pci, which is nvmm's network card, or --net",
        ),
        ("intel-hda", "-device is QEMU's: leave it out"),
        ("virtio-rng-pci,rng=r", "-device virtio-rng is QEMU's: leave it out; nvmm's machine has virtio-rng"),
        ("virtio-balloon-pci,free-page-reporting=on", "-device virtio-balloon is QEMU's: say --balloon"),
        ("vhost-vsock-ccw,guest-cid=3", "-device vhost-vsock is QEMU's: say --vsock cid=N"),
        ("vhost-user-vsock-pci,chardev=c", "or --vsock cid=N,uds=PATH for a unix socket"),
        ("ich9-ahci,id=ahci", "-device ich9-ahci is QEMU's: give each disk with --disk path=PATH,bus=sata"),
        (
            "ide-hd,drive=d,bus=ahci.0",
            "-device ide-hd is QEMU's: give each disk with --disk path=PATH,bus=sata",
        ),
        ("ide-cd,drive=d", "-device ide-cd is QEMU's: say --cdrom PATH"),
        ("", "-device is QEMU's: leave it out"),
    ] {
        let text = refused(&format!("-device {value}"));
        assert!(text.contains(part), "{value}: {text}");
    }
    for (value, part) in [
        (
            "rng-random,id=r,filename=/dev/hwrng",
            "-object rng-random is QEMU's: leave it out; nvmm's machine has virtio-rng",
        ),
        ("memory-backend-file,id=m", "-object is QEMU's: leave it out; nvmm has no objects"),
    ] {
        let text = refused(&format!("-object {value}"));
        assert!(text.contains(part), "{value}: {text}");
    }
}
