use std::path::Path;

use ::devices::{
    bus::Effect,
    chipset::Rom,
    display::vga::{Monitor, Resolution, Vga},
    pci::PciAddress,
    platform::flash::{Flash, Store},
    virtio::balloon::{Balloon, Control},
};
use arch::{layout, memory::GuestRam};
use serde_json::json;
use vm_memory::{Bytes, GuestAddress};

use super::*;
use crate::{
    board::{Board, Chipset, HostSide, OpenDevice, platform, rtc::Rtc},
    host::Host,
    taken_back::TakenBack,
    vm::Vm,
};

const RAM: usize = 4 << 20;
const FLASH_AT: u64 = 0xffe0_0000;
/// An address for video memory.
const VIDEO: u32 = 0xe000_0000;
const NOW: std::time::Duration = std::time::Duration::from_secs(60);

/// A device that records its memory.
#[derive(Debug, Default)]
struct Variables(Mutex<Vec<Vec<u8>>>);

impl Store for Variables {
    fn save(&self, contents: Vec<u8>) {
        lock(&self.0).push(contents);
    }
}

/// A balloon's host.
#[derive(Debug)]
struct Nobody;

impl HostSide for Nobody {
    fn name(&self) -> String {
        "balloon".to_owned()
    }

    fn backend(&self) -> Option<String> {
        None
    }
}

/// A machine with a device for nearly each way to plug one in.
struct Machine {
    devices: Devices,
    variables: Arc<Variables>,
    vga: PciAddress,
    _monitor: Arc<Monitor>,
    _vm: Vm,
}

impl Machine {
    /// None if there is no KVM. With `has_balloon`, there is an additional PCI function.
    fn new(has_balloon: bool) -> Option<Self> {
        let host = match Host::open(Path::new("/dev/kvm")) {
            Ok(host) => host,
            Err(error) => {
                println!("skipped: {error}");
                return None;
            }
        };
        let ram = GuestRam::from_ranges(&[(GuestAddress(0), RAM)]).unwrap();
        let mut board = Board::new(Vm::new(&host, &ram, None, 0).unwrap(), Chipset::Q35, None).unwrap();
        platform::plug(&mut board, false).unwrap();
        Rtc::default().plug(&mut board).unwrap();
        let (monitor, log) = (Arc::<Monitor>::default(), board.vm.dirty_log());
        let resolution = Resolution { width: 640, height: 480 };
        let (vga, _) =
            board.pci(|_, _| Ok(Vga::new(&monitor, ram.clone(), log, resolution).unwrap())).unwrap();
        if has_balloon {
            let balloon = Balloon::new(Arc::<Control>::default(), Arc::new(TakenBack::new(&ram)));
            board.virtio(Box::new(balloon), Arc::new(Nobody)).unwrap();
        }
        let variables = Arc::<Variables>::default();
        let chip = Arc::new(Rom::new(&[0xff; 0x2000]).unwrap());
        board.flash(FLASH_AT, Flash::new(chip, variables.clone())).unwrap();
        let (vm, devices) = board.close().unwrap();
        Some(Self { devices, variables, vga, _monitor: monitor, _vm: vm })
    }

    fn write(&self, port: u16, data: &[u8]) {
        match self.devices.buses.pio.view().write(port.into(), data) {
            Effect::None => {}
            Effect::Decode => self.devices.buses.follow(),
            effect => panic!("{effect:?}"),
        }
    }

    fn read<const N: usize>(&self, port: u16) -> [u8; N] {
        let mut data = [0; N];
        self.devices.buses.pio.view().read(port.into(), &mut data);
        data
    }

    /// Writes to a register of a function's configuration space.
    fn configure(&self, function: PciAddress, register: u32, data: &[u8]) {
        let address = 1 << 31 | u32::from(function.device()) << 11 | register & !3;
        self.write(layout::PCI_CONFIG, &address.to_le_bytes());
        self.write(layout::PCI_CONFIG + 4 + u16::try_from(register & 3).unwrap(), data);
    }

    /// Reads memory by an exit.
    fn memory(&self, address: u64) -> u8 {
        let mut data = [0];
        self.devices.buses.mmio.view().read(address, &mut data);
        data[0]
    }

    fn program_flash(&self, byte: u8) {
        for byte in [0x10, byte, 0xff] {
            match self.devices.buses.mmio.view().write(FLASH_AT, &[byte]) {
                Effect::Decode => self.devices.buses.follow(),
                effect => assert_eq!(effect, Effect::None),
            }
        }
    }

    fn save(&self) -> DeviceStates {
        assert_eq!(self.devices.pause(NOW), [""; 0]);
        self.devices.save().unwrap()
    }
}

/// The states in the form of a file.
fn by_text(states: &DeviceStates) -> DeviceStates {
    serde_json::from_str(&serde_json::to_string(states).unwrap()).unwrap()
}

#[test]
fn every_device_has_a_state_that_an_equal_machine_takes_up() {
    let Some(first) = Machine::new(true) else { return };
    first.write(layout::CMOS, &[0x50]);
    first.write(layout::CMOS + 1, &[0x77]);
    first.configure(first.vga, 0x10, &VIDEO.to_le_bytes());
    first.configure(first.vga, 4, &[3, 0]);
    first.program_flash(0x5a);
    first.write(layout::PCI_CONFIG, &0x8000_0010_u32.to_le_bytes());
    let states = first.save();
    let places: Vec<_> = states.keys().map(String::as_str).collect();
    let expected = [
        "flash",
        "pci 00:00.0",
        "pci 00:01.0",
        "pci 00:02.0",
        "pci 00:1f.0",
        "port 0x520",
        "port 0x60",
        "port 0x600",
        "port 0x70",
        "port 0x92",
        "port 0xcf8",
    ];
    assert_eq!(places, expected);

    let Some(second) = Machine::new(true) else { return };
    let memories = second.devices.memories();
    let names: Vec<_> = memories.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["pci 00:01.0 bar 0"]);
    memories[0].1.as_volatile_slice().write_obj(0x42_u8, 0).unwrap();
    assert_eq!(second.memory(VIDEO.into()), 0xff, "nothing decodes there yet");
    second.devices.load(&by_text(&states)).unwrap();
    assert_eq!(second.devices.save().unwrap().len(), states.len());
    for (place, state) in second.devices.save().unwrap() {
        // Clocks continue.
        if !matches!(place.as_str(), "port 0x600" | "port 0x70") {
            assert_eq!(Some(&state), states.get(&place), "{place}");
        }
    }
    assert_eq!(second.memory(VIDEO.into()), 0x42, "the buses have followed");
    assert_eq!(second.memory(FLASH_AT), 0x5a);
    assert_eq!(second.read(layout::PCI_CONFIG), 0x8000_0010_u32.to_le_bytes());
    assert_eq!(second.read(layout::CMOS + 1), [0x77]);
    second.devices.resume();
    // A machine that continues has its variables in its own file.
    assert!(lock(&second.variables.0).is_empty());
    let variables = Arc::clone(&second.variables);
    drop(second);
    assert_eq!(lock(&variables.0).pop().unwrap()[0], 0x5a);
}

#[test]
fn all_mismatches_are_named_at_once() {
    let (Some(first), Some(second)) = (Machine::new(false), Machine::new(true)) else { return };
    first.program_flash(0x5a);
    let mut states = first.save();
    states.get_mut("port 0x92").unwrap().version = 9;
    states.get_mut("port 0x70").unwrap().state = json!({ "index": 300 });
    let error = second.devices.load(&states).unwrap_err().to_string();
    assert_eq!(
        error,
        "the devices' states don't fit this machine: pci 00:02.0 (virtio-balloon): there is no state of it; \
         port 0x92 (system control port A): its state has version 9, and this nvmm knows version 1; \
         port 0x70 (CMOS real-time clock): its state is not in the form of this device's: \
         invalid value: integer `300`, expected u8"
    );
    // Nothing is written to a file.
    let variables = Arc::clone(&second.variables);
    drop(second);
    assert!(lock(&variables.0).is_empty());

    let (Some(with), Some(without)) = (Machine::new(true), Machine::new(false)) else { return };
    let mut states = with.save();
    states.remove("flash");
    assert_eq!(
        without.devices.load(&states).unwrap_err().to_string(),
        "the devices' states don't fit this machine: flash (UEFI variables): there is no state of it; \
         pci 00:02.0: this machine has no such device"
    );
}

#[test]
fn a_machine_that_runs_has_no_states() {
    let Some(machine) = Machine::new(true) else { return };
    assert_eq!(
        machine.devices.save().unwrap_err().to_string(),
        "devices can't be saved: pci 00:02.0 (virtio-balloon): it has not stopped yet"
    );
    machine.save();
}
