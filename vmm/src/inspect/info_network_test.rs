use devices::{
    net::MacAddress,
    virtio::net::{Lasting, NetOptions},
};

use super::*;

#[test]
fn a_card_and_its_peer_for_each_pair_of_queues() {
    let device = |name: &str, place: &str, queues| NetworkFacts {
        name: name.to_owned(),
        place: place.to_owned(),
        mac: MacAddress([0x52, 0x54, 0, 0x12, 0x34, 0x56]),
        mtu: None,
        queues,
        link_is_up: true,
        totals: None,
        filter: Lasting::from(NetOptions::new(MacAddress([0; 6]))).rx_filter(),
    };
    let devices = [device("lan", "type=tap,ifname=t", 2), device("a\nb", "type=user", 1)];
    let expected = "lan: index=0,type=nic,model=virtio-net-pci,macaddr=52:54:00:12:34:56\n \
                    \\ lan: index=0,type=tap,ifname=t\n\
                    lan: index=1,type=nic,model=virtio-net-pci,macaddr=52:54:00:12:34:56\n \
                    \\ lan: index=1,type=tap,ifname=t\n\
                    a\\nb: index=0,type=nic,model=virtio-net-pci,macaddr=52:54:00:12:34:56\n \
                    \\ a\\nb: index=0,type=user\n";
    assert_eq!(InfoNetwork(&devices).to_string(), expected);
    assert_eq!(InfoNetwork(&[]).to_string(), "");
}
