//! A terminal with a program in its foreground.
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]
#![expect(unsafe_code, reason = "a child process gets a terminal of its own before it starts")]
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::{
    fs::File,
    io::{ErrorKind, Write},
    os::{
        fd::{AsFd, OwnedFd},
        unix::process::CommandExt,
    },
    process::Command,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{OFlags, fcntl_getfl, fcntl_setfl},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{LocalModes, OptionalActions, Termios, Winsize, tcgetattr, tcsetattr, tcsetwinsize},
};

use crate::support::Running;

/// The terminal, and the program that leads its session.
pub(crate) struct Terminal {
    /// The user's side.
    pub(crate) user: File,
    /// The program's side, kept open so that the terminal outlives the program.
    pub(crate) guest: OwnedFd,
    pub(crate) program: Running,
}

impl Terminal {
    pub(crate) fn start(command: Command) -> Self {
        Self::with_columns(command, 80)
    }

    /// A terminal with this many columns.
    pub(crate) fn with_columns(mut command: Command, columns: u16) -> Self {
        let user = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&user).unwrap();
        unlockpt(&user).unwrap();
        let path = ptsname(&user, Vec::new()).unwrap();
        let guest = File::options().read(true).write(true).open(path.to_str().unwrap()).unwrap();
        let size = Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&guest, size).unwrap();
        command
            .stdin(guest.try_clone().unwrap())
            .stdout(guest.try_clone().unwrap())
            .stderr(guest.try_clone().unwrap());
        let become_session_leader = || {
            rustix::process::setsid()?;
            rustix::process::ioctl_tiocsctty(std::io::stdin().as_fd())?;
            Ok(())
        };
        // SAFETY: only system calls, between fork and exec.
        unsafe { command.pre_exec(become_session_leader) };
        Self { user: user.into(), guest: guest.into(), program: Running::start(&mut command) }
    }

    pub(crate) fn modes(&self) -> Termios {
        tcgetattr(&self.guest).unwrap()
    }

    pub(crate) fn set_modes(&self, modes: &Termios) {
        tcsetattr(&self.guest, OptionalActions::Now, modes).unwrap();
    }

    /// Types `w` as fast as the terminal accepts it, like a paste. Fails if the terminal accepts nothing for a minute.
    pub(crate) fn type_at_once(&mut self, len: usize) {
        fcntl_setfl(&self.user, fcntl_getfl(&self.user).unwrap() | OFlags::NONBLOCK).unwrap();
        let mut left = vec![b'w'; len];
        while !left.is_empty() {
            match self.user.write(&left) {
                Ok(taken) => left.truncate(left.len() - taken),
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
            let minute = Timespec { tv_sec: 60, tv_nsec: 0 };
            let ready = poll(&mut [PollFd::new(&self.user, PollFlags::OUT)], Some(&minute));
            assert_eq!(ready, Ok(1), "{} bytes are not read", left.len());
        }
        fcntl_setfl(&self.user, fcntl_getfl(&self.user).unwrap() - OFlags::NONBLOCK).unwrap();
    }

    pub(crate) fn is_raw(&self) -> bool {
        !self.modes().local_modes.intersects(LocalModes::ICANON | LocalModes::ECHO)
    }
}
