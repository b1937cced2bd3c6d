//! Threads: all of them are started here.
//!
//! So the rules for all of them are written once: a thread's name, that it leaves signals to the thread that waits for them, and that it
//! confines itself before it works.
//!
//! A thread inherits the seccomp filters of the thread that makes it. A filter that allows making threads can't fully prevent making
//! processes. So once there are filters, one thread makes all others ([`start_spawner`]), and no other thread is allowed to.

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
    /// Serves a virtqueue of a device that connects to the host's unix sockets.
    Sockets(String),
    /// Writes output to its destination, such as `stdout`.
    Output(String),
    /// Writes UEFI variables to their file, in this folder.
    Variables(PathBuf),
    /// Reads or writes pieces of a snapshot's memory.
    Memory,
    /// Reads input from files that epoll doesn't support.
    Input,
    /// Talks to a debugger.
    Gdb,
    /// Accepts connections of VNC viewers.
    Vnc,
    /// Serves the viewer of this number.
    Viewer(u32),
    /// Sends memory to another nvmm.
    Migration,
    /// Runs the guest of `nvmm check`.
    Proof,
    /// Redraws the progress of `nvmm nest`.
    Progress,
    /// Asks KVM which CPU models are possible here.
    Models,
    /// Reads CPUID on a processor that it chooses.
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

/// The times at which a thread confines itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Before it does anything else.
    Start,
    /// Before it serves the guest, after it has made what it needs for that. Only for a [`Role::Disk`], which makes a ring.
    Ready,
}

/// Confines the calling thread according to its role.
pub type Confine = fn(&Role, Moment);

impl Role {
    /// Returns whether the thread opens what a machine needs, so that an unconfined thread has to make it.
    fn opens(&self) -> bool {
        matches!(self, Self::Machine | Self::Variables(_))
    }
}

/// The functions that each new thread calls first. They are global and not parameters, since a thread may start anywhere: when a device is
/// activated, or when a line is logged. No thread must stay unconfined because somebody forgot it.
static CONFINE: Mutex<Vec<Confine>> = Mutex::new(Vec::new());

/// Sends requests for new threads to the spawner.
static SPAWNER: OnceLock<Sender<Box<dyn FnOnce() + Send>>> = OnceLock::new();

/// The kernel's ids of the threads that run vCPUs, by the vCPUs' numbers.
static VCPUS: Mutex<BTreeMap<u32, i32>> = Mutex::new(BTreeMap::new());

/// Makes every thread that starts from now on call `confine` with its role at each of these times, after the functions that were given
/// earlier.
pub fn confine_by(confine: Confine) {
    lock(&CONFINE).push(confine);
}

/// Announces that the calling thread serves the guest from now on.
pub(crate) fn is_ready(role: &Role) {
    confine(role, Moment::Ready);
}

fn confine(role: &Role, moment: Moment) {
    let all = lock(&CONFINE).clone();
    all.iter().for_each(|confine| confine(role, moment));
}

/// Starts the spawner, the thread that makes all others from now on, except for those that open what a machine needs.
///
/// # Errors
///
/// The host has no more threads, or the spawner exists already.
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
        // It fails only if the thread that asked has gone.
        let _ = made.send(start(&role, work));
    };
    spawner.send(Box::new(make)).map_err(|_| io::ErrorKind::BrokenPipe)?;
    thread.recv().map_err(io::Error::other)?
}

/// The kernel's id of the thread that runs the vCPU with this number, while there is one.
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

/// A vCPU's entry in the list of threads, which exists as long as the thread works.
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

/// Calls `work`, which makes a thread, with signals blocked: the new thread leaves those that the program may wait for to other threads. If
/// it took such a signal, the signal's default action would end the program.
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
        // No thread waits for it, but it must not end the program: exceeding the limit of a file's size is an error of the write.
        libc::SIGXFSZ,
    ];
    // It fails only if the signal is blocked already.
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
