//! The parts that the targets share: how one is made of a function, and what a finding is besides a panic.

#[path = "../support/damage.rs"]
mod damage;
mod json;
mod memory;
mod panics;
mod stack;

pub use devices;
pub use json::mutate;
pub use libfuzzer_sys;
pub use panics::{after_expected, expect_caught};
pub use stack::{set_aside, watch};
pub use vmm;

#[global_allocator]
static MEMORY: memory::Limited = memory::Limited;

/// Makes a target of a function of `devices::fuzzing`, or of `vmm::fuzzing`. `catches`: panics that are caught are no findings.
#[macro_export]
macro_rules! target {
    ($entry:ident) => {
        $crate::libfuzzer_sys::fuzz_target!(init: $crate::set_aside(), |data: &[u8]| {
            $crate::watch(data);
            $crate::devices::fuzzing::$entry(data)
        });
    };
    ($entry:ident of vmm) => {
        $crate::libfuzzer_sys::fuzz_target!(init: $crate::set_aside(), |data: &[u8]| {
            $crate::watch(data);
            $crate::vmm::fuzzing::$entry(data)
        });
    };
    ($entry:ident, catches) => {
        $crate::libfuzzer_sys::fuzz_target!(
            init: {
                $crate::set_aside();
                $crate::expect_caught();
            },
            |data: &[u8]| {
                $crate::watch(data);
                $crate::after_expected(|| $crate::devices::fuzzing::$entry(data))
            }
        );
    };
}

/// The same for inputs that are JSON.
#[macro_export]
macro_rules! json_target {
    ($entry:ident $($more:tt)*) => {
        $crate::target!($entry $($more)*);

        $crate::libfuzzer_sys::fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
            $crate::mutate(data, size, max_size, seed)
        });
    };
}
