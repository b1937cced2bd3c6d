use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::{
    net::{MacAddress, Offloads},
    state::{
        SaveState,
        testing::{damage, load, saved},
    },
    virtio::{
        device::VirtioDevice,
        net::{Lasting, NetOptions, features::CTRL_VQ, test_network::TestNetwork},
    },
};

/// A device with two queue pairs, whose driver accepts these `features`.
fn device(features: u64) -> Net {
    let options = NetOptions { pairs: 2, ..NetOptions::new(MacAddress::local(1)) };
    let network = TestNetwork::new(2, Offloads::all());
    let mut device = Net::new(Arc::new(network), &Lasting::from(options));
    device.features_agreed(device.features() & features);
    device
}

/// The state with another value of the driver's settings.
fn with(state: &Value, key: &str, value: Value) -> Value {
    let mut state = state.clone();
    state["settings"][key] = value;
    state
}

#[test]
fn settings_that_no_driver_can_make_are_refused() {
    let state = saved(&device(u64::MAX));
    let pairs = with(&state, "pairs", json!(2));
    assert_eq!(load(&mut device(u64::MAX), &pairs), Ok(()));
    let one_pair = features::MQ;
    assert!(load(&mut device(!one_pair), &pairs).unwrap_err().contains("queue pairs"));
    for pairs in [0, 3, 0xffff] {
        let error = load(&mut device(u64::MAX), &with(&state, "pairs", json!(pairs))).unwrap_err();
        assert!(error.contains("queue pairs"), "{error}");
    }
    for mac in [[0; 6], [0xff; 6], [1, 0, 0x5e, 0, 0, 1]] {
        let error = load(&mut device(u64::MAX), &with(&state, "mac", json!(mac))).unwrap_err();
        assert!(error.contains("no device's address"), "{error}");
    }
    let offloads = with(&state, "guest_offloads", json!(2));
    assert!(load(&mut device(CTRL_VQ), &offloads).unwrap_err().contains("not agreed on"));
}

#[test]
fn damaged_states_do_no_harm() {
    let state = device(u64::MAX).save_state().unwrap();
    damage(&state, || device(u64::MAX), |device| device.read_config(0, &mut [0; 32]));
}
