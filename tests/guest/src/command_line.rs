//! Level 1 by QEMU's own command line, word for word as a trainer uses it: a disk with Debian. A viewer sees its GRUB and its login by VNC,
//! and logs in. The host makes the disk (`tests/lab/src/boot_disks.rs`).

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, bail, ensure};
use rustix::mount::mount_bind;
use vmm::nest::image;
use vmm::nest::pid1::Pid1;
use vmm::nest::report::Said;

use crate::boot::{self, FIRMWARE};
use crate::interfaces::configure;
use crate::level0::NVMM;
use crate::viewer::{self, Viewer};

/// The test.
pub(crate) const NAME: &str = "L1 by QEMU's command line, with a login on VNC that a typed password passes";

/// SeaBIOS's option ROM for the VGA, in level 0's image.
pub(crate) const VGA_ROM: &str = "vgabios-stdvga.bin";
/// The paths where nvmm looks for both.
const FIRMWARE_PATH: &str = "/usr/share/seabios/bios-256k.bin";
const VGA_ROM_PATH: &str = "/usr/share/seabios/vgabios-stdvga.bin";

/// The command line without the program and the port of its VNC server.
const WORDS: &str =
    "-m 8096 -cpu qemu64,+vmx -smp 4,sockets=4,cores=1,threads=1 -drive file=jiaoshiji.qcow2 -vnc 0.0.0.0:20";
const SERVER: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 5920);
/// The directory of the disk, and the disk that it is an overlay of.
const FOLDER: &str = "/trainer";
const DISK: &str = "jiaoshiji.qcow2";
const BASE: &str = "mbr.img";
/// The file of nvmm's own messages.
const MESSAGES: &str = "/trainer/messages";

/// The feature that no host with SVM has, by nvmm's name.
pub(crate) const UNMET: &str = "vmx (CPUID.01H:ECX[5])";

/// A line of GRUB's menu that is not highlighted.
const MENU: &str = "Debian as far as its root";
const LOGIN: &str = "lab login:";
const PASSWORD: &str = "Password:";
const PROMPT: &str = "root@lab:~#";
/// A program on the disk (`tests/lab/src/boot_disks.rs`). It prints the number of processors, the socket of the last one, the memory and
/// the tablet; then it waits for the pointer, and prints the event.
const LOOK: &str = "sh look";
const MOVE: &str = "move the pointer";
const TOLD: usize = 6;
/// A point in the middle of the screen, and its value in Linux: EV_ABS, ABS_X, up to 32,767 at the right edge.
const POINTER: (u16, u16) = (360, 200);
const EVENT: [&str; 2] = ["3", "0"];
const MIDDLE: std::ops::Range<u32> = 16_300..16_500;
const PROCESSORS: [&str; 2] = ["4", "3"];
/// The memory in KiB, without the part that the kernel reserves.
const MEMORY: std::ops::Range<u32> = 7 << 20..8096 << 10;

/// Level 0: starts it with the disks in `disks`, and checks it.
pub(crate) fn run(pid1: &mut Pid1, disks: &Path) -> anyhow::Result<()> {
    boot::place(FIRMWARE, FIRMWARE_PATH)?;
    boot::place(VGA_ROM, VGA_ROM_PATH)?;
    configure("lo", Ipv4Addr::LOCALHOST).context("configuring the loopback")?;
    let folder = Path::new(FOLDER);
    fs::create_dir_all(folder).with_context(|| format!("making {FOLDER}"))?;
    fs::copy(disks.join(DISK), folder.join(DISK)).with_context(|| format!("copying {DISK}"))?;
    File::create(folder.join(BASE)).with_context(|| format!("making {BASE}"))?;
    mount_bind(disks.join(BASE), folder.join(BASE)).with_context(|| format!("mounting {BASE}"))?;
    let messages = File::create(MESSAGES).with_context(|| format!("making {MESSAGES}"))?;
    let mut nvmm = Command::new(image::in_root(NVMM))
        .args(WORDS.split(' '))
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(messages)
        .spawn()
        .context("starting nvmm")?;
    let seen = look(pid1, &mut nvmm);
    if seen.is_err() {
        // It may have ended already.
        let _ = nvmm.kill();
    }
    let status = nvmm.wait().context("waiting for nvmm")?;
    let messages = fs::read_to_string(MESSAGES).with_context(|| format!("reading {MESSAGES}"))?;
    messages.lines().for_each(|line| pid1.say(Said::Text(format!("nvmm: {line}"))));
    seen.with_context(|| messages.clone())?;
    ensure!(status.success(), "nvmm ended with {status}: {messages}");
    ensure!(messages.contains(UNMET), "nvmm does not say that there is no VMX: {messages}");
    Ok(())
}

/// Sees GRUB and the login, and logs in.
fn look(pid1: &mut Pid1, nvmm: &mut Child) -> anyhow::Result<()> {
    let font = viewer::font(VGA_ROM_PATH)?;
    let mut viewer = Viewer::connect(SocketAddr::from(SERVER), &mut || Ok(nvmm.try_wait()?.is_none()))?;
    let mut show = |what: &str| pid1.say(Said::Text(format!("seen: {what}")));
    // The kernel of a slow host may print warnings meanwhile, so the expected row need not be the last.
    let is = |text: &'static str| move |rows: &[String]| rows.iter().any(|row| row.contains(text));
    viewer.until(&font, is(MENU))?;
    show(MENU);
    viewer.types_unseen("")?;
    viewer.until(&font, is(LOGIN))?;
    show(LOGIN);
    viewer.types(&font, LOGIN, "root")?;
    viewer.until(&font, is(PASSWORD))?;
    show(PASSWORD);
    viewer.types_unseen("lab")?;
    viewer.until(&font, is(PROMPT))?;
    show(PROMPT);
    viewer.types(&font, PROMPT, LOOK)?;
    viewer.until(&font, is(MOVE))?;
    viewer.points(POINTER)?;
    let mut told = Vec::new();
    viewer.until(&font, |rows| {
        let start = rows.iter().position(|row| row.contains(LOOK)).map_or(rows.len(), |at| at + 1);
        told = rows[start..].iter().take(TOLD).cloned().collect();
        told.len() == TOLD && rows.iter().filter(|row| row.starts_with(PROMPT)).count() == 2
    })?;
    show(&told.join("; "));
    judge(&told).with_context(|| format!("level 1 tells {told:?}"))?;
    viewer.types(&font, PROMPT, "poweroff -ff")
}

fn judge(told: &[String]) -> anyhow::Result<()> {
    let [processors, socket, memory, tablet, _, event] = told else { bail!("more or less") };
    let memory: u32 = memory.split_whitespace().nth(1).context("no memory")?.parse()?;
    ensure!([processors, socket] == PROCESSORS && MEMORY.contains(&memory), "other processors, or memory");
    ensure!(tablet == "QEMU Virtio Tablet", "no tablet");
    let event: Vec<_> = event.split_whitespace().collect();
    let [kind, code, value] = event[..] else { bail!("no event") };
    ensure!([kind, code] == EVENT && MIDDLE.contains(&value.parse()?), "another event");
    Ok(())
}
