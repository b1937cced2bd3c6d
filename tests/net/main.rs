//! The path of a frame without a guest: `cargo bench -p devices --bench net [WORD]...`, with words of the rows wanted.
//!
//! Each row drives a device on a tap as a guest's driver does, and also runs a plain loop of `read` or `write` on the same tap, with a
//! thread for each queue. Both run in turn, and the ratio is that of their medians. Frames to the host are dropped there; frames from the
//! host were put into the tap's queue before the measurement. The processor time per frame is that of the whole process, including the
//! driver; on a busy host it is more meaningful than the rate.
//!
//! The benchmark runs in a separate network namespace, which needs root or user namespaces.
#![expect(clippy::unwrap_used, reason = "a benchmark that can't go on fails")]

#[path = "../bench/mod.rs"]
mod bench;
mod driver;
mod plain;

use std::{
    fs,
    process::Command,
    sync::{Arc, atomic::AtomicU64},
    thread,
};

use bench::figures::{self, ROUND, Run, Watch};
use devices::net::{HEADER_LEN, Network, Tap};

/// The width of a row's name.
const WIDTH: usize = 44;

/// Set inside the namespace.
const INSIDE: &str = "NVMM_BENCH_NET";

/// The direction of frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Receive,
    Transmit,
}

/// The frames of a row.
#[derive(Clone, Copy, Debug)]
struct Load {
    name: &'static str,
    /// The size of a frame in bytes, without its header.
    len: usize,
    /// The number of frames that are put into the tap's queues at once, to be received.
    burst: u64,
    /// The length of a receive buffer.
    buffer: u32,
}

const LOADS: [Load; 2] = [
    Load { name: "64-byte packets", len: 64, burst: 8000, buffer: 1536 },
    Load { name: "64 KiB segments", len: 65_226, burst: 400, buffer: 4096 },
];

fn main() {
    if std::env::var_os(INSIDE).is_none() {
        let unshare = if rustix::process::geteuid().is_root() { "-n" } else { "-Urn" };
        let mut again = Command::new("unshare");
        again.arg(unshare).args(std::env::args()).env(INSIDE, "1");
        std::process::exit(again.status().unwrap().code().unwrap_or(1))
    }
    let words: Vec<_> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    // No frames of the host's own.
    let _absent = fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
    figures::head(WIDTH);
    for queues in [1, 2] {
        for load in &LOADS {
            for way in [Way::Receive, Way::Transmit] {
                let plural = if queues == 1 { "" } else { "s" };
                let name = format!("{way:?} {}, {queues} queue{plural}", load.name);
                if words.iter().all(|word| name.contains(word.as_str())) {
                    row(&name, way, queues, load);
                }
            }
        }
    }
}

fn row(name: &str, way: Way, queues: u16, load: &Load) {
    let lines = Lines::new(way, queues);
    let large = (load.len >= 0x1000).then(|| u32::try_from(load.len).unwrap());
    let ours = || driver::run(&lines, queues, load);
    let plain = || {
        lines.tap.give(lines.tap.gives()).unwrap();
        plain::run(&lines, queues, load)
    };
    figures::row(WIDTH, name, large, ours, plain);
}

/// Does a round, in which each of `workers` has a thread that passes frames on by `work` and returns how many. Received ones
/// are counted over all of them, up to a burst.
fn round<W: Send>(
    lines: &Lines,
    load: &Load,
    workers: &mut [W],
    work: impl Fn(&mut W, &AtomicU64) -> u64 + Sync,
) -> Run {
    let mut watch = Watch::default();
    loop {
        if lines.way == Way::Receive {
            lines.fill(load.burst, load);
        }
        let received = AtomicU64::new(0);
        let (received, work) = (&received, &work);
        let elapsed = watch.time(|| {
            thread::scope(|scope| {
                let threads = workers.iter_mut().map(|worker| scope.spawn(move || work(worker, received)));
                threads.collect::<Vec<_>>().into_iter().map(|thread| thread.join().unwrap()).sum()
            })
        });
        if elapsed >= ROUND {
            return watch.stop();
        }
    }
}

impl Load {
    /// The length of a buffer, and the number of them that a queue goes through before it comes back to the first: in the plain
    /// loop as in the device, since what is in the processor's cache costs less.
    fn buffers(&self, way: Way) -> (usize, u16) {
        let len = match way {
            Way::Receive => usize::try_from(self.buffer).unwrap(),
            Way::Transmit => HEADER_LEN + self.len,
        };
        (len, u16::try_from((4 << 20) / len).unwrap_or(driver::SIZE).min(driver::SIZE))
    }
}

/// A tap, and whatever its frames come from.
struct Lines {
    way: Way,
    tap: Arc<Tap>,
    /// A tap on the same bridge.
    source: Option<Tap>,
}

impl Lines {
    fn new(way: Way, queues: u16) -> Self {
        let tap = Arc::new(Tap::open("bench%d", queues, None).unwrap());
        let source = (way == Way::Receive).then(|| {
            let source = Tap::open("source%d", 1, None).unwrap();
            let (tap, source_name) = (tap.interface(), source.interface());
            let bridge = format!("br-{tap}");
            ip(&format!("link add {bridge} type bridge forward_delay 0"));
            ip(&format!("link set {tap} txqueuelen 10000 master {bridge}"));
            ip(&format!("link set {source_name} master {bridge}"));
            ip(&format!("link set {bridge} up"));
            source
        });
        Self { way, tap, source }
    }

    /// Puts `count` frames of different flows into the tap's queues.
    fn fill(&self, count: u64, load: &Load) {
        let port = self.source.as_ref().unwrap().port(0);
        for n in 0..count {
            let mut frame = frame(load, n);
            port.send(&[vm_memory::VolatileSlice::from(&mut frame[..])]).unwrap();
        }
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        if self.source.is_some() {
            ip(&format!("link del br-{}", self.tap.interface()));
        }
    }
}

/// A frame with its header: to all, from a TCP port of its own.
fn frame(load: &Load, flow: u64) -> Vec<u8> {
    let mut frame = vec![0; HEADER_LEN + load.len];
    if load.len > 1514 {
        // VIRTIO_NET_HDR_F_NEEDS_CSUM, VIRTIO_NET_HDR_GSO_TCPV4, and where the headers are.
        frame[..10].copy_from_slice(&[1, 1, 54, 0, 0xa8, 5, 34, 0, 16, 0]);
    }
    let packet = &mut frame[HEADER_LEN..];
    packet[..6].fill(0xff);
    packet[6..14].copy_from_slice(&[2, 0, 0, 0, 0, 1, 8, 0]);
    let len = u16::try_from(load.len - 14).unwrap();
    packet[14..24].copy_from_slice(&[0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 6]);
    packet[16..18].copy_from_slice(&len.to_be_bytes());
    packet[26..34].copy_from_slice(&[10, 0, 0, 1, 10, 0, 0, 2]);
    // Where bridges are filtered, they look at the header.
    let words = packet[14..34].chunks_exact(2).map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])));
    let sum = words.sum::<u32>();
    let sum = u16::try_from((sum & 0xffff) + (sum >> 16)).unwrap();
    packet[24..26].copy_from_slice(&(!sum).to_be_bytes());
    packet[34..36].copy_from_slice(&u16::try_from(flow % 60_000).unwrap().to_be_bytes());
    packet[46] = 0x50;
    frame
}

fn ip(line: &str) {
    assert!(Command::new("ip").args(line.split_whitespace()).status().unwrap().success(), "ip {line}");
}
