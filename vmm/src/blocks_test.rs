use devices::block::Total;

use super::*;

fn image() -> ImageFacts {
    ImageFacts {
        path: "/a/b.img".into(),
        overlay: None,
        format: Format::Raw,
        size: 1 << 20,
        is_read_only: false,
        cache: CacheMode::Writeback,
        is_direct: true,
        limits: [Some(100), None],
    }
}

fn disk() -> BlockFacts {
    BlockFacts {
        name: "data".to_owned(),
        tray: None,
        inserted: Some(image()),
        totals: Totals {
            read: Total { requests: 1, bytes: 2 },
            written: Total { requests: 3, bytes: 4 },
            flushes: 5,
            errors: 6,
            ..Totals::default()
        },
    }
}

#[test]
fn a_disk_is_reported_as_by_qemu() {
    let told = info(&disk());
    assert_eq!(told["device"], json!("data"));
    let inserted = &told["inserted"];
    assert_eq!(inserted["file"], json!("/a/b.img"));
    assert_eq!(inserted["backing_file"], Value::Null);
    assert_eq!(inserted["cache"], json!({"writeback": true, "direct": true, "no-flush": false}));
    assert_eq!((&inserted["iops"], &inserted["bps"]), (&json!(100), &json!(0)));
    let expected = json!({"filename": "/a/b.img", "format": "raw", "virtual-size": 1 << 20});
    assert_eq!(inserted["image"], expected);

    let overlay = Some(Some("/a/over.qcow2".into()));
    let image = ImageFacts { overlay, format: Format::Qcow2, cache: CacheMode::Unsafe, ..image() };
    let told = info(&BlockFacts { inserted: Some(image), ..disk() });
    let inserted = &told["inserted"];
    assert_eq!((&inserted["file"], &inserted["drv"]), (&json!("/a/over.qcow2"), &json!("qcow2")));
    assert_eq!(inserted["backing_file"], json!("/a/b.img"));
    assert_eq!(inserted["cache"]["no-flush"], json!(true));
}

#[test]
fn a_drive_is_reported_with_its_tray() {
    let tray = Some(TrayFacts { is_open: true, is_locked: false });
    let told = info(&BlockFacts { tray, inserted: None, ..disk() });
    let expected = json!({
        "device": "data", "type": "unknown", "removable": true, "locked": false, "tray_open": true,
    });
    assert_eq!(told, expected);
}

#[test]
fn a_disks_work_is_counted_by_kind() {
    let stats = &stats(&disk())["stats"];
    for (name, count) in [
        ("rd_operations", 1),
        ("rd_bytes", 2),
        ("wr_operations", 3),
        ("wr_bytes", 4),
        ("flush_operations", 5),
        ("nvmm-failed-operations", 6),
    ] {
        assert_eq!(stats[name], json!(count), "{name}");
    }
}
