#[path = "../../../tests/support/damage.rs"]
mod damage;

use std::{fs, path::PathBuf, time::Duration};

use proptest::{collection::vec, prelude::*, sample::Index};
use serde_json::Value;

use self::damage::{change, places};
use super::*;
use crate::{
    input::{Key, Keys},
    pci::Lifecycle,
};

/// A device of each kind, with values in its registers.
fn real() -> BTreeMap<&'static str, DeviceState> {
    let mut states = BTreeMap::new();
    let mut put = |kind, device: &dyn SaveState| drop(states.insert(kind, device.save_state().unwrap()));
    let write = |device: &mut dyn BusDevice, accesses: &[(u64, u8)]| {
        for (offset, byte) in accesses {
            let _ = device.write(*offset, &[*byte]);
        }
    };
    let mut serial = new_serial();
    write(&mut serial, &[(1, 3), (3, 0x83), (0, 1), (3, 3), (4, 0xb)]);
    serial.input(b"text");
    serial.read(0, &mut [0]);
    put("serial", &serial);
    let mut cmos = new_cmos();
    write(&mut cmos, &[(0, 0xb), (1, 0x22), (0, 0x50), (1, 0x77)]);
    put("cmos", &cmos);
    let mut keyboard = I8042::new(Arc::new(Nobody));
    keyboard.key(Key(0x2a), true);
    keyboard.key(Key(0xb7), true);
    write(&mut keyboard, &[(0, 0xed), (4, 0xd4)]);
    put("i8042", &keyboard);
    let mut fw_cfg = new_fw_cfg();
    let _ = fw_cfg.write(0, &[0x20, 0]);
    fw_cfg.read(1, &mut [0]);
    put("fw_cfg", &fw_cfg);
    let mut generation = VmGeneration::new([7; 16], memory(), Arc::new(Nobody));
    let _ = generation.write(0, &0x1000_u32.to_le_bytes());
    put("generation", &generation);
    let mut flash = new_flash();
    write(&mut flash, &[(5, 0x10), (5, 0x77), (5, 0x20)]);
    let mut state = flash.save_state().unwrap();
    // Short enough for a fuzzer.
    state.state["blocks"] = serde_json::json!({});
    let mut power = new_power();
    write(&mut power, &[(2, 1), (3, 1), (5, 4)]);
    power.press_power_button();
    put("power", &power);
    put("control", &SystemControlA::default());
    let mut console = DebugConsole::default();
    write(&mut console, &[(0, b'a')]);
    put("console", &console);
    let mut config = ConfigPorts::new(Arc::new(PciRoot::new()));
    let _ = config.write(0, &0x8000_1804_u32.to_le_bytes());
    put("config", &config);
    put("host_bridge", &HostBridge::new());
    put("lpc", &Lpc::new());
    let vga = new_vga();
    vga.set_mode(Resolution { width: 800, height: 600 });
    put("vga", &vga);
    let mut ahci = new_ahci();
    let _ = ahci.bar_write(5, 4, &2_u32.to_le_bytes());
    put("ahci", &ahci);
    for (kind, device) in [("block", new_block()), ("balloon", new_balloon())] {
        put(kind, &running(device));
    }
    put("tablet", &running(Box::new(Tablet::new(Arc::new(Reports::new().unwrap())))));
    states.insert("flash", state);
    states
}

/// A virtio device that a driver uses, paused.
fn running(device: Box<dyn VirtioDevice>) -> VirtioPci {
    let mut pci = virtio(device);
    let mut write = |offset, data: &[u8]| {
        let _ = pci.bar_write(0, offset, data);
    };
    // The status; VERSION_1; the first queue, of 16.
    write(20, &[3]);
    write(8, &1_u32.to_le_bytes());
    write(12, &1_u32.to_le_bytes());
    write(20, &[0xb]);
    write(24, &16_u16.to_le_bytes());
    for (offset, address) in [(32, 0x1000_u64), (40, 0x2000), (48, 0x3000)] {
        write(offset, &address.to_le_bytes());
    }
    write(28, &1_u16.to_le_bytes());
    write(20, &[0xf]);
    assert!(pci.pause(Duration::from_secs(60)));
    pci
}

fn corpus() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz/corpus/device_states/real")
}

/// The recorded states belong to this version: a change of a state must increase its version.
#[test]
fn recorded_states_are_taken_up() {
    let recorded: BTreeMap<String, DeviceState> =
        serde_json::from_str(&fs::read_to_string(corpus()).unwrap()).unwrap();
    let now = real();
    assert!(recorded.keys().eq(now.keys()), "record them: see below");
    let anew =
        "count VERSION up if it has changed in form or meaning, and record the corpus anew (see below)";
    let load = |kind: &str, mut device: Box<dyn SaveState>| {
        device.load_state(&recorded[kind]).unwrap_or_else(|error| panic!("{kind}: {error:?}; {anew}"));
    };
    load("serial", Box::new(new_serial()));
    load("cmos", Box::new(new_cmos()));
    load("i8042", Box::new(I8042::new(Arc::new(Nobody))));
    load("fw_cfg", Box::new(new_fw_cfg()));
    load("flash", Box::new(new_flash()));
    load("power", Box::new(new_power()));
    load("control", Box::<SystemControlA>::default());
    load("generation", Box::new(VmGeneration::new([0; 16], memory(), Arc::new(Nobody))));
    load("console", Box::<DebugConsole>::default());
    load("config", Box::new(ConfigPorts::new(Arc::new(PciRoot::new()))));
    load("host_bridge", Box::<HostBridge>::default());
    load("lpc", Box::<Lpc>::default());
    load("vga", Box::new(new_vga()));
    load("ahci", Box::new(new_ahci()));
    load("block", Box::new(virtio(new_block())));
    load("balloon", Box::new(virtio(new_balloon())));
    load("tablet", Box::new(virtio(Box::new(Tablet::new(Arc::new(Reports::new().unwrap()))))));
    // Each recorded state has the same fields as now.
    for (kind, state) in now {
        assert_eq!(shape(&recorded[kind].state), shape(&state.state), "{kind}: {anew}");
    }
}

/// The names of a state's fields.
fn shape(state: &Value) -> Vec<String> {
    let Some(members) = state.as_object() else { return Vec::new() };
    let members = members.iter().flat_map(|(key, value)| {
        let inner = shape(value).into_iter().map(move |inner| format!("{key}.{inner}"));
        std::iter::once(key.clone()).chain(inner)
    });
    members.collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn states_that_are_damaged_in_several_places_do_no_harm(
        kind: Index, changes in vec((any::<Index>(), any::<u64>()), 1..6),
    ) {
        let recorded: BTreeMap<String, Value> = serde_json::from_str(&fs::read_to_string(corpus()).unwrap()).unwrap();
        let kind = kind.get(&recorded.keys().collect::<Vec<_>>()).to_owned();
        let mut state = recorded[kind].clone();
        for (place, by) in changes {
            let all = places(&state["state"]);
            if !all.is_empty() {
                change(state["state"].pointer_mut(place.get::<String>(&all)).unwrap(), by);
            }
        }
        device_states(&serde_json::to_vec(&serde_json::json!({ kind.as_str(): state })).unwrap());
    }
}

#[test]
#[ignore = "it records the states of now as the corpus' own"]
fn record() {
    fs::create_dir_all(corpus().parent().unwrap()).unwrap();
    fs::write(corpus(), serde_json::to_string(&real()).unwrap()).unwrap();
}
