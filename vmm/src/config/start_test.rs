use clap::Parser;

use super::*;
use crate::cli::Cli;

fn start(words: &str) -> Result<StartConfig, String> {
    let words = ["nvmm"].into_iter().chain(words.split_whitespace());
    StartConfig::parse(&Cli::try_parse_from(words).unwrap().machine).map_err(|error| error.to_string())
}

fn firmware(words: &str) -> FirmwareConfig {
    match start(words) {
        Ok(StartConfig::Firmware(firmware)) => firmware,
        other => panic!("{words}: {other:?}"),
    }
}

#[test]
fn a_kernel_has_a_command_line_unless_another_is_given() {
    let kernel = |initramfs: Option<&str>, cmdline: &str| {
        let (initramfs, cmdline) = (initramfs.map(PathBuf::from), cmdline.to_owned());
        Ok(StartConfig::Kernel(KernelConfig { path: "k".into(), initramfs, cmdline }))
    };
    assert_eq!(start("--kernel k"), kernel(None, "console=ttyS0"));
    assert_eq!(start("--kernel k --initrd i --append quiet"), kernel(Some("i"), "quiet"));
}

#[test]
fn without_a_kernel_firmware_starts_a_disk() {
    assert_eq!(firmware("--disk d").choice, None);
    assert_eq!(firmware("--cdrom c").choice, None);
    assert_eq!(firmware("--firmware bios").choice, Some(FirmwareChoice::Bios));
    assert_eq!(firmware("--firmware uefi --disk d").choice, Some(FirmwareChoice::Uefi));
    let file = |path: &str| Some(FirmwareChoice::File(path.into()));
    assert_eq!(firmware("--firmware ./bios").choice, file("./bios"));
    assert_eq!(firmware("--bios a,,b.bin").choice, file("a,b.bin"), "QEMU's word");
    let uefi = firmware("--firmware uefi,vars=a,,b.fd");
    assert_eq!((uefi.choice, uefi.vars), (Some(FirmwareChoice::Uefi), Some("a,b.fd".into())));
    let boot = firmware("--disk d --boot order=disk1,menu=on").boot;
    assert_eq!(boot, BootConfig { order: vec!["disk1".to_owned()], menu: true });
}

#[test]
fn firmware_loads_a_kernel_where_both_are_given() {
    let both = firmware("--kernel k --initrd i --firmware bios --boot disk1 --disk d");
    let (initramfs, cmdline) = (Some("i".into()), "console=ttyS0".to_owned());
    assert_eq!(both.kernel, Some(KernelConfig { path: "k".into(), initramfs, cmdline }));
    assert_eq!((both.choice, both.boot.order), (Some(FirmwareChoice::Bios), vec!["disk1".to_owned()]));
    assert_eq!(firmware("--firmware bios").kernel, None);
}

#[test]
fn options_that_say_nothing_or_two_things_are_refused() {
    for (words, expected) in [
        (
            "",
            "there is nothing to start: give a disk with --disk PATH, whose boot loader starts it, or a kernel with --kernel FILE",
        ),
        ("--initramfs i --disk d", "--initramfs goes with --kernel"),
        ("--cmdline quiet --disk d", "--cmdline goes with --kernel"),
        ("--initramfs i --firmware bios", "--initramfs goes with --kernel"),
        (
            "--kernel k --boot c",
            "--boot goes with firmware, and --kernel starts without; give --firmware, too, or leave --boot out",
        ),
        ("--firmware= --disk d", "--firmware : give bios, uefi or an image's path"),
        (
            "--firmware bios,x=y",
            "--firmware bios,x=y: 'x' means nothing here; give vars=PATH, and a comma in a path twice",
        ),
        ("--firmware uefi,vars=", "--firmware uefi,vars=: 'vars=' needs a value: vars=PATH"),
        (
            "--firmware uefi,vars=new/",
            "--firmware uefi,vars=new/: new/ is a folder's name; give a file's, which is made if it is not there",
        ),
        ("--firmware uefi,vars", "--firmware uefi,vars: 'vars' needs a value: vars=PATH"),
        ("--firmware bios,vars=f", "--firmware bios,vars=f: a BIOS has no variables; give vars= with uefi"),
    ] {
        let error = start(words).unwrap_err();
        assert!(error.starts_with(expected), "{words}: {error}");
    }
}

#[test]
fn files_are_known_by_their_options() {
    let files = |words| {
        let start = start(words).unwrap();
        start
            .files()
            .into_iter()
            .map(|(option, path)| format!("{option} {}", path.display()))
            .collect::<Vec<_>>()
    };
    assert_eq!(files("--kernel k --initramfs i"), ["--kernel k", "--initramfs i"]);
    assert_eq!(files("--firmware f"), ["--firmware f"]);
    assert_eq!(files("--firmware f --kernel k"), ["--kernel k", "--firmware f"]);
    assert_eq!(files("--firmware bios"), [""; 0]);
    assert_eq!(files("--firmware f,vars=v"), ["--firmware f", "vars= of --firmware v"]);
}
