use std::ops::Range;

use arch::layout;

use super::{
    config::{ClassCode, ConfigSpace, ConfigState, Identity},
    function::PciFunction,
};
use crate::state::{StateError, Stateful};

/// The bridge between CPU and bus 0, at 00:00.0, of a machine without firmware: a header and no more, for those who look for one
/// there, and ECAM where it always is. Linux, for one, trusts CF8/CFC only if it finds a bridge, and lists it.
///
/// It bears the identifiers of QEMU's generic PCI Express host bridge. A chipset's would bring its drivers and quirks
/// for hardware that is not here.
#[derive(Debug)]
pub(super) struct HostBridge(ConfigSpace);

impl HostBridge {
    pub(super) fn new() -> Self {
        Self(ConfigSpace::new(Identity {
            name: "host bridge",
            vendor_id: 0x1b36,
            device_id: 0x0008,
            revision_id: 0,
            class: ClassCode { base: 0x06, sub: 0x00, interface: 0x00 },
            subsystem_vendor_id: 0,
            subsystem_id: 0,
        }))
    }
}

impl Stateful for HostBridge {
    type State = ConfigState;

    fn save(&self) -> Result<ConfigState, StateError> {
        Ok(self.0.save())
    }

    fn load(&mut self, state: ConfigState) -> Result<(), StateError> {
        self.0.load(&state)
    }
}

impl PciFunction for HostBridge {
    fn config(&self) -> &ConfigSpace {
        &self.0
    }

    fn config_mut(&mut self) -> &mut ConfigSpace {
        &mut self.0
    }

    fn ecam(&self) -> Option<Range<u64>> {
        Some(layout::ECAM..layout::ECAM + layout::ECAM_LEN)
    }
}
