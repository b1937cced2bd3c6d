use std::os::unix::ffi::OsStringExt;

use super::*;
use crate::cli::Cli;

fn words(line: &str) -> Vec<OsString> {
    ["nvmm"].into_iter().chain(line.split_whitespace()).map(OsString::from).collect()
}

fn error(line: &str) -> Error {
    Cli::of(&words(line)).expect_err(line)
}

#[test]
fn a_fault_is_a_line_with_the_way_out() {
    for (line, expected) in [
        ("--memroy 1G", "--memroy: no such option; did you mean --memory?"),
        ("--kernel k --bogus=3", "--bogus: no such option; did you mean --bios?"),
        ("-kernal k", "-kernal: no such option; did you mean --kernel?"),
        ("-memroy 1G", "-memroy: no such option; did you mean --memory?"),
        ("-kernel k -mmory=1G", "-mmory: no such option; did you mean --memory?"),
        ("-Z", "-Z: no such option"),
        ("-kernel k -nographics", "-nographics: no such option; did you mean -nographic?"),
        ("-drve file=d,if=virtio -m 1G", "-drve: no such option; did you mean -drive?"),
        ("-mem-pth /dev/shm -hda d", "-mem-pth: no such option; did you mean -mem-path?"),
        ("nest --levls 2", "nest --levls: no such option; did you mean --levels?"),
        ("cpu show --jsn x", "cpu show --jsn: no such option; did you mean --json?"),
        ("disk convert a b c", "disk convert c is not expected here"),
        ("chek", "chek: no such command; did you mean check?"),
        ("xyzzy", "xyzzy: no such command; nvmm --help lists them"),
        ("cpu shw x", "cpu shw: no such command; did you mean show?"),
        ("disk xyzzy", "disk xyzzy: no such command; nvmm disk --help lists them"),
        ("--kernel", "--kernel needs a value: --kernel <FILE>"),
        ("--kernel a --kernel b", "--kernel is given twice; give it once"),
        ("--on-reboot x", "--on-reboot x: give reset or exit"),
        ("disk create -f x a 1G", "disk create --format x: give raw or qcow2"),
        ("--nested maybe", "--nested maybe: give off, auto or on"),
        ("nest --levels 9", "nest --levels 9: give 1 to 8"),
        ("nest --levels 0", "nest --levels 0: give 1 to 8"),
        ("nest --levels two", "nest --levels two: give 1 to 8"),
        ("--json", "--dry-run is missing; usage: nvmm --dry-run --json"),
        ("disk info", "disk info: <PATH> is missing; usage: nvmm disk info <PATH>"),
        ("disk convert", "disk convert: <SRC> <DST> are missing; usage: nvmm disk convert <SRC> <DST>"),
        ("--kernel k check", "check: a command comes first, and takes no options of a machine's"),
        ("--from-qemu x --kernel k", "--from-qemu can't be given with other options"),
        ("nest --from d --exec e --levels 2", "nest --from can't be given with --levels"),
        ("cpu show x --raw --json", "cpu show --raw can't be given with --json"),
    ] {
        let error = error(line);
        assert_eq!((error.to_string().as_str(), error.status()), (expected, USAGE), "{line}");
    }
}

#[test]
fn a_stray_word_is_reported_with_a_remedy() {
    for (line, expected) in [
        (
            "vmlinux",
            "vmlinux: no such command; a kernel is given with --kernel vmlinux, a disk with --disk vmlinux",
        ),
        (
            "-m 1G bzImage",
            "bzImage is not expected here; a kernel is given with --kernel bzImage, a disk with --disk bzImage",
        ),
        ("x.raw --kernel k", "x.raw: no such command; a disk is given with --disk x.raw"),
        (
            "-- x.raw",
            "x.raw: no such command; a kernel is given with --kernel x.raw, a disk with --disk x.raw",
        ),
        (
            "--kernel k -append quiet root=/dev/vda",
            "root=/dev/vda is not expected here; a value with spaces needs quotes",
        ),
        ("--kernel k --append quiet splash", "splash is not expected here; a value with spaces needs quotes"),
    ] {
        let error = error(line);
        assert_eq!((error.to_string().as_str(), error.status()), (expected, USAGE), "{line}");
    }
}

#[test]
fn an_option_of_a_command_with_one_dash_is_named_with_two() {
    for (line, expected) in [
        ("nest -kernel x", "nest -kernel: no such option; did you mean --kernel?"),
        ("nest --levels 2 -cpu=host", "nest -cpu: no such option; did you mean --cpu?"),
        ("cpu list -json", "cpu list -json: no such option; did you mean --json?"),
        ("ctl vm.sock -events", "ctl -events: no such option; did you mean --events?"),
    ] {
        assert_eq!(error(line).to_string(), expected, "{line}");
    }
    let empty = Cli::of(&["nvmm", "check", ""].map(OsString::from)).unwrap_err();
    assert_eq!(empty.to_string(), "check  is not expected here");
}

/// QEMU has words that begin with the letter of the help.
#[test]
fn the_help_is_not_for_words_that_begin_like_it() {
    for (line, expected) in [
        ("-hostfwd x", "-hostfwd: no such option"),
        ("-kernel k -hdz x", "-hdz: no such option; did you mean -hda?"),
        ("nest -hda x", "nest -hda: no such option"),
        ("check -Verbose", "check -Verbose: no such option"),
        ("-Verbose", "-Verbose: no such option; did you mean --verbose?"),
    ] {
        let error = error(line);
        assert_eq!((error.to_string().as_str(), error.status()), (expected, USAGE), "{line}");
    }
    for line in ["-h", "-help", "--help", "-vh", "nest -h", "nest -help", "-V", "--kernel k -hda d -h"] {
        let error = error(line);
        assert!(matches!(error, Error::Answer(_)) && error.status() == 0, "{line}: {error}");
    }
    assert_eq!(Cli::of(&words("-hda d")).unwrap().machine.disk, ["path=d,bus=sata"]);
}

#[test]
fn a_command_without_its_words_shows_its_help() {
    for line in ["cpu", "disk", "snapshot"] {
        let error = error(line);
        assert!(matches!(error, Error::Answer(_)), "{line}: {error}");
        assert_eq!(error.status(), USAGE, "{line}");
        assert!(error.to_string().contains(&format!("Usage: nvmm {line} ")), "{error}");
    }
}

#[test]
fn seconds_are_a_number() {
    for (line, expected) in [
        ("--kernel k --expect a --expect-timeout 1m", "--expect-timeout 1m: give seconds, such as 60"),
        ("--kernel k --grace=-1", "--grace -1: give seconds, such as 60"),
        ("--kernel k --grace 4294967296", "--grace 4294967296: that is too long; give seconds, such as 60"),
        ("nest --timeout 1m", "nest --timeout 1m: give seconds, such as 60"),
        ("nest --timeout 0", "nest --timeout 0: give at least 1"),
    ] {
        assert_eq!(error(line).to_string(), expected, "{line}");
    }
    assert_eq!(Cli::of(&words("--kernel k --grace 0")).unwrap().machine.grace, 0);
}

#[test]
fn a_word_that_is_not_utf_8_is_shown() {
    let words = [OsString::from("nvmm"), "--cpu".into(), OsString::from_vec(vec![b'a', 0xff])];
    assert_eq!(Cli::of(&words).unwrap_err().to_string(), "a\u{fffd}: not UTF-8, which is needed here");
}

#[test]
fn memory_stands_at_its_letter() {
    for line in ["-m2G", "-m 2G", "-m=2G", "-msize=2G", "--memory 2G", "-kernel k -m2G"] {
        let memory = Cli::of(&words(line)).unwrap_or_else(|error| panic!("{line}: {error}")).machine.memory;
        assert_eq!(memory.trim_start_matches("size="), "2G", "{line}");
    }
}
