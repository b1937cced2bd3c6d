//! The time to decide on a CPU: `cargo bench -p vmm --bench resolve`. The goal is less than a millisecond, even the first time.
#![expect(clippy::unwrap_used, reason = "a benchmark that can't go on fails")]

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use arch::cpu::{host::HostCpu, profile::CpuProfile, spec::CpuSpec, topology::Topology};

const HOSTS: [(&str, &str); 2] = [
    ("VMX", include_str!("../resources/hosts/bochs-haswell.json")),
    ("SVM", include_str!("../resources/hosts/qemu-tcg-epyc.json")),
];
const SPECS: [&str; 5] =
    ["host-passthrough", "host-model", "qemu64,+vmx,+svm", "Haswell-noTSX,+vmx,-avx2", "EPYC,+svm,-npt"];
const RUNS: usize = 501;

fn main() {
    println!("{:<6}{:<30}{:>12}{:>12}", "host", "spec", "first", "median");
    for (name, json) in HOSTS {
        let host: HostCpu = serde_json::from_str(json).unwrap();
        for spec in SPECS {
            let mut times: Vec<_> = (0..RUNS).map(|_| time(&host, spec)).collect();
            let first = times[0];
            times.sort();
            println!("{name:<6}{spec:<30}{:>9.0} us{:>9.0} us", micros(first), micros(times[RUNS / 2]));
        }
    }
}

/// The time from the text of `--cpu` to the leaves, as at a start.
fn time(host: &HostCpu, spec: &str) -> Duration {
    let start = Instant::now();
    let spec: CpuSpec = spec.parse().unwrap();
    let profile = CpuProfile::resolve(host, &spec, &Topology::flat(4).unwrap()).unwrap();
    black_box(profile.cpuid(0));
    start.elapsed()
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
