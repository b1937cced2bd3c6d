//! A guest that drives a virtio function by its registers, and a device that records its calls.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard},
    thread,
    time::{Duration, Instant},
};

use arch::memory::GuestRam;
use virtio_queue::{Queue, QueueT};
use vm_memory::GuestAddress;

use super::VirtioPci;
pub(super) use crate::pci::Lifecycle;
use crate::{
    bus::Effect,
    irq::Msi,
    pci::{Bar, BarError, BarSpace, ClassCode, PciAddress, PciFunction},
    state::{StateError, Stateful},
    testing::{FakeLine, FakeMsi},
    virtio::device::{Activation, DeviceKind, Halt, VirtioDevice},
};

pub(super) const MEMORY_SIZE: u64 = 0x10_0000;
pub(super) const BAR: u64 = 0xc000_0000;
pub(super) const PORTS: u64 = 0xc000;
pub(super) const TRANSITIONAL_ID: u16 = 0x1002;
pub(super) const VERSION_1: u64 = 1 << 32;
pub(super) const FEATURES: u64 = 1 << 29 | 1 << 28 | 1 << 5 | 1 << 50;
pub(super) const QUEUE_SIZES: [u16; 2] = [256, 64];

// Offsets of the structures in the BAR.
pub(super) const ISR: u64 = 0x1000;
pub(super) const DEVICE: u64 = 0x2000;
pub(super) const NOTIFY: u64 = 0x3000;
pub(super) const MSIX_TABLE: u64 = 0x4000;

// virtio 1.3, "Common configuration structure layout".
pub(super) const DEVICE_FEATURE_SELECT: u64 = 0;
pub(super) const DEVICE_FEATURE: u64 = 4;
pub(super) const DRIVER_FEATURE_SELECT: u64 = 8;
pub(super) const DRIVER_FEATURE: u64 = 12;
pub(super) const CONFIG_MSIX_VECTOR: u64 = 16;
pub(super) const NUM_QUEUES: u64 = 18;
pub(super) const DEVICE_STATUS: u64 = 20;
pub(super) const CONFIG_GENERATION: u64 = 21;
pub(super) const QUEUE_SELECT: u64 = 22;
pub(super) const QUEUE_SIZE: u64 = 24;
pub(super) const QUEUE_MSIX_VECTOR: u64 = 26;
pub(super) const QUEUE_ENABLE: u64 = 28;
pub(super) const QUEUE_NOTIFY_OFF: u64 = 30;
pub(super) const QUEUE_DESC: u64 = 32;
pub(super) const QUEUE_DRIVER: u64 = 40;
pub(super) const QUEUE_DEVICE: u64 = 48;

pub(super) const ACKNOWLEDGE: u8 = 1;
pub(super) const DRIVER: u8 = 2;
pub(super) const DRIVER_OK: u8 = 4;
pub(super) const FEATURES_OK: u8 = 8;
pub(super) const NEEDS_RESET: u8 = 64;
pub(super) const FAILED: u8 = 128;

/// The calls to the device.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) agreed: Option<u64>,
    pub(super) active: Option<Activation>,
    pub(super) resets: u32,
    pub(super) config: [u8; 8],
    pub(super) fail: bool,
    /// The way in which it was last told to stop.
    pub(super) halt: Option<Halt>,
    /// The device never stops.
    pub(super) hangs: bool,
}

#[derive(Debug)]
struct FakeDevice {
    state: Arc<Mutex<State>>,
    /// Legacy drivers can use it.
    transitional: bool,
}

impl FakeDevice {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl Stateful for FakeDevice {
    type State = [u8; 8];

    fn save(&self) -> Result<[u8; 8], StateError> {
        Ok(self.state().config)
    }

    fn load(&mut self, config: [u8; 8]) -> Result<(), StateError> {
        self.state().config = config;
        Ok(())
    }
}

impl VirtioDevice for FakeDevice {
    fn kind(&self) -> DeviceKind {
        DeviceKind {
            device_type: 2,
            class: ClassCode { base: 1, sub: 0x80, interface: 0 },
            name: "virtio-fake",
        }
    }

    fn features(&self) -> u64 {
        FEATURES
    }

    fn queue_sizes(&self) -> &[u16] {
        &QUEUE_SIZES
    }

    fn transitional_id(&self) -> Option<u16> {
        self.transitional.then_some(TRANSITIONAL_ID)
    }

    fn read_config(&self, offset: u64, data: &mut [u8]) {
        data.fill(0);
        crate::registers::read(&self.state().config, offset, data);
    }

    fn write_config(&mut self, offset: u64, data: &[u8]) {
        let mut state = self.state();
        for (offset, &value) in (offset..8).zip(data) {
            state.config[usize::try_from(offset).unwrap()] = value;
        }
    }

    fn features_agreed(&mut self, features: u64) {
        let before = self.state().agreed.replace(features);
        assert!(before.is_none() || features & VERSION_1 == 0, "agreed twice");
    }

    fn activate(&mut self, activation: Activation) -> io::Result<()> {
        let mut state = self.state();
        assert_eq!(state.agreed, Some(activation.features));
        assert!(state.active.is_none(), "activated twice");
        for active in &activation.queues {
            assert!(active.queue.is_valid(&activation.memory), "{active:?}");
        }
        if state.fail {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        state.active = Some(activation);
        Ok(())
    }

    fn stop(&mut self, halt: Halt, _: Duration) -> Option<Vec<(u16, Queue)>> {
        let mut state = self.state();
        state.halt = Some(halt);
        if state.hangs {
            return None;
        }
        let queues = state.active.take().into_iter().flat_map(|active| active.queues);
        Some(queues.map(|active| (active.index, active.queue)).collect())
    }

    fn reset(&mut self) {
        let mut state = self.state();
        state.active = None;
        state.agreed = None;
        state.resets += 1;
    }
}

#[derive(Debug)]
pub(super) struct Guest {
    pub(super) pci: VirtioPci,
    /// The memory BAR's register.
    bar: u8,
    pub(super) line: Arc<FakeLine>,
    pub(super) vectors: Vec<Arc<FakeMsi>>,
    state: Arc<Mutex<State>>,
}

impl Guest {
    /// A guest with a device that does nothing, in slot 3.
    pub(super) fn new() -> Self {
        Self::with_fake(false)
    }

    /// The same with a transitional device.
    pub(super) fn transitional() -> Self {
        Self::with_fake(true)
    }

    fn with_fake(transitional: bool) -> Self {
        let state = Arc::default();
        let len = usize::try_from(MEMORY_SIZE).unwrap();
        let memory = GuestRam::from_ranges(&[(GuestAddress(0), len)]).unwrap();
        let device = FakeDevice { state: Arc::clone(&state), transitional };
        Self { state, ..Self::with_device(Box::new(device), memory) }
    }

    /// A guest with the given device.
    pub(super) fn with_device(device: Box<dyn VirtioDevice>, memory: GuestRam) -> Self {
        let line = Arc::new(FakeLine::default());
        let vectors: Vec<_> = (0..3).map(|_| Arc::new(FakeMsi::default())).collect();
        let msis = vectors.iter().map(|msi| msi.clone() as Arc<dyn Msi>).collect();
        let address = PciAddress::new(3, 0).unwrap();
        let bar = u8::from(device.transitional_id().is_some());
        let mut pci = VirtioPci::new(address, device, memory, line.clone(), msis).unwrap();
        let place = |bar: Bar| Ok::<_, BarError>(if bar.space() == BarSpace::Io { PORTS } else { BAR });
        pci.config_mut().place_bars(place).unwrap();
        Self { pci, bar, line, vectors, state: Arc::default() }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(super) fn shared_state(&self) -> Arc<Mutex<State>> {
        Arc::clone(&self.state)
    }

    pub(super) fn read(&mut self, offset: u64, len: usize) -> u64 {
        let mut data = [0; 8];
        self.pci.bar_read(self.bar, offset, &mut data[..len]);
        u64::from_le_bytes(data)
    }

    pub(super) fn write(&mut self, offset: u64, value: u64, len: usize) {
        let effect = self.pci.bar_write(self.bar, offset, &value.to_le_bytes()[..len]);
        assert!(offset == DEVICE_STATUS || effect == Effect::None, "{effect:?}");
    }

    /// Reads a port of the legacy interface.
    pub(super) fn port_read(&mut self, offset: u64, len: usize) -> u64 {
        assert_eq!(self.bar, 1);
        let mut data = [0xff; 8];
        self.pci.bar_read(0, offset, &mut data[..len]);
        u64::from_le_bytes(data) & u64::MAX >> (64 - 8 * len)
    }

    pub(super) fn port_write(&mut self, offset: u64, value: u64, len: usize) -> Effect {
        assert_eq!(self.bar, 1);
        self.pci.bar_write(0, offset, &value.to_le_bytes()[..len])
    }

    pub(super) fn config_read(&mut self, offset: u16, len: usize) -> u32 {
        let mut data = [0; 4];
        self.pci.config_read(offset, &mut data[..len]);
        u32::from_le_bytes(data)
    }

    pub(super) fn config_write(&mut self, offset: u16, value: u32, len: usize) -> Effect {
        self.pci.config_write(offset, &value.to_le_bytes()[..len])
    }

    pub(super) fn status(&mut self) -> u8 {
        u8::try_from(self.read(DEVICE_STATUS, 1)).unwrap()
    }

    pub(super) fn set_status(&mut self, status: u8) {
        self.write(DEVICE_STATUS, status.into(), 1);
    }

    /// Resets the device, and waits for that as Linux does.
    pub(super) fn reset(&mut self) {
        self.set_status(0);
        let start = Instant::now();
        while self.status() != 0 {
            assert!(start.elapsed() < Duration::from_secs(60), "a reset without an end");
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Sets further status bits, as Linux does.
    pub(super) fn add_status(&mut self, status: u8) {
        let before = self.status();
        self.set_status(before | status);
    }

    pub(super) fn set_features(&mut self, features: u64) {
        for half in 0..2 {
            self.write(DRIVER_FEATURE_SELECT, half, 4);
            self.write(DRIVER_FEATURE, features >> (32 * half) & 0xffff_ffff, 4);
        }
    }

    pub(super) fn set_up_queue(&mut self, queue: u16, size: u16, areas: [u64; 3]) {
        self.write(QUEUE_SELECT, queue.into(), 2);
        self.write(QUEUE_SIZE, size.into(), 2);
        for (register, address) in [QUEUE_DESC, QUEUE_DRIVER, QUEUE_DEVICE].into_iter().zip(areas) {
            self.write(register, address & 0xffff_ffff, 4);
            self.write(register + 4, address >> 32, 4);
        }
        self.write(QUEUE_ENABLE, 1, 2);
    }

    /// Negotiates features.
    pub(super) fn negotiate(&mut self, features: u64) {
        self.reset();
        self.add_status(ACKNOWLEDGE);
        self.add_status(DRIVER);
        self.set_features(features);
        self.add_status(FEATURES_OK);
    }

    /// Starts the device, with both queues.
    pub(super) fn start(&mut self) {
        self.negotiate(FEATURES | VERSION_1);
        self.set_up_queue(0, 256, [0x1_0000, 0x2_0000, 0x3_0000]);
        self.set_up_queue(1, 64, [0x4_0000, 0x5_0000, 0x6_0000]);
        self.add_status(DRIVER_OK);
        assert_eq!(self.status(), ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
    }

    /// The offset of a capability: MSI-X, or virtio's with this `cfg_type`.
    pub(super) fn capability(&mut self, id: u32, cfg_type: Option<u32>) -> u16 {
        let mut at = u16::try_from(self.config_read(0x34, 1)).unwrap();
        while at != 0 {
            let found = cfg_type.is_none_or(|cfg_type| self.config_read(at + 3, 1) == cfg_type);
            if self.config_read(at, 1) == id && found {
                return at;
            }
            at = u16::try_from(self.config_read(at + 1, 1)).unwrap();
        }
        panic!("no capability {id:#x}");
    }

    /// Enables MSI-X with all vectors unmasked. Queue `n` gets vector `n + 1`, and the configuration vector 0.
    pub(super) fn enable_msix(&mut self) {
        let capability = self.capability(0x11, None);
        assert_eq!(self.config_write(capability + 2, 0x8000, 2), Effect::None);
        for vector in 0..3 {
            let entry = MSIX_TABLE + 16 * vector;
            self.write(entry, 0xfee0_0000, 4);
            self.write(entry + 8, 0x40 + vector, 4);
            self.write(entry + 12, 0, 4);
        }
        self.write(CONFIG_MSIX_VECTOR, 0, 2);
        for queue in 0..2 {
            self.write(QUEUE_SELECT, queue, 2);
            self.write(QUEUE_MSIX_VECTOR, queue + 1, 2);
        }
    }

    pub(super) fn take_signals(&self) -> Vec<u32> {
        self.vectors.iter().map(|msi| msi.take_signals()).collect()
    }
}
