//! The machine, made of KVM, memory, vCPUs and devices; its command line; and the commands `nvmm nest`, `nvmm cpu`, `nvmm check` and others.
//!
//! ```text
//! command line ──cli, args──▶ config::VmConfig           signals, terminal, qmp, gdb, vnc
//!                                    │                               │
//! host: KVM, CPU ───────────────┐    ▼                               ▼
//! payload: kernel, firmware ──▶ machine::Machine::build          main_loop  (main thread)
//! board: opened devices ────────┘    │                             │     ▲
//! snapshot, migration: state ───┘    ▼                     requests│     │news, through a link::Link
//!                               Machine::run  (machine's thread)◀──┘     │
//!                                 │      ▲  └────────────────────────────┘
//!                      vCPU threads ──exits──▶ buses ──▶ devices
//!                                 ▼
//!                        exit::Exit ──reboots──▶ another Machine::build, or the exit status
//! ```
//!
//! The main thread waits for events and never blocks. The machine's thread builds a machine, runs it, and builds it again after a reset.
//! With [`sandbox`] and [`jail`], all threads are confined before the guest's first instruction. Other commands stand alone: [`nest`] runs
//! machines in machines, [`check`] examines the host, [`cpu`], [`disk`], [`snapshot`] and [`ctl`] have commands of their names.
//!
//! ```
//! use vmm::{cli::Cli, config::VmConfig};
//!
//! let words = ["nvmm", "--kernel", "bzImage", "--memory", "2G", "--smp", "cores=2,threads=2"];
//! let cli = Cli::of(&words.map(Into::into))?;
//! let config = VmConfig::new(&cli.machine)?;
//! assert_eq!(config.memory.size.0, 2 << 30);
//! assert_eq!(config.topology.vcpus(), 4);
//! # Ok::<(), Box<dyn std::error::Error>>(())
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
mod untouched;
mod vcpu;
mod vm;
#[cfg_attr(not(feature = "vnc"), path = "without/vnc.rs")]
mod vnc;
mod wishes;
mod xsave;
