//! Message-signalled interrupts to APIC ids above 255.

/// Bits 11:5 of a message's address: bits 14:8 of the destination.
const EXTENDED_DESTINATION: u64 = 0x7f << 5;
/// How far these are from where KVM has them: bits 8 and up of the address's upper half.
const SHIFT: u32 = 32 + 8 - 5;

/// The address to route a message by, given what the guest wrote.
///
/// A guest that knows `KVM_FEATURE_MSI_EXT_DEST_ID` (Linux, Documentation/virt/kvm/x86/cpuid.rst), which is on where APIC ids ask for it, puts
/// bits of the APIC id where others have zeros; `KVM_CAP_X2APIC_API` takes them elsewhere. The upper half that the guest wrote is dropped: there is
/// no local APIC above 4 GiB, and KVM refuses routes with other bits there.
#[must_use]
pub fn routing_address(address: u64) -> u64 {
    let extended = address & EXTENDED_DESTINATION;
    address & 0xffff_ffff & !EXTENDED_DESTINATION | extended << SHIFT
}

#[cfg(test)]
#[path = "msi_test.rs"]
mod tests;
