//! The network of nested machines, as their users set it up: level 1 is on a bridge of level 0, level 2 on one of level 1, and level 0's
//! ssh logs in to level 2 through level 1. The programs are Debian's (`tests/lab/src/ssh.rs`): OpenSSH's client in level 0, dropbear in the
//! others.

use std::fs::{self, DirBuilder};
use std::io::Write;
use std::net::Ipv4Addr;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use vmm::nest::image::{self, DIRECTORY, Manifest, Memfd};
use vmm::nest::pid1::{self, Pid1};
use vmm::nest::report::Said;

use crate::interfaces::{add_bridge, configure};
use crate::legacy::load;
use crate::level0::{Guest, NVMM};
use crate::level1;
use crate::level2;
use crate::scenario;

/// The test.
pub(crate) const NAME: &str = "L0 logs in to an L2 by ssh through L1, both on bridges";

/// The modules of a host of machines on a bridge, and of such a machine, in load order.
const HOST_MODULES: [&str; 4] = ["llc", "stp", "bridge", "tun"];
const GUEST_MODULES: [&str; 3] = ["failover", "net_failover", "virtio_net"];

/// Debian's programs in level 0's image, which the other levels also have. They and their libraries are next to nvmm's own files; the
/// directories in which they are searched are links to there.
const SSH: &str = "/bin/ssh";
const SSH_KEYGEN: &str = "/bin/ssh-keygen";
const DROPBEAR: &str = "/bin/dropbear";
const DROPBEARKEY: &str = "/bin/dropbearkey";
const FOLDERS: [&str; 3] = ["/bin", "/lib", "/lib64"];

/// The files that level 0 creates for the servers: their key, and the client's public key.
const HOST_KEY: &str = "nest/host_key";
const AUTHORIZED: &str = "nest/authorized_keys";

/// root's home directory, and ssh's files there.
const HOME: &str = "/root/.ssh";
const CLIENT_KEY: &str = "/root/.ssh/id_ed25519";
const ACCOUNTS: &str = "root:x:0:0:root:/root:/bin/sh\n";

const BRIDGE: &str = "br0";
const NET: [&str; 2] = ["--net", "bridge=br0"];
/// The names of the servers, and the addresses on both bridges.
const NAMES: [&str; 2] = ["l1", "l2"];
const LEVEL_0: Ipv4Addr = Ipv4Addr::new(10, 99, 1, 1);
const LEVEL_1: Ipv4Addr = Ipv4Addr::new(10, 99, 1, 2);
const LEVEL_1_INSIDE: Ipv4Addr = Ipv4Addr::new(10, 99, 2, 1);
const LEVEL_2: Ipv4Addr = Ipv4Addr::new(10, 99, 2, 2);

/// The number of four-byte words that are sent to level 2 and back: 1 MiB.
const WORDS: u32 = 1 << 18;
/// The file created by the last command, after which level 2 powers off.
const DONE: &str = "/done";
/// The time between two checks for it.
const PAUSE: Duration = Duration::from_millis(200);

/// The modules of both kinds, as level 1 is both.
pub(crate) fn modules() -> Vec<&'static str> {
    [&HOST_MODULES[..], &GUEST_MODULES].concat()
}

/// The name in level 0's image of one of the programs' files.
pub(crate) fn in_image(name: &str) -> String {
    format!("{DIRECTORY}/{name}")
}

/// Returns whether a file of an image is one of these.
pub(crate) fn is_program(name: &str) -> bool {
    Path::new(name).parent() == Some(Path::new(DIRECTORY))
}

/// Level 0: starts level 1, which starts level 2, and logs in to both.
pub(crate) fn level_0(manifest: &Manifest) -> anyhow::Result<()> {
    load(manifest, &HOST_MODULES)?;
    settle("l0")?;
    make_keys().context("making keys")?;
    add_bridge(BRIDGE, LEVEL_0).context("the bridge")?;
    let guest = Guest { smp: "1", scenario: scenario::SSH, options: NET.to_vec(), ..Guest::default() };
    let mut logged_in = false;
    let mut hear = |text: &str, _| {
        if text == level2::UP {
            log_in()?;
            logged_in = true;
        }
        Ok(())
    };
    guest.record(manifest, &pack(manifest, 1)?, &mut hear)?;
    ensure!(logged_in, "level 2 did not come up");
    Ok(())
}

/// Level 1: a server, and the host of level 2.
pub(crate) fn level_1(pid1: &mut Pid1) -> anyhow::Result<()> {
    pid1::load_kvm(pid1.level, &pid1.manifest)?;
    load(&pid1.manifest, &modules())?;
    settle(NAMES[0])?;
    configure("eth0", LEVEL_1).context("configuring eth0")?;
    add_bridge(BRIDGE, LEVEL_1_INSIDE).context("the bridge")?;
    let mut server = serve()?;
    let manifest = pid1.manifest.clone();
    let image = pack(&manifest, 2)?;
    let up = Said::Text(level2::UP.to_owned());
    let ran = level1::boot_linux(&manifest, &image, scenario::SSH, &NET, &mut |said| {
        if *said == up {
            pid1.say(up.clone());
        }
        Ok(())
    });
    // It may have ended by itself, which level 0 has noticed.
    let _ = server.kill();
    let _ = server.wait();
    ran
}

/// Level 2: a server.
pub(crate) fn level_2(pid1: &Pid1) -> anyhow::Result<Child> {
    pid1::load(&pid1.manifest.virtio)?;
    load(&pid1.manifest, &GUEST_MODULES)?;
    settle(NAMES[1])?;
    configure("eth0", LEVEL_2).context("configuring eth0")?;
    serve()
}

/// Waits for level 0's last command, and for the end of its session: level 0 would wait for the end of a session that is cut off.
pub(crate) fn until_done(mut server: Child) -> anyhow::Result<()> {
    // dropbear has a process for each session.
    let sessions = format!("/proc/{0}/task/{0}/children", server.id());
    while !Path::new(DONE).exists() || !fs::read(&sessions).context("looking for sessions")?.is_empty() {
        if let Some(status) = server.try_wait().context("waiting for dropbear")? {
            bail!("dropbear ended with {status}");
        }
        thread::sleep(PAUSE);
    }
    Ok(())
}

/// Prepares this level for the programs, and sets its host name.
fn settle(name: &str) -> anyhow::Result<()> {
    for folder in FOLDERS {
        symlink(DIRECTORY, folder).with_context(|| format!("making {folder}"))?;
    }
    fs::create_dir("/etc").and_then(|()| fs::write("/etc/passwd", ACCOUNTS)).context("making root")?;
    DirBuilder::new().recursive(true).mode(0o700).create(HOME).context("making root's home")?;
    fs::write("/proc/sys/kernel/hostname", name).context("setting the host's name")
}

/// Starts dropbear.
fn serve() -> anyhow::Result<Child> {
    fs::copy(image::in_root(AUTHORIZED), format!("{HOME}/authorized_keys")).context("allowing level 0 in")?;
    // In the foreground, with key authentication only, and messages on the console.
    let mut command = Command::new(DROPBEAR);
    command.args(["-F", "-E", "-s", "-r"]).arg(image::in_root(HOST_KEY));
    command.stdin(Stdio::null()).spawn().context("starting dropbear")
}

/// Makes the keys, and the client's settings.
fn make_keys() -> anyhow::Result<()> {
    let host_key = image::in_root(HOST_KEY);
    let mut command = Command::new(DROPBEARKEY);
    command.args(["-t", "ed25519", "-f"]).arg(&host_key);
    let printed = String::from_utf8(output(&mut command)?)?;
    let public = printed.lines().find(|line| line.starts_with("ssh-ed25519 "));
    let public = public.context("dropbearkey shows no public key")?;
    let known = [LEVEL_1, LEVEL_2].map(|address| format!("{address} {public}\n")).concat();
    fs::write(format!("{HOME}/known_hosts"), known).context("writing known_hosts")?;
    output(Command::new(SSH_KEYGEN).args(["-q", "-t", "ed25519", "-N", "", "-f", CLIENT_KEY]))?;
    fs::copy(format!("{CLIENT_KEY}.pub"), image::in_root(AUTHORIZED)).context("copying the public key")?;
    let [first, second] = NAMES;
    let config = format!(
        "Host {first}\n HostName {LEVEL_1}\n\
         Host {second}\n HostName {LEVEL_2}\n ProxyJump {first}\n\
         Host *\n User root\n BatchMode yes\n StrictHostKeyChecking yes\n"
    );
    fs::write(format!("{HOME}/config"), config).context("writing ssh's settings")
}

/// The image of `level`, with the files of this level that it needs.
fn pack(manifest: &Manifest, level: u32) -> anyhow::Result<Memfd> {
    let is_last = level == manifest.levels;
    let modules: Vec<_> = modules().into_iter().map(Manifest::module).collect();
    let needed = |name: &String| modules.contains(name) || is_program(name) || (name == NVMM && !is_last);
    let manifest = Manifest {
        files: manifest.files.iter().filter(|name| needed(name)).cloned().collect(),
        kvm: if is_last { Vec::new() } else { manifest.kvm.clone() },
        ..manifest.clone()
    };
    let read = |name: &str| fs::read(image::in_root(name)).with_context(|| format!("reading /{name}"));
    let image = image::pack(&manifest, |name| match name {
        image::KERNEL if is_last => Ok(Vec::new()),
        name => read(name),
    })?;
    for name in [HOST_KEY, AUTHORIZED] {
        image::append(&image, name, &read(name)?).with_context(|| format!("adding /{name}"))?;
    }
    Ok(image)
}

/// Logs in to both levels in turn, sends bytes to the second and back, and makes it power off.
fn log_in() -> anyhow::Result<()> {
    for name in NAMES {
        let found = ssh(name, "cat /proc/sys/kernel/hostname", Vec::new())?;
        ensure!(found == format!("{name}\n").as_bytes(), "{name} is {:?}", String::from_utf8_lossy(&found));
    }
    let sent: Vec<u8> = (0..WORDS).flat_map(u32::to_le_bytes).collect();
    let came = ssh(NAMES[1], "cat", sent.clone())?;
    ensure!(came == sent, "{} bytes came back, which are not those sent", came.len());
    ssh(NAMES[1], &format!(": > {DONE}"), Vec::new()).map(drop)
}

/// Runs a command there, and returns its output.
fn ssh(name: &str, command: &str, input: Vec<u8>) -> anyhow::Result<Vec<u8>> {
    let mut ssh = Command::new(SSH);
    ssh.args([name, command]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut ssh = ssh.spawn().context("starting ssh")?;
    let mut to = ssh.stdin.take().context("ssh has no pipe")?;
    // It prints while it reads. Its output shows whether it has read everything.
    let writer = thread::spawn(move || to.write_all(&input));
    let output = ssh.wait_with_output().context("waiting for ssh")?;
    let _ = writer.join();
    printed(output).with_context(|| format!("ssh {name} {command}"))
}

fn output(command: &mut Command) -> anyhow::Result<Vec<u8>> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("starting {program}"))?;
    printed(output).context(program)
}

/// The output of a program, if it succeeded.
fn printed(output: Output) -> anyhow::Result<Vec<u8>> {
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "it ended with {}: {}", output.status, errors.trim_end());
    Ok(output.stdout)
}
