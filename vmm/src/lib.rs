//! The machine: KVM, memory, vCPUs and devices put together; the command line in front, `nvmm nest`, `nvmm cpu` and `nvmm check`.
//!
//! ```text
//! argv --clap--> args::MachineArgs --> config::VmConfig --> machine::Machine::build --> run --> exit::Exit --> status
//! ```

#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

pub mod args;
mod attached;
pub mod blocks;
pub mod board;
mod buses;
pub mod check;
pub mod cli;
pub mod cloud_init;
pub mod config;
pub mod console;
pub mod cpu;
pub mod crash;
pub mod ctl;
pub mod daemon;
pub mod describe;
pub mod disk;
#[cfg(feature = "libvirt")]
pub mod domain;
mod drafts;
pub mod exit;
pub mod expect;
pub mod firmware;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
pub mod gdb;
pub mod host;
mod hypervisor;
mod identity;
mod input_event;
mod inspect;
mod ioctls;
pub mod jail;
pub mod kernel;
mod keys;
mod kick;
#[cfg_attr(not(feature = "libvirt"), path = "without/libvirt.rs")]
pub mod libvirt;
pub mod link;
mod lossy;
mod lost_memory;
pub mod machine;
pub mod main_loop;
pub mod manual;
pub mod memory;
pub mod messages;
pub mod migration;
pub mod nest;
pub mod networks;
pub mod notifier;
mod one_of;
pub mod output;
pub mod payload;
pub mod pid_file;
mod port;
mod qcode;
pub mod qmp;
mod questions;
pub mod reboots;
mod run_state;
pub mod sandbox;
mod screendump;
mod send_key;
mod signals;
pub mod size;
pub mod small_file;
mod smp;
pub mod snapshot;
mod source;
mod sparse;
pub mod stats;
mod taken_back;
mod terminal;
mod tsc;
mod vcpu;
mod vm;
#[cfg_attr(not(feature = "vnc"), path = "without/vnc.rs")]
mod vnc;
mod wishes;
mod xsave;
