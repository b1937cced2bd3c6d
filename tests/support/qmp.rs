//! The installed QEMU, controlled by QMP.
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

use std::{
    io::{BufRead, BufReader, Read, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    thread::{self, JoinHandle},
};

use serde_json::{Value, json};

/// A QEMU whose guest never runs. It ends when this is dropped.
pub(crate) struct Qemu {
    process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    errors: Option<JoinHandle<String>>,
}

impl Qemu {
    /// Starts the first qemu-system-x86_64 in PATH with more arguments; `Err` has its own message why that failed.
    pub(crate) fn start(args: &[&str]) -> Result<Self, String> {
        let mut process = Command::new("qemu-system-x86_64")
            .args(["-S", "-nodefaults", "-display", "none", "-qmp", "stdio"])
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("qemu-system-x86_64: {error}"))?;
        let mut stderr = process.stderr.take().unwrap();
        let errors = thread::spawn(move || {
            let mut text = String::new();
            stderr.read_to_string(&mut text).unwrap();
            text
        });
        let (input, output) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
        let mut qemu = Self { process, input, output: BufReader::new(output), errors: Some(errors) };
        match qemu.answer().and_then(|_| qemu.ask("qmp_capabilities", &json!({}))) {
            Ok(_) => Ok(qemu),
            Err(_) => Err(qemu.end()),
        }
    }

    /// Executes a command, and returns its result; `Err` has QEMU's message.
    pub(crate) fn ask(&mut self, command: &str, arguments: &Value) -> Result<Value, String> {
        let command = json!({ "execute": command, "arguments": arguments });
        writeln!(self.input, "{command}").map_err(|error| error.to_string())?;
        let mut answer = self.answer()?;
        match answer.get("error") {
            Some(error) => Err(error["desc"].as_str().unwrap_or_default().to_owned()),
            None => Ok(answer["return"].take()),
        }
    }

    /// Ends QEMU, and returns all of its stderr.
    pub(crate) fn end(mut self) -> String {
        let _ = self.process.kill();
        self.errors.take().unwrap().join().unwrap()
    }

    /// The next line that isn't an event.
    fn answer(&mut self) -> Result<Value, String> {
        loop {
            let mut line = String::new();
            if !matches!(self.output.read_line(&mut line), Ok(1..)) {
                return Err("QEMU has ended".to_owned());
            }
            let answer: Value = serde_json::from_str(&line).map_err(|error| format!("{error}: {line}"))?;
            if answer.get("event").is_none() {
                return Ok(answer);
            }
        }
    }
}

impl Drop for Qemu {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
