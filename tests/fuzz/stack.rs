//! Inputs that use up the stack. libFuzzer loses them: it would go on on that stack.

use std::{
    io, mem, ptr,
    sync::atomic::{AtomicPtr, AtomicUsize, Ordering},
};

use libc::{SA_ONSTACK, SA_SIGINFO, SIGSEGV, c_int, sigaction, sigaltstack, stack_t};

/// Bytes of the stack that signals are handled on.
const LEN: usize = 64 << 10;

/// The file that keeps the input, from the folder that the target is run in.
const FILE: &std::ffi::CStr = c"artifacts/stack-overflow";

static INPUT: AtomicPtr<u8> = AtomicPtr::new(ptr::null_mut());
static INPUT_LEN: AtomicUsize = AtomicUsize::new(0);

/// Prepares to save the input of [`watch`] when unmapped memory is accessed.
///
/// # Panics
///
/// The host doesn't let it.
pub fn set_aside() {
    let stack = Box::leak(vec![0_u8; LEN].into_boxed_slice());
    let stack = stack_t { ss_sp: stack.as_mut_ptr().cast(), ss_flags: 0, ss_size: LEN };
    // SAFETY: the stack is as long as that, and nobody else's from now on.
    let status = unsafe { sigaltstack(&raw const stack, ptr::null_mut()) };
    assert!(status == 0, "{}", io::Error::last_os_error());

    // SAFETY: all zeros is an action.
    let mut action: sigaction = unsafe { mem::zeroed() };
    action.sa_sigaction = keep as *const () as usize;
    // libFuzzer leaves it alone for having SA_SIGINFO.
    action.sa_flags = SA_ONSTACK | SA_SIGINFO;
    // SAFETY: `keep` does nothing that a signal's handler may not.
    let status = unsafe { sigaction(SIGSEGV, &raw const action, ptr::null_mut()) };
    assert!(status == 0, "{}", io::Error::last_os_error());
}

/// Says which input is tried.
pub fn watch(data: &[u8]) {
    INPUT_LEN.store(data.len(), Ordering::Relaxed);
    INPUT.store(data.as_ptr().cast_mut(), Ordering::Relaxed);
}

extern "C" fn keep(_: c_int, _: *mut libc::siginfo_t, _: *mut libc::c_void) {
    const SAID: &[u8] =
        b"segmentation fault, as by a stack overflow: the input is in artifacts/stack-overflow\n";
    // SAFETY: the name is a string.
    let file = unsafe { libc::open(FILE.as_ptr(), libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC, 0o644) };
    let (input, len) = (INPUT.load(Ordering::Relaxed), INPUT_LEN.load(Ordering::Relaxed));
    // SAFETY: the input is there until its target returns.
    unsafe { libc::write(file, input.cast(), len) };
    // SAFETY: it is as long as that.
    unsafe { libc::write(2, SAID.as_ptr().cast(), SAID.len()) };
    // SAFETY: this is always right.
    unsafe { libc::_exit(77) };
}
