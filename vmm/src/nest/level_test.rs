use std::time::Duration;

use super::*;
use crate::cli::Cli;
use crate::nest::image::Pace;

fn manifest() -> Manifest {
    Manifest {
        levels: 3,
        cmdline: String::new(),
        first_cmdline: "first".into(),
        files: vec![],
        virtio: vec![],
        kvm: vec![],
        ..Manifest::default()
    }
}

#[test]
fn a_level_has_memory_for_those_it_starts() {
    for level in 0..3 {
        assert!(memory_mib(level, &manifest()) > memory_mib(level + 1, &manifest()));
    }
    assert_eq!(memory_mib(3, &manifest()), LAST_MIB);
}

#[test]
fn the_program_s_files_have_room_at_every_level() {
    let of = |files_mib, first_mib| {
        let program = Program { files_mib, first_mib, ..Program::default() };
        let manifest = Manifest { program: Some(program), ..manifest() };
        [0, 1, 2, 3].map(|level| memory_mib(level, &manifest))
    };
    let levels = of(100, 0);
    assert_eq!(levels[3], LAST_WITH_PROGRAM_MIB + 300);
    for level in 0..3 {
        // The next level's, its initramfs, and the amount without files.
        assert_eq!(levels[level], levels[level + 1] + 300 + MORE_MIB);
    }
    // The additional memory that the user gave level 1 goes to the program, except for each level's own needs.
    let given = of(100, 8 << 10);
    assert_eq!(given[2..], [(8 << 10) - 300 - MORE_MIB, (8 << 10) - 2 * (300 + MORE_MIB)]);
    let program = Program { files_mib: 100, ..Program::default() };
    assert_eq!([1, 2, 3].map(|levels| least_mib(&program, levels)), [428, 856, 1284]);
    assert_eq!(of(100, 1284)[2..], [856, 428]);
    assert_eq!(of(u32::MAX, 0), [u32::MAX; 4]);
}

/// The kernel creates the tmpfs after it has loaded the packed files into memory, and gives it half of the rest.
#[test]
fn the_program_s_files_fit_into_half_of_what_their_archive_leaves() {
    for files_mib in [1, 100, 600, 10_000] {
        let program = Program { files_mib, ..Program::default() };
        let manifest = Manifest { program: Some(program.clone()), ..manifest() };
        let least = [1, 2, 3].map(|level| least_mib(&program, 4 - level));
        for (level, least) in [1, 2, 3].into_iter().zip(least) {
            for memory in [memory_mib(level, &manifest), least] {
                let tmpfs = (memory - files_mib) / 2;
                assert!(tmpfs >= files_mib + LEAST_MIB / 2, "{files_mib} at level {level} with {memory}");
            }
        }
    }
}

#[test]
fn each_level_gets_its_number() {
    assert_eq!(kernel_parameters(2, &manifest()), "console=ttyS0 quiet panic=-1 nvmm.level=2");
    assert!(kernel_parameters(1, &manifest()).ends_with(" nvmm.level=1 first"));
    let manifest = Manifest { cmdline: "a=b".into(), ..manifest() };
    assert!(kernel_parameters(0, &manifest).ends_with(" nvmm.level=0 a=b"));
}

#[test]
fn level_1_alone_has_options_of_its_own() {
    let first = First {
        cpu: Some("qemu64".into()),
        smp: Some("4".into()),
        memory: Some("3G".into()),
        disks: vec!["more.img".into()],
    };
    let manifest = Manifest { first, ..manifest() };
    let one = config(1, &manifest).unwrap();
    assert_eq!((one.cpu.to_string().as_str(), one.topology.vcpus()), ("qemu64", 4));
    assert_eq!((one.memory.size.0, one.disks().count()), (3 << 30, 1));
    let two = config(2, &manifest).unwrap();
    assert_eq!((two.cpu.to_string().as_str(), two.topology.vcpus()), ("host-passthrough", 1));
    assert_eq!((two.memory.size.0 >> 20, two.disks().count()), (memory_mib(2, &manifest).into(), 0));
    assert_eq!(host_memory_mib(&manifest), (3 << 10) + MORE_MIB);
    let wrong = First { cpu: Some("qemu65".into()), ..First::default() };
    let error = config(1, &Manifest { first: wrong, ..manifest }).unwrap_err();
    assert!(error.is::<crate::config::ConfigError>(), "{error:#}");
}

#[test]
fn the_words_for_another_nvmm_say_all_of_a_level_s_options() {
    let first = First {
        cpu: Some("-avx".into()),
        smp: Some("4".into()),
        memory: Some("3G".into()),
        disks: vec!["more.img".into(), "path=a=b,,c".into()],
    };
    let options = MachineArgs {
        kernel: Some("k".into()),
        initramfs: Some("i".into()),
        stats: Some("s".into()),
        verbose: 2,
        ..options(1, &Manifest { first, ..manifest() })
    };
    let line: Vec<_> = ["nvmm".into()].into_iter().chain(words(&options)).collect();
    let read = Cli::of(&line).unwrap().machine;
    assert_eq!(format!("{read:?}"), format!("{options:?}"));
}

fn spawned(program: &str, arguments: &[&str]) -> Child {
    let mut command = Command::new(program);
    command.args(arguments);
    Child::spawn(command).unwrap()
}

fn supervised(program: &str, arguments: &[&str], limit: u64) -> bool {
    let mut child = spawned(program, arguments);
    let pace = Pace { limit, ..Pace::default() };
    let mut watch = Watch::new(1, 2, &pace, Duration::ZERO);
    supervise(&mut child, &mut Clock::wall(), &mut watch, &mut |_| {}).unwrap()
}

/// The same for a script in place of an emulator, which uses a second of processor time.
fn supervised_emulator(script: &str) -> bool {
    let mut child = spawned("sh", &["-c", script]);
    let pace = Pace { limit: 1, alone: true };
    let mut watch = Watch::new(0, 2, &pace, Duration::ZERO);
    let mut clock = Clock::of(child.id(), "an emulator");
    supervise(&mut child, &mut clock, &mut watch, &mut |_| {}).unwrap()
}

#[test]
fn a_level_past_its_deadline_is_ended() {
    assert!(!supervised("sleep", &["1000"], 0));
    assert!(supervised("true", &[], 1000));
}

#[test]
fn a_silent_level_is_ended_in_any_state_of_its_emulator() {
    // An emulator that waits, as when its guest does; one that is busy; one that is stopped.
    for emulator in ["exec sleep 1000", "while :; do :; done", "kill -STOP $$"] {
        let begun = r#"echo '@nest[1,"start"]'; echo '@nest[2,"start"]'; printf 'no end of line'"#;
        assert!(!supervised_emulator(&format!("{begun}; {emulator}")), "{begun}; {emulator}");
    }
}

#[test]
fn a_level_that_never_stops_talking_is_ended_too() {
    assert!(!supervised("yes", &["still here"], 0));
    assert!(!supervised("yes", &[r#"@nest[4294967295,"start"]"#], 0));
}

#[test]
fn a_level_of_nvmm_s_is_not_off_because_it_reports_that() {
    assert!(!supervised("sh", &["-c", r#"echo '@nest[1,"off"]'; exec sleep 1000"#], 2));
}
