//! The four serial ports under Linux: level 0 sends a line to each port's back end on the host, and level 1 answers it.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, bail, ensure};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::mount::{MountFlags, mount};
use rustix::termios::{OptionalActions, tcdrain, tcgetattr, tcsetattr};
use serde::{Deserialize, Serialize};
use vmm::nest::pid1::Pid1;
use vmm::nest::report::Said;

use crate::interrupts;
use crate::level1::PATIENCE;

/// Level 1's message that all its ports are open.
pub(crate) const OPEN: &str = "lab: the ports are open";

/// The ports of a PC, in Linux's order: the I/O port and the IRQ.
const PC: [(u32, u32); 4] = [(0x3f8, 4), (0x2f8, 3), (0x3e8, 4), (0x2e8, 3)];

/// The order in which they are used. Successive ports have different IRQs, so that each interrupt can be attributed to one port. The
/// console is the last, as it interrupts after each of level 1's messages.
const ORDER: [usize; 4] = [1, 2, 3, 0];

/// The back ends of ttyS0 to ttyS3.
const SERIAL: [&str; 4] = [
    // The console's output is read from nvmm's stdout.
    "unix=/ports/com1,server,nowait,log=/proc/self/fd/1",
    "unix=/ports/com2,server,nowait",
    "pty=/ports/com3",
    "unix=/ports/com4",
];

/// Level 1's facts about a port and its use.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PortFacts {
    number: usize,
    /// Linux's `PORT_...`: 4 is a 16550A.
    kind: u32,
    io: u32,
    irq: u32,
    /// The bus on which Linux found it: `pnp` if ACPI described it.
    bus: String,
    /// The number of its line's interrupts while level 0's line was received, and while the answer was sent.
    received: u64,
    sent: u64,
}

/// Level 0's ends.
#[derive(Debug)]
pub(crate) struct Ends {
    /// The socket to which COM4 connects.
    listener: UnixListener,
    /// COM2's end, after [`Ends::talk`].
    second: Option<File>,
}

impl Ends {
    /// Creates the back ends.
    pub(crate) fn new() -> anyhow::Result<Self> {
        for folder in ["/ports", "/dev/pts"] {
            fs::create_dir_all(folder).with_context(|| format!("making {folder}"))?;
        }
        mount("devpts", "/dev/pts", "devpts", MountFlags::empty(), None).context("mounting /dev/pts")?;
        let listener = UnixListener::bind("/ports/com4").context("making a socket for COM4")?;
        Ok(Self { listener, second: None })
    }

    /// nvmm's options for them.
    pub(crate) fn options() -> Vec<&'static str> {
        SERIAL.iter().flat_map(|serial| ["--serial", serial]).collect()
    }

    /// Sends a line to each port, and receives its answer, after [`OPEN`].
    pub(crate) fn talk(&mut self) -> anyhow::Result<()> {
        let connect = |path: &str| UnixStream::connect(path).map(|stream| File::from(OwnedFd::from(stream)));
        for number in ORDER {
            let talk = || -> anyhow::Result<File> {
                let mut end = match number {
                    0 => connect("/ports/com1")?,
                    1 => connect("/ports/com2")?,
                    2 => terminal(Path::new("/ports/com3"))?,
                    _ => File::from(OwnedFd::from(self.listener.accept()?.0)),
                };
                say(&mut end, &line(number))?;
                let expected = answer(number, &line(number));
                loop {
                    let heard = hear(&mut end).context("waiting for the answer")?;
                    if heard == expected {
                        return Ok(end);
                    }
                    // The console may have other output too.
                    ensure!(number == 0, "it answers {heard:?}, not {expected:?}");
                }
            };
            let end = talk().with_context(|| format!("talking on COM{}", number + 1))?;
            if number == 1 {
                self.second = Some(end);
            }
        }
        Ok(())
    }

    /// Says something on COM2.
    pub(crate) fn say(&mut self, line: &str) -> anyhow::Result<()> {
        say(self.second.as_mut().context("COM2 is not connected")?, line)
    }
}

/// Level 0: checks level 1's facts about its ports.
pub(crate) fn judge(found: &[PortFacts]) -> anyhow::Result<()> {
    let numbers: Vec<_> = found.iter().map(|port| port.number).collect();
    ensure!(numbers == ORDER, "ttyS{numbers:?} were used, not ttyS{ORDER:?}");
    for port in found {
        let (io, irq) = PC[port.number];
        let right = (port.kind, port.io, port.irq, port.bus.as_str()) == (4, io, irq, "pnp");
        ensure!(right, "{port:?}, where a 16550A at {io:#x} with IRQ {irq} was to be found by ACPI");
        ensure!(port.received > 0 && port.sent > 0, "{port:?}: it worked without interrupts");
    }
    Ok(())
}

/// Level 1: answers on each port. Returns its facts about them, and COM2, which stays open.
pub(crate) fn use_them(pid1: &mut Pid1) -> anyhow::Result<(Vec<PortFacts>, File)> {
    let path = |number: usize| format!("/dev/ttyS{number}");
    let open =
        |number| terminal(Path::new(&path(number))).with_context(|| format!("opening {}", path(number)));
    let mut ends = ORDER.map(open).into_iter().collect::<anyhow::Result<Vec<_>>>()?;
    let mut facts = ORDER.map(facts).into_iter().collect::<anyhow::Result<Vec<_>>>()?;
    let mut before = interrupts::of_line(&interrupts::read()?, facts[0].irq);
    pid1.say(Said::Text(OPEN.to_owned()));
    tcdrain(&ends[ends.len() - 1]).context("draining the console")?;
    for place in 0..ORDER.len() {
        let (number, irq, end) = (ORDER[place], facts[place].irq, &mut ends[place]);
        let heard = hear(end).with_context(|| format!("reading ttyS{number}"))?;
        let text = interrupts::read()?;
        let between = interrupts::of_line(&text, irq);
        facts[place].received = between.saturating_sub(before);
        // Level 0 sends to the next port as soon as it has received this one's answer.
        if let Some(next) = facts.get(place + 1) {
            before = interrupts::of_line(&text, next.irq);
        }
        say(end, &answer(number, &heard)).with_context(|| format!("writing to ttyS{number}"))?;
        tcdrain(&*end).with_context(|| format!("draining ttyS{number}"))?;
        facts[place].sent = interrupts::of_line(&interrupts::read()?, irq).saturating_sub(between);
    }
    let second = ends.swap_remove(0);
    Ok((facts, second))
}

/// A line as long as a few FIFOs, different for each port.
fn line(number: usize) -> String {
    format!("COM{}: {}", number + 1, "the quick brown fox jumps over the lazy dog, ".repeat(2))
}

fn answer(number: usize, heard: &str) -> String {
    format!("ttyS{number} has heard: {heard}")
}

/// Opens a terminal as a stream of bytes, without making it this process's controlling terminal.
fn terminal(path: &Path) -> anyhow::Result<File> {
    let file = OpenOptions::new().read(true).write(true).custom_flags(libc::O_NOCTTY).open(path)?;
    let mut settings = tcgetattr(&file)?;
    settings.make_raw();
    tcsetattr(&file, OptionalActions::Now, &settings)?;
    Ok(file)
}

fn say(end: &mut File, line: &str) -> anyhow::Result<()> {
    Ok(end.write_all(format!("{line}\n").as_bytes())?)
}

/// A line from the other side, without its line ending.
pub(crate) fn hear(end: &mut File) -> anyhow::Result<String> {
    let deadline = Instant::now() + PATIENCE;
    let mut line = Vec::new();
    loop {
        let left = Timespec::try_from(deadline.saturating_duration_since(Instant::now()))?;
        if poll(&mut [PollFd::new(&*end, PollFlags::IN)], Some(&left))? == 0 {
            bail!("no line came, only {:?}", String::from_utf8_lossy(&line));
        }
        let mut byte = [0];
        end.read_exact(&mut byte)?;
        match byte {
            [b'\n'] => return String::from_utf8(line).context("in a line"),
            [byte] => line.push(byte),
        }
    }
}

fn facts(number: usize) -> anyhow::Result<PortFacts> {
    let folder = format!("/sys/class/tty/ttyS{number}");
    let read = |name: &str| -> anyhow::Result<u32> {
        let path = format!("{folder}/{name}");
        let text = fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
        let text = text.trim_end();
        let value = match text.strip_prefix("0x") {
            Some(digits) => u32::from_str_radix(digits, 16),
            None => text.parse(),
        };
        value.with_context(|| format!("in {path}"))
    };
    let bus = format!("{folder}/device/subsystem");
    let bus = fs::read_link(&bus).with_context(|| format!("reading {bus}"))?;
    Ok(PortFacts {
        number,
        kind: read("type")?,
        io: read("port")?,
        irq: read("irq")?,
        bus: bus.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        received: 0,
        sent: 0,
    })
}

#[cfg(test)]
#[path = "ports_test.rs"]
mod tests;
