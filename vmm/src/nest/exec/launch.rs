//! Runs the user's program in the last level's /init.

use std::fs::{self, Permissions};
use std::io::{self, PipeReader, Read};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;

use anyhow::{Context, anyhow};
use devices::threads::{self, Role};
use rustix::io::Errno;
use rustix::mount::{MountFlags, mount};
use rustix::process::{Pid, Signal, WaitOptions, kill_process_group, wait};

use super::kernel_log;
use super::news::{End, News, PIECE_MAX, Piece};
use super::program::Program;
use crate::nest::pid1::Console;
use crate::nest::record::FailureKind;
use crate::nest::report::Said;

/// The variable with which the program gets its level.
const LEVEL: &str = "NVMM_LEVEL";
/// The other environment variables.
const ENVIRONMENT: [(&str, &str); 3] = [
    ("HOME", "/"),
    ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
    ("TERM", "dumb"),
];

/// Runs the program on this level, and ends all processes that it leaves behind. Only PID 1 of a machine may call this.
///
/// # Errors
///
/// The program did not succeed.
pub(in crate::nest) fn run(program: &Program, level: u32, console: &Console) -> anyhow::Result<()> {
    make_places();
    kernel_log::relay(console);
    let said = console.clone();
    let running = Running::start(program, level, move |news| {
        said.say(Said::Program(news));
        // Output of the program in the meantime is collected in a larger piece.
        let _ = said.drain();
    });
    let Running { child, output } = running.map_err(|error| {
        anyhow!("{} could not be started: {error:#}", program.name()).context(FailureKind::Program)
    })?;
    let status = reap(child.id()).context("waiting for the program")?;
    output.join().unwrap_or_else(|_| Err(io::Error::other("it panicked"))).context("reading its output")?;
    let end = End::of(status);
    console.say(Said::Program(News::Ended(end)));
    if end.is_success() || end.is_skip() {
        return Ok(());
    }
    Err(anyhow!("{} {end}", program.name()).context(FailureKind::Program))
}

/// Waits until process `id` has ended, and then ends all others. Returns how that one ended.
fn reap(id: u32) -> io::Result<ExitStatus> {
    let mut found = None;
    loop {
        match wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid.as_raw_nonzero().get().unsigned_abs() == id => {
                found = Some(ExitStatus::from_raw(status.as_raw()));
                // From PID 1, this signals all processes except itself. There may be none.
                let _ = kill_process_group(Pid::INIT, Signal::KILL);
            }
            Ok(_) | Err(Errno::INTR) => {}
            Err(Errno::CHILD) => return found.ok_or_else(|| io::Error::other("it is gone")),
            Err(error) => return Err(error.into()),
        }
    }
}

/// A running program, and the thread that passes on its output until no process can write to it any more.
#[derive(Debug)]
struct Running {
    child: Child,
    output: JoinHandle<io::Result<()>>,
}

impl Running {
    /// Starts it without input, with its output and errors in one pipe, so that their order is kept.
    fn start(
        program: &Program,
        level: u32,
        mut say: impl FnMut(News) + Send + 'static,
    ) -> anyhow::Result<Self> {
        let (output, input) = io::pipe().context("making a pipe")?;
        let mut command = Command::new(program.path());
        command.args(&program.arguments).current_dir("/");
        command.env_clear().envs(ENVIRONMENT).env(LEVEL, level.to_string());
        command.stdin(Stdio::null()).stdout(input.try_clone().context("making a pipe")?).stderr(input);
        // A group of its own, so that a signal to its group does not reach /init.
        command.process_group(0);
        say(News::Started);
        let child = command.spawn()?;
        // The command holds copies of the pipe's other end; with them open, the pipe would never end.
        drop(command);
        let output = threads::spawn(&Role::Output("program".to_owned()), move || pass_on(output, say))?;
        Ok(Self { child, output })
    }
}

/// Reports the output from a pipe, until its end.
fn pass_on(mut output: PipeReader, mut say: impl FnMut(News)) -> io::Result<()> {
    let mut buffer = vec![0; PIECE_MAX];
    let mut at = 0;
    loop {
        let len = output.read(&mut buffer)?;
        if len == 0 {
            return Ok(());
        }
        let mut rest = &buffer[..len];
        while !rest.is_empty() {
            let (piece, packed) = Piece::pack(at, rest)?;
            say(News::Output(piece));
            rest = &rest[packed..];
            at += u64::try_from(packed).unwrap_or_default();
        }
    }
}

/// Makes the files that programs expect, as far as this kernel supports them. If one is missing, the program will report it.
fn make_places() {
    let _ =
        fs::create_dir_all("/tmp").and_then(|()| fs::set_permissions("/tmp", Permissions::from_mode(0o1777)));
    for (file_system, place, options) in
        [("devpts", "/dev/pts", c"ptmxmode=0666"), ("tmpfs", "/dev/shm", c"mode=1777")]
    {
        let _ = fs::create_dir_all(place);
        let _ = mount(file_system, place, file_system, MountFlags::NOSUID | MountFlags::NODEV, options);
    }
    for (name, target) in [("fd", "/proc/self/fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")]
    {
        let _ = symlink(target, Path::new("/dev").join(name));
    }
}

#[cfg(test)]
#[path = "launch_test.rs"]
mod tests;
