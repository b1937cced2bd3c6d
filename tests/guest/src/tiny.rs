//! Tests with tiny guests, which level 0 starts on one CPU model after another: each takes a second, where Linux takes many.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use anyhow::{Context, anyhow, bail, ensure};
use arch::cpu::nesting::Virtualization;
use vmm::nest::image;

use crate::cpuid::Cpu;
use crate::level0::NVMM;
use crate::nesting;
use crate::wanted::Wanted;

const CPUID: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/cpuid"));
const NESTING: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/nesting"));

const NO_NESTING: &str = "a CPU without VMX and SVM has no part of them";
const NESTING_ON: &str = "--nested on gives qemu64 all of VMX or SVM";

/// The CPU models whose CPUID is checked. The host is a Haswell with VMX, or a first-generation EPYC with SVM.
fn cpus(virt: Virtualization) -> &'static [&'static str] {
    match virt {
        Virtualization::Vmx => &[
            "host-passthrough",
            "host-model",
            "qemu64",
            "core2duo",
            "Nehalem",
            "SandyBridge",
            "Haswell-noTSX",
            "x86-64-v3",
            "486",
            "host-passthrough,-avx",
            "core2duo,+vmx",
            "Haswell-noTSX,+vmx,-vmx-ept",
            "host-passthrough,-vmx-unrestricted-guest",
        ],
        Virtualization::Svm => &[
            "host-passthrough",
            "host-model",
            "qemu64",
            "kvm64",
            "phenom",
            "Opteron_G3",
            "EPYC",
            "x86-64-v2",
            "486",
            "host-passthrough,-avx",
            "EPYC,+svm",
            "host-passthrough,-npt",
        ],
    }
}

/// Two sockets, each with one core of two threads: each CPU has different leaves.
const SMP: &str = "4,sockets=2,cores=1,threads=2";
const FURTHER_CPUS: &str = "3";
const CPUS: usize = 4;

/// CPU models with neither VMX nor SVM.
const WITHOUT: [&[&str]; 3] =
    [&["--nested", "off"], &["--cpu", "qemu64"], &["--cpu", "qemu64,+vmx,+svm", "--nested", "off"]];

/// The names of these tests.
pub(crate) fn planned(virt: Virtualization) -> impl Iterator<Item = String> {
    let cpus = cpus(virt).iter().copied().map(name);
    cpus.chain([NO_NESTING, NESTING_ON].map(str::to_owned))
}

fn name(cpu: &str) -> String {
    format!("CPUID of {cpu} is as shown")
}

/// Runs the wanted tests.
pub(crate) fn run(virt: Virtualization, wanted: &Wanted, mut say: impl FnMut(&str, anyhow::Result<()>)) {
    for cpu in cpus(virt).iter().filter(|cpu| wanted.has(&name(cpu))) {
        say(&name(cpu), as_shown(cpu));
    }
    if wanted.has(NO_NESTING) {
        say(NO_NESTING, WITHOUT.iter().try_for_each(|options| asks_for_nesting(options, nesting::NOTHING)));
    }
    let all = match virt {
        Virtualization::Vmx => nesting::VMX,
        Virtualization::Svm => nesting::SVM,
    };
    if wanted.has(NESTING_ON) {
        say(NESTING_ON, asks_for_nesting(&["--cpu", "qemu64", "--nested", "on"], all));
    }
}

/// Checks that all CPUs of a guest have the leaves and VMX capabilities in the output of `nvmm cpu show`.
fn as_shown(cpu: &str) -> anyhow::Result<()> {
    let output = guest(CPUID, &["--cpu", cpu, "--smp", SMP, "--cmdline", FURTHER_CPUS])?;
    let cpus = Cpu::of_guest(&output).map_err(|error| anyhow!(error))?;
    ensure!(cpus.len() == CPUS, "{} CPUs: {output}", cpus.len());
    for (vcpu, mut found) in cpus.into_iter().enumerate() {
        let shown = shown(cpu, SMP, vcpu)?;
        // The guest reads only the first CPU's MSRs.
        if vcpu > 0 {
            found.vmx = shown.vmx.clone();
        }
        same(vcpu, &shown, &found)?;
    }
    Ok(())
}

/// Checks that a CPU is as expected.
pub(crate) fn same(vcpu: usize, shown: &Cpu, found: &Cpu) -> anyhow::Result<()> {
    let differences = shown.differences(found);
    ensure!(differences.is_empty(), "vCPU {vcpu}: {}", differences.join("; "));
    Ok(())
}

/// The guest's expected CPU, from the output of `nvmm cpu show`.
pub(crate) fn shown(cpu: &str, smp: &str, vcpu: usize) -> anyhow::Result<Cpu> {
    let output = nvmm(&["cpu", "show", cpu, "--raw", "--smp", smp, "--vcpu", &vcpu.to_string()])?;
    ensure!(output.status.success(), "nvmm cpu show: {}", String::from_utf8_lossy(&output.stderr));
    Cpu::of_raw(&String::from_utf8_lossy(&output.stdout)).map_err(|error| anyhow!(error))
}

/// Checks which parts of VMX and SVM a guest with these `options` finds.
fn asks_for_nesting(options: &[&str], want: &str) -> anyhow::Result<()> {
    let found = guest(NESTING, options)?;
    ensure!(nesting::normal(&found) == want, "{}:\n{found}where it should be\n{want}", options.join(" "));
    Ok(())
}

/// Runs a guest, which must end with 21, and returns its output.
fn guest(kernel: &[u8], options: &[&str]) -> anyhow::Result<String> {
    let path = Path::new("/tiny");
    fs::write(path, kernel).context("writing the guest")?;
    let machine = ["--kernel", "/tiny", "--memory", "16M", "--debug-exit", "0xf4"];
    let output = nvmm(&[&machine, options].concat())?;
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.code() != Some(21 << 1 | 1) {
        bail!("nvmm ended with {}: {}{printed}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    Ok(printed)
}

fn nvmm(arguments: &[&str]) -> anyhow::Result<Output> {
    Command::new(image::in_root(NVMM)).args(arguments).output().context("starting nvmm")
}
