//! Fuzzes states of devices, as a damaged or hostile file has them.

use std::{collections::BTreeMap, io, sync::Arc};

use arch::memory::GuestRam;
use vm_memory::{GuestAddress, VolatileSlice};

use super::{DeviceState, SaveState, Stateful};
use crate::{
    ahci::{Ahci, Drive, Medium, Tray},
    block::{BlockOptions, Lasting},
    bus::BusDevice,
    chipset::{HostBridge, Lpc, Rom},
    disk::format::Format,
    display::vga::{Monitor, Resolution, Vga},
    irq::{Msi, nobody::Nobody},
    pci::{BarMemory, ConfigPorts, DirtyLog, PciAddress, PciFunction, PciRoot},
    platform::{
        Cmos, CmosPorts, DebugConsole, HostTimer, I8042, PowerManagement, Serial, SystemControlA,
        VmGeneration,
        flash::{Flash, Store},
        fw_cfg::{Content, FwCfg},
    },
    virtio::{
        balloon::{Balloon, Control, Reclaim},
        block::{Block, fuzzing::memory_disk},
        device::VirtioDevice,
        input::{Reports, Tablet},
        pci::VirtioPci,
    },
};

const MEMORY: usize = 0x11_0000;
const SLOT: PciAddress = PciAddress::new(3, 0).expect("it is one");

/// Loads states of devices of all kinds into new devices, each of which loads or refuses it. A device that loads it is accessed and saved,
/// and another one loads that state.
pub fn device_states(data: &[u8]) {
    let Ok(states) = serde_json::from_slice::<BTreeMap<String, DeviceState>>(data) else { return };
    for (kind, state) in states {
        match kind.as_str() {
            "serial" => ports(&state, new_serial),
            "cmos" => ports(&state, new_cmos),
            "i8042" => ports(&state, || I8042::new(Arc::new(Nobody))),
            "fw_cfg" => ports(&state, new_fw_cfg),
            "flash" => ports(&state, new_flash),
            "power" => ports(&state, new_power),
            "control" => ports(&state, SystemControlA::default),
            "generation" => ports(&state, || VmGeneration::new([0; 16], memory(), Arc::new(Nobody))),
            "console" => ports(&state, DebugConsole::default),
            "config" => ports(&state, || ConfigPorts::new(Arc::new(PciRoot::new()))),
            "host_bridge" => function(&state, HostBridge::new),
            "lpc" => function(&state, Lpc::new),
            "vga" => function(&state, new_vga),
            "ahci" => function(&state, new_ahci),
            "block" => function(&state, || virtio(new_block())),
            "balloon" => function(&state, || virtio(new_balloon())),
            "tablet" => function(&state, || virtio(Box::new(Tablet::new(Arc::new(expect(Reports::new())))))),
            _ => {}
        }
    }
}

fn new_serial() -> Serial {
    expect(Serial::new(Arc::new(Nobody), Box::new(io::sink())))
}

fn new_cmos() -> CmosPorts {
    CmosPorts::new(Cmos::new(1 << 30, 0), Arc::new(Nobody), timer(HostTimer::utc()))
}

fn new_power() -> PowerManagement {
    PowerManagement::new(Arc::new(Nobody), timer(HostTimer::monotonic()))
}

fn new_fw_cfg() -> FwCfg {
    let mut device = FwCfg::new(memory());
    let make = || Ok(b"made".to_vec());
    let made = device.add_file("made", Content::Made { len: 9, make: Box::new(make) });
    made.expect("it has a name");
    device
}

fn new_flash() -> Flash {
    Flash::new(Arc::new(expect(Rom::new(&[0xff; 0x3000]))), Arc::new(Nobody))
}

fn new_vga() -> Vga {
    let resolution = Resolution { width: 1280, height: 800 };
    expect(Vga::new(&Arc::<Monitor>::default(), memory(), Arc::new(Nobody), resolution))
}

fn new_ahci() -> Ahci {
    let lasting = Lasting::from(BlockOptions::default());
    let medium = Medium { disk: memory_disk(0), format: Format::Raw };
    let tray = Tray::new("cdrom".to_owned(), Some(medium), lasting.clone());
    let drives = vec![Drive::disk(memory_disk(0), &lasting), Drive::cdrom(Arc::new(tray))];
    Ahci::new(SLOT, drives, &memory(), Arc::new(Nobody), Arc::new(Nobody)).expect("there are eventfds")
}

fn new_block() -> Box<dyn VirtioDevice> {
    Box::new(Block::new(memory_disk(0), &Lasting::from(BlockOptions::default())))
}

fn new_balloon() -> Box<dyn VirtioDevice> {
    Box::new(Balloon::new(Arc::<Control>::default(), Arc::new(Nobody)))
}

/// The device as a function with as many vectors as it can use.
fn virtio(device: Box<dyn VirtioDevice>) -> VirtioPci {
    let vectors = (0..=device.queue_sizes().len()).map(|_| Arc::new(Nobody) as Arc<dyn Msi>).collect();
    VirtioPci::new(SLOT, device, memory(), Arc::new(Nobody), vectors).expect("there are eventfds")
}

fn memory() -> GuestRam {
    expect(GuestRam::from_ranges(&[(GuestAddress(0), MEMORY)]))
}

fn timer(timer: io::Result<HostTimer>) -> Box<HostTimer> {
    Box::new(expect(timer))
}

/// Unwraps the result: the host has enough of everything.
fn expect<T, E: std::fmt::Debug>(made: Result<T, E>) -> T {
    made.expect("the host has it")
}

/// Loads the state into a device with ports, and accesses it.
fn ports<D: BusDevice + Stateful>(state: &DeviceState, make: impl Fn() -> D) {
    take_up(state, make, |device| {
        for offset in 0..16 {
            device.read(offset, &mut [0]);
            let _ = device.write(offset, &[0x55]);
            device.read(offset, &mut [0; 4]);
        }
    });
}

/// Loads the state into a PCI function, and reads everything that can be read, twice.
fn function<F: PciFunction + Stateful>(state: &DeviceState, make: impl Fn() -> F) {
    take_up(state, make, |function| {
        for _ in 0..2 {
            (0..0x100).step_by(4).for_each(|offset| function.config_read(offset, &mut [0; 4]));
            let bars: Vec<_> = function.config().bars().collect();
            for decoded in bars {
                let (bar, len) = (decoded.bar.index(), decoded.bar.size().min(0x6000));
                (0..len).step_by(4).for_each(|offset| function.bar_read(bar, offset, &mut [0; 4]));
            }
            drop(function.doorbells());
            let _ = function.config_write(4, &[0xff; 4]);
        }
    });
}

fn take_up<D: Stateful>(state: &DeviceState, make: impl Fn() -> D, see: impl Fn(&mut D)) {
    let mut device = make();
    if device.load_state(state).is_err() {
        return;
    }
    let again = device.save_state();
    see(&mut device);
    // A running device has no state to save.
    if let Ok(again) = again {
        make().load_state(&again).expect("a state that a device gives is one that it takes up");
    }
}

impl DirtyLog for Nobody {
    fn collect(&self, _memory: &BarMemory) {}
}

impl Store for Nobody {
    fn save(&self, _contents: Vec<u8>) {}
}

impl Reclaim for Nobody {
    fn reclaim(&self, _memory: &VolatileSlice<'_>) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
#[path = "fuzzing_test.rs"]
mod tests;
