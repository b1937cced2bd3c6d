//! Sockets, dies, cores and threads: what level 0 asks for, and what Linux in level 1 finds.

use std::fs;
use std::io;
use std::ops::Range;
use std::path::Path;

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};
use vmm::nest::facts::Virt;

/// What `--smp` asks for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    pub(crate) sockets: usize,
    pub(crate) dies: usize,
    pub(crate) cores: usize,
    pub(crate) threads: usize,
}

pub(crate) const TWO_CORES: Asked = Asked { sockets: 1, dies: 1, cores: 2, threads: 1 };
/// Three cores leave APIC ids out between the sockets.
pub(crate) const THREADS: Asked = Asked { sockets: 2, dies: 1, cores: 3, threads: 2 };
pub(crate) const DIES: Asked = Asked { sockets: 1, dies: 3, cores: 1, threads: 2 };

/// Linux 6.1 knows AMD's threads and dies by the topology extensions, which the SVM host lacks. They are leaves and nothing
/// else, so that a guest can have them all the same.
const EXTENDED: &str = "<cpu mode='host-passthrough'><feature policy='force' name='topoext'/></cpu>";

/// `--cpu` for that.
pub(crate) fn extended() -> io::Result<String> {
    let path = "/extended.xml";
    fs::write(path, EXTENDED)?;
    Ok(format!("file:{path}"))
}

impl Asked {
    /// On the command line.
    pub(crate) fn smp(&self) -> String {
        let Self { sockets, dies, cores, threads } = self;
        format!("{},sockets={sockets},dies={dies},cores={cores},threads={threads}", self.cpus())
    }

    fn cpus(&self) -> usize {
        self.sockets * self.package()
    }

    /// CPUs of a package.
    fn package(&self) -> usize {
        self.dies * self.die()
    }

    /// CPUs of a die.
    fn die(&self) -> usize {
        self.cores * self.threads
    }
}

/// Where Linux has one CPU. Lists of CPUs are sysfs': `0-2,5`.
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
    /// Level, type and CPUs of each cache.
    caches: Vec<(u32, String, String)>,
}

impl Place {
    /// That of each CPU.
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

/// The CPUs are where they were asked to be.
pub(crate) fn judge(virt: Virt, asked: Asked, found: &[Place]) -> anyhow::Result<()> {
    // On the SVM host's model Linux takes eight APIC ids for those that share the last cache, whatever the leaves say.
    let last_judged = if virt == Virt::Vmx { 3 } else { 2 };
    ensure!(found.len() == asked.cpus(), "{} CPUs, not {}", found.len(), asked.cpus());
    for (number, place) in found.iter().enumerate() {
        let [core, die, package] = [asked.threads, asked.die(), asked.package()].map(|size| {
            let first = number / size * size;
            list(first..first + size)
        });
        let want = Place {
            package: number / asked.package(),
            // Linux has no rule for the numbers of dies that are alone, nor for cores' but that they differ.
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

/// As sysfs has it.
fn list(cpus: Range<usize>) -> String {
    match cpus.len() {
        1 => cpus.start.to_string(),
        _ => format!("{}-{}", cpus.start, cpus.end - 1),
    }
}

#[cfg(test)]
#[path = "topology_test.rs"]
mod tests;
