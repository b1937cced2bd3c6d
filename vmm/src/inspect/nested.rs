//! KVM's state of nested virtualization.
#![expect(unsafe_code, reason = "reads a union by the format that KVM gives")]

use kvm_bindings::{
    KVM_STATE_NESTED_FORMAT_SVM, KVM_STATE_NESTED_FORMAT_VMX, KVM_STATE_NESTED_GIF_SET,
    KVM_STATE_NESTED_GUEST_MODE, KVM_STATE_NESTED_RUN_PENDING,
};
use kvm_ioctls::{KvmNestedStateBuffer, VcpuFd};
use serde::Serialize;

use super::hex;

/// KVM's value for a VMXON region or a VMCS that is not set.
const NONE: u64 = u64::MAX;

/// The state of nested virtualization on a vCPU.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Nested {
    /// The nested guest runs: the vCPU's registers are its own, not its hypervisor's.
    guest_mode: bool,
    /// The vCPU will enter the nested guest before anything else.
    run_pending: bool,
    #[serde(flatten)]
    format: Format,
}

/// The state that differs between VMX and SVM.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "format", rename_all = "lowercase")]
enum Format {
    Vmx {
        /// The physical address of the VMXON region; none outside of VMX operation.
        #[serde(serialize_with = "hex::option")]
        vmxon: Option<u64>,
        /// The physical address of the current VMCS.
        #[serde(serialize_with = "hex::option")]
        vmcs: Option<u64>,
    },
    Svm {
        /// The physical address of the VMCB in use.
        #[serde(serialize_with = "hex::number")]
        vmcb: u64,
        /// The global interrupt flag.
        gif: bool,
    },
    Unknown,
}

impl Nested {
    /// Reads the state; none if KVM does not support nested virtualization.
    pub(super) fn read(fd: &VcpuFd) -> Option<Self> {
        let mut state = KvmNestedStateBuffer::empty();
        // The result only tells whether more than the header was written, but the header is enough.
        fd.nested_state(&mut state).ok()?;
        Some(Self::of(&state))
    }

    /// Returns whether the nested guest runs.
    pub(super) fn is_in_guest(&self) -> bool {
        self.guest_mode
    }

    fn of(state: &KvmNestedStateBuffer) -> Self {
        let has = |flag: u32| u32::from(state.flags) & flag != 0;
        let format = match u32::from(state.format) {
            KVM_STATE_NESTED_FORMAT_VMX => {
                // SAFETY: the format says which field of the union is used, and it may have any bytes.
                let header = unsafe { state.hdr.vmx };
                let place = |address: u64| Some(address).filter(|&address| address != NONE);
                Format::Vmx { vmxon: place(header.vmxon_pa), vmcs: place(header.vmcs12_pa) }
            }
            KVM_STATE_NESTED_FORMAT_SVM => {
                // SAFETY: as above.
                let header = unsafe { state.hdr.svm };
                Format::Svm { vmcb: header.vmcb_pa, gif: has(KVM_STATE_NESTED_GIF_SET) }
            }
            _ => Format::Unknown,
        };
        Self {
            guest_mode: has(KVM_STATE_NESTED_GUEST_MODE),
            run_pending: has(KVM_STATE_NESTED_RUN_PENDING),
            format,
        }
    }
}

#[cfg(test)]
impl Nested {
    /// A nested guest runs.
    pub(super) fn in_guest() -> Self {
        Self { guest_mode: true, run_pending: false, format: Format::Unknown }
    }
}

#[cfg(test)]
#[path = "nested_test.rs"]
mod tests;
