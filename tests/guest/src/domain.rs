//! Level 1 from libvirt's domain XML, with a trainer's choice of CPU: an old model with VMX.

use std::fs;
use std::process::Command;

use anyhow::{Context, bail, ensure};
use arch::cpu::nesting::Virtualization;
use vmm::nest::image::{self, Manifest, Memfd};

use crate::command_line::UNMET;
use crate::level0::{Guest, NVMM};
use crate::scenario;

const RUNS: &str = "L1 of a domain on core2duo that requires vmx runs L2";
const REFUSED: &str = "a domain on core2duo that requires vmx is refused, and vmx is named";

/// The CPU.
const CPU: &str =
    "<cpu mode='custom' match='exact'><model>core2duo</model><feature policy='require' name='vmx'/></cpu>";
/// The file.
const PATH: &str = "/domain.xml";

/// The name of the test on a host with `virt`.
pub(crate) fn name(virt: Virtualization) -> &'static str {
    match virt {
        Virtualization::Vmx => RUNS,
        Virtualization::Svm => REFUSED,
    }
}

/// Level 0: runs it.
pub(crate) fn run(virt: Virtualization, manifest: &Manifest, image: &Memfd) -> anyhow::Result<()> {
    let guest = Guest { domain: Some(CPU), scenario: scenario::NEST, ..Guest::default() };
    let ran = guest.run(manifest, image);
    if virt == Virtualization::Svm {
        return match ran {
            Err(error) if error.to_string().contains(UNMET) => Ok(()),
            ran => bail!("it is not: {:?}", ran.err()),
        };
    }
    let (record, facts) = ran?;
    ensure!(facts.flags.contains("vmx"), "/proc/cpuinfo has {:?}", facts.flags);
    ensure!(record.refusal.is_none(), "{:?}", record.refusal);
    ensure!(record.ran_level_2, "level 2 did not run");
    Ok(())
}

/// nvmm with a domain that has a CPU, the image's kernel with `parameters` and `initrd`, a disk, and its console on the serial port.
pub(crate) fn of(cpu: &str, parameters: &str, initrd: &str, disk: &str) -> anyhow::Result<Command> {
    let kernel = image::in_root(image::KERNEL);
    let xml = format!(
        "<domain type='kvm'><name>level-1</name><memory unit='MiB'>768</memory><vcpu>1</vcpu>\n\
         <os><type arch='x86_64'>hvm</type><kernel>{}</kernel><initrd>{initrd}</initrd><cmdline>{parameters}</cmdline></os>\n\
         {cpu}\n\
         <devices><disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='{disk}'/><target dev='vda' bus='virtio'/></disk>\n\
         <serial type='stdio'/></devices></domain>\n",
        kernel.display()
    );
    fs::write(PATH, xml).with_context(|| format!("writing {PATH}"))?;
    let mut nvmm = Command::new(image::in_root(NVMM));
    nvmm.args(["--domain", PATH]);
    Ok(nvmm)
}
