//! Locks on image files that nvmm and QEMU both honour.
//!
//! QEMU (`block/file-posix.c`) locks single bytes far from each other, one per permission: byte 100 + n says "I use
//! permission n", byte 200 + n says "nobody else may". All locks are shared ones, and each user, once it holds its
//! own, looks for those of others that contradict them. The locks are of the open file description: they go when it is
//! closed, however the process ends, and hold between two disks of one process too.

#![expect(unsafe_code, reason = "rustix has no open file description locks")]

use std::{
    fs::{self, File},
    io,
    os::{
        fd::{AsRawFd, RawFd},
        unix::fs::MetadataExt,
    },
    path::Path,
    process,
};

use libc::{F_OFD_GETLK, F_OFD_SETLK, F_RDLCK, F_UNLCK, F_WRLCK, c_int, c_short, flock, off_t};

/// Where the locks of permissions in use begin.
const USED: off_t = 100;
/// Where the locks of permissions denied to others begin.
const DENIED: off_t = 200;

/// `BLK_PERM_CONSISTENT_READ`.
const READ: off_t = 0;
/// `BLK_PERM_WRITE`.
const WRITE: off_t = 1;
/// `BLK_PERM_RESIZE`.
const RESIZE: off_t = 3;

/// Locks `file` until it is closed: against writers, and if `writing` against readers too. `false` says that
/// another user is in the way.
pub(super) fn lock(file: &File, writing: bool) -> io::Result<bool> {
    let used: &[off_t] = if writing { &[READ, WRITE] } else { &[READ] };
    let denied = &[WRITE, RESIZE];

    let mine = used
        .iter()
        .map(|n| USED + n)
        .chain(denied.iter().map(|n| DENIED + n));
    for byte in mine {
        fcntl(file, F_OFD_SETLK, F_RDLCK, byte)?;
    }
    let others = used
        .iter()
        .map(|n| DENIED + n)
        .chain(denied.iter().map(|n| USED + n));
    for byte in others {
        if fcntl(file, F_OFD_GETLK, F_WRLCK, byte)? != F_UNLCK {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Who else has locks on `file`, as `NAME (pid N)`, as far as /proc tells.
pub(super) fn holder(file: &File) -> Option<String> {
    let wanted = file.metadata().ok()?;
    let own = (process::id().to_string(), file.as_raw_fd());
    let holds = |process: &Path, fd: RawFd| {
        let same = fs::metadata(process.join(format!("fd/{fd}")))
            .is_ok_and(|it| (it.dev(), it.ino()) == (wanted.dev(), wanted.ino()));
        same && fs::read_to_string(process.join(format!("fdinfo/{fd}"))).is_ok_and(|it| it.contains("OFDLCK"))
    };
    fs::read_dir("/proc").ok()?.flatten().find_map(|entry| {
        let (process, pid) = (entry.path(), entry.file_name().into_string().ok()?);
        let fds = fs::read_dir(process.join("fd")).ok()?.flatten();
        fds.filter_map(|fd| fd.file_name().to_str()?.parse().ok())
            .filter(|&fd| (pid.as_str(), fd) != (own.0.as_str(), own.1))
            .find(|&fd| holds(&process, fd))?;
        let name = fs::read_to_string(process.join("comm")).ok()?;
        Some(format!("{} (pid {pid})", name.trim_end()))
    })
}

/// One lock operation on one byte. Returns the lock type that the kernel left.
fn fcntl(file: &File, command: c_int, kind: c_int, byte: off_t) -> io::Result<c_int> {
    let short = |value: c_int| c_short::try_from(value).map_err(io::Error::other);
    let mut lock = flock {
        l_type: short(kind)?,
        l_whence: short(libc::SEEK_SET)?,
        l_start: byte,
        l_len: 1,
        l_pid: 0,
    };
    // SAFETY: `lock` is what these commands take, and lives across the call.
    let status = unsafe { libc::fcntl(file.as_raw_fd(), command, &raw mut lock) };
    if status < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(lock.l_type.into())
    }
}
