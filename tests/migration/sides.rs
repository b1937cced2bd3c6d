//! The two sides of a migration.

use std::{
    io::{Read, Write},
    net::Shutdown,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use crate::{
    control::{Client, ctl},
    support::{Running, expect, guest, in_time, nvmm},
};

/// The options of each tiny guest.
pub(crate) const TINY: [&str; 4] = ["--debug-exit", "0xf4", "--memory", "16M"];

/// An nvmm with a control socket.
pub(crate) struct Side {
    pub(crate) nvmm: Running,
    pub(crate) socket: PathBuf,
}

impl Side {
    /// Starts a machine.
    pub(crate) fn source(folder: &Path, name: &str, guest_name: &str, options: &[&str]) -> Self {
        let mut command = nvmm();
        command.arg("--kernel").arg(guest(guest_name)).args(TINY);
        Self::start(folder, name, command, options)
    }

    /// Waits for a machine at [`place`]; it listens when this returns.
    pub(crate) fn destination(folder: &Path, name: &str, options: &[&str]) -> Self {
        let mut command = nvmm();
        command.args(["--incoming", &place(folder, name)]);
        let side = Self::start(folder, name, command, options);
        assert!(side.waits(folder, name));
        side
    }

    /// Returns whether it starts to wait for a machine there in time.
    pub(crate) fn waits(&self, folder: &Path, name: &str) -> bool {
        in_time(|| folder.join(format!("{name}.in")).exists())
    }

    /// Starts an nvmm by a command, with more options.
    pub(crate) fn start(folder: &Path, name: &str, mut command: Command, options: &[&str]) -> Self {
        let socket = folder.join(format!("{name}.qmp"));
        command.arg("--qmp").arg(&socket).args(options).current_dir(folder);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        Self { nvmm: Running::start(&mut command), socket }
    }

    /// Reads what the guest prints, up to `text`.
    pub(crate) fn prints(&mut self, text: &str) -> String {
        expect(self.nvmm.0.stdout.as_mut().unwrap(), text)
    }

    /// Asks a guest for changes that it has found.
    pub(crate) fn ask(&mut self) -> String {
        self.nvmm.0.stdin.as_mut().unwrap().write_all(b".").unwrap();
        self.prints("\n").trim_end().to_owned()
    }

    /// Makes the guest end.
    pub(crate) fn quit(mut self) {
        self.nvmm.0.stdin.as_mut().unwrap().write_all(b"q").unwrap();
        assert_eq!(self.nvmm.status_in_time(), Some(1));
    }

    /// Moves the machine to a place, with more arguments.
    pub(crate) fn migrate(&self, place: &str, words: &[&str]) -> Output {
        ctl(&self.socket, &[&["migrate", place], words].concat()).output().unwrap()
    }

    /// The same, which must succeed and end this side.
    pub(crate) fn moves(&mut self, place: &str, words: &[&str]) {
        let output = self.migrate(place, words);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");
        assert_eq!(self.nvmm.status_in_time(), Some(0));
    }

    /// Returns the reason why the machine is not moved.
    pub(crate) fn refuses(&self, place: &str, words: &[&str]) -> String {
        let output = self.migrate(place, words);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!([Some(1), Some(2)].contains(&output.status.code()), "{said}");
        said
    }

    pub(crate) fn client(&self) -> Client {
        Client::begin(&self.socket)
    }
}

/// Returns whether a destination of this name has seen no side that began to move a machine. Connections are handled in order, and this is
/// the last one.
pub(crate) fn waits_still(folder: &Path, name: &str) -> bool {
    let Ok(mut stranger) = UnixStream::connect(folder.join(format!("{name}.in"))) else { return false };
    stranger.shutdown(Shutdown::Write).unwrap();
    let mut answer = Vec::new();
    let _ = stranger.read_to_end(&mut answer);
    !answer.is_empty()
}

/// The place where a destination of this name waits.
pub(crate) fn place(folder: &Path, name: &str) -> String {
    format!("unix:{}", folder.join(format!("{name}.in")).display())
}
