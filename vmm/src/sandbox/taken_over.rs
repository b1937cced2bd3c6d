//! For tests: a thread that a guest has taken over. Released nvmms have none of this.
#![expect(unsafe_code, reason = "system calls of all kinds, which a filter has to refuse")]

use std::{
    env,
    fs::File,
    io,
    net::TcpStream,
    os::unix::{net::UnixStream, process::CommandExt},
    process::Command,
};

/// The variable that has the name of a thread, as [`Role`](devices::threads::Role) has it, and its first act: `vcpu0: open`.
const VARIABLE: &str = "NVMM_TEST_TAKEN_OVER";

/// Does what the thread of this name does once it is taken over.
pub(super) fn play(thread: &str) {
    let Ok(script) = env::var(VARIABLE) else { return };
    let Some((name, act)) = script.split_once(": ") else { return };
    if name != thread {
        return;
    }
    let done = match act {
        "open" => File::open("/etc/passwd").map(drop),
        "create" => File::create("taken over").map(drop),
        "inet" => TcpStream::connect("127.0.0.1:9").map(drop),
        "unix" => UnixStream::connect("taken over").map(drop),
        "exec" => Err(Command::new("/bin/true").exec()),
        "code" => executable(),
        "panic" => panic!("taken over"),
        // A call without arguments.
        number => number.parse().map_err(io::Error::other).and_then(call),
    };
    eprintln!("nvmm: the taken over thread {thread}: {act}: {done:?}");
}

/// Maps memory for code of its own.
fn executable() -> io::Result<()> {
    let rights = libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    vm_memory::MmapRegion::<()>::build(None, 4096, rights, flags).map(drop).map_err(io::Error::other)
}

fn call(number: i64) -> io::Result<()> {
    // SAFETY: the tests give calls that do nothing without arguments, but to be refused.
    let returned = unsafe { libc::syscall(number, 0, 0, 0, 0, 0, 0) };
    if returned < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
