//! The CPU that a guest gets.

pub mod msr;
