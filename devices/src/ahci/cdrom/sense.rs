//! SPC-4, "Sense data".

use serde::{Deserialize, Serialize};

/// The reason why a command was not carried out, or news that the driver has to get first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sense {
    pub(super) key: u8,
    pub(super) code: u8,
    pub(super) qualifier: u8,
}

impl Sense {
    pub(super) const NO_MEDIUM: Self = Self::new(2, 0x3a, 0x00);
    pub(super) const TRAY_OPEN: Self = Self::new(2, 0x3a, 0x02);
    pub(super) const UNREADABLE: Self = Self::new(3, 0x11, 0x00);
    pub(super) const UNKNOWN_COMMAND: Self = Self::new(5, 0x20, 0x00);
    pub(super) const OUT_OF_RANGE: Self = Self::new(5, 0x21, 0x00);
    pub(super) const BAD_FIELD: Self = Self::new(5, 0x24, 0x00);
    pub(super) const SAVING_UNSUPPORTED: Self = Self::new(5, 0x39, 0x00);
    pub(super) const REMOVAL_PREVENTED: Self = Self::new(5, 0x53, 0x02);
    pub(super) const MEDIUM_CHANGED: Self = Self::new(6, 0x28, 0x00);
    pub(super) const WAS_RESET: Self = Self::new(6, 0x29, 0x00);

    const fn new(key: u8, code: u8, qualifier: u8) -> Self {
        Self { key, code, qualifier }
    }

    /// "Fixed format sense data".
    pub(super) fn to_fixed_format(sense: Option<Self>) -> Vec<u8> {
        let Self { key, code, qualifier } = sense.unwrap_or(Self::new(0, 0, 0));
        let mut data = vec![0; 18];
        (data[0], data[2], data[7]) = (0x70, key, 10);
        (data[12], data[13]) = (code, qualifier);
        data
    }
}
