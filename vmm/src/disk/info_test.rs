use devices::disk::image::OpenError;

use super::*;

fn link(path: &str, size: u64, details: Details) -> LinkInfo {
    LinkInfo {
        path: path.into(),
        size: Some(size),
        len: 196_616,
        allocated: Some(200_704),
        writer: None,
        files: vec![],
        details,
    }
}

fn overlay() -> LinkInfo {
    let facts = Qcow2Facts {
        version: 3,
        size: 10 << 30,
        cluster_size: Some(65536),
        refcount_bits: Some(16),
        compression: "zlib",
        snapshots: 2,
        features: vec!["lazy refcounts"],
        backing_file: Some("base.vmdk".into()),
        backing_format: Some("vmdk".into()),
        ..Qcow2Facts::default()
    };
    link("vms/top.qcow2", 10 << 30, Details::Qcow2(Some(facts)))
}

fn base() -> LinkInfo {
    let extent = |number: u64| VmdkExtent {
        kind: "sparse",
        path: Some(format!("/vms/base-s{number:03}.vmdk").into()),
        size: 2 << 30,
        grain_size: Some(65536),
        compressed: false,
    };
    let facts = VmdkFacts {
        create_type: Some("twoGbMaxExtentSparse".into()),
        cid: Some(0xab_cdef),
        parent_cid: None,
        parent_file: None,
        extents: (1..=10).map(extent).collect(),
    };
    link("vms/base.vmdk", 20 << 30, Details::Vmdk(facts))
}

fn missing() -> OpenError {
    devices::disk::image::open("/nowhere/disk".as_ref(), &devices::disk::image::OpenOptions::default())
        .unwrap_err()
}

#[test]
fn an_overlay_in_use() {
    let top = LinkInfo { writer: Some("nvmm (pid 7)".into()), ..overlay() };
    let report = Report::new(Info { links: vec![top, base()], wrong: None });
    assert!(report.is_good());
    insta::assert_snapshot!(report.text(Paint::PLAIN), @r"
    image         vms/top.qcow2
    format        qcow2, version 3
    size          10 GiB (10737418240 bytes)
    on the host   196 KiB used, 192 KiB long
    in use        by nvmm (pid 7), which writes to it
    clusters      64 KiB
    compression   zlib
    snapshots     2, inside
    features      lazy refcounts
    base          base.vmdk, vmdk
    chain         vms/top.qcow2  qcow2  10 GiB  196 KiB used
                  vms/base.vmdk  vmdk   20 GiB  196 KiB used
    ");
}

#[test]
fn a_vmdk_of_many_pieces() {
    let report = Report::new(Info { links: vec![base()], wrong: Some(missing()) });
    assert!(!report.is_good());
    insta::assert_snapshot!(report.text(Paint::PLAIN), @r"
    image         vms/base.vmdk
    format        vmdk, twoGbMaxExtentSparse
    size          20 GiB (21474836480 bytes)
    on the host   196 KiB used, 192 KiB long
    CID           00abcdef
    extents       sparse, 2 GiB in grains of 64 KiB, base-s001.vmdk
                  sparse, 2 GiB in grains of 64 KiB, base-s002.vmdk
                  sparse, 2 GiB in grains of 64 KiB, base-s003.vmdk
                  sparse, 2 GiB in grains of 64 KiB, base-s004.vmdk
                  sparse, 2 GiB in grains of 64 KiB, base-s005.vmdk
                  sparse, 2 GiB in grains of 64 KiB, base-s006.vmdk
                  sparse, 2 GiB in grains of 64 KiB, base-s007.vmdk
                  sparse, 2 GiB in grains of 64 KiB, base-s008.vmdk
                  and 2 more

    ✗ disk /nowhere/disk does not exist
    ");
}

#[test]
fn a_device() {
    let device = LinkInfo { allocated: None, ..link("/dev/vdb", 1 << 30, Details::Raw { guessed: true }) };
    insta::assert_snapshot!(Report::new(Info { links: vec![device], wrong: None }).text(Paint::PLAIN), @r"
    image         /dev/vdb
    format        raw, as it begins like nothing else
    size          1 GiB (1073741824 bytes)
    on the host   a device of 192 KiB
    ");
}

#[test]
fn the_output_for_programs() {
    let mut base = base();
    if let Details::Vmdk(facts) = &mut base.details {
        facts.extents.truncate(1);
    }
    let unknown = LinkInfo { size: None, ..link("old.qcow2", 0, Details::Qcow2(None)) };
    let raw = link("base.raw", 1 << 20, Details::Raw { guessed: false });
    let links = vec![overlay(), base, unknown, raw];
    let json = serde_json::to_string_pretty(&Report::new(Info { links, wrong: Some(missing()) })).unwrap();
    insta::assert_snapshot!(json, @r#"
    {
      "schema": 1,
      "problem": "disk /nowhere/disk does not exist",
      "chain": [
        {
          "path": "vms/top.qcow2",
          "format": "qcow2",
          "virtual_size": 10737418240,
          "file_size": 196616,
          "allocated_size": 200704,
          "in_use_by": null,
          "qcow2": {
            "version": 3,
            "cluster_size": 65536,
            "refcount_bits": 16,
            "compression": "zlib",
            "encryption": null,
            "snapshots": 2,
            "features": [
              "lazy refcounts"
            ],
            "backing_file": "base.vmdk",
            "backing_format": "vmdk"
          }
        },
        {
          "path": "vms/base.vmdk",
          "format": "vmdk",
          "virtual_size": 21474836480,
          "file_size": 196616,
          "allocated_size": 200704,
          "in_use_by": null,
          "vmdk": {
            "create_type": "twoGbMaxExtentSparse",
            "cid": "00abcdef",
            "parent_cid": null,
            "parent_file": null,
            "extents": [
              {
                "kind": "sparse",
                "path": "/vms/base-s001.vmdk",
                "size": 2147483648,
                "grain_size": 65536,
                "compressed": false
              }
            ]
          }
        },
        {
          "path": "old.qcow2",
          "format": "qcow2",
          "virtual_size": null,
          "file_size": 196616,
          "allocated_size": 200704,
          "in_use_by": null
        },
        {
          "path": "base.raw",
          "format": "raw",
          "format_guessed": false,
          "virtual_size": 1048576,
          "file_size": 196616,
          "allocated_size": 200704,
          "in_use_by": null
        }
      ]
    }
    "#);
}

#[test]
fn a_chain_fits_a_narrow_terminal() {
    let report = Report::new(Info { links: vec![overlay(), base()], wrong: None });
    assert_eq!(
        chain(&report.chain, 100),
        ["vms/top.qcow2  qcow2  10 GiB  196 KiB used", "vms/base.vmdk  vmdk   20 GiB  196 KiB used"]
    );
    assert_eq!(
        chain(&report.chain, 50),
        ["vms/top.qcow2", "  qcow2  10 GiB  196 KiB used", "vms/base.vmdk", "  vmdk   20 GiB  196 KiB used"]
    );
}
