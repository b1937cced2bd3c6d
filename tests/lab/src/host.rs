//! The hosts that nested boots can run on.

use std::fmt;
use std::fs::{self, OpenOptions};

/// A host for nvmm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Host {
    /// This machine, by /dev/kvm
    Kvm,
    /// An emulated machine with SVM: QEMU TCG
    Svm,
    /// An emulated machine with VMX: Bochs
    Vmx,
}

impl Host {
    /// Its name on nvmm's command line, if it is emulated.
    pub(crate) fn emulated(self) -> Option<&'static str> {
        match self {
            Self::Kvm => None,
            Self::Svm => Some("svm"),
            Self::Vmx => Some("vmx"),
        }
    }

    /// The Debian packages that it needs.
    pub(crate) fn packages(self) -> &'static [&'static str] {
        match self {
            Self::Kvm => &[],
            Self::Svm => &["qemu-system-x86"],
            Self::Vmx => {
                &["bochs", "bochs-term", "bochsbios", "vgabios", "isolinux", "syslinux-common", "xorriso"]
            }
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kvm => "this machine's KVM",
            Self::Svm => "an emulated SVM host",
            Self::Vmx => "an emulated VMX host",
        })
    }
}

/// The reason why this machine's KVM can't have guests that use KVM, if so.
pub(crate) fn cannot_nest() -> Option<&'static str> {
    let nested = ["kvm_intel", "kvm_amd"]
        .iter()
        .filter_map(|module| fs::read_to_string(format!("/sys/module/{module}/parameters/nested")).ok())
        .any(|value| matches!(value.trim(), "Y" | "1"));
    if OpenOptions::new().read(true).write(true).open("/dev/kvm").is_err() {
        Some("/dev/kvm can't be opened")
    } else if !nested {
        Some("this machine's KVM can't nest: neither kvm_intel nor kvm_amd is loaded with nested=1")
    } else {
        None
    }
}
