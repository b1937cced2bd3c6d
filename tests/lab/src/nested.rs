//! Nested boots by `nvmm nest` and scenarios by lab-guest, on both emulated hosts side by side, and boots on this
//! machine's KVM where it can.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::host::{self, Host};
use crate::kernel::Kernel;
use crate::report::{Outcome, Report};

/// What the tests need.
#[derive(Debug)]
pub(crate) struct Lab {
    pub(crate) nvmm: PathBuf,
    pub(crate) guest: PathBuf,
    pub(crate) cloud: Kernel,
    pub(crate) generic: Kernel,
}

/// Runs them all.
pub(crate) fn run(lab: &Lab, report: &mut Report) {
    let report = Mutex::new(report);
    let show = |name: &str, took, outcome| {
        report.lock().unwrap_or_else(PoisonError::into_inner).show(name, took, outcome);
    };
    let boot = |host, kernel, levels| {
        let start = Instant::now();
        let (name, outcome) = boot(lab, host, kernel, levels);
        show(&name, start.elapsed(), outcome);
    };
    let scenarios = |host| {
        for (name, took, outcome) in scenarios(lab, host) {
            show(&name, took, outcome);
        }
    };
    boot(Host::Kvm, &lab.cloud, 2);
    thread::scope(|scope| {
        scope.spawn(|| {
            boot(Host::Svm, &lab.cloud, 2);
            boot(Host::Svm, &lab.cloud, 3);
            boot(Host::Svm, &lab.generic, 2);
            scenarios(Host::Svm);
        });
        scope.spawn(|| {
            boot(Host::Vmx, &lab.cloud, 2);
            scenarios(Host::Vmx);
        });
    });
}

/// `nvmm nest`.
pub(crate) fn nest(nvmm: &Path, kernel: &Kernel, host: Host, levels: u32) -> Command {
    let mut command = Command::new(nvmm);
    command.args(["nest", "--levels", &levels.to_string(), "--kernel"]).arg(&kernel.path);
    if let Some(virt) = host.emulated() {
        command.args(["--emulated", virt]);
    }
    command.stdin(Stdio::null());
    command
}

fn boot(lab: &Lab, host: Host, kernel: &Kernel, levels: u32) -> (String, Outcome) {
    let name = format!("{levels} levels of Debian's {} kernel on {host}", kernel.name);
    if let (Host::Kvm, Some(reason)) = (host, host::cannot_nest()) {
        return (name, Outcome::Skipped(reason.to_owned()));
    }
    let outcome = match nest(&lab.nvmm, kernel, host, levels).output() {
        Ok(output) if output.status.success() => Outcome::Passed,
        Ok(output) => Outcome::Failed(everything(&output)),
        Err(error) => Outcome::Failed(error.to_string()),
    };
    (name, outcome)
}

fn scenarios(lab: &Lab, host: Host) -> Vec<(String, Duration, Outcome)> {
    let start = Instant::now();
    let mut command = Command::new(&lab.guest);
    command.args(host.emulated().map(|virt| format!("--emulated={virt}")));
    command.arg("--kernel").arg(&lab.cloud.path).arg("--nvmm").arg(&lab.nvmm);
    let failed = |output| vec![(format!("scenarios on {host}"), start.elapsed(), Outcome::Failed(output))];
    match command.stdin(Stdio::null()).output() {
        Ok(output) if output.status.success() => {
            let outcomes = String::from_utf8_lossy(&output.stdout);
            outcomes
                .lines()
                .filter_map(scenario)
                .map(|(name, took, outcome)| (format!("{name}, on {host}"), took, outcome))
                .collect()
        }
        Ok(output) => failed(everything(&output)),
        Err(error) => failed(error.to_string()),
    }
}

/// One line of lab-guest's: what was tested, seconds from its start, and the failure or null.
fn scenario(line: &str) -> Option<(String, Duration, Outcome)> {
    let line: Value = serde_json::from_str(line).ok()?;
    let outcome = match &line["failure"] {
        Value::String(failure) => Outcome::Failed(failure.clone()),
        _ => Outcome::Passed,
    };
    let took = Duration::try_from_secs_f64(line["seconds"].as_f64()?).ok()?;
    Some((line["name"].as_str()?.to_owned(), took, outcome))
}

fn everything(output: &Output) -> String {
    [&output.stderr, &output.stdout].map(|text| String::from_utf8_lossy(text).into_owned()).concat()
}

#[cfg(test)]
#[path = "nested_test.rs"]
mod tests;
