//! `nvmm nest --explain`: measures how many exits of each level are caused by one exit of the last level, and why.
//!
//! The last level does some [`work`] and reports it; each level below reads the counters of its KVM at each report.

pub mod advice;
pub mod cost;
mod counts;
mod hist;
pub(super) mod meter;
#[cfg(test)]
mod recorded;
pub(super) mod symbols;
pub(super) mod tidy;
mod trace;
pub mod work;
