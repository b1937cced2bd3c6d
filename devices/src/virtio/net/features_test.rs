use super::*;
use crate::net::MacAddress;

fn options() -> NetOptions {
    NetOptions::new(MacAddress::local(1))
}

/// A back end with the offloads in `0`.
#[derive(Debug)]
struct Can(Offloads);

impl Network for Can {
    fn name(&self) -> String {
        "test".to_owned()
    }

    fn most_ports(&self) -> u16 {
        1
    }

    fn use_ports(&self, _: u16) -> std::io::Result<()> {
        Ok(())
    }

    fn port(&self, _: u16) -> &dyn crate::net::Port {
        panic!("nobody uses it")
    }

    fn set_header_len(&self, _: usize) -> std::io::Result<()> {
        Ok(())
    }

    fn takes(&self) -> Offloads {
        self.0
    }

    fn gives(&self) -> Offloads {
        self.0
    }

    fn give(&self, _: Offloads) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn offloads_are_offered_as_far_as_the_host_and_the_user_allow() {
    let bits = |features: &[u32]| features.iter().fold(0, |bits, feature| bits | 1 << feature);
    assert_eq!(offered(&Can(Offloads::empty()), &options()), ALWAYS);
    assert_eq!(offered(&Can(Offloads::all() - Offloads::CSUM), &options()), ALWAYS, "all need checksums");
    assert_eq!(
        offered(&Can(Offloads::CSUM | Offloads::TSO4 | Offloads::ECN), &options()),
        ALWAYS | CTRL_GUEST_OFFLOADS | bits(&[0, 11, 13, 1, 7, 9])
    );
    let all = bits(&[0, 11, 12, 13, 14, 56, 1, 7, 8, 9, 10, 54, 55]);
    assert_eq!(offered(&Can(Offloads::all()), &options()), ALWAYS | CTRL_GUEST_OFFLOADS | all);
    let without = NetOptions { offload: false, ..options() };
    assert_eq!(offered(&Can(Offloads::all()), &without), ALWAYS);
    let more = NetOptions { mtu: Some(9000), pairs: 2, offload: false, ..options() };
    assert_eq!(offered(&Can(Offloads::all()), &more), ALWAYS | MTU | MQ);
}

/// A driver may accept any of them.
#[test]
fn frames_come_with_what_the_driver_took_and_can_use() {
    assert_eq!(guest_offloads(u64::MAX), Offloads::all());
    assert_eq!(guest_offloads(0), Offloads::empty());
    assert_eq!(guest_offloads(1 << VIRTIO_NET_F_GUEST_TSO4), Offloads::empty());
    let csum = 1 << VIRTIO_NET_F_GUEST_CSUM;
    assert_eq!(guest_offloads(csum | 1 << VIRTIO_NET_F_GUEST_ECN), Offloads::CSUM);
    assert_eq!(guest_offloads(csum | 1 << VIRTIO_NET_F_GUEST_USO4), Offloads::CSUM, "both or none");
    let uso = 1 << VIRTIO_NET_F_GUEST_USO4 | 1 << VIRTIO_NET_F_GUEST_USO6;
    assert_eq!(guest_offloads(csum | uso), Offloads::CSUM | Offloads::USO);
    assert_eq!(guest_offload_bits(csum | uso | MQ | 1), csum | uso);
}
