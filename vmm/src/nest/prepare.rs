//! Puts everything that the levels need into the image.

use std::fs;
use std::path::Path;

use anyhow::Context;
use arch::cpu::nesting::Virtualization;

use super::image::{self, Manifest, Memfd};
use super::kernel::Kernel;
use super::modules::{Module, Modules};

/// The path in the image for the file of `--cpu file:`.
const CPU_FILE: &str = "nest/cpu.xml";

/// The user's files.
#[derive(Debug)]
pub(super) struct Files<'a> {
    /// `--modules`.
    pub(super) modules: Option<&'a Path>,
    /// The path of the file of `--cpu file:`, if the levels can't read it on the host.
    pub(super) cpu: Option<&'a str>,
    /// The archive of the program and its files.
    pub(super) program: &'a Memfd,
}

/// Makes the image for `level`, and lists its contents in `manifest`.
///
/// # Errors
///
/// A file can't be read, or a module does not exist.
pub(super) fn prepare(
    files: &Files<'_>,
    virt: Option<Virtualization>,
    kernel: &Kernel,
    manifest: &mut Manifest,
    level: u32,
) -> anyhow::Result<Memfd> {
    let [virtio, kvm, msr] = match files.modules {
        Some(none) if none.as_os_str() == "none" => [vec![], vec![], vec![]],
        dir => {
            let dir = dir.map_or_else(|| kernel.modules(), |dir| Ok(dir.to_owned()))?;
            let modules = Modules::open(&dir)?;
            let resolve = |wanted: &[&str]| modules.resolve(wanted, kernel.release.as_deref());
            let kvm: Vec<_> = virt.map(Virtualization::module).into_iter().collect();
            // SVM has no MSRs to compare. Without the module, VMX's are not compared.
            let msr = match virt {
                Some(Virtualization::Vmx) => resolve(&["msr"]).unwrap_or_default(),
                _ => vec![],
            };
            [resolve(&["virtio_pci", "virtio_blk"])?, resolve(&kvm)?, msr]
        }
    };
    let names = |list: &[Module]| list.iter().map(|module| module.name.clone()).collect();
    (manifest.virtio, manifest.kvm, manifest.msr) = (names(&virtio), names(&kvm), names(&msr));
    if files.cpu.is_some() {
        manifest.files.push(CPU_FILE.to_owned());
        manifest.first.cpu = Some(format!("file:{}", image::in_root(CPU_FILE).display()));
    }
    if manifest.program.is_some() {
        manifest.files.push(image::FILES.to_owned());
    }
    image::pack(&manifest.at(level), |name| match name {
        image::INIT => fs::read("/proc/self/exe").context("reading nvmm itself"),
        image::KERNEL => Ok(kernel.image.clone()),
        image::FILES => fs::read(files.program.path()).context("reading the program's files"),
        CPU_FILE => fs::read(files.cpu.unwrap_or_default()).context("reading the file of --cpu"),
        name => {
            let module =
                virtio.iter().chain(&kvm).chain(&msr).find(|module| Manifest::module(&module.name) == name);
            Ok(module.with_context(|| format!("no {name}"))?.image.clone())
        }
    })
}
