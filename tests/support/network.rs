//! A separate network: a namespace in which tests create bridges and taps.
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::{
    fs::File,
    io::Read,
    net::UdpSocket,
    os::fd::AsFd,
    path::Path,
    process::{Command, Output, Stdio},
    thread,
};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::support::{Running, nvmm};

/// A network namespace. It ends when this is dropped, with every process that the test started in it.
pub(crate) struct Namespace {
    holder: Running,
    /// The network is in its own user namespace, in which this user may create interfaces.
    is_users: bool,
}

impl Namespace {
    /// Creates one whose only other interface is the bridge br0, 10.0.0.100. If that is not possible, prints the reason, and the test is
    /// skipped.
    pub(crate) fn new() -> Option<Self> {
        let mut why = String::new();
        for is_users in [false, true] {
            match Self::enter(is_users) {
                Ok(namespace) => {
                    namespace.ip("link set lo up");
                    namespace.ip("link add br0 type bridge");
                    namespace.ip("addr add 10.0.0.100/24 dev br0");
                    namespace.ip("link set br0 up");
                    return Some(namespace);
                }
                Err(error) => why = error,
            }
        }
        println!("skipped: no network namespace with a tap is to be had: {why}");
        None
    }

    fn enter(is_users: bool) -> Result<Self, String> {
        let mut command = Command::new("unshare");
        let user: &[&str] = if is_users { &["--user", "--map-root-user"] } else { &[] };
        // `cat` shows that it has started by echoing its input, and ends with it.
        command.args(["--net"]).args(user).args(["sh", "-c", "echo there; exec cat"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut holder = Running(command.spawn().map_err(|error| format!("unshare: {error}"))?);
        let mut there = [0; 6];
        if holder.0.stdout.as_mut().unwrap().read_exact(&mut there).is_err() {
            let mut why = String::new();
            holder.0.stderr.take().unwrap().read_to_string(&mut why).unwrap();
            return Err(why.trim().to_owned());
        }
        let namespace = Self { holder, is_users };
        let tried = namespace.command("ip").args(["tuntap", "add", "t", "mode", "tap"]).output();
        match tried.map_err(|error| format!("ip: {error}"))? {
            tried if tried.status.success() => {
                namespace.ip("tuntap del t mode tap");
                Ok(namespace)
            }
            tried => Err(String::from_utf8_lossy(&tried.stderr).trim().to_owned()),
        }
    }

    /// The command for a program in it.
    pub(crate) fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.holder.0.id().to_string(), "--net"]);
        if self.is_users {
            command.args(["--user", "--preserve-credentials"]);
        }
        command.arg("--").arg(program.as_ref()).stdin(Stdio::null());
        command
    }

    /// The nvmm under test, in it.
    pub(crate) fn nvmm(&self) -> Command {
        self.command(nvmm().get_program())
    }

    /// Runs iproute2's `ip`.
    pub(crate) fn ip(&self, words: &str) {
        let output = self.command("ip").args(words.split(' ')).output().unwrap();
        assert!(output.status.success(), "ip {words}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// The names of its interfaces, without those that always exist.
    pub(crate) fn interfaces(&self) -> Vec<String> {
        let output = self.command("cat").arg("/proc/net/dev").output().unwrap();
        let names = String::from_utf8(output.stdout).unwrap();
        let names = names.lines().filter_map(|line| Some(line.split_once(':')?.0.trim().to_owned()));
        names.filter(|name| !["lo", "br0"].contains(&name.as_str())).collect()
    }

    /// A UDP socket in it, owned by this process. Prints a reason if only root may have one; then the test is skipped.
    pub(crate) fn socket(&self) -> Option<UdpSocket> {
        let place = format!("/proc/{}/ns/net", self.holder.0.id());
        let enter = move || {
            let namespace = File::open(place)?;
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
            UdpSocket::bind("0.0.0.0:0")
        };
        let made = thread::spawn(enter).join().unwrap();
        made.inspect_err(|error| println!("skipped: this process can't enter a network namespace: {error}"))
            .ok()
    }

    /// Sends a UDP datagram from it to `place`, such as 10.0.0.2/7, and returns the answer that arrives within a second, if any.
    pub(crate) fn udp(&self, place: &str, text: &str) -> Output {
        let talk =
            format!("exec 3<>/dev/udp/{place}; printf {text} >&3; timeout 1 head -c {} <&3", text.len());
        self.command("bash").args(["-c", &talk]).output().unwrap()
    }

    /// Sends datagrams until one is answered: a bridge may need a moment.
    pub(crate) fn answers(&self, place: &str) -> bool {
        (0..30).any(|_| self.udp(place, "hello").stdout == b"hello")
    }
}
