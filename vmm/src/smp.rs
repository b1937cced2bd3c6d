//! `--smp`: the number of vCPUs, and their sockets, dies, cores and threads. Omitted numbers follow QEMU's rules since 6.2 ("-smp" in its
//! manual), which prefer cores over sockets over threads.

use arch::cpu::{CpuError, topology::Topology};
use serde::Deserialize;

/// The numbers that were given.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct Smp {
    /// The number of vCPUs.
    pub cpus: Option<u32>,
    /// The number of vCPUs including those that could be added later.
    pub maxcpus: Option<u32>,
    /// Sockets in the machine.
    pub sockets: Option<u32>,
    /// Dies per socket.
    pub dies: Option<u32>,
    /// Cores per die.
    pub cores: Option<u32>,
    /// Threads per core.
    pub threads: Option<u32>,
    /// Levels that QEMU has for other architectures; here there is one of each.
    pub drawers: Option<u32>,
    /// The same as `drawers`.
    pub books: Option<u32>,
    /// The same as `drawers`.
    pub clusters: Option<u32>,
    /// The same as `drawers`.
    pub modules: Option<u32>,
}

/// The reason why the topology is invalid.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SmpError {
    /// `cpus=0`.
    #[error("a machine needs at least one vCPU")]
    NoVcpu,
    /// Another number is 0.
    #[error("{0}=0: give at least 1, or leave it out")]
    Zero(&'static str),
    /// More than one of a level that nvmm doesn't have, such as `clusters=2`.
    #[error("{0}={1}: nvmm has no {0}; use sockets, dies, cores and threads")]
    NoSuchLevel(&'static str, u32),
    /// `maxcpus` differs from the number of vCPUs, or vCPUs would have to be added later.
    #[error("maxcpus={maxcpus}: nvmm can't add or take away vCPUs later; leave it out, or make it {cpus}")]
    Hotplug {
        /// The value that was given.
        maxcpus: u32,
        /// The number of vCPUs.
        cpus: u32,
    },
    /// The product of the numbers differs from the number of vCPUs.
    #[error("{topology} make {}, not {cpus}", vcpus(topology))]
    Product {
        /// The numbers that were given.
        topology: Topology,
        /// The given number of vCPUs.
        cpus: u32,
    },
    /// Too many vCPUs.
    #[error(transparent)]
    Topology(#[from] CpuError),
}

impl Smp {
    /// Completes the omitted numbers.
    ///
    /// # Errors
    ///
    /// The topology is impossible, or nvmm doesn't support it.
    pub fn topology(&self) -> Result<Topology, SmpError> {
        let Self { cpus, maxcpus, sockets, dies, cores, threads, drawers, books, clusters, modules } = *self;
        if cpus == Some(0) {
            return Err(SmpError::NoVcpu);
        }
        let elsewhere =
            [("drawers", drawers), ("books", books), ("clusters", clusters), ("modules", modules)];
        let here = [
            ("maxcpus", maxcpus),
            ("sockets", sockets),
            ("dies", dies),
            ("cores", cores),
            ("threads", threads),
        ];
        if let Some((name, _)) = here.into_iter().chain(elsewhere).find(|&(_, given)| given == Some(0)) {
            return Err(SmpError::Zero(name));
        }
        let unknown = elsewhere.into_iter().find_map(|(name, given)| Some((name, given.filter(|&n| n > 1)?)));
        if let Some((name, given)) = unknown {
            return Err(SmpError::NoSuchLevel(name, given));
        }
        if let (Some(cpus), Some(maxcpus)) = (cpus, maxcpus)
            && cpus != maxcpus
        {
            return Err(SmpError::Hotplug { maxcpus, cpus });
        }
        let dies = dies.unwrap_or(1);
        let one = |given: Option<u32>| given.unwrap_or(1);
        // An omitted number is what the others leave, or 1.
        let left = |cpus: u32, a, b| (cpus / dies.saturating_mul(a).saturating_mul(b)).max(1);
        let cpus = cpus.or(maxcpus);
        let (sockets, cores, threads) = match (cpus, sockets, cores, threads) {
            (Some(cpus), sockets, None, threads) => {
                let (sockets, threads) = (one(sockets), one(threads));
                (sockets, left(cpus, sockets, threads), threads)
            }
            (Some(cpus), None, Some(cores), threads) => {
                let threads = one(threads);
                (left(cpus, cores, threads), cores, threads)
            }
            (Some(cpus), Some(sockets), Some(cores), None) => (sockets, cores, left(cpus, sockets, cores)),
            (_, sockets, cores, threads) => (one(sockets), one(cores), one(threads)),
        };
        let topology = Topology::new(sockets, dies, cores, threads)?;
        match cpus {
            Some(cpus) if cpus != topology.vcpus() => Err(SmpError::Product { topology, cpus }),
            _ => Ok(topology),
        }
    }
}

fn vcpus(topology: &Topology) -> String {
    match topology.vcpus() {
        1 => "1 vCPU".to_owned(),
        vcpus => format!("{vcpus} vCPUs"),
    }
}

#[cfg(test)]
#[path = "smp_test.rs"]
mod tests;
