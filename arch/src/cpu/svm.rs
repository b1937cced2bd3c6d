//! SVM as CPUID describes it: APM 3, "Function 8000_000Ah—SVM Features".

use bitflags::bitflags;

/// The function that is SVM's whole interface: there are no capability MSRs.
pub const FUNCTION: u32 = 0x8000_000a;

bitflags! {
    /// EDX, those that make a nested guest fast, by the names that QEMU gives them.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Features: u32 {
        /// Nested paging.
        const NPT = 1 << 0;
        /// Last-branch records are switched with the guest.
        const LBRV = 1 << 1;
        /// The next instruction's address is saved on exits.
        const NRIP_SAVE = 1 << 3;
        /// A guest's TSC may run at another rate.
        const TSC_SCALE = 1 << 4;
        /// Parts of the VMCB may be kept cached.
        const VMCB_CLEAN = 1 << 5;
        /// TLB entries of one guest can be dropped.
        const FLUSHBYASID = 1 << 6;
        /// Faults come with their decoding.
        const DECODEASSISTS = 1 << 7;
        /// Spinning guests exit.
        const PAUSE_FILTER = 1 << 10;
        /// Virtual interrupt controller.
        const AVIC = 1 << 13;
        /// VMLOAD and VMSAVE without exits.
        const V_VMSAVE_VMLOAD = 1 << 15;
        /// STGI and CLGI without exits.
        const VGIF = 1 << 16;
        /// Virtual NMIs.
        const VNMI = 1 << 25;
    }
}
