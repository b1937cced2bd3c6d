use clap::Args;

use super::*;

fn words(line: &str) -> Vec<OsString> {
    ["nvmm"].into_iter().chain(line.split_whitespace()).map(OsString::from).collect()
}

/// The meaning of a command line, without its words.
fn shown(cli: &Cli) -> String {
    format!("{:?} {:?} {:?}", cli.command, cli.machine, cli.told)
}

/// Valid command lines. Among them they have every option of a machine.
const RIGHT: [&str; 16] = [
    "--user vm:kvm --chroot /srv/vm --netns /run/netns/vm --cgroup /sys/fs/cgroup/vm --log-file vm.log",
    "--kernel k",
    "--kernel k --initrd i --append quiet -m 1G -vv",
    "--kernel k --initramfs i --cmdline quiet --cpu max,-avx --nested off --smp 4,cores=2 --memory 2G --disk a --disk b,readonly=on",
    "--kernel k --qmp q --uuid 6c0e5a52-3f3c-4d7e-9d0b-5f6d1f0b7a11 --smbios type=1,serial=7",
    "--kernel k --serial null --rng off --balloon --vsock cid=3,uds=v --on-reboot exit --on-panic reset --grace 5 --debug-exit 0xf4 --stats s --dry-run --json --kvm /dev/null --verbose",
    "--kernel k --gdb tcp::1234 --paused --display vga",
    "--kernel k --snapshot-on-exit s --daemonize --pidfile p --name n --fw-cfg opt/a,string=b",
    "--kernel k --net user --net tap=t",
    "--kernel k --cloud-init user-data=u --ssh-key a --ssh-key b --hostname h",
    "--kernel=--help",
    "--kernel k --memory -1",
    "--firmware bios --boot order=disk1,menu=on --disk a --cdrom c",
    "--from-qemu x",
    "--kernel k --sandbox log --allow-path /srv/vm --allow-path /tmp",
    "--kernel k --send a --expect b --expect-timeout 5 --send c",
];

#[test]
fn a_machine_is_the_same_without_the_other_commands() {
    for line in RIGHT {
        let whole = Cli::try_parse_from(words(line)).map(|cli| shown(&cli));
        let whole = whole.map_err(|error| explain(error, &words(line)));
        let quick = Cli::of(&words(line)).map(|cli| shown(&cli));
        assert_eq!(
            quick.map_err(|error| error.to_string()),
            whole.map_err(|error| error.to_string()),
            "{line}"
        );
    }
    // The files of --domain and --restore are read, and --incoming waits: see domain_test.rs, tests/snapshot and tests/migration.
    let read =
        [Some("domain"), Some("restore"), Some("restore-memory"), Some("fresh-identity"), Some("incoming")];
    let is_tried = |argument: &&Arg| !read.contains(&argument.get_long());
    for argument in MachineArgs::augment_args(clap::Command::new("")).get_arguments().filter(is_tried) {
        let long = format!("--{}", argument.get_long().unwrap());
        assert!(
            RIGHT.iter().any(|line| line.split_whitespace().any(|word| word == long)),
            "{long} is not tried"
        );
    }
}

#[test]
fn errors_and_help_are_those_of_the_whole() {
    for line in [
        "",
        "--help",
        "-h",
        "-V",
        "--version",
        "help",
        "help cpu",
        "--kernal k",
        "--kernel k --help",
        "--kernel k --version",
        "--kernel k --json",
        "--kernel k --nested maybe",
        "--kernel k check",
        "--kernel k disk info x",
        "--memory 1G",
        "-v check",
        "chek",
        "k",
        "-- k",
        "--kernel k help",
        "-kernal k",
        "disk x.raw",
        "cpu x.xml",
        "help x.raw",
        "-v disk x.raw",
        "nest -h",
        "nest -machine q35",
        "nest -é",
        "check é",
        "disk convert -f raw -O qcow2 -p a b",
        "disk create -f raw -s x 1G",
    ] {
        let whole = Cli::try_parse_from(words(line)).map(|cli| shown(&cli));
        let whole = whole.map_err(|error| explain(error, &words(line)));
        let quick = Cli::of(&words(line)).map(|cli| shown(&cli));
        assert_eq!(
            quick.map_err(|error| error.to_string()),
            whole.map_err(|error| error.to_string()),
            "{line:?}"
        );
    }
}

#[test]
fn a_machine_is_the_same_with_one_dash() {
    for line in RIGHT {
        let one: Vec<_> = line
            .split_whitespace()
            .map(|word| word.strip_prefix('-').filter(|one| one.starts_with('-')).unwrap_or(word))
            .collect();
        let with_one = Cli::of(&words(&one.join(" "))).map(|cli| format!("{:?}", cli.machine));
        let with_two = Cli::of(&words(line)).map(|cli| format!("{:?}", cli.machine));
        assert_eq!(
            with_one.map_err(|error| error.to_string()),
            with_two.map_err(|error| error.to_string()),
            "{line}"
        );
    }
}

#[test]
fn every_command_is_reached_and_listed() {
    let help = Cli::of(&words("--help")).unwrap_err().to_string();
    let mut seen = 0;
    for command in Cli::command().get_subcommands() {
        let name = command.get_name();
        let about = command.get_about().unwrap().to_string();
        let start: String = about.split_whitespace().take(4).collect::<Vec<_>>().join(" ");
        assert!(
            help.lines().any(|line| line.trim().starts_with(name) && line.contains(&start)),
            "{name}: {help}"
        );
        let of_command = Cli::of(&words(&format!("{name} --help"))).unwrap_err();
        assert_eq!(of_command.status(), 0, "{name}");
        assert!(of_command.to_string().contains(&format!("Usage: nvmm {name}")), "{name}: {of_command}");
        seen += 1;
    }
    assert!(seen >= 4);
    assert!(matches!(Cli::of(&words("check")).unwrap().command, Some(Command::Check(_))));
}

/// `--help` on a terminal of 80 columns: a line for each command and option, of the machine and of every command.
#[test]
fn help_fits_a_terminal_of_80_columns() {
    fn look_at(command: &mut clap::Command, seen: &mut usize) {
        let help = command.render_help().to_string();
        let name = command.get_name().to_owned();
        for line in help.lines() {
            assert!(line.chars().count() <= 80, "{name}: {line}");
        }
        for option in command.get_opts().chain(command.get_positionals()) {
            let shown = option.to_string();
            let about = option.get_help().unwrap().to_string();
            assert!(
                help.lines().any(|line| line.contains(&shown) && line.contains(&about)),
                "{name}: {shown}: {about}\n{help}"
            );
            *seen += 1;
        }
        assert!(!help.contains("[default: \"\"]"), "{help}");
        for command in command.get_subcommands_mut() {
            let about = command.get_about().unwrap().to_string();
            assert!(help.lines().any(|line| line.contains(&about)), "{name}: {about}\n{help}");
            look_at(command, seen);
        }
    }
    let mut command = Cli::command().term_width(80);
    command.build();
    let mut seen = 0;
    look_at(&mut command, &mut seen);
    assert!(seen > 100, "{seen}");
}

#[test]
fn help_is_short_either_way() {
    for command in ["", "nest ", "disk convert "] {
        let of = |flag: &str| Cli::of(&words(&format!("{command}{flag}"))).unwrap_err().to_string();
        assert_eq!(of("-h"), of("--help"), "{command}");
        assert!(of("-h").lines().count() < 130, "{command}");
    }
}

#[test]
fn options_are_in_groups() {
    let headings = |line: &str| -> Vec<String> {
        let help = Cli::of(&words(line)).unwrap_err().to_string();
        let is_heading = |line: &&str| line.ends_with(':') && !line.starts_with(' ');
        help.lines().filter(is_heading).map(str::to_owned).collect()
    };
    let machine = [
        "Commands:",
        "Options:",
        "Kernel or firmware:",
        "CPU and memory:",
        "Disks:",
        "Network:",
        "Other devices:",
        "Cloud images:",
        "Serial ports:",
        "Identity:",
        "Running:",
        "Control and debugging:",
        "Snapshots:",
        "Sandbox and jail:",
        "Machines of QEMU and libvirt:",
    ];
    assert_eq!(headings("--help"), machine);
    let nest = [
        "Options:",
        "Level 1:",
        "Reports:",
        "Levels that are kept:",
        "A program of your own:",
        "Exit status:",
    ];
    assert_eq!(headings("nest --help"), nest);
    // Options without a group are about none of the other subjects.
    let general: Vec<_> = Cli::command()
        .get_arguments()
        .filter(|argument| argument.get_help_heading().is_none())
        .map(|argument| argument.get_id().to_string())
        .collect();
    assert_eq!(general, ["kvm", "verbose", "help"]);
}
