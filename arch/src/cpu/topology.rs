//! Sockets, dies, cores and threads: APIC ids, and the leaves that describe them.
//!
//! An APIC id is packed: the thread's number in the lowest bits, then the core's, the die's and the socket's, each as wide as its count
//! needs (SDM 3A, "Hierarchical Mapping of Logical Processors in a Multi-Threaded System").

mod amd;
mod common;
mod intel;
mod leaves;

use std::fmt;

use serde::Serialize;

use super::{CpuError, apic_id::MAX_APIC_ID_BITS};

/// The arrangement of the vCPUs in sockets, dies, cores and threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Topology {
    sockets: u32,
    dies: u32,
    cores: u32,
    threads: u32,
}

/// The place of a vCPU: its socket, the die in the socket, the core on the die, and the thread in the core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The socket.
    pub socket: u32,
    /// The die in it.
    pub die: u32,
    /// The core on the die.
    pub core: u32,
    /// The thread in the core.
    pub thread: u32,
}

impl Topology {
    /// Makes a topology of `sockets` with `dies` each, of `cores` each, of `threads` each.
    ///
    /// # Errors
    ///
    /// A number is zero, or the APIC ids get too many bits.
    pub fn new(sockets: u32, dies: u32, cores: u32, threads: u32) -> Result<Self, CpuError> {
        let counts = [sockets, dies, cores, threads];
        if counts.contains(&0) {
            return Err(CpuError::NoVcpus);
        }
        if counts.map(width).iter().sum::<u32>() > MAX_APIC_ID_BITS {
            let vcpus = counts.into_iter().map(u64::from).fold(1, u64::saturating_mul);
            return Err(CpuError::TooManyVcpus(vcpus));
        }
        Ok(Self { sockets, dies, cores, threads })
    }

    /// Makes one socket of `vcpus` cores, as QEMU does since 6.2.
    ///
    /// # Errors
    ///
    /// The same as with [`Topology::new`].
    pub fn flat(vcpus: u32) -> Result<Self, CpuError> {
        Self::new(1, 1, vcpus, 1)
    }

    /// The number of vCPUs.
    #[must_use]
    pub fn vcpus(&self) -> u32 {
        self.sockets * self.threads_per_package()
    }

    /// The number of sockets.
    #[must_use]
    pub fn sockets(&self) -> u32 {
        self.sockets
    }

    /// The number of cores in a socket.
    #[must_use]
    pub fn cores_per_socket(&self) -> u32 {
        self.dies * self.cores
    }

    /// The number of threads in a socket.
    #[must_use]
    pub fn threads_per_socket(&self) -> u32 {
        self.threads_per_package()
    }

    /// Returns whether there is only one thread in a core and one die in a socket.
    #[must_use]
    pub fn has_only_cores(&self) -> bool {
        self.threads == 1 && self.dies == 1
    }

    /// The place of a vCPU. vCPUs fill a core, then a die, then a socket.
    #[must_use]
    pub fn place(&self, vcpu: u32) -> Place {
        let core = vcpu / self.threads;
        let die = core / self.cores;
        Place {
            socket: die / self.dies,
            die: die % self.dies,
            core: core % self.cores,
            thread: vcpu % self.threads,
        }
    }

    /// The APIC id of a vCPU.
    #[must_use]
    pub fn apic_id(&self, vcpu: u32) -> u32 {
        let Place { socket, die, core, thread } = self.place(vcpu);
        thread | (core << self.core_shift()) | (die << self.die_shift()) | (socket << self.package_shift())
    }

    /// The greatest APIC id.
    #[must_use]
    pub fn max_apic_id(&self) -> u32 {
        self.apic_id(self.vcpus() - 1)
    }

    /// The number of bits of an APIC id below the core's number.
    fn core_shift(&self) -> u32 {
        width(self.threads)
    }

    /// The number of bits of an APIC id below the die's number.
    fn die_shift(&self) -> u32 {
        self.core_shift() + width(self.cores)
    }

    /// The number of bits of an APIC id below the socket's number.
    fn package_shift(&self) -> u32 {
        self.die_shift() + width(self.dies)
    }

    fn threads_per_die(&self) -> u32 {
        self.cores * self.threads
    }

    fn threads_per_package(&self) -> u32 {
        self.dies * self.threads_per_die()
    }

    /// The number of APIC ids that are set aside for CPUs that share a cache of this level: the first two levels belong to a core, further
    /// ones to a die.
    fn ids_sharing_cache(&self, level: u32) -> u32 {
        1 << if level <= 2 { self.core_shift() } else { self.die_shift() }
    }
}

/// `2 sockets x 1 die x 3 cores x 2 threads`.
impl fmt::Display for Topology {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sockets, dies, cores, threads } = self;
        let counts = [(sockets, "socket"), (dies, "die"), (cores, "core"), (threads, "thread")];
        for (place, (count, name)) in counts.into_iter().enumerate() {
            let times = if place == 0 { "" } else { " x " };
            let plural = if *count == 1 { "" } else { "s" };
            write!(f, "{times}{count} {name}{plural}")?;
        }
        Ok(())
    }
}

/// The number of bits that number `count` things.
fn width(count: u32) -> u32 {
    u32::BITS - count.saturating_sub(1).leading_zeros()
}

#[cfg(test)]
#[path = "topology_test.rs"]
mod tests;

#[cfg(test)]
#[path = "topology/linux_test.rs"]
mod linux_tests;
