//! Level 1 on CPUs requested by model and by feature: the features that it finds, and whether it nests.

use anyhow::{Context, ensure};
use arch::cpu::nesting::Virtualization;
use vmm::nest::image::Manifest;

use crate::cpuid::Cpu;
use crate::facts::Facts;
use crate::level0::{self, Guest};
use crate::scenario::{self, Record};
use crate::tiny;
use crate::wanted::Wanted;

/// A CPU, and the expected result in level 1.
struct Case {
    cpu: &'static str,
    scenario: &'static str,
    outcome: Outcome,
}

enum Outcome {
    /// KVM's module does not load.
    Refused,
    /// KVM's module loads with these parameters, and level 2 runs.
    Nests(&'static [(&'static str, &'static str)]),
}

/// The test cases. Linux as level 2 takes a minute or more on the VMX host, and minutes without EPT; for those it is a tiny guest.
fn cases(virt: Virtualization) -> &'static [Case] {
    match virt {
        Virtualization::Vmx => &[
            Case { cpu: "qemu64", scenario: scenario::NEST, outcome: Outcome::Refused },
            Case {
                cpu: "qemu64,+vmx,-vmx-unrestricted-guest",
                scenario: scenario::NEST,
                outcome: Outcome::Nests(&[("ept", "Y"), ("unrestricted_guest", "N")]),
            },
            Case {
                cpu: "core2duo,+vmx,-vmx-ept",
                scenario: scenario::NEST,
                outcome: Outcome::Nests(&[("ept", "N"), ("unrestricted_guest", "N")]),
            },
        ],
        Virtualization::Svm => &[
            Case { cpu: "qemu64", scenario: scenario::NEST, outcome: Outcome::Refused },
            Case {
                cpu: "qemu64,+svm",
                scenario: scenario::NEST_LINUX,
                outcome: Outcome::Nests(&[("npt", "Y")]),
            },
            Case {
                cpu: "host-passthrough,-npt",
                scenario: scenario::NEST_LINUX,
                outcome: Outcome::Nests(&[("npt", "N")]),
            },
        ],
    }
}

impl Case {
    fn name(&self) -> String {
        let what = match (&self.outcome, self.scenario) {
            (Outcome::Refused, _) => "has no KVM",
            (_, scenario::NEST_LINUX) => "boots Linux as L2",
            _ => "runs L2",
        };
        format!("L1 with --cpu {} {what}", self.cpu)
    }

    fn judge(
        &self,
        virt: Virtualization,
        guest: &Guest,
        record: &Record,
        facts: &Facts,
    ) -> anyhow::Result<()> {
        as_shown(guest, record, facts)?;
        let has = |flag| facts.flags.contains(flag);
        match &self.outcome {
            Outcome::Refused => {
                ensure!(!has("vmx") && !has("svm"), "/proc/cpuinfo has {:?}", facts.flags);
                let want = format!("loading {}: ", virt.module());
                let refusal = record.refusal.as_deref().context("KVM's module loads")?;
                ensure!(refusal.starts_with(&want), "{refusal}");
            }
            Outcome::Nests(parameters) => {
                ensure!(record.refusal.is_none(), "{:?}", record.refusal);
                for (name, want) in *parameters {
                    let value = record.parameters.get(*name).map(String::as_str);
                    let value = value.map(|value| match value {
                        "0" => "N",
                        "1" => "Y",
                        value => value,
                    });
                    ensure!(value == Some(want), "{}.{name} is {value:?}, not {want}", virt.module());
                }
                ensure!(record.ran_level_2, "level 2 did not run");
            }
        }
        Ok(())
    }
}

/// The names of these tests.
pub(crate) fn planned(virt: Virtualization) -> impl Iterator<Item = String> {
    cases(virt).iter().map(Case::name)
}

/// Runs the wanted ones.
pub(crate) fn run(
    virt: Virtualization,
    manifest: &Manifest,
    wanted: &Wanted,
    mut say: impl FnMut(&str, anyhow::Result<()>),
) {
    for case in cases(virt).iter().filter(|case| wanted.has(&case.name())) {
        let guest = Guest { cpu: case.cpu, scenario: case.scenario, ..Guest::default() };
        let run = || {
            let image = level0::pack(manifest, case.scenario == scenario::NEST_LINUX)?;
            let (record, facts) = guest.run(manifest, &image)?;
            case.judge(virt, &guest, &record, &facts)
        };
        say(&case.name(), run());
    }
}

/// Checks that level 1's CPUs, as Linux reads them, equal the output of `nvmm cpu show`.
pub(crate) fn as_shown(guest: &Guest, record: &Record, facts: &Facts) -> anyhow::Result<()> {
    ensure!(!record.cpuid.is_empty(), "it left no CPUID");
    for (vcpu, leaves) in record.cpuid.iter().enumerate() {
        let shown = tiny::shown(guest.cpu, guest.smp, vcpu)?;
        let vmx = facts.vmx_msrs.range(0x480..).map(|(&index, &value)| (index, value)).collect();
        tiny::same(vcpu, &shown, &Cpu { leaves: leaves.clone(), vmx })?;
    }
    Ok(())
}
