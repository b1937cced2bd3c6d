//! Clients of nvmm's control socket.
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::{
    io::{BufRead, BufReader, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use serde_json::{Value, json};

use crate::support::{PATIENCE, Running, expect, guest, in_time, nvmm};

/// A machine with a control socket.
pub(crate) struct Machine {
    pub(crate) nvmm: Running,
    pub(crate) socket: PathBuf,
    pub(crate) folder: tempfile::TempDir,
}

/// A client that has finished the negotiation.
pub(crate) struct Client(BufReader<UnixStream>);

impl Machine {
    /// Starts a tiny guest with more options.
    pub(crate) fn start(name: &str, options: &[&str]) -> Self {
        Self::start_by(nvmm(), name, options)
    }

    /// The same, with this command for nvmm, which has no options yet.
    pub(crate) fn start_by(mut command: Command, name: &str, options: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("qmp");
        command.arg("--kernel").arg(guest(name)).args(["--debug-exit", "0xf4", "--memory", "16M"]);
        command.arg("--qmp").arg(&socket).args(options).current_dir(folder.path());
        let nvmm =
            Running::start(command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()));
        Self { nvmm, socket, folder }
    }

    /// Waits until the guest has printed `text`.
    pub(crate) fn prints(&mut self, text: &str) {
        expect(self.process().stdout.as_mut().unwrap(), text);
    }

    pub(crate) fn process(&mut self) -> &mut Child {
        &mut self.nvmm.0
    }

    /// A new connection, from which nothing was read yet.
    pub(crate) fn connect(&self) -> UnixStream {
        connect(&self.socket)
    }

    pub(crate) fn client(&self) -> Client {
        Client::begin(&self.socket)
    }

    /// Runs `nvmm ctl` on the socket.
    pub(crate) fn ctl(&self, words: &[&str]) -> Output {
        ctl(&self.socket, words).output().unwrap()
    }

    /// Returns the output of `nvmm ctl`, which must succeed.
    pub(crate) fn ask(&self, words: &[&str]) -> String {
        let output = self.ctl(words);
        assert_eq!(output.status.code(), Some(0), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }
}

pub(crate) fn ctl(socket: &Path, words: &[&str]) -> Command {
    let mut command = nvmm();
    command.arg("ctl").arg(socket).args(words);
    command
}

/// Connects as soon as possible: nvmm may not have started yet.
fn connect(path: &Path) -> UnixStream {
    let mut socket = None;
    assert!(
        in_time(|| {
            socket = UnixStream::connect(path).ok();
            socket.is_some()
        }),
        "nobody listens at {}",
        path.display()
    );
    let socket = socket.unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

impl Client {
    /// A client of the control socket at `path`.
    pub(crate) fn begin(path: &Path) -> Self {
        Self::try_begin(path).unwrap()
    }

    /// The same, or none if nvmm refuses another client.
    pub(crate) fn try_begin(path: &Path) -> Option<Self> {
        let mut client = Self(BufReader::new(connect(path)));
        client.hear()["QMP"].as_object()?;
        assert_eq!(client.call("qmp_capabilities", &json!({})), Ok(json!({})));
        Some(client)
    }

    /// Sends bytes unchanged.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.0.get_mut().write_all(bytes).unwrap();
    }

    /// Receives the next line.
    pub(crate) fn hear(&mut self) -> Value {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
    }

    /// Returns whether the connection has ended.
    pub(crate) fn has_ended(&mut self) -> bool {
        matches!(self.0.read_line(&mut String::new()), Ok(0) | Err(_))
    }

    /// Gives a command, and returns its result or its error. Skips events before it.
    pub(crate) fn call(&mut self, command: &str, arguments: &Value) -> Result<Value, String> {
        let call = json!({"execute": command, "arguments": arguments, "id": command});
        self.send(call.to_string().as_bytes());
        loop {
            let mut said = self.hear();
            if said.get("event").is_some() {
                continue;
            }
            assert_eq!(said["id"], json!(command), "{said}");
            return match said["error"]["desc"].as_str() {
                Some(why) => Err(why.to_owned()),
                None => Ok(said["return"].take()),
            };
        }
    }

    /// Waits for the next event, and returns its name and its data.
    pub(crate) fn event(&mut self) -> (String, Value) {
        let mut event = self.hear();
        assert!(event["timestamp"]["seconds"].is_u64(), "{event}");
        (event["event"].as_str().unwrap().to_owned(), event["data"].take())
    }
}
