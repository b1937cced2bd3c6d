//! Child processes that don't outlive nvmm, with their output in lines.
#![expect(unsafe_code, reason = "Command::pre_exec")]

use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{self, Command, ExitStatus, Stdio};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Signal, set_parent_process_death_signal};

/// The length at which a line is cut, so that a guest which never ends one can't fill memory.
pub(super) const LINE_MAX: usize = 4096;

/// A child process. It is killed when this is dropped, and by the kernel if nvmm itself is killed.
#[derive(Debug)]
pub struct Child {
    process: process::Child,
    output: io::PipeReader,
    pending: Vec<u8>,
}

/// The result of [`Child::line`].
#[derive(Debug, PartialEq, Eq)]
pub enum Output {
    /// A line, without its end.
    Line(Vec<u8>),
    /// The child has closed its output.
    End,
    /// No line before the deadline.
    Timeout,
}

impl Child {
    /// Starts `command` without input. Its output and errors are read here.
    ///
    /// Call this on the main thread: the kernel kills the child when the *thread* that made it ends.
    pub fn spawn(command: Command) -> io::Result<Self> {
        let (output, input) = io::pipe()?;
        Self::start(command, output, input.try_clone()?.into(), input)
    }

    /// The same, but only its errors are read.
    pub fn spawn_for_errors(command: Command) -> io::Result<Self> {
        let (output, input) = io::pipe()?;
        Self::start(command, output, Stdio::null(), input)
    }

    fn start(
        mut command: Command,
        output: io::PipeReader,
        stdout: Stdio,
        stderr: io::PipeWriter,
    ) -> io::Result<Self> {
        command.stdin(Stdio::null()).stdout(stdout).stderr(stderr);
        let hook = || Ok(set_parent_process_death_signal(Some(Signal::KILL))?);
        // SAFETY: between fork and exec the hook makes one system call, which is async-signal-safe.
        unsafe { command.pre_exec(hook) };
        let process = command.spawn()?;
        // Dropping `command` closes this process's copies of the pipe's other end; otherwise the pipe would never end.
        drop(command);
        Ok(Self { process, output, pending: Vec::new() })
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Returns the next line of its output.
    pub fn line(&mut self, deadline: Option<Instant>) -> io::Result<Output> {
        loop {
            if let Some(end) = self.pending.iter().position(|&byte| byte == b'\n') {
                let mut line: Vec<u8> = self.pending.drain(..=end).collect();
                line.pop();
                return Ok(Output::Line(line));
            }
            if self.pending.len() >= LINE_MAX {
                return Ok(Output::Line(std::mem::take(&mut self.pending)));
            }
            if !self.wait_readable(deadline)? {
                return Ok(Output::Timeout);
            }
            let mut buffer = [0; 512];
            match self.output.read(&mut buffer)? {
                0 if self.pending.is_empty() => return Ok(Output::End),
                0 => return Ok(Output::Line(std::mem::take(&mut self.pending))),
                len => self.pending.extend_from_slice(&buffer[..len]),
            }
        }
    }

    /// Waits until there is output, or its end. Returns false at the deadline.
    fn wait_readable(&self, deadline: Option<Instant>) -> io::Result<bool> {
        loop {
            let timeout = match deadline {
                Some(deadline) => Some(
                    Timespec::try_from(deadline.saturating_duration_since(Instant::now()))
                        .map_err(io::Error::other)?,
                ),
                None => None,
            };
            let mut fds = [PollFd::from_borrowed_fd(self.output.as_fd(), PollFlags::IN)];
            match poll(&mut fds, timeout.as_ref()) {
                Ok(ready) => return Ok(ready > 0),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Waits for the child's end.
    pub fn wait(&mut self) -> io::Result<ExitStatus> {
        self.process.wait()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // Both fail only if it has ended and been waited for.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[cfg(test)]
#[path = "child_test.rs"]
mod tests;
