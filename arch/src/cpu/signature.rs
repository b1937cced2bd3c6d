//! Family, model and stepping: SDM 2A, "Version Information".

/// A CPU's family, model and stepping by CPUID, extended parts added in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signature {
    /// Family.
    pub family: u32,
    /// Model.
    pub model: u32,
    /// Stepping.
    pub stepping: u32,
}

impl Signature {
    pub(super) const fn new(family: u32, model: u32, stepping: u32) -> Self {
        Self { family, model, stepping }
    }

    /// Decodes `EAX` of leaf 1: SDM 2A, "Version Information Returned by CPUID in EAX". The extended family counts only beside family 15,
    /// and the extended model beside 6 and 15. Zhaoxin has one beside 7 too, so it counts from 6 on, as in Linux.
    #[must_use]
    pub fn decode(eax: u32) -> Self {
        let bits = |high: u32, low: u32| eax >> low & (u32::MAX >> (31 - (high - low)));
        let family = bits(11, 8);
        Self {
            family: if family == 15 { family + bits(27, 20) } else { family },
            model: bits(7, 4) | if family >= 6 { bits(19, 16) << 4 } else { 0 },
            stepping: bits(3, 0),
        }
    }

    /// Encodes `EAX` of leaf 1: the inverse of [`Signature::decode`].
    pub(super) fn encode(self) -> u32 {
        let Self { family, model, stepping } = self;
        let (family, extended) = if family > 15 { (15, family - 15) } else { (family, 0) };
        stepping | (model & 0xf) << 4 | family << 8 | (model >> 4) << 16 | extended << 20
    }
}
