use super::*;

fn filter() -> RxFilter {
    let mac = |last| MacAddress([0x52, 0x54, 0, 0, 0, last]);
    RxFilter {
        promiscuous: false,
        unicast: RxState::Normal,
        multicast: RxState::All,
        broadcast_allowed: true,
        main_mac: mac(2),
        unicast_table: Some(vec![mac(3)]),
        multicast_table: None,
    }
}

#[test]
fn each_count_is_reported() {
    let received =
        Total { frames: 1, bytes: 2, link_down: 3, unwanted: 4, no_room: 5, malformed: 6, refused: 7 };
    let mut device = NetworkFacts {
        name: "lan".to_owned(),
        place: "type=tap,ifname=t".to_owned(),
        mac: MacAddress([0x52, 0x54, 0, 0, 0, 1]),
        mtu: None,
        queues: 2,
        link_is_up: false,
        totals: Some(Totals { received, sent: Total { frames: 8, ..Total::default() } }),
        filter: filter(),
    };
    let told = info(&device);
    assert_eq!(told["name"], json!("lan"));
    assert_eq!((&told["mac"], &told["mtu"]), (&json!("52:54:00:00:00:01"), &Value::Null));
    assert_eq!((&told["link-up"], &told["queues"]), (&json!(false), &json!(2)));
    let dropped = json!({"link-down": 3, "unwanted": 4, "no-room": 5, "malformed": 6, "refused": 7});
    assert_eq!(told["received"], json!({"frames": 1, "bytes": 2, "dropped": dropped}));
    assert_eq!((&told["sent"]["frames"], &told["vhost"]), (&json!(8), &json!(false)));
    device.totals = None;
    let told = info(&device);
    assert_eq!((&told["received"], &told["vhost"]), (&Value::Null, &json!(true)), "nvmm does not count them");
    let expected = json!({
        "name": "lan", "promiscuous": false, "multicast": "all", "unicast": "normal", "vlan": "all",
        "broadcast-allowed": true, "multicast-overflow": true, "unicast-overflow": false,
        "main-mac": "52:54:00:00:00:02", "vlan-table": [], "unicast-table": ["52:54:00:00:00:03"],
        "multicast-table": [],
    });
    assert_eq!(rx_filter(&device), expected);
}
