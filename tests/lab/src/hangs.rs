//! Repetition of tests that hang on an emulated SVM host, by a fault of QEMU's.
//!
//! `helper_vmrun` stores an injected interrupt as a pending exception, which stays until the guest's next exit or exception. If `cpu_exec`
//! is left before that, the guest gets the interrupt twice, even with IF clear. It then deadlocks on its own lock, or panics: a Linux in
//! level 1 had a double fault at the first instruction of `entry_SYSCALL_64`. `cpu_exec` is left at every timer when the clock counts
//! instructions, and rarely otherwise.

/// The number of runs in a row that must hang for a test to fail: QEMU's fault is too rare to cause that.
const ATTEMPTS: usize = 3;

/// Returns the first result that does not hang, or the last one.
pub(crate) fn repeat_hangs<T>(mut run: impl FnMut() -> T, hangs: impl Fn(&T) -> bool) -> T {
    for _ in 1..ATTEMPTS {
        let result = run();
        if !hangs(&result) {
            return result;
        }
    }
    run()
}

#[cfg(test)]
#[path = "hangs_test.rs"]
mod tests;
