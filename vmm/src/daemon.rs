//! `--daemonize`: a machine in the background.
//!
//! The process forks before it has a thread, a ring, a lock or anything of KVM's. The child becomes the machine, in a session of its own.
//! The parent waits, passes on the status of a machine that can't be started, and ends once the machine is ready. It does not execute nvmm
//! again, since its input may be a pipe, such as that of `--domain`.
#![expect(
    unsafe_code,
    reason = "fork is safe in a process of one thread alone, so that crates have it as unsafe, too"
)]

use std::{
    fs::{self, File},
    io::{self, PipeReader, PipeWriter, Read, Write},
};

use rustix::{
    io::retry_on_intr,
    process::{Pid, WaitOptions, setsid, waitpid},
    stdio::{dup2_stderr, dup2_stdin, dup2_stdout},
};

use crate::exit::{COULD_NOT, SIGNAL};

/// A process after [`divide`].
#[derive(Debug)]
pub enum Side {
    /// The original process, with the status to end with.
    Parent(u8),
    /// The new process, which becomes the machine.
    Child(Starter),
}

/// The connection to the process that waits until the machine is ready.
#[derive(Debug)]
pub struct Starter {
    waits: PipeWriter,
    /// /dev/null, opened at the start, since a jail may have none.
    null: File,
}

/// Forks. The parent returns once the machine is ready, or has ended without that.
///
/// # Errors
///
/// The host allows no more processes, or this one has more than one thread already.
pub fn divide() -> io::Result<Side> {
    if fs::read_dir("/proc/self/task")?.count() != 1 {
        return Err(io::Error::other("threads are running already"));
    }
    let null = File::options().read(true).write(true).open("/dev/null")?;
    let (reader, waits) = io::pipe()?;
    // SAFETY: there is no other thread, whose locks would stay locked in the child.
    match unsafe { libc::fork() } {
        0 => {
            drop(reader);
            setsid()?;
            Ok(Side::Child(Starter { waits, null }))
        }
        child => {
            let child = Pid::from_raw(child).filter(|_| child > 0).ok_or_else(io::Error::last_os_error)?;
            drop(waits);
            wait(child, reader).map(Side::Parent)
        }
    }
}

/// Waits until the child reports by a byte that it is ready, or ends. Returns the parent's status.
fn wait(child: Pid, mut reader: PipeReader) -> io::Result<u8> {
    match reader.read_exact(&mut [0]) {
        Ok(()) => Ok(0),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            let ended = retry_on_intr(|| waitpid(Some(child), WaitOptions::empty()))?;
            let status = ended.and_then(|(_, status)| {
                let signal = || status.terminating_signal().map(|signal| signal + i32::from(SIGNAL));
                status.exit_status().or_else(signal)
            });
            Ok(status.and_then(|status| u8::try_from(status).ok()).unwrap_or(COULD_NOT))
        }
        Err(error) => Err(error),
    }
}

impl Starter {
    /// Closes the standard streams, replaces stderr by `log` if there is one, and has the parent end with status 0.
    ///
    /// # Errors
    ///
    /// The parent has been ended: the machine is no longer wanted.
    pub fn done(mut self, log: Option<&File>) -> io::Result<()> {
        dup2_stdin(&self.null)?;
        dup2_stdout(&self.null)?;
        dup2_stderr(log.unwrap_or(&self.null))?;
        self.waits.write_all(&[0])
    }
}
