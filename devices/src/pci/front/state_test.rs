use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::{
    bus::BusDevice,
    pci::PciRoot,
    state::{
        SaveState,
        testing::{accesses, carry_over, damage},
    },
};

fn new() -> ConfigPorts {
    ConfigPorts::new(Arc::new(PciRoot::new()))
}

proptest! {
    #[test]
    fn ports_go_on_where_they_were(
        before in accesses(ConfigPorts::LEN, &[1, 2, 4]), after in accesses(ConfigPorts::LEN, &[1, 2, 4]),
    ) {
        let (mut first, mut second) = (new(), new());
        before.iter().for_each(|access| drop(access.make(&mut first)));
        carry_over(&first, &mut second);
        // Configuration space itself belongs to another state.
        for access in after.iter().filter(|access| access.offset < 4) {
            prop_assert_eq!(access.make(&mut first), access.make(&mut second), "{:?}", access);
        }
    }
}

#[test]
fn damaged_states_do_no_harm() {
    let mut ports = new();
    let _ = ports.write(0, &0x8000_f8fc_u32.to_le_bytes());
    let _ = ports.write(1, &[2]);
    damage(&ports.save_state().unwrap(), new, |ports| {
        (0..8).for_each(|offset| ports.read(offset, &mut [0; 4]));
        for offset in 0..8 {
            let _ = ports.write(offset, &[0; 4]);
        }
    });
}
