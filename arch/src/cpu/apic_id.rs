//! Limits of APIC ids.

/// The most bits of an APIC id. KVM takes vCPU ids below 2^14; two more bits leave room for uneven counts.
pub(super) const MAX_APIC_ID_BITS: u32 = 16;
/// The first id that leaf 1 and an xAPIC can't hold: 255 is the broadcast id.
pub const FIRST_X2APIC_ID: u32 = 255;
