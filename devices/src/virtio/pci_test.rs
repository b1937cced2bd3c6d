use std::{io, sync::Arc, time::Duration};

use arch::memory::GuestRam;
use proptest::prelude::*;
use virtio_queue::Queue;

use super::{VirtioPci, test_guest::*};
use crate::{
    bus::Effect,
    irq::Msi,
    pci::{ClassCode, Lifecycle, PciAddress, PciFunction},
    state::Stateless,
    testing::{FakeLine, FakeMsi},
    virtio::device::{Activation, DeviceKind, Halt, VirtioDevice},
};

const COMMAND: u16 = 4;
const VENDOR: u32 = 9;
const MSIX: u32 = 0x11;
const CONFIG_ACCESS: Option<u32> = Some(5);

fn kicked(guest: &Guest) -> Vec<u64> {
    guest.pci.common.kicks().iter().map(|kick| kick.read().unwrap_or(0)).collect()
}

#[test]
fn the_function_is_a_modern_virtio_device() {
    let mut guest = Guest::new();
    assert_eq!(guest.config_read(0, 4), 0x1042_1af4);
    assert_eq!(guest.config_read(8, 4), 0x0180_0001);
    assert_eq!(guest.config_read(0xe, 1), 0, "one function, not a bridge");
    assert_eq!(u64::from(guest.config_read(0x10, 4)), BAR);
    assert_eq!(guest.config_read(0x2c, 4), 0x0040_1af4);
    assert_eq!(guest.config_read(0x3c, 2), 0x0113, "INTA, at input 16 + 3");
    assert_eq!(guest.pci.config().identity().to_string(), "virtio-fake [1af4:1042]");
}

#[test]
fn capabilities_lead_to_the_structures() {
    let mut guest = Guest::new();
    for (cfg_type, len, offset, length) in
        [(1, 16, 0, 56), (2, 20, NOTIFY, 0x1000), (3, 16, ISR, 1), (4, 16, DEVICE, 0x1000), (5, 20, 0, 0)]
    {
        let at = guest.capability(VENDOR, Some(cfg_type));
        assert_eq!(at % 4, 0);
        assert_eq!(guest.config_read(at + 2, 1), len);
        assert_eq!(guest.config_read(at + 4, 4), 0, "bar 0");
        assert_eq!(u64::from(guest.config_read(at + 8, 4)), offset);
        assert_eq!(guest.config_read(at + 12, 4), length);
    }
    let notify = guest.capability(VENDOR, Some(2));
    assert_eq!(guest.config_read(notify + 16, 4), 4, "multiplier");
    let msix = guest.capability(MSIX, None);
    assert_eq!(guest.config_read(msix + 2, 2), 2, "three vectors");
    assert_eq!(guest.config_read(msix + 4, 4), 0x4000);
    assert_eq!(guest.config_read(msix + 8, 4), 0x5000);
}

#[test]
fn notifications_kick_the_queue() {
    let mut guest = Guest::new();
    guest.write(NOTIFY + 4, 1, 2);
    assert_eq!(kicked(&guest), [0, 1]);
    guest.write(NOTIFY, 0, 4);
    guest.write(NOTIFY, 0, 2);
    assert_eq!(kicked(&guest), [2, 0]);
    for offset in [NOTIFY + 1, NOTIFY + 2, NOTIFY + 8, NOTIFY + 0xffc] {
        guest.write(offset, 0, 2);
    }
    assert_eq!(kicked(&guest), [0, 0]);
    assert_eq!(guest.read(NOTIFY, 4), 0);
    guest.start();
    guest.write(NOTIFY + 4, 1, 2);
    let state = guest.state();
    let queues = &state.active.as_ref().unwrap().queues;
    assert_eq!(queues[1].kick.read().unwrap(), 1, "the device's end of it");
}

#[test]
fn device_configuration_is_the_devices() {
    let mut guest = Guest::new();
    guest.write(DEVICE + 2, 0x1122_3344, 4);
    assert_eq!(guest.state().config, [0, 0, 0x44, 0x33, 0x22, 0x11, 0, 0]);
    assert_eq!(guest.read(DEVICE + 4, 8), 0x1122);
    assert_eq!(guest.read(DEVICE + 0xffc, 8), 0);
}

#[test]
fn without_msix_there_is_intx_and_the_isr() {
    let mut guest = Guest::new();
    guest.start();
    let notify = guest.state().active.as_ref().unwrap().notify.clone();
    notify.used(0);
    assert!(guest.line.high());
    assert_eq!(guest.config_read(6, 2) & 8, 8, "interrupt status");
    assert_eq!(guest.read(ISR + 1, 1), 0, "that is not the isr");
    assert!(guest.line.high());
    assert_eq!(guest.read(ISR, 1), 1);
    assert!(!guest.line.high());
    assert_eq!(guest.config_read(6, 2) & 8, 0);
    assert_eq!(guest.read(ISR, 4), 0);

    assert_eq!(guest.config_write(COMMAND, 0x0402, 2), Effect::None);
    notify.config_changed();
    assert!(!guest.line.high(), "disabled");
    assert_eq!(guest.config_read(6, 2) & 8, 8);
    assert_eq!(guest.config_write(COMMAND, 0x0002, 2), Effect::None);
    assert!(guest.line.high());
    guest.enable_msix();
    assert!(!guest.line.high(), "msix is enabled");
    notify.used(1);
    assert_eq!(guest.take_signals(), [0, 0, 1]);
    assert!(!guest.line.high());
}

#[test]
fn the_msix_table_is_behind_the_bar() {
    let mut guest = Guest::new();
    guest.enable_msix();
    guest.start();
    guest.write(QUEUE_SELECT, 0, 2);
    guest.write(QUEUE_MSIX_VECTOR, 1, 2);
    let notify = guest.state().active.as_ref().unwrap().notify.clone();
    guest.write(MSIX_TABLE + 16 + 12, 1, 4);
    notify.used(0);
    assert_eq!(guest.take_signals(), [0, 0, 0]);
    assert_eq!(guest.read(0x5000, 8), 2, "pending");
    guest.write(0x5000, 0, 8);
    assert_eq!(guest.read(0x5000, 4), 2, "read-only");
    guest.write(MSIX_TABLE + 16 + 12, 0, 4);
    assert_eq!(guest.take_signals(), [0, 1, 0]);
    assert_eq!(guest.read(0x5000, 8), 0);
    let msix = guest.capability(MSIX, None);
    assert_eq!(guest.config_write(msix + 3, 0xc0, 1), Effect::None, "the mask for all");
    notify.used(0);
    assert_eq!(guest.take_signals(), [0, 0, 0]);
    assert_eq!(guest.config_write(msix, 0x8000_0000, 4), Effect::None);
    assert_eq!(guest.take_signals(), [0, 1, 0]);
}

#[test]
fn there_are_doorbells_while_a_driver_uses_the_device() {
    let mut guest = Guest::new();
    let offsets = |guest: &Guest| {
        let doorbells = guest.pci.doorbells().into_iter();
        doorbells.map(|doorbell| (doorbell.bar, doorbell.offset)).collect::<Vec<_>>()
    };
    let none: Vec<(u8, u64)> = Vec::new();
    assert_eq!(offsets(&guest), none);
    guest.start();
    assert_eq!(offsets(&guest), [(0, NOTIFY), (0, NOTIFY + 4)]);
    for (doorbell, kick) in guest.pci.doorbells().iter().zip([[1, 0], [0, 1]]) {
        doorbell.event.write(1).unwrap();
        assert_eq!(kicked(&guest), kick);
    }
    let status = |guest: &mut Guest, value| guest.pci.bar_write(0, DEVICE_STATUS, &[value]);
    assert_eq!(status(&mut guest, 0xf), Effect::None, "it is as before");
    assert_eq!(status(&mut guest, 0), Effect::Decode);
    assert_eq!(offsets(&guest), none);
    guest.negotiate(FEATURES | VERSION_1);
    assert_eq!(status(&mut guest, 0xf), Effect::Decode);
    assert_eq!(guest.pci.doorbells().len(), 2);
    // Also through the window.
    let window = guest.capability(VENDOR, CONFIG_ACCESS);
    assert_eq!(guest.config_write(window + 8, u32::try_from(DEVICE_STATUS).unwrap(), 4), Effect::None);
    assert_eq!(guest.config_write(window + 12, 1, 4), Effect::None);
    assert_eq!(guest.config_write(window + 16, 0, 1), Effect::Decode);
    assert_eq!(offsets(&guest), none);
}

/// The host is told of their end by the write that begins it: a read, which ends it, has no effect on the host.
#[test]
fn doorbells_go_when_a_slow_reset_begins() {
    let mut guest = Guest::new();
    guest.start();
    guest.state().hangs = true;
    let (bar, status) = (guest.pci.memory_bar, 0x14);
    assert_eq!(guest.pci.bar_write(bar, status, &[0]), Effect::Decode);
    assert!(guest.pci.doorbells().is_empty());
    assert_ne!(guest.status(), 0, "not yet");
    guest.state().hangs = false;
    assert_eq!(guest.status(), 0);
    assert!(guest.pci.doorbells().is_empty());
    guest.start();
    assert_eq!(guest.pci.doorbells().len(), 2);
}

#[test]
fn configuration_space_has_a_window_to_the_bar() {
    let mut guest = Guest::new();
    let window = guest.capability(VENDOR, CONFIG_ACCESS);
    let aim = |guest: &mut Guest, bar: u32, offset: u64, length: u32| {
        assert_eq!(guest.config_write(window + 4, bar, 1), Effect::None);
        assert_eq!(guest.config_write(window + 8, offset.try_into().unwrap(), 4), Effect::None);
        assert_eq!(guest.config_write(window + 12, length, 4), Effect::None);
    };
    // Also while the BAR is not decoded: early firmware has assigned none.
    assert_eq!(guest.config_write(COMMAND, 0, 2), Effect::Decode);
    aim(&mut guest, 0, NUM_QUEUES, 2);
    assert_eq!(guest.config_read(window + 16, 2), 2);
    aim(&mut guest, 0, DEVICE_STATUS, 1);
    assert_eq!(guest.config_write(window + 16, 3, 1), Effect::None);
    assert_eq!(guest.config_read(window + 16, 1), 3);
    aim(&mut guest, 0, NOTIFY + 4, 2);
    assert_eq!(guest.config_write(window + 16, 1, 2), Effect::None);
    assert_eq!(kicked(&guest), [0, 1]);
    for (bar, offset, length) in [
        (1, NOTIFY, 2),
        (0, NOTIFY, 0),
        (0, NOTIFY, 3),
        (0, NOTIFY, 8),
        (0, NOTIFY, u32::MAX),
        (0, DEVICE_STATUS - 1, 2),
        (0, VirtioPci::BAR_SIZE, 4),
        (0, 0xffff_fffc, 4),
    ] {
        aim(&mut guest, bar, offset, length);
        assert_eq!(guest.config_write(window + 16, 0, 4), Effect::None);
        assert_eq!(guest.config_read(window + 16, 4), 0, "{bar} {offset:#x} {length}");
    }
    assert_eq!(kicked(&guest), [0, 0]);
    assert_eq!(guest.config_write(COMMAND, 2, 2), Effect::Decode);
    assert_eq!(guest.status(), 3);
}

#[test]
fn structures_that_do_not_fit_the_bar_are_refused() {
    #[derive(Debug)]
    struct Wide(Vec<u16>);
    impl Stateless for Wide {}
    impl VirtioDevice for Wide {
        fn kind(&self) -> DeviceKind {
            DeviceKind {
                device_type: 1,
                class: ClassCode { base: 2, sub: 0, interface: 0 },
                name: "virtio-wide",
            }
        }
        fn features(&self) -> u64 {
            0
        }
        fn queue_sizes(&self) -> &[u16] {
            &self.0
        }
        fn activate(&mut self, _activation: Activation) -> io::Result<()> {
            Ok(())
        }
        fn stop(&mut self, _halt: Halt, _patience: Duration) -> Option<Vec<(u16, Queue)>> {
            Some(Vec::new())
        }
        fn reset(&mut self) {}
    }
    let new = |queues: usize, vectors: usize| {
        VirtioPci::new(
            PciAddress::new(1, 0).unwrap(),
            Box::new(Wide(vec![16; queues])),
            GuestRam::default(),
            Arc::new(FakeLine::default()),
            (0..vectors).map(|_| Arc::new(FakeMsi::default()) as Arc<dyn Msi>).collect(),
        )
    };
    let error = |queues, vectors| new(queues, vectors).unwrap_err().to_string();
    assert_eq!(error(1025, 1), "a virtio device with 1025 queues: 1024 are possible");
    for vectors in [0, 257, 70_000] {
        let expected = format!("a virtio device with {vectors} interrupt vectors: 1 to 256 are possible");
        assert_eq!(error(1, vectors), expected);
    }
    let widest = new(1, 256).unwrap();
    assert_eq!(widest.msix.vectors().count(), 256);
}

/// Any access, often to something useful: structures, capabilities, the header.
fn accesses() -> impl Strategy<Value = Vec<(bool, u64, Vec<u8>)>> {
    let offset = prop_oneof![
        4 => 0_u64..0x40,
        1 => prop::sample::select(vec![ISR, DEVICE, NOTIFY, NOTIFY + 4, MSIX_TABLE + 12, MSIX_TABLE + 28, 0x5000]),
        2 => 0x40_u64..0xb0,
        1 => 0_u64..0x8000,
        1 => any::<u64>(),
    ];
    let len = prop::sample::select(vec![1, 2, 4, 8, 3, 0, 16]);
    let value = prop_oneof![Just(0_u64), Just(1), 0..16_u64, Just(0x1000), Just(u64::MAX), any::<u64>()];
    let data = (len, value).prop_map(|(len, value)| value.to_le_bytes().repeat(2)[..len].to_vec());
    prop::collection::vec((any::<bool>(), offset, data), 0..150)
}

proptest! {
    /// A device that asserts that it is activated and reset in turn, with queues that lie in memory.
    #[test]
    fn no_access_is_too_odd(accesses in accesses(), started: bool) {
        let mut guest = Guest::new();
        if started {
            guest.enable_msix();
            guest.start();
        }
        for (index, (to_config, offset, data)) in accesses.into_iter().enumerate() {
            if index % 8 == 0 {
                prop_assert!(guest.pci.pause(Duration::ZERO));
                prop_assert!(guest.pci.resume().is_ok());
            }
            let mut back = data.clone();
            let effect = if to_config {
                let offset = u16::try_from(offset % 0x1000).unwrap();
                guest.pci.config_read(offset, &mut back);
                guest.pci.config_write(offset, &data)
            } else {
                guest.pci.bar_read(0, offset, &mut back);
                guest.pci.bar_write(0, offset, &data)
            };
            prop_assert!(matches!(effect, Effect::None | Effect::Decode), "{:?}", effect);
            if let Some(active) = &guest.state().active {
                active.notify.used(0);
                active.notify.config_changed();
            }
        }
        prop_assert_eq!(guest.config_read(0, 4), 0x1042_1af4);
        let _effect = guest.config_write(COMMAND, 2, 2);
        guest.start();
        let active = guest.state().active.is_some();
        prop_assert!(active, "a driver can still begin anew");
    }
}
