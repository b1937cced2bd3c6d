use std::{
    env,
    io::{BufRead, BufReader},
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::{Command, Stdio},
    {fs, thread},
};

use super::*;
use crate::net::{
    Network,
    testing::{again, frame, has, in_namespace, inside, ip, is_ours, run, send, wait_for},
};

fn error(made: Result<Tap, BridgeError>) -> String {
    let mut error: &dyn std::error::Error = &made.unwrap_err();
    let mut text = error.to_string();
    while let Some(source) = error.source() {
        text = format!("{text}: {source}");
        error = source;
    }
    text
}

fn shows(interface: &str, text: &str) -> bool {
    let output = Command::new("ip").args(["-d", "link", "show", interface]).output().unwrap();
    String::from_utf8_lossy(&output.stdout).contains(text)
}

#[test]
fn frames_cross_a_bridge() {
    in_namespace(|| {
        ip("link add br0 type bridge forward_delay 0 mcast_snooping 0
            link set dev br0 mtu 9000 up");
        let [a, b] = [1, 2].map(|queues| Tap::on_bridge("br0", queues, None, None).unwrap());
        assert_eq!(a.name(), "tap nvmm0 on bridge br0");
        assert_eq!((a.mtu(), b.most_ports()), (Some(9000), 2));
        for interface in ["nvmm0", "nvmm1"] {
            assert!(shows(interface, "master br0") && shows(interface, "mtu 9000"));
            assert!(shows(interface, "link/ether fe:"));
        }
        let sent = frame(&[7; 8000]);
        send(a.port(0), &sent).unwrap();
        assert_eq!(wait_for(b.port(0), is_ours), sent);
        drop(a);
        assert!(!has("nvmm0"));
        let small = Tap::on_bridge("br0", 1, Some(1400), None).unwrap();
        assert_eq!(small.mtu(), Some(1400));
    });
}

#[test]
fn there_has_to_be_a_bridge() {
    in_namespace(|| {
        assert_eq!(
            error(Tap::on_bridge("br7", 1, None, None)),
            "there is no bridge br7; an administrator makes it: ip link add br7 type bridge && ip link set dev br7 up"
        );
        assert_eq!(error(Tap::on_bridge("lo", 1, None, None)), "the interface lo is no bridge");
        assert!(error(Tap::on_bridge("", 1, None, None)).starts_with("\"\" names no bridge: "));
        assert!(!has("nvmm0"), "nothing is left");
    });
}

#[test]
fn a_killed_process_leaves_nothing_behind() {
    const HOLDS: &str = "NVMM_TEST_HOLDS_TAP";
    in_namespace(|| {
        if env::var_os(HOLDS).is_some() {
            let _tap = Tap::on_bridge("br0", 2, None, None).unwrap();
            println!("\nmade");
            loop {
                thread::park();
            }
        }
        ip("link add br0 type bridge
            link set dev br0 up");
        let mut holder = again(&mut Command::new("env"), &inside())
            .env(HOLDS, "1")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(holder.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap() == "made"));
        assert!(shows("nvmm0", "master br0"));
        holder.kill().unwrap();
        holder.wait().unwrap();
        assert!(!has("nvmm0") && has("br0"));
    });
}

/// A program in place of QEMU's helper.
fn helper(dir: &tempfile::TempDir, script: &str) -> PathBuf {
    let path = dir.path().join("helper");
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

fn without_rights() {
    let dir = tempfile::tempdir().unwrap();
    let path = helper(&dir, "echo \"access denied by acl file\" >&2; exit 1");
    let text = error(Tap::on_bridge("br0", 1, None, Some(&path)));
    let name = path.display();
    assert_eq!(text, format!("{name} gives no tap on the bridge br0: access denied by acl file"));

    let path = helper(&dir, "echo \"$@\" >&2; exec 0</proc/self/fd/${2#--fd=}");
    let text = error(Tap::on_bridge("br0", 1, None, Some(&path)));
    assert!(text.contains(": --use-vnet --fd=") && text.contains(" --br=br0"), "{text}");

    let path = helper(&dir, "exit 3");
    let text = error(Tap::on_bridge("br0", 1, None, Some(&path)));
    assert_eq!(text, format!("{name} gives no tap on the bridge br0: exit status: 3"));

    let text = error(Tap::on_bridge("br0", 2, None, Some(&path)));
    assert_eq!(
        text,
        format!("no permission to join the bridge br0; {name} makes taps of one queue: leave queues= out")
    );
    let path = dir.path().join("none");
    let text = error(Tap::on_bridge("br0", 1, None, Some(&path)));
    assert!(text.starts_with(&format!("{}: ", path.display())), "{text}");
}

#[test]
fn an_administrator_gets_the_remedy() {
    let user = rustix::process::geteuid().as_raw();
    let error = BridgeError::NotPermitted { bridge: "br0".parse().unwrap(), queues: 2 };
    let commands = format!(
        "ip tuntap add dev nvmm0 mode tap user {user} multi_queue && ip link set dev nvmm0 master br0 up; then give tap=nvmm0"
    );
    let text = error.to_string();
    assert!(text.ends_with(&commands), "{text}");
}

#[test]
fn the_helpers_messages_are_reported() {
    const NO_RIGHTS: &str = "NVMM_TEST_NO_RIGHTS";
    in_namespace(|| {
        if env::var_os(NO_RIGHTS).is_some() {
            return without_rights();
        }
        ip("link add br0 type bridge
            link set dev br0 up");
        let mut setpriv = Command::new("setpriv");
        setpriv.args(["--bounding-set", "-net_admin", "--inh-caps", "-net_admin"]);
        run(again(&mut setpriv, &inside()).env(NO_RIGHTS, "1"));
    });
}

/// Sends a descriptor over the socket, which a shell can't do.
const SENDS_TAP: &str = r#"exec python3 -c '
import fcntl, os, socket, struct, sys
tap = os.open("/dev/net/tun", os.O_RDWR)
fcntl.ioctl(tap, 0x400454ca, struct.pack("16sH22x", b"helped", 0x5002))
ours = socket.socket(fileno=int(sys.argv[2].removeprefix("--fd=")))
socket.send_fds(ours, [b"\0"], [tap])
' "$@""#;

#[test]
fn the_helper_s_tap_is_used() {
    in_namespace(|| {
        if !Command::new("python3").arg("--version").output().is_ok_and(|output| output.status.success()) {
            return eprintln!("skipped: no python3");
        }
        let dir = tempfile::tempdir().unwrap();
        let path = helper(&dir, SENDS_TAP);
        let descriptor = helper::open(Some(&path), "br0".parse().unwrap(), 1).unwrap();
        let tap = Tap::from_descriptors(vec![descriptor]).unwrap();
        assert_eq!(tap.interface().as_str(), "helped");
        ip("link set dev helped up");
        send(tap.port(0), &frame(b"")).unwrap();
        drop(tap);
        assert!(!has("helped"));
    });
}

/// QEMU's own helper, if it is installed. It reads /etc/qemu/bridge.conf, which only this test sees.
#[test]
fn qemu_s_helper_makes_a_tap() {
    const ALLOWED: &str = "NVMM_TEST_ALLOWED";
    in_namespace(|| {
        if env::var_os(ALLOWED).is_some() {
            let descriptor = helper::open(None, "br0".parse().unwrap(), 1).unwrap();
            let tap = Tap::from_descriptors(vec![descriptor]).unwrap();
            assert!(shows(tap.interface().as_str(), "master br0"));
            return;
        }
        ip("link add br0 type bridge
            link set dev br0 up");
        match helper::open(None, "br0".parse().unwrap(), 1) {
            // This host's administrator permits it.
            Ok(_) => {}
            Err(BridgeError::Helper { text, .. }) => assert!(text.contains("acl file"), "{text}"),
            Err(error) => return eprintln!("skipped: {error}"),
        }
        let script = "mount -t tmpfs etc /etc && mkdir /etc/qemu && echo allow br0 > /etc/qemu/bridge.conf && exec \"$0\" \"$@\"";
        run(again(Command::new("unshare").args(["-m", "sh", "-c", script]), &inside()).env(ALLOWED, "1"));
    });
}
