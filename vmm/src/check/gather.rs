//! Collects facts from the host: from files below a root directory, from CPUID, and from KVM.

use std::{
    arch::x86_64::__cpuid,
    collections::{BTreeMap, BTreeSet},
    ffi::CString,
    fs::{self, File},
    io,
    os::unix::{
        ffi::OsStrExt,
        fs::{FileExt, MetadataExt},
    },
    path::{Path, PathBuf},
};

use arch::cpu::msr;
use kvm_ioctls::{Cap, Kvm as KvmFd};

use super::{
    facts::{Cpu, Facts, Hex, Kvm, KvmDevice, Module, Offered, Tsc},
    proof,
};
use crate::host::{Host, NEEDED};
use crate::hypervisor;

/// `VM_CR`, whose bit 4 switches SVM off: APM 2, "VM_CR MSR (C001_0114h)".
pub(super) const VM_CR: u32 = 0xc001_0114;
/// The flags of /proc/cpuinfo that are kept.
const FLAGS: [&str; 3] = ["hypervisor", "svm", "vmx"];
/// The keys to read of os-release.
const OS: [&str; 2] = ["ID", "ID_LIKE"];
/// The fields to read of the firmware's tables. None of them identifies a single machine.
const DMI: [&str; 5] = ["bios_vendor", "chassis_asset_tag", "product_family", "product_name", "sys_vendor"];

impl Facts {
    /// Collects this machine's facts. `kvm` is KVM's device node; a scratch machine is made with it, to prove that nesting works.
    #[must_use]
    pub fn gather(kvm: &Path) -> Self {
        let facts = Self::from_files(Path::new("/"));
        let (device, answers, proof) = ask(kvm);
        Self { cpu: native(facts.cpu), device, kvm: answers, proof, ..facts }
    }

    /// Collects the facts in files below `root`.
    fn from_files(root: &Path) -> Self {
        let read = |path: &str| fs::read_to_string(root.join(path)).unwrap_or_default();
        let kernel = read("proc/sys/kernel/osrelease").trim().to_owned();
        let modules = root.join("lib/modules").join(&kernel);
        Self {
            build: read("proc/sys/kernel/version").trim().to_owned(),
            cpu: cpu(&read("proc/cpuinfo")),
            modules: loaded(&root.join("sys/module")),
            installed: fs::read_to_string(modules.join("modules.dep")).ok().map(|text| names(&text)),
            builtin: names(&fs::read_to_string(modules.join("modules.builtin")).unwrap_or_default()),
            parameters: parameters(&read("proc/cmdline")),
            os: os(root),
            ostree: root.join("run/ostree-booted").exists(),
            dmi: dmi(&root.join("sys/class/dmi/id")),
            container: container(root),
            msrs: msrs(&root.join("dev/cpu/0/msr")),
            kernel,
            ..Self::default()
        }
    }
}

fn cpu(cpuinfo: &str) -> Cpu {
    let field = |key: &str| {
        cpuinfo.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            (name.trim_end() == key).then_some(value.trim())
        })
    };
    let flags = field("flags").unwrap_or_default().split(' ').filter(|flag| FLAGS.contains(flag));
    Cpu {
        model: field("model name").unwrap_or_default().to_owned(),
        vendor: field("vendor_id").unwrap_or_default().to_owned(),
        flags: flags.map(str::to_owned).collect(),
        ..Cpu::default()
    }
}

/// Adds CPUID's answers, which the kernel's flags may hide.
fn native(cpu: Cpu) -> Cpu {
    let extended = __cpuid(0x8000_0000).eax;
    let mut signatures = hypervisor::signatures();
    Cpu {
        vmx: __cpuid(1).ecx >> 5 & 1 == 1,
        svm: extended > 0x8000_0000 && __cpuid(0x8000_0001).ecx >> 2 & 1 == 1,
        hypervisor: signatures.next().unwrap_or_default(),
        more_hypervisors: signatures.collect(),
        ..cpu
    }
}

/// Opens KVM, asks for its features, and runs the proof.
fn ask(path: &Path) -> (KvmDevice, Option<Kvm>, proof::Proof) {
    let mut device = KvmDevice {
        path: path.display().to_string(),
        group: fs::metadata(path).ok().as_ref().and_then(group),
        errno: None,
    };
    let opened = CString::new(path.as_os_str().as_bytes())
        .map_err(|_| libc::ENOENT)
        .and_then(|path| KvmFd::new_with_path(path).map_err(|error| error.errno()));
    let kvm = match opened {
        Ok(kvm) => kvm,
        Err(errno) => {
            device.errno = Some(errno);
            return (device, None, proof::Proof::NotTried);
        }
    };
    let mut answers = Kvm { api_version: kvm.get_api_version(), ..Kvm::default() };
    if answers.api_version >= 0 {
        let missing = NEEDED.into_iter().filter(|cap| !kvm.check_extension(*cap));
        answers.missing = missing.map(name).collect();
    }
    let proof = match Host::open(path) {
        Ok(host) => {
            answers.offered = Some(Offered::from(&host.cpu));
            answers.tsc = tsc(&kvm).ok();
            proof::run(&host)
        }
        Err(error) => {
            answers.error = Some(format!("{:#}", anyhow::Error::from(error)));
            proof::Proof::NotTried
        }
    };
    (device, Some(answers), proof)
}

/// Asks a scratch guest for its TSC's rate, before and after setting it to the host's.
fn tsc(kvm: &KvmFd) -> Result<Tsc, kvm_ioctls::Error> {
    let vcpu = kvm.create_vm()?.create_vcpu(0)?;
    let guest_khz = vcpu.get_tsc_khz()?;
    // 0 is the host's rate.
    vcpu.set_tsc_khz(0)?;
    Ok(Tsc { guest_khz, host_khz: vcpu.get_tsc_khz()?, scaling: kvm.check_extension(Cap::TscControl) })
}

/// The kernel's name for a capability, such as `KVM_CAP_IMMEDIATE_EXIT`.
fn name(cap: Cap) -> String {
    let mut name = "KVM_CAP".to_owned();
    for letter in format!("{cap:?}").chars() {
        if letter.is_ascii_uppercase() {
            name.push('_');
        }
        name.push(letter.to_ascii_uppercase());
    }
    name
}

/// The name of the group that owns a file.
fn group(file: &fs::Metadata) -> Option<String> {
    let groups = fs::read_to_string("/etc/group").ok()?;
    groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(file.gid())).then(|| name.to_owned())
    })
}

/// KVM's modules in the running kernel. Only a loaded module, not a built-in one, has an `initstate`.
fn loaded(modules: &Path) -> BTreeMap<String, Module> {
    let module = |path: &PathBuf| Module {
        builtin: !path.join("initstate").exists(),
        parameters: values(&path.join("parameters")),
    };
    entries(modules)
        .into_iter()
        .filter_map(|path| Some((is_kvm(path.file_name()?.to_str()?)?, module(&path))))
        .collect()
}

fn is_kvm(name: &str) -> Option<String> {
    let name = name.replace('-', "_");
    (name == "kvm" || name.starts_with("kvm_")).then_some(name)
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten();
    entries.filter_map(|entry| Some(entry.ok()?.path())).collect()
}

/// The files of a directory, with their contents.
fn values(dir: &Path) -> BTreeMap<String, String> {
    let value = |path: PathBuf| {
        let value = fs::read_to_string(&path).ok()?;
        Some((path.file_name()?.to_str()?.to_owned(), value.trim().to_owned()))
    };
    entries(dir).into_iter().filter_map(value).collect()
}

/// KVM's modules listed in modules.dep or modules.builtin: `kernel/arch/x86/kvm/kvm-intel.ko.xz: ...`.
fn names(list: &str) -> BTreeSet<String> {
    let files = list.lines().filter_map(|line| line.split(':').next()?.rsplit('/').next());
    files.filter_map(|file| is_kvm(file.split_once(".ko")?.0)).collect()
}

fn parameters(cmdline: &str) -> Vec<String> {
    let words = cmdline.split_whitespace().filter(|word| word.starts_with("kvm"));
    words.map(str::to_owned).collect()
}

/// Reads os-release(5): shell assignments, in /etc or else in /usr/lib.
fn os(root: &Path) -> BTreeMap<String, String> {
    let text =
        ["etc/os-release", "usr/lib/os-release"].iter().find_map(|at| fs::read_to_string(root.join(at)).ok());
    let text = text.unwrap_or_default();
    let assignments = text.lines().filter_map(|line| line.trim().split_once('='));
    let wanted = assignments.filter(|(name, _)| OS.contains(name));
    wanted.map(|(name, value)| (name.to_owned(), value.trim_matches(['"', '\'']).to_owned())).collect()
}

fn dmi(dir: &Path) -> BTreeMap<String, String> {
    let value = |name: &str| {
        let value = fs::read_to_string(dir.join(name)).ok()?.trim().to_owned();
        (!value.is_empty()).then(|| (name.to_owned(), value))
    };
    DMI.into_iter().filter_map(value).collect()
}

/// Finds the sign of a container, by what its manager leaves for this purpose.
fn container(root: &Path) -> Option<String> {
    for (sign, file) in
        [("podman (/run/.containerenv)", "run/.containerenv"), ("docker (/.dockerenv)", ".dockerenv")]
    {
        if root.join(file).exists() {
            return Some(sign.to_owned());
        }
    }
    if let Ok(manager) = fs::read_to_string(root.join("run/systemd/container")) {
        return Some(format!("{} (/run/systemd/container)", manager.trim()));
    }
    let environment = fs::read(root.join("proc/1/environ")).unwrap_or_default();
    if let Some(manager) =
        environment.split(|byte| *byte == 0).find_map(|each| each.strip_prefix(b"container="))
    {
        return Some(format!("{} (PID 1's environment)", String::from_utf8_lossy(manager)));
    }
    let cgroups = fs::read_to_string(root.join("proc/1/cgroup")).unwrap_or_default();
    let found = ["kubepods", "docker", "lxc", "libpod"].into_iter().find(|name| cgroups.contains(name))?;
    Some(format!("{found} (/proc/1/cgroup)"))
}

/// Reads the MSRs. Missing ones are left out: reading them is an error.
fn msrs(file: &Path) -> BTreeMap<Hex, Hex> {
    let Ok(file) = File::open(file) else { return BTreeMap::new() };
    let read = |index: u32| -> io::Result<(Hex, Hex)> {
        let mut value = [0; 8];
        file.read_exact_at(&mut value, index.into())?;
        Ok((Hex(index.into()), Hex(u64::from_le_bytes(value))))
    };
    [msr::FEATURE_CONTROL, VM_CR].into_iter().filter_map(|index| read(index).ok()).collect()
}

#[cfg(test)]
#[path = "gather_test.rs"]
mod tests;
