//! The kernel's call for filters, and the C library's for memory.
#![expect(unsafe_code, reason = "calls that no crate has")]

use std::io;

use libc::{
    SECCOMP_FILTER_FLAG_LOG, SECCOMP_FILTER_FLAG_SPEC_ALLOW, SECCOMP_SET_MODE_FILTER, c_uint, c_ulong,
    sock_filter, sock_fprog,
};
use rustix::thread::set_no_new_privs;

/// `SECCOMP_GET_ACTION_AVAIL`, of Linux 4.14.
const GET_ACTION_AVAIL: c_uint = 2;
static TRAP: u32 = 0x0003_0000;

/// Returns an error if this kernel has no filters that tell of refused calls.
pub(super) fn check() -> io::Result<()> {
    // SAFETY: the kernel reads a number.
    answer(unsafe { libc::syscall(libc::SYS_seccomp, GET_ACTION_AVAIL, 0_u32, &raw const TRAP) })
}

/// Has the calling thread, and all that it makes, run under a filter, besides those that it has. It gets no new rights, as by a program
/// with a set-user-ID bit. With `logs` the kernel's log has the calls that are refused.
pub(super) fn filter(program: &[sock_filter], logs: bool) -> io::Result<()> {
    set_no_new_privs(true)?;
    let flags = if logs { SECCOMP_FILTER_FLAG_LOG } else { 0 };
    // Linux before 5.16 would take speculation past stores from the thread, for programs that run code of others: it costs a guest
    // dearly, whose thread this is, and no filtered thread runs any.
    let refused = set(program, flags | SECCOMP_FILTER_FLAG_SPEC_ALLOW).is_err();
    if refused { set(program, flags) } else { Ok(()) }
}

fn set(program: &[sock_filter], flags: c_ulong) -> io::Result<()> {
    let len = u16::try_from(program.len()).map_err(io::Error::other)?;
    // The kernel only reads it.
    let program = sock_fprog { len, filter: program.as_ptr().cast_mut() };
    // SAFETY: the kernel reads the program, which is as long as it says.
    answer(unsafe { libc::syscall(libc::SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &raw const program) })
}

fn answer(returned: i64) -> io::Result<()> {
    if returned < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Has all threads have their memory from one heap. The second heap would cost a system call to know the number of processors,
/// and each shrinking a look into a file of the kernel's.
pub(super) fn one_heap() {
    // SAFETY: takes two numbers.
    unsafe { libc::mallopt(libc::M_ARENA_MAX, 1) };
}
