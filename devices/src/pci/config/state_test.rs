use proptest::{collection::vec, prelude::*};
use serde_json::json;

use super::{super::*, *};
use crate::pci::root::tests::identity;

fn config(device_id: u16, size: u64) -> ConfigSpace {
    let mut config = ConfigSpace::new(identity(device_id));
    config.add_bar(Bar::new(0, BarSpace::Memory64, size).unwrap()).unwrap();
    config.add_bar(Bar::new(3, BarSpace::Io, 0x20).unwrap()).unwrap();
    config.set_interrupt(1, 16);
    config.add_registers(0x90, [1, 2, 3], [0xf0, 0, 0xff]);
    config
}

/// The configuration space in the form for a file.
fn text(config: &ConfigSpace) -> String {
    serde_json::to_string(&config.save()).unwrap()
}

proptest! {
    /// Everything that a guest can set is restored, and nothing else.
    #[test]
    fn a_configuration_space_is_the_same_afterwards(
        writes in vec((0_u16..260, vec(any::<u8>(), 1..5)), 0..60), pending: bool,
    ) {
        let (mut first, mut second) = (config(1, 0x1000), config(1, 0x1000));
        for (offset, data) in writes {
            let _ = first.write(offset, &data);
        }
        first.set_interrupt_status(pending);
        second.load(&serde_json::from_str(&text(&first)).unwrap()).unwrap();
        first.set_interrupt_status(false);
        prop_assert_eq!(&first.bytes, &second.bytes);
        prop_assert!(first.decoded().eq(second.decoded()));
    }

    /// Bytes of a file are refused, unless a guest could have set them.
    #[test]
    fn any_bytes_do_no_harm(changes in vec((0_usize..256, any::<u8>()), 0..4)) {
        let mut first = config(1, 0x1000);
        let ConfigState(mut bytes) = first.save();
        for (at, value) in changes {
            bytes[at] = value;
        }
        let fixed = (0..256).all(|at| (bytes[at] ^ first.bytes[at]) & !first.writable[at] == 0);
        prop_assert_eq!(first.load(&ConfigState(bytes)).is_ok(), fixed);
        prop_assert!(first.decoded().all(|decoded| decoded.bar.can_be_at(decoded.base)));
    }
}

#[test]
fn another_functions_is_refused() {
    let state = config(1, 0x1000).save();
    let mut others = [config(2, 0x1000), config(1, 0x1000), config(1, 0x1000)];
    others[1].set_multi_function();
    others[2].add_capability(&[9_u8, 0, 4, 0], &[0; 4]);
    for mut other in others {
        assert_eq!(
            other.load(&state).unwrap_err().to_string(),
            "this is the state of another pci function than this test, or of one in another version of nvmm"
        );
    }
    assert!(serde_json::from_value::<ConfigState>(json!("00".repeat(255))).is_err());
}
