//! `--daemonize`: a machine in the background.
//!
//! The process divides in two before it has a thread, a ring, a lock or anything of KVM's. The child is the machine, in a session of its
//! own. The parent waits, passes on the status of a machine that can't be had, and ends once the machine is there. It does not start
//! nvmm anew, since what it has read may be a pipe, such as that of `--domain`.
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
    /// The one that was started, with the status to end with.
    Parent(u8),
    /// The one that is to be the machine.
    Child(Starter),
}

/// The process that waits until the machine is there.
#[derive(Debug)]
pub struct Starter {
    waits: PipeWriter,
    /// Opened at the start, since a jail may have none.
    null: File,
}

/// Divides the process. The parent returns once the machine is there, or has ended without.
///
/// # Errors
///
/// The host has no process left, or this one has more than one thread already.
pub fn divide() -> io::Result<Side> {
    if fs::read_dir("/proc/self/task")?.count() != 1 {
        return Err(io::Error::other("threads are running already"));
    }
    let null = File::options().read(true).write(true).open("/dev/null")?;
    let (reader, waits) = io::pipe()?;
    // SAFETY: there is no other thread, whose locks would stay taken in the child.
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

/// The status for a child that says by a byte that it is there, or ends.
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
    /// Lets go of the standard streams, with `log` for stderr if there is one, and has the parent end with status 0.
    ///
    /// # Errors
    ///
    /// The parent was ended meanwhile: nobody wants the machine any more.
    pub fn done(mut self, log: Option<&File>) -> io::Result<()> {
        dup2_stdin(&self.null)?;
        dup2_stdout(&self.null)?;
        dup2_stderr(log.unwrap_or(&self.null))?;
        self.waits.write_all(&[0])
    }
}
