use std::sync::{Arc, Mutex};

use proptest::prelude::*;

use super::{super::Store, *};
use crate::{
    bus::BusDevice,
    chipset::Rom,
    state::{
        SaveState,
        testing::{Access, accesses, carry_over, damage, load, saved},
    },
};

const LEN: usize = 3 * BLOCK;

#[derive(Debug, Default)]
struct Kept(Mutex<Vec<Vec<u8>>>);

impl Store for Kept {
    fn save(&self, contents: Vec<u8>) {
        self.0.lock().unwrap().push(contents);
    }
}

impl Kept {
    fn take(&self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

/// A chip filled with `byte`, and its store.
fn chip(byte: u8) -> (Flash, Arc<Kept>) {
    let store = Arc::new(Kept::default());
    (Flash::new(Arc::new(Rom::new(&vec![byte; LEN]).unwrap()), store.clone()), store)
}

fn write(flash: &mut Flash, offset: u64, byte: u8) {
    let _ = flash.write(offset, &[byte]);
}

/// Commands at the start of the chip and at its end.
fn commands() -> impl Strategy<Value = Vec<Access>> {
    let command = prop::sample::select(vec![0x10, 0x20, 0x40, 0x50, 0x70, 0xd0, 0xff, 0x55_u8]);
    (accesses(64, &[1, 2, 4]), prop::collection::vec(command, 60)).prop_map(|(mut accesses, commands)| {
        for (access, command) in accesses.iter_mut().zip(commands) {
            access.data[0] = command;
            if access.offset >= 32 {
                access.offset += LEN as u64 - 64;
            }
        }
        accesses
    })
}

proptest! {
    #[test]
    fn a_chip_goes_on_where_it_was(before in commands(), after in commands()) {
        let ((mut first, _), (mut second, store)) = (chip(0xff), chip(0x11));
        before.iter().for_each(|access| drop(access.make(&mut first)));
        carry_over(&first, &mut second);
        prop_assert_eq!(first.mapped().is_some(), second.mapped().is_some());
        prop_assert_eq!(first.contents(), second.contents());
        for access in &after {
            prop_assert_eq!(access.make(&mut first), access.make(&mut second), "{:?}", access);
        }
        prop_assert_eq!(first.contents(), second.contents());
        let contents = second.contents();
        drop(second);
        prop_assert_eq!(store.take().pop(), Some(contents));
    }
}

#[test]
fn the_store_gets_contents_that_it_does_not_have() {
    let (mut first, _) = chip(0xff);
    write(&mut first, 5, 0x10);
    write(&mut first, 5, 0x77);
    write(&mut first, 5, 0xff);
    let (mut same, store) = chip(0xff);
    write(&mut same, 5, 0x10);
    write(&mut same, 5, 0x77);
    write(&mut same, 5, 0xff);
    store.take();
    carry_over(&first, &mut same);
    drop(same);
    assert!(store.take().is_empty());
    // Only once the machine runs or ends, as it may still fail to start.
    let (mut other, store) = chip(0xff);
    carry_over(&first, &mut other);
    assert!(store.take().is_empty());
    write(&mut other, 0, 0x50);
    assert_eq!(store.take(), [other.contents()]);
    assert_eq!(other.contents()[5], 0x77);
}

#[test]
fn erased_blocks_take_no_room() {
    let (mut flash, _) = chip(0xff);
    assert_eq!(saved(&flash)["blocks"], serde_json::json!({}));
    write(&mut flash, BLOCK as u64 + 1, 0x10);
    write(&mut flash, BLOCK as u64 + 1, 0);
    assert_eq!(saved(&flash)["blocks"].as_object().unwrap().keys().collect::<Vec<_>>(), ["1"]);
}

#[test]
fn damaged_states_do_no_harm() {
    let (mut flash, _) = chip(0x22);
    write(&mut flash, 0, 0x20);
    let state = flash.save_state().unwrap();
    let mut small = state.clone();
    small.state["blocks"] = serde_json::json!({ "2": "55".repeat(BLOCK) });
    damage(
        &small,
        || chip(0xff).0,
        |flash| {
            for (at, command) in
                [(0, 0xd0), (1, 0x10), (LEN as u64 - 1, 0x40), (LEN as u64, 0x20), (u64::MAX, 0xd0)]
            {
                write(flash, at, command);
                flash.read(at, &mut [0; 4]);
            }
        },
    );
    for (number, bytes) in [("3", BLOCK), ("18446744073709551615", BLOCK), ("0", BLOCK - 1), ("0", BLOCK + 1)]
    {
        let mut state = state.state.clone();
        state["blocks"] = serde_json::json!({ number: "55".repeat(bytes) });
        let error = load(&mut chip(0xff).0, &state).unwrap_err();
        assert_eq!(error, "it makes no sense: a block that the chip does not have", "{number}");
    }
}
