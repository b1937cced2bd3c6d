//! The handling of a system call that a thread's filter refuses: SIGSYS, whose handler runs in that thread.
#![expect(unsafe_code, reason = "a signal handler that reads what the kernel says, and makes system calls")]

use std::{
    ffi::{c_int, c_long, c_void},
    fmt::{self, Write},
    mem::offset_of,
    sync::atomic::{AtomicBool, Ordering},
};

use libc::{siginfo_t, ucontext_t};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};
use vmm_sys_util::{errno, signal::register_signal_handler};

use super::names;
use crate::{exit::REFUSED, terminal};

/// `SYS_SECCOMP`: asm-generic/siginfo.h.
const BY_A_FILTER: c_int = 1;
/// The time for a reader of stderr to make room.
const PATIENCE: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

/// The registers of a call's arguments, as indices into `gregs`.
const ARGUMENTS: [usize; 6] = [
    register(libc::REG_RDI),
    register(libc::REG_RSI),
    register(libc::REG_RDX),
    register(libc::REG_R10),
    register(libc::REG_R8),
    register(libc::REG_R9),
];
const RESULT: usize = register(libc::REG_RAX);

#[expect(clippy::cast_sign_loss, reason = "an index of a libc constant")]
const fn register(index: c_int) -> usize {
    index as usize
}

/// Refused calls are only reported, and then made.
static GOES_ON: AtomicBool = AtomicBool::new(false);

/// The kernel's `siginfo_t` of a refused call: asm-generic/siginfo.h.
#[repr(C)]
struct Refused {
    signal: c_int,
    error: c_int,
    code: c_int,
    place: *const c_void,
    call: c_int,
    arch: u32,
}

const _: () = assert!(offset_of!(Refused, place) == 16 && size_of::<Refused>() <= size_of::<siginfo_t>());

// The one instruction whose calls all filters of `--sandbox log` allow. The function takes the number and the arguments of a call.
std::arch::global_asm!(
    ".hidden nvmm_sandbox_call",
    ".hidden nvmm_sandbox_called",
    ".globl nvmm_sandbox_call",
    ".globl nvmm_sandbox_called",
    "nvmm_sandbox_call:",
    "mov rax, rdi",
    "mov rdi, rsi",
    "mov rsi, rdx",
    "mov rdx, rcx",
    "mov r10, r8",
    "mov r8, r9",
    "mov r9, [rsp + 8]",
    "syscall",
    "nvmm_sandbox_called:",
    "ret",
);

unsafe extern "C" {
    fn nvmm_sandbox_call(
        number: c_long,
        a: c_long,
        b: c_long,
        c: c_long,
        d: c_long,
        e: c_long,
        f: c_long,
    ) -> c_long;
    fn nvmm_sandbox_called();
}

/// The address after that instruction, by which a filter recognizes it.
pub(super) fn free_place() -> u64 {
    nvmm_sandbox_called as *const () as u64
}

/// Installs the handler, which reports refused calls and then ends nvmm, unless it `goes_on`.
pub(super) fn tell(goes_on: bool) -> errno::Result<()> {
    GOES_ON.store(goes_on, Ordering::Relaxed);
    register_signal_handler(libc::SIGSYS, refused)
}

/// Async-signal-safe: locals, atomics and system calls that every filter allows.
extern "C" fn refused(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    let info_at = info.cast::<Refused>();
    // SAFETY: the kernel gives a `siginfo_t`, whose beginning this is for any signal.
    let code = unsafe { (*info_at).code };
    if code != BY_A_FILTER {
        return terminal::restore_and_die(signal);
    }
    // SAFETY: by this code it is one of a refused call.
    let Refused { call, place, .. } = unsafe { info_at.read() };
    let goes_on = GOES_ON.load(Ordering::Relaxed);
    if !goes_on {
        terminal::restore();
    }
    say(call, place, goes_on);
    if !goes_on {
        // SAFETY: ends the process.
        unsafe { libc::_exit(REFUSED.into()) };
    }
    // SAFETY: the kernel gives the thread's registers to a handler that is told of a signal's reason.
    let registers = unsafe { &mut (*context.cast::<ucontext_t>()).uc_mcontext.gregs };
    let [a, b, c, d, e, f] = ARGUMENTS.map(|register| registers[register]);
    // SAFETY: it is the call that the thread made, with all its arguments. One that returns on another stack, as a clone may, finds
    // nothing there; nvmm makes none in a thread that may not.
    registers[RESULT] = unsafe { nvmm_sandbox_call(call.into(), a, b, c, d, e, f) };
}

/// Writes the message to stderr. If the reader is stuck, gives up after [`PATIENCE`].
fn say(call: c_int, place: *const c_void, goes_on: bool) {
    let mut line = Line { bytes: [0; 512], len: 0 };
    let end = match goes_on {
        true => "--sandbox on would end nvmm",
        false => {
            "nvmm ends. Please report this. --sandbox log goes on after such calls, --sandbox off is without a sandbox"
        }
    };
    // An error: there is no more room.
    let _ = writeln!(
        line,
        "nvmm: the thread '{}' made the system call {} ({call}) at {place:p}, which its sandbox does not allow: {end}",
        Name::own(),
        names::name(call).unwrap_or("without a name"),
    );
    let mut left = &line.bytes[..line.len];
    let stderr = rustix::stdio::stderr();
    while !left.is_empty() {
        match poll(&mut [PollFd::new(&stderr, PollFlags::OUT)], Some(&PATIENCE)) {
            Ok(1..) | Err(Errno::INTR) => {}
            Ok(0) | Err(_) => return,
        }
        match rustix::io::write(stderr, left) {
            Ok(written) => left = left.get(written..).unwrap_or_default(),
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(_) => return,
        }
    }
}

/// A thread's name, as the kernel has it.
struct Name([u8; 16]);

impl Name {
    fn own() -> Self {
        let mut name = [0; 16];
        // SAFETY: the kernel writes 16 bytes at most.
        unsafe { libc::prctl(libc::PR_GET_NAME, name.as_mut_ptr()) };
        Self(name)
    }
}

impl fmt::Display for Name {
    /// Escapes the name, parts of which may come from a guest or an image.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |byte: u8| if byte.is_ascii_graphic() || byte == b' ' { char::from(byte) } else { '?' };
        self.0.iter().take_while(|byte| **byte != 0).try_for_each(|&byte| f.write_char(shown(byte)))
    }
}

/// A line of text in a buffer of its own, without heap memory.
struct Line {
    bytes: [u8; 512],
    len: usize,
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = self.bytes.get_mut(self.len..self.len + text.len()).ok_or(fmt::Error)?;
        room.copy_from_slice(text.as_bytes());
        self.len += text.len();
        Ok(())
    }
}
