//! `--sandbox`: limits on the system calls of nvmm's threads once they serve a guest, and on the files that they reach. A guest that takes
//! over a thread gets no more than that.
//!
//! ```text
//! enter, before the first thread   the handler of refused calls; then the spawner, which makes all other threads
//! each thread, as it starts        its role's filter, except for the machine's thread; the spawner and the one that writes UEFI
//!                                  variables reach few files from then on
//! the main loop                    its own, and few files, once the machine's thread is there
//! close, when all is open          the machine's thread: its own, before the guest's first instruction, and the files of --allow-path
//! ```
//!
//! A thread also has the filters of the thread that started it, and reaches no more files than that one. The spawner's filter allows
//! everything that the threads it starts may do. No other thread starts threads: a call that starts a thread could start a process as well.
//! The threads that open files are started by the machine's thread before it is confined.

mod allowed;
mod filter;
mod kernel;
mod names;
mod reach;
#[cfg(debug_assertions)]
mod taken_over;
mod trap;

use std::{
    io, panic,
    path::{Path, PathBuf},
    process,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    thread,
};

use devices::{
    printable::ToPrintable,
    root,
    threads::{self, Moment, Role},
};
use landlock::LandlockStatus;
use libc::sock_filter;
use rustix::{
    process::{Resource, Rlimit, setrlimit},
    thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities},
};

use self::{
    allowed::{TABLE, Who},
    filter::Now,
    reach::{Reach, ReachError},
};
use crate::{
    args::{SandboxArgs, SandboxMode},
    config::{Outside, VmConfig},
    exit,
};

/// The capabilities to write files of other owners, and to give files away.
const OWNERS: CapabilitySet =
    CapabilitySet::CHOWN.union(CapabilitySet::FOWNER).union(CapabilitySet::DAC_OVERRIDE);

/// The process's sandbox. A new thread has no other way to find it.
static SANDBOX: OnceLock<Sandbox> = OnceLock::new();

/// The filters of threads.
#[derive(Debug)]
struct Sandbox {
    now: Now,
    /// The kinds of threads that this machine can have.
    has: Who,
    /// The filters compiled so far, and their threads.
    filters: Mutex<Vec<Filter>>,
    /// The files that they reach; none with `--sandbox log`, as landlock can't report without refusing.
    reach: Option<Reach>,
    /// The places that commands reach, unless they reach all files.
    places: OnceLock<Vec<PathBuf>>,
}

type Filter = (Who, Arc<[sock_filter]>);

/// The reason why there is no sandbox.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// A thread or a signal handler can't be set up.
    #[error("--sandbox: the host refuses")]
    Host(#[from] io::Error),
    /// The files that threads reach can't be limited.
    #[error(transparent)]
    Reach(#[from] ReachError),
    /// A thread's capabilities or filter can't be set.
    #[error("--sandbox: the thread {0} can't be confined")]
    Thread(String, #[source] io::Error),
}

/// Puts the threads that start from now on into the sandbox. The machine still reaches what is `outside`. If the kernel has no filters,
/// there is no sandbox, and [`close`] reports that.
///
/// # Errors
///
/// The host refuses a thread.
pub fn enter(args: &SandboxArgs, outside: &Outside) -> Result<(), SandboxError> {
    let goes_on = match args.sandbox {
        SandboxMode::Off => return Ok(()),
        SandboxMode::On => false,
        SandboxMode::Log => true,
    };
    if kernel::check().is_err() {
        return Ok(());
    }
    let now = Now { process: process::id(), free: goes_on.then(trap::free_place) };
    let mut has = Who::all();
    has.set(Who::SOCKETS, outside.unix_sockets);
    has.set(Who::REOPENS, outside.vhost_vsock);
    let keeps = !goes_on || is_told_to_keep();
    let reach = keeps.then(|| Reach::new(outside, !args.allow_path.is_empty())).transpose()?;
    let sandbox = Sandbox { now, has, filters: Mutex::default(), reach, places: OnceLock::new() };
    if SANDBOX.set(sandbox).is_err() {
        return Err(io::Error::from(io::ErrorKind::AlreadyExists).into());
    }
    // A core dump would contain the guest's memory and the disks' contents.
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    setrlimit(Resource::Core, none).map_err(io::Error::from)?;
    kernel::one_heap();
    trap::tell(goes_on).map_err(io::Error::from)?;
    panic::set_hook(Box::new(report));
    threads::confine_by(confine);
    Ok(threads::start_spawner()?)
}

/// Returns whether threads are kept from files in any mode: for tests with `--sandbox log`, which makes all calls.
fn is_told_to_keep() -> bool {
    cfg!(debug_assertions) && std::env::var_os("NVMM_TEST_FILES_KEPT").is_some()
}

/// Confines the main loop's thread to the system calls it needs, including those to connect to servers if it `connects`.
///
/// # Errors
///
/// The kernel refuses.
pub(crate) fn close_main(connects: bool) -> Result<(), SandboxError> {
    if let Some(reach) = reach() {
        match reach.limit_main()? {
            LandlockStatus::Available { effective_abi, .. } => {
                log::info!("--sandbox: seccomp filters, and landlock's version {effective_abi}");
            }
            _ => log::info!("--sandbox: seccomp filters; this kernel has no landlock, or not switched on"),
        }
    }
    let client = if connects { Who::CLIENT } else { Who::empty() };
    close_for("main", Who::MAIN | client)
}

/// Confines the machine's thread, the last one. With `--allow-path`, it reaches only those files, the place where the machine is saved at
/// its end, and its disks: these to check whether a command would overwrite one.
///
/// # Errors
///
/// The kernel refuses, or there is no such file.
pub fn close(args: &SandboxArgs, config: &VmConfig) -> Result<(), SandboxError> {
    if args.sandbox != SandboxMode::Off
        && let Err(error) = kernel::check()
    {
        log::info!("--sandbox: there is none, as the kernel has no seccomp filters for nvmm: {error}");
    }
    if !args.allow_path.is_empty() {
        close_files(args, config)?;
    }
    close_for("machine", Who::MACHINE)
}

/// Limits the calling thread to the files of `--allow-path`, or logs the reason why it reaches all.
fn close_files(args: &SandboxArgs, config: &VmConfig) -> Result<(), SandboxError> {
    let why = match (SANDBOX.get(), reach()) {
        (Some(sandbox), Some(reach)) => {
            let save = config.snapshot_on_exit.as_deref().map(root::canonical);
            let save = save.as_deref().and_then(Path::parent);
            if reach.limit_commands(&args.allow_path, save, &config.images())? {
                let _first = sandbox.places.set(args.allow_path.clone());
                return Ok(());
            }
            "as this kernel has no landlock"
        }
        (None, _) if args.sandbox != SandboxMode::Off => "as this kernel has no seccomp filters",
        (_, _) if args.sandbox == SandboxMode::Log => "with --sandbox log",
        (_, _) => "with --sandbox off",
    };
    log::warn!("--allow-path: commands reach all files, {why}");
    Ok(())
}

/// Advice on how to let commands reach a file, for an error that the sandbox may have caused.
pub(crate) fn advice(error: &anyhow::Error) -> Option<String> {
    let places = SANDBOX.get()?.places.get()?;
    let denied = |cause: &(dyn std::error::Error + 'static)| {
        let kind = |error: &io::Error| error.kind() == io::ErrorKind::PermissionDenied;
        cause.downcast_ref().is_some_and(kind) || cause.downcast_ref() == Some(&rustix::io::Errno::ACCESS)
    };
    let shown = places.iter().map(|place| place.printable().to_string()).collect::<Vec<_>>().join(", ");
    error.chain().any(denied).then(|| format!("commands reach only what --allow-path gives them: {shown}"))
}

fn reach() -> Option<&'static Reach> {
    SANDBOX.get()?.reach.as_ref()
}

fn close_for(name: &str, who: Who) -> Result<(), SandboxError> {
    let Some(sandbox) = SANDBOX.get() else { return Ok(()) };
    // The file of UEFI variables keeps its owner when it is replaced.
    let keeps = if who == Who::VARIABLES { OWNERS } else { CapabilitySet::empty() };
    let given_up = give_up_rights(keeps).map_err(io::Error::from);
    // While signals are blocked, as libc does while it starts and ends a thread, no handler can report a refused call, so the kernel
    // logs it. Not for the spawner: it would log a call at each start of nvmm that libc can do without.
    let logs = sandbox.now.free.is_none() && !who.contains(Who::SPAWNER);
    given_up
        .and_then(|()| kernel::filter(&sandbox.filter(who), logs))
        .map_err(|error| SandboxError::Thread(name.to_owned(), error))?;
    #[cfg(debug_assertions)]
    taken_over::play(name);
    Ok(())
}

/// Gives up all capabilities of the calling thread except those in `keeps`. Files that need one to be opened are open by now.
fn give_up_rights(keeps: CapabilitySet) -> rustix::io::Result<()> {
    let CapabilitySets { effective, permitted, inheritable } = capabilities(None)?;
    if (effective | permitted | inheritable).is_empty() {
        return Ok(());
    }
    let (left, none) = (permitted & keeps, CapabilitySet::empty());
    set_capabilities(None, CapabilitySets { effective: left, permitted: left, inheritable: none })
}

/// Confines a new thread, or a disk's thread once it has its ring, since it can't create one afterwards.
fn confine(role: &Role, moment: Moment) {
    let is_disk = matches!(role, Role::Disk(_));
    let Some(who) = who(role).filter(|_| is_disk == (moment == Moment::Ready)) else { return };
    let limited = match (reach(), role) {
        (Some(reach), Role::Spawner) => reach.limit_all().map(drop),
        (Some(reach), Role::Variables(folder)) => reach.limit_to(folder),
        _ => Ok(()),
    };
    let closed = limited.map_err(SandboxError::from).and_then(|()| close_for(&role.to_string(), who));
    if let Err(error) = closed {
        // Not logged, as this may be the log's thread.
        eprintln!("nvmm: {:#}", anyhow::Error::from(error));
        process::exit(exit::COULD_NOT.into());
    }
}

/// The kind of a thread; none for the machine's thread, which must open files first.
fn who(role: &Role) -> Option<Who> {
    Some(match role {
        Role::Machine => return None,
        Role::Spawner => Who::all() - Who::MAIN - Who::MACHINE - Who::CLIENT - Who::VARIABLES,
        Role::Vcpu(_) => Who::VCPU | Who::REOPENS,
        Role::Queue(_) => Who::QUEUE,
        Role::Disk(_) => Who::DISK,
        Role::Sockets(_) => Who::QUEUE | Who::SOCKETS,
        Role::Output(_) => Who::OUTPUT,
        Role::Variables(_) => Who::VARIABLES,
        Role::Memory => Who::MEMORY,
        Role::Input => Who::INPUT,
        Role::Gdb => Who::GDB,
        Role::Vnc | Role::Viewer(_) => Who::VNC,
        Role::Models => Who::MODELS,
        Role::Migration => Who::MIGRATION,
        // Threads of other commands, which have no sandbox.
        Role::Proof | Role::Progress | Role::Cpuid | Role::Signals => Who::empty(),
    })
}

impl Sandbox {
    /// The filter of a kind of threads, compiled only once.
    fn filter(&self, who: Who) -> Arc<[sock_filter]> {
        let who = who & self.has;
        let mut filters = self.filters.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, filter)) = filters.iter().find(|(theirs, _)| *theirs == who) {
            return Arc::clone(filter);
        }
        let filter = Arc::from(filter::compile(&TABLE, who, self.now));
        filters.push((who, Arc::clone(&filter)));
        filter
    }
}

/// Reports a panic as std does, except for the backtrace, for which std would open files.
fn report(panic: &panic::PanicHookInfo<'_>) {
    let thread = thread::current();
    let name = thread.name().unwrap_or("main");
    let stack = match std::env::var_os("RUST_BACKTRACE") {
        None => "",
        Some(_) => "\nnote: there is a stack with --sandbox off",
    };
    // A single write, as other threads may panic at the same time.
    eprintln!("\nthread '{name}' {panic}{stack}");
}
