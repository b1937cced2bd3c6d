//! Sockets, dies, cores and threads: level 0's options, and the topology that Linux finds in level 1.

use std::fs;
use std::ops::Range;
use std::path::Path;

use anyhow::{Context, ensure};
use arch::cpu::nesting::Virtualization;
use serde::{Deserialize, Serialize};

use crate::outcome;

/// A level 1 to start.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    /// The test.
    pub(crate) name: &'static str,
    /// `--cpu`.
    pub(crate) cpu: &'static str,
    /// `--smp`.
    pub(crate) smp: &'static str,
    /// The numbers that `smp` stands for.
    pub(crate) counts: Counts,
}

/// The numbers of sockets, dies in each, cores in each, and threads in each.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counts {
    sockets: usize,
    dies: usize,
    cores: usize,
    threads: usize,
}

pub(crate) const TWO_CORES: Counts = Counts { sockets: 1, dies: 1, cores: 2, threads: 1 };

/// Linux 6.1 finds AMD's threads and dies by the topology extensions, which the SVM host lacks. They only consist of leaves, so a guest can
/// have them anyway.
const EXTENDED: &str = "<cpu mode='host-passthrough'><feature policy='require' name='topoext'/></cpu>";
const EXTENDED_PATH: &str = "/extended.xml";

/// The topologies to test on a host with `virt`.
pub(crate) fn asked(virt: Virtualization) -> anyhow::Result<Vec<Asked>> {
    fs::write(EXTENDED_PATH, EXTENDED).with_context(|| format!("writing {EXTENDED_PATH}"))?;
    let cpu = match virt {
        Virtualization::Vmx => "host-passthrough",
        Virtualization::Svm => "file:/extended.xml",
    };
    // With three cores there are gaps between the sockets' APIC IDs.
    let threads = Asked {
        name: outcome::THREADS,
        cpu,
        smp: "12,sockets=2,cores=3,threads=2",
        counts: Counts { sockets: 2, dies: 1, cores: 3, threads: 2 },
    };
    let dies = Asked {
        name: outcome::DIES,
        cpu,
        smp: "6,dies=3,threads=2",
        counts: Counts { sockets: 1, dies: 3, cores: 1, threads: 2 },
    };
    // Twelve CPUs take minutes on the VMX host.
    Ok(if virt == Virtualization::Vmx { vec![dies] } else { vec![threads, dies] })
}

impl Counts {
    fn cpus(&self) -> usize {
        self.sockets * self.package()
    }

    /// The number of CPUs in a package.
    fn package(&self) -> usize {
        self.dies * self.die()
    }

    /// The number of CPUs in a die.
    fn die(&self) -> usize {
        self.cores * self.threads
    }
}

/// A CPU's position according to Linux. Lists of CPUs are in sysfs' form: `0-2,5`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Place {
    package: usize,
    die: usize,
    core: usize,
    core_cpus: String,
    die_cpus: String,
    package_cpus: String,
    thread_siblings: String,
    /// /proc/cpuinfo's `siblings` and `cpu cores`.
    siblings: usize,
    cores: usize,
    /// The level, type and CPUs of each cache.
    caches: Vec<(u32, String, String)>,
}

impl Place {
    /// The positions of all CPUs.
    pub(crate) fn all(cpuinfo: &str) -> anyhow::Result<Vec<Self>> {
        let blocks = cpuinfo.split("\n\n").filter(|block| !block.trim().is_empty());
        blocks.enumerate().map(|(number, block)| Self::of(number, block)).collect()
    }

    fn of(number: usize, cpuinfo: &str) -> anyhow::Result<Self> {
        let folder = format!("/sys/devices/system/cpu/cpu{number}");
        let topology = Path::new(&folder).join("topology");
        let id = |name| anyhow::Ok(read(&topology, name)?.parse::<usize>()?);
        let count = |key: &str| {
            let mut lines = cpuinfo.lines().filter_map(|line| line.split_once(':'));
            let value = lines.find(|(name, _)| name.trim_end() == key).map(|(_, value)| value.trim().parse());
            value.with_context(|| format!("no {key} in /proc/cpuinfo"))?.with_context(|| key.to_owned())
        };
        Ok(Self {
            package: id("physical_package_id")?,
            die: id("die_id")?,
            core: id("core_id")?,
            core_cpus: read(&topology, "core_cpus_list")?,
            die_cpus: read(&topology, "die_cpus_list")?,
            package_cpus: read(&topology, "package_cpus_list")?,
            thread_siblings: read(&topology, "thread_siblings_list")?,
            siblings: count("siblings")?,
            cores: count("cpu cores")?,
            caches: caches(&Path::new(&folder).join("cache"))?,
        })
    }
}

fn caches(folder: &Path) -> anyhow::Result<Vec<(u32, String, String)>> {
    let caches = (0..).map(|index| folder.join(format!("index{index}"))).take_while(|cache| cache.exists());
    let cache = |cache: &Path| {
        let level = read(cache, "level")?.parse()?;
        anyhow::Ok((level, read(cache, "type")?, read(cache, "shared_cpu_list")?))
    };
    caches.map(|path| cache(&path)).collect()
}

fn read(folder: &Path, name: &str) -> anyhow::Result<String> {
    let path = folder.join(name);
    let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    Ok(text.trim_end().to_owned())
}

/// Checks that the CPUs are in the requested positions.
pub(crate) fn judge(virt: Virtualization, asked: Counts, found: &[Place]) -> anyhow::Result<()> {
    // On the SVM host's model Linux assumes that eight APIC IDs share the last cache, whatever the leaves report.
    let last_judged = if virt == Virtualization::Vmx { 3 } else { 2 };
    ensure!(found.len() == asked.cpus(), "{} CPUs, not {}", found.len(), asked.cpus());
    for (number, place) in found.iter().enumerate() {
        let [core, die, package] = [asked.threads, asked.die(), asked.package()].map(|size| {
            let first = number / size * size;
            list(first..first + size)
        });
        let want = Place {
            package: number / asked.package(),
            // Linux numbers single dies in no defined way, and only guarantees that cores' numbers differ.
            die: if asked.dies > 1 { number / asked.die() % asked.dies } else { place.die },
            core: place.core,
            core_cpus: core.clone(),
            die_cpus: die.clone(),
            package_cpus: package,
            thread_siblings: core.clone(),
            siblings: asked.package(),
            cores: asked.dies * asked.cores,
            caches: place
                .caches
                .clone()
                .into_iter()
                .map(|(level, kind, cpus)| match level {
                    1 | 2 => (level, kind, core.clone()),
                    _ if level <= last_judged => (level, kind, die.clone()),
                    _ => (level, kind, cpus),
                })
                .collect(),
        };
        ensure!(*place == want, "CPU {number} is {place:?}, not {want:?}");
        ensure!(!place.caches.is_empty(), "CPU {number} has no caches");
    }
    for pair in found.windows(2) {
        let same = pair[0].core_cpus == pair[1].core_cpus;
        let place = |place: &Place| (place.package, place.core);
        ensure!(same == (place(&pair[0]) == place(&pair[1])), "core_id of {pair:?}");
    }
    Ok(())
}

/// A list of CPUs in sysfs' form.
fn list(cpus: Range<usize>) -> String {
    match cpus.len() {
        1 => cpus.start.to_string(),
        _ => format!("{}-{}", cpus.start, cpus.end - 1),
    }
}

#[cfg(test)]
#[path = "topology_test.rs"]
mod tests;
