//! What `nvmm nest` doesn't show, shown in guests: `cargo lab test` runs it once for each emulated host.
//!
//! ```text
//! host:     lab-guest      makes the image, starts the emulated machine, prints an outcome for each test
//! level 0:  its /init      starts level 1 by nvmm for each scenario, and judges what level 1 left on its disk
//! level 1:  its /init      does as its scenario says, a tiny level 2 by nvmm included
//! ```

mod facts;
mod host;
mod judge;
mod level0;
mod level1;
mod outcome;
mod reset;
mod scenario;
mod topology;
mod vmlinux;

use std::process::ExitCode;

use clap::Parser;
use vmm::nest::init;
use vmm::nest::pid1;

fn main() -> ExitCode {
    if init::is_init() {
        pid1::run(|pid1| if pid1.level == 0 { level0::run(pid1) } else { level1::run(pid1) });
    }
    match host::run(&host::Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("lab-guest: {error:#}");
            ExitCode::FAILURE
        }
    }
}
