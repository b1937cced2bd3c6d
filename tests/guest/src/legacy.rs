//! Linux as a driver from before virtio 1.0: with `force_legacy`, its virtio_pci uses transitional devices through their legacy interface.
//! Level 1 uses a disk and a network device this way, and level 0 checks the disk, and answers on the network.

use std::ffi::CStr;
use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use vmm::nest::image::{self, Manifest, Memfd};
use vmm::nest::pid1::{self, Pid1};
use vmm::nest::report::Said;

use crate::disks;
use crate::interfaces::configure;
use crate::level0::Guest;
use crate::level1::PATIENCE;
use crate::scenario::{self, Record};

/// Level 0's module for taps, and level 1's for the network device, in load order. Those that are not modules are built into the kernel.
pub(crate) const MODULES: [&str; 4] = [TUN, "failover", "net_failover", "virtio_net"];
pub(crate) const TUN: &str = "tun";
/// The module with the `force_legacy` parameter.
const VIRTIO_PCI: &str = "virtio_pci";
const FORCE_LEGACY: &CStr = c"force_legacy=1";

/// Level 1's message that its network is up.
const NETWORK: &str = "lab: the network is up";

pub(crate) const TAP: &str = "lab0";
pub(crate) const LEVEL_0: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 1);
const LEVEL_1: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 2);
/// The port of RFC 862, "Echo Protocol".
const ECHO: u16 = 7;
const DATAGRAMS: u8 = 100;
const DATAGRAM: usize = 1400;
/// The time after which a datagram is sent again.
const AGAIN: Duration = Duration::from_secs(2);

/// The index of `VIRTIO_F_VERSION_1` in a device's features in sysfs, which have a digit for each.
const VERSION_1: usize = 32;

/// Level 1's facts about a transitional device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LegacyFacts {
    /// PCI's vendor, device and revision, and the subsystem's device.
    pci: [String; 4],
    /// The driver uses it as a device of virtio 1.0.
    version_1: bool,
}

/// Level 0: makes level 1 use them, and checks its record.
pub(crate) fn run(manifest: &Manifest, image: &Memfd) -> anyhow::Result<()> {
    load(manifest, &[TUN])?;
    disks::make_legacy()?;
    let guest = Guest {
        scenario: scenario::LEGACY,
        disks: vec![disks::LEGACY.to_owned()],
        options: vec!["--net", "tap=lab0,legacy=on,mac=52:54:00:00:00:02"],
        ..Guest::default()
    };
    let mut hear = |text: &str, _| if text == NETWORK { answer() } else { Ok(()) };
    let record = guest.record(manifest, image, &mut hear)?;
    let facts = |device: &str, kind: &str| LegacyFacts {
        pci: ["0x1af4", device, "0x00", kind].map(ToOwned::to_owned),
        version_1: false,
    };
    let expected = [facts("0x1000", "0x0001"), facts("0x1001", "0x0002")];
    ensure!(record.legacy == expected, "level 1 found {:?}, not {expected:?}", record.legacy);
    disks::judge_legacy()
}

/// Level 0: starts to echo level 1's datagrams.
fn answer() -> anyhow::Result<()> {
    configure(TAP, LEVEL_0).context("configuring lab0")?;
    let socket = UdpSocket::bind((LEVEL_0, ECHO)).context("opening the echo port")?;
    thread::spawn(move || -> io::Result<()> {
        let mut datagram = [0; DATAGRAM];
        loop {
            let (len, from) = socket.recv_from(&mut datagram)?;
            socket.send_to(&datagram[..len], from)?;
        }
    });
    Ok(())
}

/// Level 1: loads the modules for its disks. virtio_pci is told to use the legacy interface of devices that have one.
pub(crate) fn load_virtio(manifest: &Manifest) -> anyhow::Result<()> {
    for name in &manifest.virtio {
        let parameters = if name == VIRTIO_PCI { FORCE_LEGACY } else { c"" };
        let path = image::in_root(&Manifest::module(name));
        let file = File::open(&path).with_context(|| format!("opening {}", path.display()))?;
        match rustix::system::finit_module(&file, parameters, 0) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error).with_context(|| format!("loading {name}")),
        }
    }
    Ok(())
}

/// Loads those of these modules that are not built into the kernel.
pub(crate) fn load(manifest: &Manifest, names: &[&str]) -> anyhow::Result<()> {
    let there = names.iter().filter(|name| manifest.files.contains(&Manifest::module(name)));
    pid1::load(&there.map(|name| (*name).to_owned()).collect::<Vec<_>>())
}

/// Level 1: uses the devices, and records its facts about them.
pub(crate) fn use_them(pid1: &mut Pid1, record: &mut Record) -> anyhow::Result<()> {
    load(&pid1.manifest, &MODULES[1..])?;
    record.legacy = facts().context("looking for transitional devices")?;
    disks::use_legacy().context("using the disk")?;
    configure("eth0", LEVEL_1).context("configuring eth0")?;
    let socket = UdpSocket::bind((LEVEL_1, 0)).context("opening a socket")?;
    pid1.say(Said::Text(NETWORK.to_owned()));
    socket.set_read_timeout(Some(AGAIN)).context("setting a timeout")?;
    (0..DATAGRAMS).try_for_each(|number| echo(&socket, number).with_context(|| format!("datagram {number}")))
}

/// Sends a datagram until it is echoed.
fn echo(socket: &UdpSocket, number: u8) -> anyhow::Result<()> {
    let sent: Vec<_> = (0..DATAGRAM).map(|at| number.wrapping_add(at.to_le_bytes()[0])).collect();
    let mut came = [0; DATAGRAM + 1];
    let start = Instant::now();
    loop {
        // Sending fails until level 0 is ready.
        let _ = socket.send_to(&sent, (LEVEL_0, ECHO));
        while let Ok((len, _)) = socket.recv_from(&mut came) {
            // A datagram that was sent twice is echoed twice.
            if came[..len] == sent {
                return Ok(());
            }
            let expected = came[0] < number && len == DATAGRAM;
            ensure!(expected, "{len} other bytes came back");
        }
        ensure!(start.elapsed() < PATIENCE, "nothing came back");
    }
}

/// The transitional devices, by their IDs.
fn facts() -> anyhow::Result<Vec<LegacyFacts>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/sys/bus/pci/devices")? {
        let folder = entry?.path();
        let read = |name: &str| Ok::<_, io::Error>(fs::read_to_string(folder.join(name))?.trim().to_owned());
        let pci = [read("vendor")?, read("device")?, read("revision")?, read("subsystem_device")?];
        if pci[0] == "0x1af4" && pci[1].as_str() < "0x1040" {
            let version_1 = has_version_1(&folder).with_context(|| format!("looking at {pci:?}"))?;
            found.push(LegacyFacts { pci, version_1 });
        }
    }
    found.sort_by(|a, b| a.pci.cmp(&b.pci));
    Ok(found)
}

/// Returns whether the driver uses the virtio device of a PCI function as a virtio 1.0 device.
fn has_version_1(function: &Path) -> anyhow::Result<bool> {
    let names = fs::read_dir(function)?.collect::<io::Result<Vec<_>>>()?;
    let is_virtio = |name: &str| name.starts_with("virtio");
    let virtio = names.iter().find(|entry| entry.file_name().to_str().is_some_and(is_virtio));
    let features = fs::read_to_string(virtio.context("it has no driver")?.path().join("features"))?;
    Ok(features.as_bytes().get(VERSION_1) == Some(&b'1'))
}
