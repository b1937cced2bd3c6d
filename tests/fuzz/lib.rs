//! The parts that the targets share: how one is made of a function, and what a finding is besides a panic.

mod memory;
mod panics;
mod stack;

pub use devices;
pub use libfuzzer_sys;
pub use vmm;
pub use panics::{after_expected, expect_caught};
pub use stack::{set_aside, watch};

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
