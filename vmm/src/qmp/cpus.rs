//! `query-cpus-fast`, which doesn't interrupt any vCPU.

use arch::cpu::topology::{Place, Topology};
use devices::threads;
use serde_json::{Value, json};

/// The path of a vCPU, in place of the one in QEMU's object model.
pub(super) fn path(index: usize) -> String {
    format!("/machine/vcpu[{index}]")
}

/// The vCPU that a path names.
pub(super) fn index_of(path: &str) -> Option<usize> {
    let digits = path.strip_prefix("/machine/vcpu[")?.strip_suffix(']')?;
    digits.bytes().all(|digit| digit.is_ascii_digit()).then(|| digits.parse().ok())?
}

/// QMP's list of `CpuInfoFast`. While a machine is stopped, its vCPUs have no threads, and the thread IDs are 0.
pub(super) fn list(topology: &Topology) -> Value {
    let cpu = |index: u32| {
        let Place { socket, die, core, thread } = topology.place(index);
        json!({
            "cpu-index": index,
            "qom-path": path(index as usize),
            "thread-id": threads::of_vcpu(index).unwrap_or(0),
            "props": {"socket-id": socket, "die-id": die, "core-id": core, "thread-id": thread},
            "target": "x86_64",
        })
    };
    (0..topology.vcpus()).map(cpu).collect()
}

#[cfg(test)]
#[path = "cpus_test.rs"]
mod tests;
