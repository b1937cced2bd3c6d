//! `--user`, `--chroot`, `--netns` and `--cgroup`: a machine that starts as root and is then confined.
//!
//! ```text
//! enter, before the first thread   control groups, network namespace, the new root opened; then the user, with root's rights
//!                                  (capabilities) kept, so that all that the machine needs can be opened
//! each thread, as it starts        without these rights, the machine's excepted
//! the main loop                    without them, once the machine's thread has them
//! close, when all is open          the machine's thread: the new root, and no rights any more
//! ```
//!
//! To the kernel, each thread has user ids of its own. Changing them before there are other threads avoids libc's signals to all threads,
//! which a thread with a seccomp filter can't handle, and leaves no time in which a thread is still root. Files that nvmm makes belong to
//! the user, so nvmm can remove them at the end.

mod error;
mod places;
mod user;

use std::{
    fs::File,
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
};

use devices::{
    root,
    threads::{self, Moment, Role},
};
use rustix::{
    process::{Uid, chdir, chroot, fchdir, geteuid},
    thread::{
        CapabilitySet, CapabilitySets, capabilities, set_capabilities, set_keep_capabilities,
        set_no_new_privs, set_thread_groups, set_thread_res_gid, set_thread_res_uid,
    },
};

pub use self::error::JailError;
use self::{places::open_root, user::User};
use crate::{args::JailArgs, exit};

/// The process has another user than the one that started it. It is global, since new threads have no other place to look.
static HAS_USER: AtomicBool = AtomicBool::new(false);

/// A jail that the process is in, except for the new root.
#[derive(Debug)]
pub struct Jail {
    root: Option<(PathBuf, File)>,
}

impl Jail {
    /// Puts the calling thread and its later children into the jail, except for the new root: see [`Jail::close`].
    ///
    /// # Errors
    ///
    /// There is no such user, group, namespace or directory, or nvmm was not started as root.
    pub fn enter(args: &JailArgs) -> Result<Self, JailError> {
        let user = args.user.as_deref().map(User::find).transpose()?;
        if let (Some(given), false) = (&args.user, geteuid().is_root()) {
            return Err(JailError::NotRoot(given.clone()));
        }
        // While still root: other users may not write to these files.
        args.cgroup.iter().try_for_each(|path| places::join_cgroup(path))?;
        // It applies to this thread and to those that it starts.
        args.netns.as_deref().map(places::join_netns).transpose()?;
        let root = args.chroot.as_deref().map(open_root).transpose()?;
        if let Some((path, _)) = &root {
            root::will_be(path.clone());
        }
        if let (Some(user), Some(given)) = (&user, &args.user) {
            become_user(user).map_err(|error| JailError::User(given.clone(), error.into()))?;
            HAS_USER.store(true, Ordering::Relaxed);
            threads::confine_by(confine);
        }
        Ok(Self { root })
    }

    /// Changes to the new root, and gives up all of root's rights that the calling thread kept. No other thread has any by then.
    ///
    /// # Errors
    ///
    /// The host refuses, or the rights could be regained.
    pub fn close(self) -> Result<(), JailError> {
        if let Some((path, folder)) = self.root {
            let entered = fchdir(&folder).and_then(|()| chroot(".")).and_then(|()| chdir("/"));
            entered.map_err(|error| JailError::Chroot(path, error.into()))?;
            root::is_changed();
        }
        renounce()
    }
}

/// Changes to a user, but keeps root's rights.
fn become_user(user: &User) -> rustix::io::Result<()> {
    let rights = capabilities(None)?.permitted;
    set_keep_capabilities(true)?;
    // First, since a thread that has changed its user may not change its groups any more.
    set_thread_groups(&user.groups)?;
    set_thread_res_gid(user.group, user.group, user.group)?;
    set_thread_res_uid(user.number, user.number, user.number)?;
    // They are still permitted, but no longer effective.
    set_capabilities(
        None,
        CapabilitySets { effective: rights, permitted: rights, inheritable: CapabilitySet::empty() },
    )
}

/// Permanently gives up all rights of the calling thread that its user lacks, if the process has another user than the one that started it.
///
/// # Errors
///
/// The host refuses, or the rights could be regained.
pub fn renounce() -> Result<(), JailError> {
    if !HAS_USER.load(Ordering::Relaxed) {
        return Ok(());
    }
    // A program with root's set-user-ID bit must not give them back, either.
    set_no_new_privs(true)
        .and_then(|()| {
            let none = CapabilitySet::empty();
            set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })
        })
        .map_err(|error| JailError::Rights(error.into()))?;
    let left = capabilities(None).map_err(|error| JailError::Rights(error.into()))?;
    let is_left = !(left.effective | left.permitted | left.inheritable).is_empty();
    match is_left || set_thread_res_uid(None, Uid::ROOT, None).is_ok() {
        true => Err(JailError::WayBack),
        false => Ok(()),
    }
}

/// Confines a new thread.
fn confine(role: &Role, moment: Moment) {
    // The machine's thread still opens what the machine needs.
    if *role == Role::Machine || moment != Moment::Start {
        return;
    }
    if let Err(error) = renounce() {
        // Not with the log, whose thread may be this one.
        eprintln!("nvmm: the thread {role}: {:#}", anyhow::Error::from(error));
        std::process::exit(exit::COULD_NOT.into());
    }
}
