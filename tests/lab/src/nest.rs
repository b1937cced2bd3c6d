//! Nested boots by `nvmm nest`, on both emulated hosts, and on this machine's KVM where it can.

use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use crate::build::Nvmm;
use crate::host::{self, Host};
use crate::kernel::Kernel;
use crate::report::{Outcome, Report};

/// Levels to boot on each emulated host.
const BOOTS: [(Host, &[u32]); 2] = [(Host::Svm, &[1, 2, 3]), (Host::Vmx, &[2])];

/// `nvmm nest`.
pub(crate) fn command(nvmm: &Nvmm, kernel: &Kernel, host: Host, levels: u32) -> Command {
    let mut command = Command::new(&nvmm.path);
    command.args(["nest", "--levels", &levels.to_string(), "--kernel"]).arg(&kernel.path);
    if let Some(virt) = host.emulated() {
        command.args(["--emulated", virt]);
    }
    command.stdin(Stdio::null());
    command
}

/// Runs them all, the emulated hosts side by side.
pub(crate) fn run(nvmm: &Nvmm, kernel: &Kernel, report: &mut Report) {
    let start = Instant::now();
    let name = "nest on this machine's KVM, 2 levels";
    let outcome = match host::cannot_nest() {
        None => boot(nvmm, kernel, Host::Kvm, 2),
        Some(reason) => Outcome::Skipped(reason.to_owned()),
    };
    report.show(name, start.elapsed(), outcome);
    let report = Mutex::new(report);
    thread::scope(|scope| {
        for (host, levels) in BOOTS {
            let report = &report;
            scope.spawn(move || {
                for &levels in levels {
                    let start = Instant::now();
                    let outcome = boot(nvmm, kernel, host, levels);
                    let name = format!("nest on emulated {host:?}, {levels} levels");
                    report.lock().unwrap_or_else(PoisonError::into_inner).show(
                        &name,
                        start.elapsed(),
                        outcome,
                    );
                }
            });
        }
    });
}

fn boot(nvmm: &Nvmm, kernel: &Kernel, host: Host, levels: u32) -> Outcome {
    match command(nvmm, kernel, host, levels).output() {
        Ok(output) if output.status.success() => Outcome::Passed,
        Ok(output) => Outcome::Failed(
            [output.stderr, output.stdout].map(|text| String::from_utf8_lossy(&text).into_owned()).concat(),
        ),
        Err(error) => Outcome::Failed(error.to_string()),
    }
}
