//! Tests in guests for everything that `nvmm nest` doesn't cover: `cargo lab test` runs them once for each emulated host.
//!
//! ```text
//! host:     lab-guest      makes the image, starts the emulated machine, prints an outcome for each test
//! level 0:  its /init      starts tiny guests, and level 1 by nvmm for each scenario, and judges what level 1 left on its disk
//! level 1:  its /init      does as its scenario says, and starts level 2 by nvmm: a tiny guest, or Linux
//! level 2:  its /init      says that it is up
//! ```

#[path = "../../support/af_vsock.rs"]
mod af_vsock;
mod balloon;
mod boot;
mod check;
mod command_line;
#[path = "../../support/cpuid.rs"]
mod cpuid;
mod debug;
mod devices;
mod disks;
mod domain;
mod elf_core;
mod facts;
mod hang;
mod host;
mod interfaces;
mod interrupts;
mod judge;
mod kept;
mod kernel_log;
mod legacy;
mod level0;
mod level1;
mod level2;
mod models;
#[path = "../../support/nesting.rs"]
mod nesting;
mod outcome;
mod passed;
mod pictures;
mod ports;
mod programs;
#[path = "../../support/remote.rs"]
mod remote;
mod reset;
mod scenario;
mod screen;
mod snapshot;
mod sockets;
mod ssh;
mod system;
mod systems;
mod tiny;
mod topology;
mod uefi;
mod vhost;
mod viewer;
mod vmlinux;
mod wanted;

use std::process::ExitCode;

use clap::Parser;
use vmm::nest::init;
use vmm::nest::pid1;

fn main() -> ExitCode {
    if init::is_init() {
        pid1::run(|pid1| match pid1.level {
            0 => level0::run(pid1),
            1 => level1::run(pid1),
            _ => level2::run(pid1),
        });
    }
    if let Some(status) = programs::main() {
        return status;
    }
    let outcome = if system::is_job() { system::look() } else { host::run(&host::Args::parse()) };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("lab-guest: {error:#}");
            ExitCode::FAILURE
        }
    }
}
