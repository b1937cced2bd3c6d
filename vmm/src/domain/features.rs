//! `<cpu>`, `<features>` and `<clock>`. The CPU itself is read by `--cpu file:`.

use super::{
    memory,
    part::{
        Part,
        Rule::{self, Idle, Missing, Refuse},
        Rules,
    },
    reader::Reader,
};

/// Elements of `<features>` that `--cpu file:` reads.
const OF_CPU: [&str; 4] = ["kvm", "hyperv", "pmu", "pvspinlock"];

/// Elements of `<features>` for which nvmm does nothing, whatever their state.
const FEATURES: &Rules = &[
    ("acpi", Idle("nvmm's machine always has ACPI")),
    ("apic", Idle("nvmm's machine always has APICs")),
    ("pae", Idle("the CPU has it")),
    ("hap", Idle("KVM uses nested paging where the host has it")),
    ("viridian", Refuse("only Xen's guests have it; take it out")),
    ("xen", Refuse("nvmm is no Xen; take it out")),
    ("privnet", Idle("only containers have it")),
    ("capabilities", Idle("only containers have it")),
    ("gic", Refuse("no x86 machine has it; take it out")),
    ("hpt", Idle("no x86 machine has it")),
    ("tcg", Idle("nvmm always runs guests on KVM")),
    ("vmcoreinfo", Idle("dump-guest-memory finds what a guest tells of itself")),
    ("msrs", Missing("KVM's own setting for unknown MSRs counts: kvm.ignore_msrs")),
    ("async-teardown", Idle("nvmm gives memory back as it ends")),
    ("ps2", Idle("nvmm has that keyboard controller that its screen needs")),
];

/// Elements of `<features>` that are on if they are present.
const STATES: &[(&str, Rule)] = &[
    ("vmport", Missing("nvmm has no VMware port; the guest runs without it")),
    (
        "smm",
        Refuse(
            "nvmm has no SMM, without which UEFI has no Secure Boot; take it out, and give a loader that needs none",
        ),
    ),
];

const CLOCK: &Rules = &[
    ("@basis", Idle("the guest's clock shows UTC")),
    ("@timezone", Missing("the guest's clock shows UTC; set its time zone in the guest")),
    ("@start", Missing("the guest's clock shows the host's time in UTC")),
];

/// `<cpu>`.
pub(super) fn cpu<'f, 'd>(reader: &mut Reader<'f, 'd>, element: Part<'f, 'd>) {
    if let Some(cells) = element.child("numa") {
        memory::numa(reader, cells);
    }
    reader.os.cpu = Some(element);
    reader.os.arranged = element.child("topology").is_some();
    element.skip();
}

/// `<features>`.
pub(super) fn read<'f, 'd>(_: &mut Reader<'f, 'd>, element: Part<'f, 'd>) {
    for feature in element.children().filter(|feature| !feature.is_foreign()) {
        if OF_CPU.contains(&feature.name()) {
            feature.skip();
        } else if let Some((_, rule)) = STATES.iter().find(|(name, _)| *name == feature.name()) {
            match feature.seen().switch("state") {
                Some(false) => feature.skip(),
                _ => feature.leave(*rule),
            }
        } else if feature.name() == "ioapic" {
            match feature.seen().choice("driver", &[("kvm", true), ("qemu", false)]) {
                Some(false) => feature.missing("nvmm's IOAPIC is KVM's"),
                _ => feature.idle("nvmm's IOAPIC is KVM's"),
            }
        }
    }
    element.rest(&[FEATURES]);
}

/// `<clock>`.
pub(super) fn clock<'f, 'd>(_: &mut Reader<'f, 'd>, element: Part<'f, 'd>) {
    match element.attribute("offset") {
        None | Some("utc") => {}
        Some("localtime" | "timezone" | "variable" | "absolute") => {
            let moved =
                element.attribute("adjustment").is_none_or(|seconds| seconds != "0" && seconds != "reset");
            if moved {
                element.missing(
                    "the guest's clock shows the host's time in UTC; set its time zone in the guest",
                );
            }
        }
        Some(_) => element.refuse_attribute("offset", "give utc"),
    }
    element.rest(&[CLOCK, &[("@adjustment", Idle("the guest's clock shows the host's time in UTC"))]]);
    element.all("timer").into_iter().for_each(Part::skip);
}

/// Adds `--cpu` and `--smp`, after everything was read.
pub(super) fn finish<'f, 'd>(reader: &mut Reader<'f, 'd>, root: Part<'f, 'd>) {
    let file = reader.path.to_str().map(|path| format!("file:{path}"));
    match file {
        Some(file) => reader.emit(reader.os.cpu.unwrap_or(root), "cpu", file),
        None if !reader.wants("cpu") => {}
        None => root.refuse("the file's name is not UTF-8; give it another one"),
    }
    let Some((element, all, current)) = reader.os.vcpus else { return };
    let mut vcpus = u64::from(all);
    if let Some(current) = current {
        // A topology includes all vCPUs.
        vcpus = if reader.os.arranged { vcpus } else { current };
        element.missing(format!("nvmm adds no vCPUs later; the guest has {vcpus}"));
    }
    reader.emit(element, "smp", vcpus.to_string());
}
