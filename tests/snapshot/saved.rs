//! Helpers for machines that are saved and restored.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use crate::{
    control::Machine,
    support::{Running, expect, nvmm},
};

/// The guest that checks its state for changes.
pub(crate) const GUEST: &str = "snapshot";

/// The ways to restore memory.
pub(crate) const WAYS: [&str; 2] = ["copy", "map"];

/// A machine that was saved.
pub(crate) struct Saved {
    pub(crate) folder: tempfile::TempDir,
}

impl Saved {
    /// Starts the guest that checks for changes, with more options, saves it, and ends it.
    pub(crate) fn new(options: &[&str]) -> Self {
        let mut machine = Machine::start(GUEST, options);
        machine.prints("ready\n");
        assert_eq!(machine.ask(&["snapshot", path(&machine, "snap").to_str().unwrap(), "--stop"]), "");
        assert_eq!(machine.nvmm.status(), Some(0));
        Self { folder: machine.folder }
    }

    /// The path of the snapshot.
    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("snap")
    }

    /// Restores it, with more options.
    pub(crate) fn restore(&self, options: &[&str]) -> Restored {
        Restored::start(&mut self.command(options))
    }

    /// The command to restore it.
    pub(crate) fn command(&self, options: &[&str]) -> Command {
        restore(self.folder.path(), &self.path(), options)
    }

    /// nvmm's messages for a restore that must fail with this status.
    pub(crate) fn refusal(&self, status: i32, options: &[&str]) -> String {
        let output = self.command(options).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(status), "{said}");
        said
    }

    /// Runs `nvmm snapshot info`.
    pub(crate) fn info(&self, options: &[&str]) -> Output {
        info(&self.path(), options)
    }
}

/// A restored machine.
pub(crate) struct Restored(pub(crate) Running);

impl Restored {
    pub(crate) fn start(command: &mut Command) -> Self {
        Self(Running::start(command.stdin(Stdio::piped()).stdout(Stdio::piped())))
    }

    /// Asks the guest for changes that it has found.
    pub(crate) fn ask(&mut self) -> String {
        ask(&mut self.0)
    }

    /// Makes the guest end.
    pub(crate) fn quit(mut self) {
        self.0.0.stdin.as_mut().unwrap().write_all(b"q").unwrap();
        assert_eq!(self.0.status(), Some(1));
    }
}

/// Asks the guest for changes that it has found.
pub(crate) fn ask(nvmm: &mut Running) -> String {
    nvmm.0.stdin.as_mut().unwrap().write_all(b".").unwrap();
    expect(nvmm.0.stdout.as_mut().unwrap(), "\n").trim_end().to_owned()
}

/// The command that restores `path`, in `folder`.
pub(crate) fn restore(folder: &Path, path: &Path, options: &[&str]) -> Command {
    let mut command = nvmm();
    command.arg("--restore").arg(path).args(options).current_dir(folder);
    command
}

/// Runs `nvmm snapshot info`.
pub(crate) fn info(path: &Path, options: &[&str]) -> Output {
    nvmm().args(["snapshot", "info"]).arg(path).args(options).output().unwrap()
}

/// A path in a machine's folder.
pub(crate) fn path(machine: &Machine, name: &str) -> PathBuf {
    machine.folder.path().join(name)
}

/// The names in a folder.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}
