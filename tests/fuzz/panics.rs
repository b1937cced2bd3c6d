//! Panics that the product expects and catches.

use std::{
    panic::{self, AssertUnwindSafe},
    process,
    sync::{Mutex, PoisonError},
};

static LAST: Mutex<String> = Mutex::new(String::new());

/// Takes note of panics and goes on, where libfuzzer-sys would end the program.
pub fn expect_caught() {
    panic::set_hook(Box::new(|panic| {
        *LAST.lock().unwrap_or_else(PoisonError::into_inner) = panic.to_string();
    }));
}

/// Does `call`, and ends the program if a panic comes out of it.
pub fn after_expected(call: impl FnOnce()) {
    if panic::catch_unwind(AssertUnwindSafe(call)).is_err() {
        eprintln!("{}", LAST.lock().unwrap_or_else(PoisonError::into_inner));
        process::abort();
    }
}
