use std::ops::Range;

use arch::layout;

use super::{
    config::{ClassCode, ConfigSpace, ConfigState, Identity},
    function::PciFunction,
};
use crate::state::{StateError, Stateful};

/// The bridge between the CPU and bus 0, at 00:00.0, in a machine without firmware. It has only a header, for OSes that look for a bridge
/// there, and ECAM at its fixed address. Linux, for one, lists the bridge, and trusts CF8/CFC only if it finds one.
///
/// The bridge has the identifiers of QEMU's generic PCI Express host bridge. Those of a chipset would bring drivers and quirks for hardware that is
/// not here.
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
