//! Taking a vCPU thread out of `KVM_RUN`.
//!
//! A signal interrupts `KVM_RUN` only while the thread is in it. One that comes just before would be lost, so the handler sets
//! `immediate_exit` in the vCPU's run page, and the next `KVM_RUN` returns at once. The vCPU's loop clears it, as any process may have sent
//! the signal.
#![expect(unsafe_code, reason = "a signal handler writes to the run page of its thread's vCPU")]

use std::{
    cell::Cell,
    ptr,
    sync::atomic::{Ordering, compiler_fence},
    thread::JoinHandle,
};

use kvm_bindings::kvm_run;
use kvm_ioctls::VcpuFd;
use libc::{c_int, c_void, siginfo_t};
use vmm_sys_util::signal::{Killable, SIGRTMIN, register_signal_handler};

thread_local! {
    static RUN: Cell<*mut kvm_run> = const { Cell::new(ptr::null_mut()) };
}

extern "C" fn handle(_: c_int, _: *mut siginfo_t, _: *mut c_void) {
    let run = RUN.get();
    if !run.is_null() {
        // SAFETY: a `Target` of this thread exists, and so does its vCPU's mapping.
        let exit = unsafe { &raw mut (*run).immediate_exit };
        // SAFETY: as above; KVM only reads the byte.
        unsafe { exit.write_volatile(1) };
    }
}

/// Installs the handler for [`kick`] in this process.
///
/// # Errors
///
/// The signal can't be handled.
pub(crate) fn init() -> Result<(), vmm_sys_util::errno::Error> {
    register_signal_handler(SIGRTMIN(), handle)
}

/// Undoes a kick, so that `KVM_RUN` runs again. Check whether the machine stops after this call: a kick for that reason comes after the
/// reason is set.
pub(crate) fn clear(vcpu: &mut VcpuFd) {
    vcpu.set_kvm_immediate_exit(0);
    // The handler runs on this thread, so only the compiler could reorder the store.
    compiler_fence(Ordering::SeqCst);
}

/// As long as it exists, [`kick`] stops this thread's `KVM_RUN`.
#[derive(Debug)]
pub(crate) struct Target {
    _not_send: std::marker::PhantomData<*mut kvm_run>,
}

impl Target {
    /// The vCPU's mapping must stay where it is, which is so while its file descriptor is open.
    pub(crate) fn new(vcpu: &mut VcpuFd) -> Self {
        RUN.set(vcpu.get_kvm_run());
        Self { _not_send: std::marker::PhantomData }
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        RUN.set(ptr::null_mut());
    }
}

/// Stops a thread's current or next `KVM_RUN`.
pub(crate) fn kick<T>(thread: &JoinHandle<T>) {
    if let Err(error) = thread.kill(SIGRTMIN()) {
        log::debug!("a vCPU thread is gone already: {error}");
    }
}
