use std::path::Path;

use clap::Parser;
use devices::disk::format::Format;

use super::*;
use crate::{cli::Cli, size::Size};

fn parse(options: &[&str]) -> Result<VmConfig, ConfigError> {
    let words = ["nvmm", "--kernel", "k"].iter().chain(options);
    VmConfig::new(&Cli::try_parse_from(words).unwrap().machine)
}

#[test]
fn options_have_the_documented_defaults() {
    let config = parse(&[]).unwrap();
    assert_eq!(config.topology, Topology::flat(1).unwrap());
    assert_eq!(config.memory, MemoryConfig { size: Size(512 << 20), hugepages: false, prefault: false });
    assert_eq!(config.stdio(), Some(0));
    assert_eq!(config.on_reboot, OnReboot::Reset);
    let [DeviceConfig::Rtc, DeviceConfig::Rng(source), DeviceConfig::Serial(0, _)] =
        config.devices.as_slice()
    else {
        panic!("{:?}", config.devices)
    };
    assert_eq!(source, Path::new("/dev/urandom"));
}

#[test]
fn keys_and_bare_values_both_work() {
    let memory = parse(&["--memory", "size=2G,hugepages=on,prefault=on"]).unwrap().memory;
    assert_eq!(memory, MemoryConfig { size: Size(2 << 30), hugepages: true, prefault: true });
    let config = parse(&[
        "--disk",
        "a.img",
        "--disk",
        "path=b.img,readonly=on,serial=S1,direct=on",
        "--disk",
        "c,readonly=on",
    ])
    .unwrap();
    let disks: Vec<_> = config.disks().collect();
    let paths: Vec<_> = disks.iter().map(|disk| disk.path.to_str().unwrap()).collect();
    assert_eq!(paths, ["a.img", "b.img", "c"]);
    assert_eq!(disks.iter().map(|disk| disk.image.disk.read_only).collect::<Vec<_>>(), [false, true, true]);
    assert_eq!((disks[1].device.serial, disks[1].image.disk.direct), ("S1".parse().unwrap(), true));
    let config = parse(&["--disk", "vm.img,format=qcow2,backing-root=/images"]).unwrap();
    let disk = config.disks().next().unwrap();
    assert_eq!((disk.image.format, &disk.image.backing_root), (Some(Format::Qcow2), &Some("/images".into())));
    assert_eq!((disks[1].image.format, &disks[1].image.backing_root), (None, &None));
    for smp in ["6,sockets=2,threads=3", "cpus=6,cores=1,sockets=2,threads=3"] {
        assert_eq!(parse(&["--smp", smp]).unwrap().topology, Topology::new(2, 1, 1, 3).unwrap());
    }
    let config = parse(&["--debug-exit", "0xf4"]).unwrap();
    assert!(matches!(config.devices.last(), Some(DeviceConfig::DebugExit(0xf4))));
    let has_rng = |option| {
        let devices = parse(&["--rng", option]).unwrap().devices;
        devices.iter().any(|device| matches!(device, DeviceConfig::Rng(path) if path == Path::new(option)))
    };
    assert_eq!([has_rng("off"), has_rng("./off"), has_rng("/dev/hwrng")], [false, true, true]);
    let config = parse(&["--serial", "null", "--serial", "mon:stdio"]).unwrap();
    assert_eq!(config.stdio(), Some(1));
    assert!(matches!(
        config.devices.as_slice(),
        [.., DeviceConfig::Serial(0, _), DeviceConfig::Serial(1, _)]
    ));
}

/// A guest that can use its disk can also read its seed.
#[test]
fn a_seed_is_a_disk_as_the_first_one_is() {
    let seed = |options: &[&str]| {
        let config = parse(&[options, &["--hostname", "a"]].concat()).unwrap();
        let seed = config.devices.iter().find_map(|device| match device {
            DeviceConfig::CloudInit(seed) => Some((seed.bus, seed.legacy)),
            _ => None,
        });
        seed.unwrap()
    };
    let (virtio, sata) = (DiskBus::Virtio, DiskBus::Sata);
    assert_eq!(seed(&[]), (virtio, false));
    assert_eq!(seed(&["--disk", "a"]), (virtio, false));
    assert_eq!(seed(&["--disk", "a,legacy=on", "--disk", "b"]), (virtio, true));
    assert_eq!(seed(&["--disk", "a,bus=sata", "--disk", "b,bus=sata"]), (sata, false));
    assert_eq!(seed(&["--disk", "a,bus=sata", "--disk", "b"]), (virtio, false));
}

#[test]
fn invalid_options_are_named_with_valid_ones() {
    let cases: [(&[&str], &str); 19] = [
        (&["--smp", "0"], "at least one"),
        (&["--smp", "many"], "a whole number"),
        (&["--smp", "99999999999"], "too large"),
        (&["--smp", "4,core=2"], "no such key 'core'; did you mean cores?"),
        (&["--smp", "4,cores=1,cores=2"], "'cores' is there twice"),
        (&["--smp", "4,cores=3"], "make 3 vCPUs, not 4"),
        (&["--memory", "0"], "needs memory"),
        (&["--memory", "1K"], "multiple of 4 KiB"),
        (&["--memory", "size=3M,hugepages=on"], "multiple of 2 MiB"),
        (&["--memory", "size=2G,huge=on"], "no such key 'huge'; did you mean hugepages?"),
        (&["--memory", "size=2G,hugepages=maybe"], "on or off"),
        (&["--memory", "lots"], "--memory lots"),
        (&["--memory", "size=2G,hugepages=on", "--balloon"], "leave out --balloon"),
        (&["--disk", "path=a,colour=red"], "no such key 'colour'"),
        (&["--disk", "path=a,format=vdi"], "give raw, qcow2 or vmdk"),
        (&["--disk", "readonly=on"], "the path is missing"),
        (&["--disk", ""], "the path is missing"),
        (&["--disk", "path=a,serial=123456789012345678901"], "at most 20 characters"),
        (&["--serial", "tty"], "give stdio, null, file=PATH"),
    ];
    for (options, expected) in cases {
        let error = format!("{:#}", anyhow::Error::new(parse(options).unwrap_err()));
        assert!(error.contains(expected), "{options:?}: {error}");
        assert!(options[1].is_empty() || error.contains(options[1]), "{options:?}: {error}");
    }
}
