//! A thread that a guest has taken over, for tests. Released nvmms do not contain it.
#![expect(unsafe_code, reason = "system calls of all kinds, which a filter has to refuse")]

use std::{
    env,
    fs::{self, File},
    io,
    net::TcpStream,
    os::{
        linux::net::SocketAddrExt,
        unix::{
            net::{SocketAddr, UnixStream},
            process::CommandExt,
        },
    },
    process::Command,
};

use vmm_sys_util::signal::block_signal;

/// The environment variable with the name of a thread, by [`Role`](devices::threads::Role), and its actions: `vcpu0: open; exec`.
const VARIABLE: &str = "NVMM_TEST_TAKEN_OVER";

/// Performs the actions of the thread of this name.
pub(super) fn play(thread: &str) {
    let Ok(script) = env::var(VARIABLE) else { return };
    let Some((name, acts)) = script.split_once(": ") else { return };
    if name != thread {
        return;
    }
    for act in acts.split("; ") {
        let done = done(act);
        eprintln!("nvmm: the taken over thread {thread}: {act}: {done:?}");
    }
}

fn done(act: &str) -> io::Result<()> {
    let (verb, what) = act.split_once(' ').unwrap_or((act, ""));
    match (verb, what) {
        ("open", "") => File::open("/etc/passwd").map(drop),
        ("open", path) => File::open(path).map(drop),
        ("create", "") => File::create("taken over").map(drop),
        ("create", path) => File::create(path).map(drop),
        ("remove", path) => fs::remove_file(path),
        ("inet", "") => TcpStream::connect("127.0.0.1:9").map(drop),
        ("inet", address) => TcpStream::connect(address).map(drop),
        ("unix", _) => UnixStream::connect("taken over").map(drop),
        ("abstract", name) => SocketAddr::from_abstract_name(name)
            .and_then(|address| UnixStream::connect_addr(&address))
            .map(drop),
        ("signal", process) => process.parse().map_err(io::Error::other).and_then(signal),
        ("exec", _) => Err(Command::new("/bin/true").exec()),
        ("code", _) => executable(),
        ("silent", _) => block_signal(libc::SIGSYS)
            .map_err(|error| io::Error::other(error.to_string()))
            .and_then(|()| Err(Command::new("/bin/true").exec())),
        ("panic", _) => panic!("taken over"),
        // A call without arguments.
        (number, _) => number.parse().map_err(io::Error::other).and_then(|number| call([number, 0, 0])),
    }
}

/// Maps memory as executable.
fn executable() -> io::Result<()> {
    let rights = libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    vm_memory::MmapRegion::<()>::build(None, 4096, rights, flags).map(drop).map_err(io::Error::other)
}

/// Checks whether a signal could be sent to a process.
fn signal(process: i64) -> io::Result<()> {
    call([libc::SYS_kill, process, 0])
}

fn call([number, first, second]: [i64; 3]) -> io::Result<()> {
    // SAFETY: the tests give calls that do nothing without arguments, but to be refused, and kill, which takes numbers.
    let returned = unsafe { libc::syscall(number, first, second, 0, 0, 0, 0) };
    if returned < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
