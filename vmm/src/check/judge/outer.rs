//! Judges the level: whether this machine is a guest, of which hypervisor, and which setting there gives it VMX or SVM.

use super::{finding::info, system};
use crate::{
    check::{facts::Facts, report::Finding},
    hypervisor::{HYPER_V, KVM},
};

/// An outer hypervisor, or the cloud that runs it.
struct Outer {
    /// The name.
    name: &'static str,
    /// Returns whether the names in the firmware or the kernel are those of this hypervisor.
    named: fn(&Facts) -> bool,
    /// The signature in CPUID, unless another hypervisor on this list has the same.
    signature: Option<&'static str>,
    /// The settings there that help.
    switches: &'static [Switch],
}

/// A setting, and the commands or lines for it.
type Switch = (&'static str, &'static [&'static str]);

/// The vendor in Hyper-V's firmware.
const MICROSOFT: &str = "Microsoft Corporation";
/// The asset tag of all machines in Azure.
const AZURE_TAG: &str = "7783-7084-3265-9085-8269-3286-77";

/// Vendors in the firmware of virtual machines that run on KVM.
const KVM_VENDORS: [&str; 5] = ["QEMU", "Red Hat", "oVirt", "KubeVirt", "Nutanix"];

/// The hypervisors, the most certain first. Names come before signatures, since KVM, Xen and others can show Hyper-V's signature to guests
/// that should see Hyper-V's interface. Clouds come before the hypervisors that they use, since the setting is the cloud's.
const OUTERS: [Outer; 11] = [
    Outer {
        name: "Amazon EC2",
        named: |facts| facts.dmi("sys_vendor") == "Amazon EC2",
        signature: None,
        switches: &[
            (
                "Stop the instance and start it with nested virtualization (8th generation Intel types: C8i, M8i, R8i and their -flex), or launch one so",
                &[
                    "aws ec2 run-instances --instance-type m8i.large --cpu-options NestedVirtualization=enabled ...",
                ],
            ),
            (
                "Other types have it on bare metal only",
                &["aws ec2 run-instances --instance-type m5.metal ..."],
            ),
        ],
    },
    Outer {
        name: "Google Compute Engine",
        named: |facts| facts.dmi("product_name") == "Google Compute Engine",
        signature: None,
        switches: &[(
            "Create the instance with nested virtualization, on an Intel machine type other than E2",
            &[
                "gcloud compute instances create NAME --machine-type n2-standard-4 --enable-nested-virtualization",
            ],
        )],
    },
    Outer {
        name: "Microsoft Azure",
        named: |facts| facts.dmi("chassis_asset_tag") == AZURE_TAG,
        signature: None,
        switches: &[(
            "Take a size with nested virtualization (such as the D and E series from v3 on), with security type Standard",
            &["az vm create --size Standard_D4s_v5 --security-type Standard ..."],
        )],
    },
    Outer {
        name: "WSL 2",
        named: system::is_wsl,
        signature: None,
        switches: &[(
            "In %UserProfile%\\.wslconfig have these two lines, then run wsl --shutdown",
            &["[wsl2]", "nestedVirtualization=true"],
        )],
    },
    Outer {
        name: "VMware",
        named: |facts| facts.dmi("sys_vendor").starts_with("VMware"),
        signature: Some("VMwareVMware"),
        switches: &[(
            "Expose hardware-assisted virtualization to the guest (vSphere: CPU settings; Workstation: Virtualize Intel VT-x/EPT or AMD-V/RVI), which is this line of the .vmx file",
            &["vhv.enable = \"TRUE\""],
        )],
    },
    Outer {
        name: "VirtualBox",
        named: |facts| facts.dmi("product_name") == "VirtualBox",
        signature: Some("VBoxVBoxVBox"),
        switches: &[(
            "On the host, while the guest is off",
            &["VBoxManage modifyvm NAME --nested-hw-virt on"],
        )],
    },
    Outer {
        name: "Xen",
        named: |facts| facts.dmi("sys_vendor") == "Xen",
        signature: Some("XenVMMXenVMM"),
        switches: &[("In the guest's configuration (HVM with HAP)", &["hap = 1", "nestedhvm = 1"])],
    },
    Outer {
        name: "OpenStack",
        named: |facts| {
            facts.dmi("sys_vendor").starts_with("OpenStack")
                || facts.dmi("product_name").starts_with("OpenStack")
        },
        signature: None,
        switches: &[
            ("In nova.conf of the compute nodes", &["[libvirt]", "cpu_mode = host-passthrough"]),
            KVM_NESTED,
        ],
    },
    Outer {
        name: "KVM",
        // QEMU has the same firmware when it emulates.
        named: |facts| KVM_VENDORS.contains(&facts.dmi("sys_vendor")) && facts.signed(HYPER_V),
        signature: Some(KVM),
        switches: &[
            (
                "Start this guest with the host's CPU: nvmm, QEMU, libvirt (in <domain>), Proxmox",
                &[
                    "nvmm --cpu host-passthrough --nested on ...",
                    "qemu-system-x86_64 -accel kvm -cpu host ...",
                    "<cpu mode='host-passthrough'/>",
                    "qm set VMID --cpu host",
                ],
            ),
            KVM_NESTED,
        ],
    },
    Outer {
        name: "QEMU's emulator",
        named: |_| false,
        signature: Some("TCGTCGTCGTCG"),
        switches: &[(
            "Give the emulated machine a CPU with SVM (it emulates no VMX)",
            &["qemu-system-x86_64 -cpu EPYC ..."],
        )],
    },
    Outer {
        name: "Hyper-V",
        named: |facts| facts.dmi("sys_vendor") == MICROSOFT && facts.dmi("product_name") == "Virtual Machine",
        signature: Some(HYPER_V),
        switches: &[(
            "On the Hyper-V host, while the guest is off (PowerShell)",
            &["Set-VMProcessor -VMName NAME -ExposeVirtualizationExtensions $true"],
        )],
    },
];

/// A hypervisor without a known name.
const UNKNOWN: Outer = Outer {
    name: "an unknown hypervisor",
    named: |_| false,
    signature: None,
    switches: &[("Have its nested virtualization switched on for this guest", &[])],
};

const KVM_NESTED: Switch = (
    "On the KVM host see that its module nests (kvm_intel, or kvm_amd)",
    &["cat /sys/module/kvm_*/parameters/nested"],
);

fn outer(facts: &Facts) -> Option<&'static Outer> {
    // A bare-metal instance has the cloud's firmware but no hypervisor.
    let bare = facts.cpu.hypervisor.is_empty() && !facts.flag("hypervisor");
    let metal =
        facts.dmi("product_name").ends_with(".metal") || facts.dmi("product_name").contains(".metal-");
    if bare && metal {
        return None;
    }
    let named = OUTERS.iter().find(|outer| (outer.named)(facts));
    let signed = || OUTERS.iter().find(|outer| outer.signature.is_some_and(|name| signed(facts, name)));
    let any =
        !facts.cpu.hypervisor.is_empty() || facts.flag("hypervisor") || facts.dmi("sys_vendor") == "QEMU";
    named.or_else(signed).or(any.then_some(&UNKNOWN))
}

/// Returns whether a signature identifies the hypervisor. Hyper-V's does so only if no firmware contradicts it.
fn signed(facts: &Facts, signature: &str) -> bool {
    let others = signature == HYPER_V && !matches!(facts.dmi("sys_vendor"), "" | MICROSOFT);
    facts.signed(signature) && !others
}

/// Returns whether this machine is a virtual one.
pub(super) fn is_guest(facts: &Facts) -> bool {
    outer(facts).is_some()
}

/// The finding about the hypervisor or cloud that this machine runs in.
pub(super) fn level(facts: &Facts) -> Finding {
    let Some(outer) = outer(facts) else {
        return info("level.host", "no hypervisor shows below this machine: level 0");
    };
    let product = match (facts.dmi("sys_vendor"), facts.dmi("product_name")) {
        ("", "") => String::new(),
        (vendor, product) => format!(" ({})", format!("{vendor} {product}").trim()),
    };
    info("level.guest", format!("this machine is a guest of {}{product}", outer.name))
}

/// Adds the outer hypervisor's settings to a finding.
pub(super) fn switch(facts: &Facts, finding: Finding) -> Finding {
    let switches = outer(facts).map_or(&[][..], |outer| outer.switches);
    switches.iter().fold(finding, |finding, (what, commands)| finding.fix(*what, commands.iter().copied()))
}
