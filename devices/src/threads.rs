//! Threads, which all start here.
//!
//! The rules for each of them are therefore written once: its name, that it leaves signals to the thread that waits for them, and
//! that it confines itself before it works.
//!
//! A thread has the seccomp filters of the one that made it besides its own, and who may make threads may make processes too, as far as
//! a filter can tell. So once there are filters one thread makes all others ([`start_spawner`]), and no other may make any.

use std::{
    collections::BTreeMap,
    fmt, io,
    path::PathBuf,
    sync::{
        Mutex, MutexGuard, OnceLock, PoisonError,
        mpsc::{Sender, channel},
    },
    thread::{Builder, JoinHandle},
};

use rustix::thread::gettid;

use vmm_sys_util::signal::{block_signal, unblock_signal};

/// The purpose of a thread. Its [`Display`](fmt::Display) is the thread's name, of which `ps -L` shows 15 bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// Makes the other threads.
    Spawner,
    /// Builds, runs and takes down machines.
    Machine,
    /// Runs the vCPU of this number.
    Vcpu(u32),
    /// Serves a virtqueue. The device names it, such as `tap0`.
    Queue(String),
    /// Serves a queue of a disk, such as `blk0 root.img`.
    Disk(String),
    /// Serves a virtqueue of a device that connects to unix sockets of the host's.
    Sockets(String),
    /// Writes output to where it is going, such as `stdout`.
    Output(String),
    /// Writes UEFI variables to their file, in this folder.
    Variables(PathBuf),
    /// Reads or writes pieces of a snapshot's memory.
    Memory,
    /// Reads input that epoll can't wait for.
    Input,
    /// Speaks with a debugger.
    Gdb,
    /// Takes connections of VNC's viewers.
    Vnc,
    /// Serves the viewer of this number.
    Viewer(u32),
    /// Sends memory to another nvmm.
    Migration,
    /// Runs the guest of `nvmm check`.
    Proof,
    /// Redraws what `nvmm nest` shows.
    Progress,
    /// Asks KVM what CPU models are here.
    Models,
    /// Reads CPUID on a processor of its choice.
    Cpuid,
    /// Waits for the signals that end `nvmm nest --explain`.
    Signals,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Spawner => f.write_str("spawner"),
            Self::Machine => f.write_str("machine"),
            Self::Vcpu(id) => write!(f, "vcpu{id}"),
            Self::Queue(name) | Self::Disk(name) | Self::Sockets(name) | Self::Output(name) => {
                f.write_str(name)
            }
            Self::Variables(_) => f.write_str("variables"),
            Self::Memory => f.write_str("memory"),
            Self::Input => f.write_str("stdin"),
            Self::Gdb => f.write_str("gdb"),
            Self::Vnc => f.write_str("vnc"),
            Self::Viewer(number) => write!(f, "vnc viewer {number}"),
            Self::Migration => f.write_str("migration"),
            Self::Proof => f.write_str("proof"),
            Self::Progress => f.write_str("progress"),
            Self::Models => f.write_str("models"),
            Self::Cpuid => f.write_str("cpuid"),
            Self::Signals => f.write_str("signals"),
        }
    }
}

/// The moments at which a thread confines itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Before it does anything.
    Start,
    /// Before it serves the guest, when it has made what it needs for that: only of a [`Role::Disk`], which makes a ring.
    Ready,
}

/// Does something to the calling thread, as its role says.
pub type Confine = fn(&Role, Moment);

impl Role {
    /// Returns whether the thread opens what a machine needs, and has to be made by one that still may.
    fn opens(&self) -> bool {
        matches!(self, Self::Machine | Self::Variables(_))
    }
}

/// The first acts of each new thread. They are the process's and not parameters, since a thread may start wherever a device is activated
/// or a line is logged, and one that nobody thought of must not be the one that is free.
static CONFINE: Mutex<Vec<Confine>> = Mutex::new(Vec::new());

/// Asks the spawner to make a thread.
static SPAWNER: OnceLock<Sender<Box<dyn FnOnce() + Send>>> = OnceLock::new();

/// The kernel's numbers of the threads that run vCPUs, by the vCPUs'.
static VCPUS: Mutex<BTreeMap<u32, i32>> = Mutex::new(BTreeMap::new());

/// Has every thread that starts from now on call `confine` with its role at each of these moments, after those that were given earlier.
pub fn confine_by(confine: Confine) {
    lock(&CONFINE).push(confine);
}

/// Says that the calling thread serves the guest from now on.
pub(crate) fn is_ready(role: &Role) {
    confine(role, Moment::Ready);
}

fn confine(role: &Role, moment: Moment) {
    let all = lock(&CONFINE).clone();
    all.iter().for_each(|confine| confine(role, moment));
}

/// Starts the thread that makes all others from now on, except for those that open what a machine needs.
///
/// # Errors
///
/// The host has no more threads, or there is one already.
pub fn start_spawner() -> io::Result<()> {
    let (ask, asked) = channel::<Box<dyn FnOnce() + Send>>();
    start(&Role::Spawner, move || asked.iter().for_each(|make| make()))?;
    SPAWNER.set(ask).map_err(|_| io::ErrorKind::AlreadyExists.into())
}

/// Starts a thread that does `work`.
///
/// # Errors
///
/// The host has no more threads.
pub fn spawn<T: Send + 'static>(
    role: &Role,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    let Some(spawner) = SPAWNER.get().filter(|_| !role.opens()) else { return start(role, work) };
    let (made, thread) = channel();
    let role = role.clone();
    let make = move || {
        // An error: whoever asked has gone.
        let _ = made.send(start(&role, work));
    };
    spawner.send(Box::new(make)).map_err(|_| io::ErrorKind::BrokenPipe)?;
    thread.recv().map_err(io::Error::other)?
}

/// The kernel's number of the thread that runs the vCPU of this number, while there is one.
#[must_use]
pub fn of_vcpu(number: u32) -> Option<i32> {
    lock(&VCPUS).get(&number).copied()
}

/// Makes a thread.
fn start<T: Send + 'static>(
    role: &Role,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    let thread = Builder::new().name(role.to_string());
    let role = role.clone();
    let confined = move || {
        confine(&role, Moment::Start);
        let _listed = Listed::new(&role);
        work()
    };
    #[expect(clippy::disallowed_methods, reason = "this is the one place")]
    without_signals(|| thread.spawn(confined))
}

/// A vCPU's entry in the list of threads, for as long as the thread works.
struct Listed(u32);

impl Listed {
    fn new(role: &Role) -> Option<Self> {
        let Role::Vcpu(number) = *role else { return None };
        lock(&VCPUS).insert(number, gettid().as_raw_nonzero().get());
        Some(Self(number))
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        lock(&VCPUS).remove(&self.0);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Does what makes a thread, which then leaves the signals that a program may wait for to the others. One that took such a signal would
/// do to the program what the signal does by default.
fn without_signals<T>(work: impl FnOnce() -> T) -> T {
    const WAITED_FOR: [i32; 9] = [
        libc::SIGHUP,
        libc::SIGINT,
        libc::SIGQUIT,
        libc::SIGUSR1,
        libc::SIGUSR2,
        libc::SIGTERM,
        libc::SIGCONT,
        libc::SIGTSTP,
        // Nobody waits for it: a limit of a file's size is an error of the write.
        libc::SIGXFSZ,
    ];
    // An error: it is blocked already.
    let blocked: Vec<i32> = WAITED_FOR.into_iter().filter(|&signal| block_signal(signal).is_ok()).collect();
    let value = work();
    for signal in blocked {
        let _ = unblock_signal(signal);
    }
    value
}

#[cfg(test)]
#[path = "threads_test.rs"]
mod tests;
