use std::os::unix::ffi::OsStrExt;

use devices::{block::Engine, disk::raw::DiskOptions};

use super::*;

fn parse(given: &str) -> DiskConfig {
    DiskConfig::parse(given.as_ref(), 1).unwrap()
}

#[test]
fn a_sata_disk_has_one_queue_however_many_vcpus_there_are() {
    let disk = DiskConfig::parse("path=a,bus=sata".as_ref(), 8).unwrap();
    assert_eq!((disk.bus, disk.device.queues, disk.device.queue_size), (DiskBus::Sata, 1, 32));
}

#[track_caller]
fn refused(given: &str) -> String {
    DiskConfig::parse(given.as_ref(), 1).unwrap_err().to_string()
}

#[test]
fn a_path_alone_has_the_documented_defaults() {
    let disk = parse("vm.img");
    assert_eq!(
        disk,
        DiskConfig {
            path: "vm.img".into(),
            id: None,
            image: OpenOptions {
                disk: DiskOptions { read_only: false, direct: false },
                format: None,
                backing_root: None,
                overlay: None,
            },
            bus: DiskBus::Virtio,
            device: BlockOptions {
                serial: SerialNumber::default(),
                queues: 1,
                queue_size: 256,
                cache: CacheMode::Writeback,
                discard: true,
                engine: Engine::Auto,
                legacy: false,
                iops: None,
                bandwidth: None,
            },
        }
    );
    assert_eq!(disk.name(), "vm.img");
}

#[test]
fn every_key() {
    let disk = parse(
        "path=a.img,format=raw,readonly=on,direct=on,cache=unsafe,discard=off,aio=io_uring,queues=3,\
         queue-size=1024,iops=500,bw=20M,serial=S1,id=root,legacy=on",
    );
    assert_eq!((disk.path.to_str(), disk.name()), (Some("a.img"), "root".to_owned()));
    assert_eq!(disk.image.format, Some(Format::Raw));
    assert_eq!(disk.image.disk, DiskOptions { read_only: true, direct: true });
    assert_eq!(
        disk.device,
        BlockOptions {
            serial: "S1".parse().unwrap(),
            queues: 3,
            queue_size: 1024,
            cache: CacheMode::Unsafe,
            discard: false,
            engine: Engine::IoUring,
            legacy: true,
            iops: NonZeroU64::new(500),
            bandwidth: NonZeroU64::new(20 << 20),
        }
    );
    let DiskConfig { image, device, .. } =
        parse("path=a,format=qcow2,backing-root=/images,cache=writethrough,aio=threads");
    assert_eq!((image.format, image.backing_root), (Some(Format::Qcow2), Some("/images".into())));
    assert_eq!((device.cache, device.engine), (CacheMode::Writethrough, Engine::Threads));
    assert_eq!(parse("a,overlay=temp").image.overlay, Some(Overlay::Temp));
    assert_eq!(parse("a,overlay=./temp").image.overlay, Some(Overlay::File("./temp".into())));
    // In other options such values are references.
    let disk = parse("id_a,serial=id_b,id=id_c,overlay=id_d,backing-root=id_e,format=qcow2");
    assert_eq!((disk.path.to_str(), disk.name()), (Some("id_a"), "id_c".to_owned()));
    assert_eq!(disk.device.serial, "id_b".parse().unwrap());
    assert_eq!(disk.image.overlay, Some(Overlay::File("id_d".into())));
    assert_eq!(disk.image.backing_root, Some("id_e".into()));
    assert_eq!(parse("path=id_a").path.to_str(), Some("id_a"));
    assert_eq!(parse("path=a,bw=1GiB").device.bandwidth, NonZeroU64::new(1 << 30));
}

#[test]
fn words_of_qemu() {
    let disk = parse("file=a,read-only=on,discard=unmap,num-queues=2");
    assert_eq!((disk.path.to_str(), disk.image.disk.read_only), (Some("a"), true));
    assert_eq!((disk.device.queues, disk.device.discard), (2, true));
    assert!(!parse("a,discard=ignore").device.discard);
    assert!(parse("a,disable-legacy=off").device.legacy);
    assert!(!parse("a,disable-legacy=on").device.legacy);
}

#[test]
fn as_many_queues_as_vcpus() {
    let queues = |given: &str, vcpus| DiskConfig::parse(given.as_ref(), vcpus).unwrap().device.queues;
    assert_eq!([1, 4, 64, 65, 100_000].map(|vcpus| queues("a", vcpus)), [1, 4, 64, 64, 64]);
    assert_eq!(queues("a,queues=2", 8), 2);
}

#[test]
fn invalid_values_are_named_with_valid_ones() {
    let cases = [
        ("path=", "the path is missing"),
        ("a,queues=0", "queues=0: give a number from 1 to 64"),
        ("a,queues=65", "queues=65: give a number from 1 to 64"),
        ("a,queues=many", "a whole number"),
        ("a,queues=99999", "too large"),
        ("a,queue-size=1", "queue-size=1: give a power of two from 2 to 1024"),
        ("a,queue-size=100", "queue-size=100: give a power of two"),
        ("a,queue-size=2048", "queue-size=2048: give a power of two"),
        ("a,readonly=on,read-only=off", "'read-only' is there twice"),
        ("a,bus=ide", "bus=ide: give virtio or sata"),
        ("a,bus=stata", "bus=stata: did you mean sata?"),
        ("a,bus=sata,queues=1", "a SATA disk has one queue of 32 requests"),
        ("a,queue-size=32,bus=sata", "a SATA disk has one queue of 32 requests"),
        ("a,bus=sata,legacy=on", "legacy=on is about virtio; leave it or bus=sata out"),
        ("a,bus=sata,readonly=on", "a SATA disk can't be read-only; overlay=temp takes what is written"),
        ("a,colour=red", "no such key 'colour'; give file, path, format"),
        ("a,buss=sata", "no such key 'buss'; did you mean bus?"),
        ("a,read_only=on", "no such key 'read_only'; did you mean read-only"),
        ("pth=a", "no such key 'pth'; did you mean path? Or if 'pth=a' is a file's name, write path=pth=a"),
        ("a,iops=0", "iops=0 lets nothing through; leave it out"),
        ("a,bw=0K", "bw=0 lets nothing through; leave it out"),
        ("a,bw=1000", "bw=1000: give bytes a second with K, M, G or T, such as 100M"),
        ("a,bw=fast", "bw=fast: give bytes a second"),
        ("a,bw=", "bw=: give bytes a second"),
        ("a,cache=none", "cache=none is direct=on here"),
        ("a,cache=directsync", "cache=directsync is direct=on,cache=writethrough here"),
        ("a,cache=on", "cache=on: give writeback, writethrough or unsafe"),
        ("a,aio=native", "aio=native: give auto, io_uring or threads"),
        ("a,discard=maybe", "discard=maybe: give on, unmap, ignore or off"),
        ("a,format=vdi", "format=vdi: give raw, qcow2 or vmdk"),
        ("a,id=", "id= needs a name"),
        ("a,overlay=", "overlay= needs a file, or temp"),
        ("a,overlay=temp,readonly=on", "nothing is written to the overlay of a disk with readonly=on"),
        ("a,overlay=a", "the overlay is the disk itself"),
        ("a,format=vmdk,direct=on", "vmdk images are read through the page cache; leave direct=on out"),
        ("a,format=raw,backing-root=/b", "a raw image names no other files; leave backing-root out"),
    ];
    for (given, why) in cases {
        let error = refused(given);
        assert!(error.contains(why), "{given}: {error}");
        assert!(error.starts_with(&format!("--disk {given}: ")), "{given}: {error}");
    }
}

#[test]
fn two_disks_have_two_names() {
    let given = ["a,id=x", "b", "d,id=y", "c,id=x"].map(OsString::from);
    let disks: Vec<_> = given.iter().map(|given| DiskConfig::parse(given, 1).unwrap()).collect();
    check_several(&disks[..3], &given, &[]).unwrap();
    let error = check_several(&disks, &given, &[]).unwrap_err().to_string();
    assert_eq!(error, "--disk c,id=x: another disk has the id 'x'; give each its own");
    let error = check_several(&disks[..3], &given, &["z", "y"]).unwrap_err().to_string();
    assert_eq!(error, "--disk d,id=y: another disk has the id 'y'; give each its own");
}

#[test]
fn an_image_is_written_to_once() {
    let check = |given: [&str; 2]| {
        let given = given.map(OsString::from);
        let disks: Vec<_> = given.iter().map(|given| DiskConfig::parse(given, 1).unwrap()).collect();
        check_several(&disks, &given, &[]).map_err(|error| error.to_string())
    };
    for twice in [["a", "a"], ["a", "a,readonly=on"]] {
        assert!(check(twice).unwrap_err().contains("given twice"), "{twice:?}");
    }
    for fine in [["a", "b"], ["a,readonly=on", "a,readonly=on"], ["a,overlay=x", "a,overlay=temp"]] {
        check(fine).unwrap();
    }
}

#[test]
fn of_one_image_the_first_disk_in_the_way_is_named() {
    let refused = |given: &[&str]| {
        let given: Vec<_> = given.iter().map(OsString::from).collect();
        let disks: Vec<_> = given.iter().map(|given| DiskConfig::parse(given, 1).unwrap()).collect();
        let error = check_several(&disks, &given, &[]).unwrap_err().to_string();
        error.split(':').next().unwrap().to_owned()
    };
    assert_eq!(refused(&["a,readonly=on", "b", "a"]), "--disk a");
    assert_eq!(refused(&["a,readonly=on", "a,cache=unsafe", "a"]), "--disk a,readonly=on");
    assert_eq!(refused(&["b", "a,overlay=x", "a,serial=1", "a,readonly=on"]), "--disk a,serial=1");
}

/// Comparing each with all others would take 40 billion comparisons.
#[test]
fn any_number_of_disks_is_checked() {
    let disk = |number: usize| DiskConfig { path: format!("{number}.img").into(), ..DiskConfig::default() };
    let mut disks: Vec<_> = (0..200_000).map(disk).collect();
    let given: Vec<_> = disks.iter().map(|disk| disk.path.clone().into_os_string()).collect();
    check_several(&disks, &given, &[]).unwrap();
    disks[199_999].path = "0.img".into();
    assert!(check_several(&disks, &given, &[]).unwrap_err().to_string().starts_with("--disk 0.img: "));
}

/// A comma is doubled, as in QEMU's options. Everything else is the file's name, unchanged.
#[test]
fn names_of_files_can_be_anything() {
    for (given, path) in [
        (&b"a,,b.img,readonly=on"[..], &b"a,b.img"[..]),
        (b"path=a=b.img,readonly=on", b"a=b.img"),
        (b"path=,,a,,,,b,,,readonly=on", b",a,,b,"),
        (b"b\xe4se.img,readonly=on", b"b\xe4se.img"),
        (b"path=\x1b[2J\n,readonly=on", b"\x1b[2J\n"),
    ] {
        let disk = DiskConfig::parse(OsStr::from_bytes(given), 1).unwrap();
        assert_eq!((disk.path.as_os_str().as_bytes(), disk.image.disk.read_only), (path, true));
        assert_eq!(disk.name(), path.printable().to_string());
    }
    let disk = parse("a,overlay=b,,c,backing-root=d,,e,id=f,,g,serial=h,,i");
    let DiskConfig { id, image, device, .. } = disk;
    assert_eq!((image.overlay, image.backing_root), (Some(Overlay::File("b,c".into())), Some("d,e".into())));
    assert_eq!((id.as_deref(), device.serial), (Some("f,g"), "h,i".parse().unwrap()));
    let error = DiskConfig::parse(OsStr::from_bytes(b"a,id=\xff"), 1).unwrap_err().to_string();
    assert_eq!(error, "--disk a,id=\\xff: \\xff is not UTF-8");
}

#[test]
fn a_name_with_an_equals_sign_gets_a_hint() {
    let error = refused("a=b.img");
    assert!(error.ends_with("; if 'a=b.img' is a file's name, write path=a=b.img"), "{error}");
    let error = refused("my,,disk=1.img,readonly=on");
    assert!(error.ends_with("; if 'my,,disk=1.img' is a file's name, write path=my,,disk=1.img"), "{error}");
    // It was a known key, with a wrong value.
    assert!(!refused("path=a,colour=red").contains("file's name"));
    assert!(!refused("readonly=maybe").contains("file's name"));
}
