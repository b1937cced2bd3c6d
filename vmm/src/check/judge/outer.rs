//! The level: whether this machine is a guest, whose, and which switch of the outer hypervisor gives it VMX or SVM.

use super::{Facts, Finding, info};

/// An outer hypervisor, or the cloud that runs it.
struct Outer {
    /// What it is called.
    name: &'static str,
    /// Whether the machine is its guest.
    is: fn(&Facts) -> bool,
    /// What to do there.
    switches: &'static [Switch],
}

/// What to do, and the commands or lines for it.
type Switch = (&'static str, &'static [&'static str]);

/// Azure writes this into every machine's asset tag.
const AZURE_TAG: &str = "7783-7084-3265-9085-8269-3286-77";

/// Clouds first: below them is a hypervisor of this list, and its switch is the cloud's.
const OUTERS: [Outer; 12] = [
    Outer {
        name: "Amazon EC2",
        is: |facts| facts.dmi("sys_vendor") == "Amazon EC2",
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
        is: |facts| facts.dmi("product_name") == "Google Compute Engine",
        switches: &[(
            "Create the instance with nested virtualization, on an Intel machine type other than E2",
            &[
                "gcloud compute instances create NAME --machine-type n2-standard-4 --enable-nested-virtualization",
            ],
        )],
    },
    Outer {
        name: "Microsoft Azure",
        is: |facts| facts.dmi("chassis_asset_tag") == AZURE_TAG,
        switches: &[(
            "Take a size with nested virtualization (such as the D and E series from v3 on), with security type Standard",
            &["az vm create --size Standard_D4s_v5 --security-type Standard ..."],
        )],
    },
    Outer {
        name: "WSL 2",
        is: |facts| facts.kernel.to_ascii_lowercase().contains("microsoft-standard-wsl2"),
        switches: &[(
            "In %UserProfile%\\.wslconfig have these two lines, then run wsl --shutdown",
            &["[wsl2]", "nestedVirtualization=true"],
        )],
    },
    Outer {
        name: "Hyper-V",
        is: |facts| facts.cpu.hypervisor == "Microsoft Hv",
        switches: &[(
            "On the Hyper-V host, while the guest is off (PowerShell)",
            &["Set-VMProcessor -VMName NAME -ExposeVirtualizationExtensions $true"],
        )],
    },
    Outer {
        name: "VMware",
        is: |facts| facts.cpu.hypervisor == "VMwareVMware" || facts.dmi("sys_vendor").starts_with("VMware"),
        switches: &[(
            "Expose hardware-assisted virtualization to the guest (vSphere: CPU settings; Workstation: Virtualize Intel VT-x/EPT or AMD-V/RVI), which is this line of the .vmx file",
            &["vhv.enable = \"TRUE\""],
        )],
    },
    Outer {
        name: "VirtualBox",
        is: |facts| facts.cpu.hypervisor == "VBoxVBoxVBox" || facts.dmi("product_name") == "VirtualBox",
        switches: &[(
            "On the host, while the guest is off",
            &["VBoxManage modifyvm NAME --nested-hw-virt on"],
        )],
    },
    Outer {
        name: "Xen",
        is: |facts| facts.cpu.hypervisor == "XenVMMXenVMM" || facts.dmi("sys_vendor") == "Xen",
        switches: &[("In the guest's configuration (HVM with HAP)", &["hap = 1", "nestedhvm = 1"])],
    },
    Outer {
        name: "OpenStack",
        is: |facts| facts.dmi("product_name").starts_with("OpenStack"),
        switches: &[
            ("In nova.conf of the compute nodes", &["[libvirt]", "cpu_mode = host-passthrough"]),
            KVM_NESTED,
        ],
    },
    Outer {
        name: "KVM",
        is: |facts| facts.cpu.hypervisor == "KVMKVMKVM",
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
        is: |facts| facts.cpu.hypervisor == "TCGTCGTCGTCG",
        switches: &[(
            "Give the emulated machine a CPU with SVM (it emulates no VMX)",
            &["qemu-system-x86_64 -cpu EPYC ..."],
        )],
    },
    Outer {
        name: "an unknown hypervisor",
        is: |facts| {
            !facts.cpu.hypervisor.is_empty() || facts.flag("hypervisor") || facts.dmi("sys_vendor") == "QEMU"
        },
        switches: &[("Have its nested virtualization switched on for this guest", &[])],
    },
];

const KVM_NESTED: Switch = (
    "On the KVM host see that its module nests (kvm_intel, or kvm_amd)",
    &["cat /sys/module/kvm_intel/parameters/nested"],
);

fn outer(facts: &Facts) -> Option<&'static Outer> {
    // A bare-metal instance has the cloud's firmware, and no hypervisor.
    let bare = facts.cpu.hypervisor.is_empty() && !facts.flag("hypervisor");
    let metal =
        facts.dmi("product_name").ends_with(".metal") || facts.dmi("product_name").contains(".metal-");
    if bare && metal {
        return None;
    }
    OUTERS.iter().find(|outer| (outer.is)(facts))
}

/// Whether this machine is a virtual one.
pub(super) fn is_guest(facts: &Facts) -> bool {
    outer(facts).is_some()
}

/// Where this machine is.
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

/// Adds the outer hypervisor's switches.
pub(super) fn switch(facts: &Facts, finding: Finding) -> Finding {
    let switches = outer(facts).map_or(&[][..], |outer| outer.switches);
    switches.iter().fold(finding, |finding, (what, commands)| finding.fix(*what, commands.iter().copied()))
}
