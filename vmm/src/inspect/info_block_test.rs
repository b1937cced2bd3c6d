use serde_json::json;

use super::*;

#[test]
fn disks_are_shown_as_qemu_shows_them() {
    let plain = json!({
        "device": "root",
        "inserted": {
            "file": "d.img", "node-name": "root", "drv": "raw", "ro": false, "iops": 0, "bps": 0,
            "cache": { "writeback": true, "direct": false, "no-flush": false },
        },
    });
    let other = json!({
        "device": "seed",
        "inserted": {
            "file": "seed\n.qcow2", "node-name": "seed", "drv": "qcow2", "ro": true, "iops": 100, "bps": 0,
            "cache": { "writeback": false, "direct": true, "no-flush": true }, "backing_file": "base",
        },
    });
    let expected = "root: d.img (raw)
    Cache mode:       writeback

seed: seed\\n.qcow2 (qcow2, read-only)
    Cache mode:       writethrough, direct, ignore flushes
    Backing file:     base
    I/O throttling:   bps=0 iops=100
";
    assert_eq!(InfoBlock(&[plain, other]).to_string(), expected);
    let empty = json!({ "device": "cdrom", "removable": true, "locked": false, "tray_open": true });
    let expected = "cdrom: [not inserted]\n    Removable device: not locked, tray open\n";
    assert_eq!(InfoBlock(&[empty]).to_string(), expected);
    assert_eq!(InfoBlock(&[]).to_string(), "");
}
