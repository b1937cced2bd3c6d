use proptest::prelude::*;

use super::*;
use crate::pci::root::tests::function;

fn root() -> Arc<PciRoot> {
    let root = PciRoot::new();
    root.insert(PciAddress::new(5, 0).unwrap(), function(0x1042, 0xc000_0000)).unwrap();
    Arc::new(root)
}

fn read(device: &mut impl BusDevice, offset: u64, len: usize) -> u64 {
    let mut data = [0; 8];
    device.read(offset, &mut data[..len]);
    u64::from_le_bytes(data)
}

fn address(slot: u32, function: u32, register: u32) -> [u8; 4] {
    (1 << 31 | slot << 11 | function << 8 | register).to_le_bytes()
}

#[test]
fn ports_reach_configuration_space_in_every_width() {
    let mut ports = ConfigPorts::new(root());
    assert_eq!(ports.write(0, &address(5, 0, 0)), Effect::None);
    assert_eq!(read(&mut ports, 0, 4), 0x8000_2800);
    assert_eq!(read(&mut ports, 4, 4), 0x1042_1af4);
    assert_eq!(read(&mut ports, 6, 2), 0x1042);
    assert_eq!(read(&mut ports, 5, 1), 0x1a);
    assert_eq!(read(&mut ports, 5, 2), 0x421a, "unaligned within the double word");
    assert_eq!(read(&mut ports, 7, 2), 0xffff, "out of the double word");
    assert_eq!(ports.write(0, &address(5, 0, 4)), Effect::None);
    assert_eq!(ports.write(4, &[6, 0]), Effect::None);
    assert_eq!(read(&mut ports, 4, 2), 6);
    assert_eq!(ports.write(4, &[0]), Effect::Decode);
    assert_eq!(read(&mut ports, 4, 2), 0);
}

#[test]
fn missing_functions_read_ones() {
    let mut ports = ConfigPorts::new(root());
    for config_address in [
        address(1, 0, 0),
        address(5, 1, 0),
        (1_u32 << 31 | 1 << 16 | 5 << 11).to_le_bytes(),
        (5_u32 << 11).to_le_bytes(),
    ] {
        assert_eq!(ports.write(0, &config_address), Effect::None);
        assert_eq!(read(&mut ports, 4, 4), 0xffff_ffff, "{config_address:?}");
        assert_eq!(ports.write(4, &[0; 4]), Effect::None);
    }
}

#[test]
fn config_address_is_one_double_word() {
    let mut ports = ConfigPorts::new(root());
    assert_eq!(ports.write(0, &[0xff; 4]), Effect::None);
    assert_eq!(read(&mut ports, 0, 4), 0x80ff_fffc);
    assert_eq!(ports.write(0, &[0]), Effect::None);
    assert_eq!(ports.write(0, &[0; 2]), Effect::None);
    assert_eq!(ports.write(3, &[0]), Effect::None);
    assert_eq!(read(&mut ports, 0, 4), 0x80ff_fffc);
    assert_eq!(read(&mut ports, 0, 1), 0xff);
    assert_eq!(read(&mut ports, 2, 2), 0xffff);
    assert_eq!(read(&mut ports, 2, 4), 0xffff_ffff);
}

#[test]
fn the_reset_register_resets_on_request() {
    let mut ports = ConfigPorts::new(root());
    assert_eq!(ports.write(1, &[0x02]), Effect::None);
    assert_eq!(read(&mut ports, 1, 1), 2);
    assert_eq!(ports.write(1, &[0x06]), Effect::Reset);
    assert_eq!(read(&mut ports, 1, 1), 2);
    assert_eq!(ports.write(1, &[0x0e]), Effect::Reset);
    assert_eq!(read(&mut ports, 1, 1), 0xa);
    assert_eq!(ports.write(0, &[0, 6, 0, 0]), Effect::None, "that is CONFIG_ADDRESS");
    assert_eq!(ports.write(1, &[6, 6]), Effect::None);
}

#[test]
fn ecam_and_ports_are_two_ways_to_the_same() {
    let root = root();
    let (mut ports, mut ecam) = (ConfigPorts::new(root.clone()), Ecam::new(root));
    assert_eq!(read(&mut ecam, 5 << 15, 4), 0x1042_1af4);
    assert_eq!(read(&mut ecam, 0, 4), 0x0008_1b36);
    assert_eq!(read(&mut ecam, 5 << 15 | 1 << 12, 4), 0xffff_ffff, "function 1");
    assert_eq!(read(&mut ecam, 5 << 15 | 0x100, 4), 0xffff_ffff, "extended");
    assert_eq!(read(&mut ecam, 6 << 15, 8), u64::MAX);
    assert_eq!(read(&mut ecam, 1 << 20 | 5 << 15, 4), 0xffff_ffff, "bus 1");
    assert_eq!(read(&mut ecam, 1 << 40, 4), 0xffff_ffff);
    assert_eq!(ecam.write(5 << 15 | 4, &[0, 0]), Effect::Decode);
    assert_eq!(ports.write(0, &address(5, 0, 4)), Effect::None);
    assert_eq!(read(&mut ports, 4, 1), 0);
    assert_eq!(ecam.write(5 << 15 | 0x10, &0xc100_0fff_u32.to_le_bytes()), Effect::None);
    assert_eq!(ports.write(4, &[2]), Effect::Decode);
    assert_eq!(read(&mut ecam, 5 << 15 | 0x10, 4), 0xc100_0000);
}

proptest! {
    #[test]
    fn no_access_is_too_odd(
        accesses in prop::collection::vec(
            (any::<u64>(), 0_u64..9, prop::collection::vec(any::<u8>(), 0..17)), 0..60),
    ) {
        let root = root();
        let (mut ports, mut ecam) = (ConfigPorts::new(root.clone()), Ecam::new(root));
        for (anywhere, port, data) in accesses {
            for effect in [
                ports.write(port, &data),
                ports.write(anywhere, &data),
                ecam.write(anywhere % layout::ECAM_LEN, &data),
                ecam.write(anywhere, &data),
            ] {
                prop_assert!(matches!(effect, Effect::None | Effect::Decode | Effect::Reset), "{:?}", effect);
            }
            let mut data = data;
            ports.read(port, &mut data);
            ports.read(anywhere, &mut data);
            ecam.read(anywhere % layout::ECAM_LEN, &mut data);
        }
        prop_assert_eq!(read(&mut ecam, 5 << 15, 4), 0x1042_1af4);
    }
}
