//! Locks on image files that nvmm and QEMU both honour.
//!
//! QEMU (`block/file-posix.c`) locks single bytes far from each other, one per permission: byte 100 + n means "I use permission n", byte
//! 200 + n means "nobody else may". All locks are shared ones. Each user first takes its own locks, and then looks for locks of others that
//! contradict them. The locks belong to the open file description: they end when it is closed, however the process ends, and also work
//! between two disks of one process.

#![expect(unsafe_code, reason = "rustix has no open file description locks")]

use std::{
    fs::{self, File},
    io,
    ops::Deref,
    os::{
        fd::{AsRawFd, RawFd},
        unix::fs::MetadataExt,
    },
    path::Path,
    process,
    str::FromStr,
    thread,
    time::{Duration, Instant},
};

use libc::{F_OFD_GETLK, F_OFD_SETLK, F_RDLCK, F_UNLCK, F_WRLCK, c_int, c_short, flock, off_t};

/// The first byte of the locks of permissions in use.
const USED: off_t = 100;
/// The first byte of the locks of permissions denied to others.
const DENIED: off_t = 200;
/// The number of bytes from [`USED`] on that cover all permissions, in use and denied.
const ALL: off_t = 2 * (DENIED - USED);

/// `BLK_PERM_CONSISTENT_READ`.
const READ: off_t = 0;
/// `BLK_PERM_WRITE`.
const WRITE: off_t = 1;
/// `BLK_PERM_RESIZE`.
const RESIZE: off_t = 3;

/// The longest wait for a lock whose holder is not found, and the pause between two attempts.
const PATIENCE: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(10);

/// A file whose locks end when this is dropped, even if copies of it are still open. Closing it is not enough: a child that was just forked
/// has a copy until it calls execve, and copies share the locks.
#[derive(Debug)]
pub(crate) struct LockedFile(File);

impl From<File> for LockedFile {
    fn from(file: File) -> Self {
        Self(file)
    }
}

impl Deref for LockedFile {
    type Target = File;

    fn deref(&self) -> &File {
        &self.0
    }
}

impl Drop for LockedFile {
    fn drop(&mut self) {
        // If this fails, closing the file still ends them, unless a child has a copy.
        let _ = unlock(self);
    }
}

/// Takes the [`lock`] of `file`, or returns who holds one that is in the way. A file that was registered with an io_uring stays open, and
/// locked, for a moment after its process has ended, so this waits for a lock whose holder is not found.
pub(crate) fn lock_or_blame(file: &File, writing: bool) -> io::Result<Option<String>> {
    let start = Instant::now();
    while !lock(file, writing)? {
        match holder(file) {
            None if start.elapsed() < PATIENCE => thread::sleep(PAUSE),
            holder => return Ok(Some(holder.unwrap_or_else(|| "another program".into()))),
        }
    }
    Ok(None)
}

/// Locks `file` until it is closed or [`unlock`]ed: against writers, and if `writing` against readers too. Returns false if another user is
/// in the way; then `file` has no lock.
pub(super) fn lock(file: &File, writing: bool) -> io::Result<bool> {
    let used: &[off_t] = if writing { &[READ, WRITE] } else { &[READ] };
    let denied = &[WRITE, RESIZE];

    let mine = used.iter().map(|n| USED + n).chain(denied.iter().map(|n| DENIED + n));
    for byte in mine {
        fcntl(file, F_OFD_SETLK, F_RDLCK, byte)?;
    }
    let others = used.iter().map(|n| DENIED + n).chain(denied.iter().map(|n| USED + n));
    for byte in others {
        if fcntl(file, F_OFD_GETLK, F_WRLCK, byte)? != F_UNLCK {
            unlock(file)?;
            return Ok(false);
        }
    }
    Ok(true)
}

/// Releases all locks of `file`.
pub(crate) fn unlock(file: &File) -> io::Result<()> {
    fcntl_range(file, F_OFD_SETLK, F_UNLCK, USED, ALL).map(drop)
}

/// Allows others to read `file`, which was [`lock`]ed for writing, from now on.
pub(super) fn share(file: &File) -> io::Result<()> {
    fcntl(file, F_OFD_SETLK, F_UNLCK, USED + WRITE).map(drop)
}

/// The program that writes to `file`, or may write at any time, as far as locks and /proc show. Takes no lock.
pub(super) fn writer(file: &File) -> Option<String> {
    let is_unlocked = fcntl(file, F_OFD_GETLK, F_WRLCK, USED + WRITE).ok()? == F_UNLCK;
    (!is_unlocked).then(|| holder(file).unwrap_or_else(|| "another program".into()))
}

/// The program that uses `file` as an image, which may be this process: it reads it, writes to it, or keeps others from doing so.
///
/// # Errors
///
/// The file system has no locks.
pub fn user(file: &File) -> io::Result<Option<String>> {
    let is_unlocked = fcntl_range(file, F_OFD_GETLK, F_WRLCK, USED, ALL)? == F_UNLCK;
    Ok((!is_unlocked).then(|| holder(file).unwrap_or_else(|| "another program".into())))
}

/// The other user of `file`, as `NAME (pid N)`, as far as /proc shows.
pub(super) fn holder(file: &File) -> Option<String> {
    let wanted = file.metadata().ok()?;
    let own = (process::id(), file.as_raw_fd());
    let holds = |pid: u32, fd: RawFd| {
        (pid, fd) != own
            && fs::read_to_string(format!("/proc/{pid}/fdinfo/{fd}")).is_ok_and(|it| it.contains("OFDLCK"))
            && fs::metadata(format!("/proc/{pid}/fd/{fd}"))
                .is_ok_and(|it| (it.dev(), it.ino()) == (wanted.dev(), wanted.ino()))
    };
    let pid = numbers("/proc".as_ref())
        .find(|&pid| numbers(format!("/proc/{pid}/fd").as_ref()).any(|fd| holds(pid, fd)))?;
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    Some(format!("{} (pid {pid})", name.trim_end()))
}

/// Returns whether this process itself is the `holder` of a lock.
#[must_use]
pub fn is_own(holder: &str) -> bool {
    holder.ends_with(&format!("(pid {})", process::id()))
}

/// The entries of `dir` whose names are numbers.
fn numbers<T: FromStr>(dir: &Path) -> impl Iterator<Item = T> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// One lock operation on one byte. Returns the lock type that the kernel left.
fn fcntl(file: &File, command: c_int, kind: c_int, byte: off_t) -> io::Result<c_int> {
    fcntl_range(file, command, kind, byte, 1)
}

/// One lock operation on `len` bytes from `byte` on.
fn fcntl_range(file: &File, command: c_int, kind: c_int, byte: off_t, len: off_t) -> io::Result<c_int> {
    let short = |value: c_int| c_short::try_from(value).map_err(io::Error::other);
    let mut lock =
        flock { l_type: short(kind)?, l_whence: short(libc::SEEK_SET)?, l_start: byte, l_len: len, l_pid: 0 };
    // SAFETY: `lock` is what these commands take, and lives across the call.
    let status = unsafe { libc::fcntl(file.as_raw_fd(), command, &raw mut lock) };
    if status < 0 { Err(io::Error::last_os_error()) } else { Ok(lock.l_type.into()) }
}

#[cfg(test)]
#[path = "lock_test.rs"]
mod tests;
