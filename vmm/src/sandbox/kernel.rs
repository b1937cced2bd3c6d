//! The kernel's call for filters, and the C library's for its heap.
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

/// Returns an error if this kernel has no filters that report refused calls.
pub(super) fn check() -> io::Result<()> {
    // SAFETY: the kernel reads a number.
    answer(unsafe { libc::syscall(libc::SYS_seccomp, GET_ACTION_AVAIL, 0_u32, &raw const TRAP) })
}

/// Puts the calling thread, and all that it starts, under a filter, in addition to its present ones. From then on it can't gain privileges,
/// such as by a set-user-ID program. With `logs`, the kernel logs refused calls.
pub(super) fn filter(program: &[sock_filter], logs: bool) -> io::Result<()> {
    set_no_new_privs(true)?;
    let flags = if logs { SECCOMP_FILTER_FLAG_LOG } else { 0 };
    // Linux before 5.16 would disable speculative store bypass for the thread, to protect programs that run untrusted code. That slows
    // down a guest on this thread a lot, and no filtered thread runs untrusted code in the process itself.
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

/// Makes all threads use one heap. A second heap would need a system call for the number of processors, and each shrinking of it would read
/// a file of the kernel.
pub(super) fn one_heap() {
    // SAFETY: takes two numbers.
    unsafe { libc::mallopt(libc::M_ARENA_MAX, 1) };
}
