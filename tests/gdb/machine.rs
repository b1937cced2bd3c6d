//! Machines that can be debugged, and the words to gdb.

use std::{
    fs,
    io::Read,
    path::PathBuf,
    process::{Command, Stdio},
    sync::OnceLock,
};

use tempfile::TempDir;

use crate::{
    remote::Remote,
    support::{Running, expect, guest, in_time, no_kvm, nvmm},
};

/// Says that a test is skipped, and why, where there is no KVM or no gdb.
pub(crate) fn cannot() -> bool {
    static GDB: OnceLock<bool> = OnceLock::new();
    let there = *GDB.get_or_init(|| {
        Command::new("gdb").arg("--version").output().is_ok_and(|version| version.status.success())
    });
    if !there {
        println!("skipped: gdb is missing; apt-get install gdb");
    }
    !there || no_kvm()
}

/// Returns whether KVM is one in software, as it must be without VMX and SVM.
pub(crate) fn in_software() -> bool {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let flags = cpuinfo.lines().find(|line| line.starts_with("flags")).unwrap_or_default();
    !flags.split(' ').any(|flag| matches!(flag, "vmx" | "svm"))
}

/// The addresses of the guest's parts.
pub(crate) struct Places {
    pub(crate) tick: u64,
    pub(crate) count: u64,
    pub(crate) seen: u64,
    pub(crate) go: u64,
}

impl Places {
    pub(crate) fn of_line(line: &str) -> Self {
        let words: Vec<_> = line.split_whitespace().collect();
        let value = |name| {
            let at =
                words.iter().position(|word| *word == name).unwrap_or_else(|| panic!("no {name}: {line}"));
            u64::from_str_radix(words[at + 1], 16).unwrap()
        };
        Self { tick: value("tick"), count: value("count"), seen: value("seen"), go: value("go") }
    }

    /// The same, of a guest that runs for that.
    pub(crate) fn find() -> Self {
        let folder = TempDir::new().unwrap();
        let mut machine = Machine::start(&folder, &[]);
        Self::of_line(&machine.line())
    }
}

/// A machine that can be debugged.
pub(crate) struct Machine {
    pub(crate) nvmm: Running,
    pub(crate) socket: PathBuf,
}

impl Machine {
    pub(crate) fn start(folder: &TempDir, options: &[&str]) -> Self {
        Self::start_guest("debugged", folder, options)
    }

    pub(crate) fn start_guest(name: &str, folder: &TempDir, options: &[&str]) -> Self {
        let socket = folder.path().join("gdb");
        let mut command = nvmm();
        command.arg("--kernel").arg(guest(name)).args(["--debug-exit", "0xf4", "--memory", "16M"]);
        command.args(["-gdb", &format!("unix:{}", socket.display())]).args(options);
        let nvmm = Running::start(command.stdout(Stdio::piped()).stderr(Stdio::piped()));
        assert!(in_time(|| socket.exists()), "nvmm did not listen for gdb");
        Self { nvmm, socket }
    }

    /// The next line that the guest prints.
    pub(crate) fn line(&mut self) -> String {
        expect(self.nvmm.0.stdout.as_mut().unwrap(), "\n")
    }

    /// gdb, connected, and with something to do.
    pub(crate) fn gdb<T: AsRef<str>>(&self, orders: &[T]) -> Command {
        let mut gdb = Command::new("gdb");
        // A home of its own, so that nobody's settings count.
        gdb.args(["-nx", "-q", "-batch", "-iex", "set confirm off", "-iex", "set height 0"]);
        gdb.arg("-ex").arg(format!("target remote {}", self.socket.display()));
        for order in orders {
            gdb.args(["-ex", order.as_ref()]);
        }
        gdb.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        gdb
    }

    /// The lines that gdb prints while it does something.
    pub(crate) fn debug<T: AsRef<str>>(&self, orders: &[T]) -> Vec<String> {
        let output = self.gdb(orders).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        println!("{text}{}", String::from_utf8_lossy(&output.stderr));
        text.lines().map(str::to_owned).collect()
    }

    /// Waits until gdb has let the vCPUs run: each has a thread only then.
    pub(crate) fn wait_for_vcpus(&self) {
        let tasks = format!("/proc/{}/task", self.nvmm.0.id());
        // One may have ended meanwhile.
        let name = |task: fs::DirEntry| fs::read_to_string(task.path().join("comm")).unwrap_or_default();
        let runs = || fs::read_dir(&tasks).unwrap().any(|task| name(task.unwrap()) == "vcpu0\n");
        assert!(in_time(runs), "no vCPU was started");
    }

    /// Waits for nvmm's end. Returns its status and what it said.
    pub(crate) fn end(mut self) -> (Option<i32>, String) {
        let status = self.nvmm.status_in_time();
        let mut said = String::new();
        self.nvmm.0.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        (status, said)
    }
}

/// The values that gdb has printed as `NAME is VALUE`.
pub(crate) fn values(lines: &[String], name: &str) -> Vec<u64> {
    let prefix = format!("{name} is ");
    lines
        .iter()
        .filter_map(|line| line.strip_prefix(&prefix))
        .map(|value| u64::from_str_radix(value.trim_start_matches("0x"), 16).unwrap())
        .collect()
}

/// An order that has gdb print a value.
pub(crate) fn show(name: &str, value: &str) -> String {
    format!(r#"printf "{name} is %#lx\n", (unsigned long)({value})"#)
}

pub(crate) fn memory(name: &str, address: u64) -> String {
    show(name, &format!("*(unsigned long *){address:#x}"))
}

pub(crate) fn set_memory(address: u64, value: u64) -> String {
    format!("set var *(unsigned long *){address:#x} = {value}")
}

/// The guest's first instruction, as its ELF header has it.
pub(crate) fn entry() -> u64 {
    let elf = fs::read(guest("debugged")).unwrap();
    u64::from_le_bytes(elf[24..32].try_into().unwrap())
}

/// A debugger that is not gdb.
pub(crate) fn remote(machine: &Machine) -> Remote {
    Remote::connect(&machine.socket).unwrap()
}
