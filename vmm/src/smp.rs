//! `--smp`: how many vCPUs there are, and in what sockets, dies, cores and threads. Numbers that are not given follow QEMU's
//! rules ("-smp" in its manual), those since 6.2, which prefer cores over sockets over threads.

use arch::cpu::{CpuError, topology::Topology};
use serde::Deserialize;

/// The numbers that were given.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct Smp {
    /// vCPUs.
    pub cpus: Option<u32>,
    /// vCPUs, with those to be added later.
    pub maxcpus: Option<u32>,
    /// Sockets of the machine.
    pub sockets: Option<u32>,
    /// Dies of a socket.
    pub dies: Option<u32>,
    /// Cores of a die.
    pub cores: Option<u32>,
    /// Threads of a core.
    pub threads: Option<u32>,
    /// Levels that QEMU has for other machines and that here are one of each.
    pub drawers: Option<u32>,
    /// As `drawers`.
    pub books: Option<u32>,
    /// As `drawers`.
    pub clusters: Option<u32>,
    /// As `drawers`.
    pub modules: Option<u32>,
}

/// Why there is no such topology.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SmpError {
    /// `cpus=0`.
    #[error("a machine needs at least one vCPU")]
    NoVcpu,
    /// Nothing of something else.
    #[error("{0}=0: give at least 1, or leave it out")]
    Zero(&'static str),
    /// `clusters=2`.
    #[error("{0}={1}: nvmm has no {0}; use sockets, dies, cores and threads")]
    NoSuchLevel(&'static str, u32),
    /// vCPUs to be added later, or fewer than there are.
    #[error("maxcpus={maxcpus}: nvmm can't add or take away vCPUs later; leave it out, or make it {cpus}")]
    Hotplug {
        /// The value that was given.
        maxcpus: u32,
        /// The number of vCPUs.
        cpus: u32,
    },
    /// A product that differs.
    #[error("{topology} make {}, not {cpus}", vcpus(topology))]
    Product {
        /// The numbers that were given.
        topology: Topology,
        /// The number of vCPUs that it should be.
        cpus: u32,
    },
    /// Too many.
    #[error(transparent)]
    Topology(#[from] CpuError),
}

impl Smp {
    /// Fills in what was not given.
    ///
    /// # Errors
    ///
    /// A topology that can't be, or can't be here.
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
        // A number that isn't given is what the others leave, or one.
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
