//! `nvmm nest --explain`: how many exits of each level one exit of the last level became, and why.
//!
//! The last level does some [`work`] and says so; each level below looks at the counters of its KVM whenever it hears that.

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
