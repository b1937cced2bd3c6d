use std::{
    env, fs,
    io::{BufRead, BufReader, ErrorKind},
    net::{Ipv4Addr, TcpListener, TcpStream},
    os::unix::fs::PermissionsExt,
};

use rustix::process::{Pid, Signal, kill_process};

use super::*;
use crate::net::{
    HEADER_LEN,
    testing::{again, frame, in_namespace, inside, ip, receive, run, send, wait_for},
};

fn error(started: Result<Passt, PasstError>) -> String {
    let mut error: &dyn std::error::Error = &started.unwrap_err();
    let mut text = error.to_string();
    while let Some(source) = error.source() {
        text = format!("{text}: {source}");
        error = source;
    }
    text
}

fn program(dir: &tempfile::TempDir, script: &str) -> PasstOptions {
    let path = dir.path().join("passt");
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    PasstOptions { program: Some(path), ..PasstOptions::default() }
}

#[test]
fn the_end_of_a_program_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("passt");
    let name = path.display();
    let missing = PasstOptions { program: Some(path.clone()), ..PasstOptions::default() };
    assert_eq!(
        error(Passt::start(&missing)),
        format!("{name} is not installed; install it, such as by: apt install passt")
    );

    let fails = program(&dir, "echo one >&2; echo 'the reason' >&2; exit 1");
    assert_eq!(error(Passt::start(&fails)), format!("{name} ended (exit status: 1): the reason"));

    let silent = program(&dir, "kill -9 $$");
    let text = error(Passt::start(&silent));
    assert!(
        text.starts_with(&format!("{name} ended (signal: 9")) && text.ends_with(": it says nothing"),
        "{text}"
    );
}

#[test]
fn a_port_that_is_taken_is_named() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    let forward: Forward = format!("tcp:127.0.0.1:{port}-:22").parse().unwrap();
    let options = PasstOptions { forwards: vec![forward], ..PasstOptions::default() };
    let text = error(Passt::start(&options));
    assert!(text.starts_with(&format!("forwarding {forward}: Address already in use")), "{text}");
}

#[test]
fn an_mtu_that_passt_does_not_take_is_refused() {
    for mtu in [0, 67, 65_521] {
        let options = PasstOptions { mtu: Some(mtu), ..PasstOptions::default() };
        assert_eq!(
            error(Passt::start(&options)),
            format!("an MTU of {mtu}: passt takes one from 68 to 65520")
        );
    }
}

/// A namespace in which passt finds a route to the outside, if it is installed.
fn with_passt(test: impl FnOnce(Passt)) {
    if !Command::new("passt").arg("--version").output().is_ok_and(|output| output.status.success()) {
        return eprintln!("skipped: passt is not installed");
    }
    let forwards = vec!["tcp:127.0.0.1:2222-:22".parse().unwrap(), "udp::2222-:53".parse().unwrap()];
    match Passt::start(&PasstOptions { forwards, ..PasstOptions::default() }) {
        Err(PasstError::Ended { text, .. }) if text.contains("user namespace") => {
            eprintln!("skipped: {text}");
        }
        passt => test(passt.unwrap()),
    }
}

fn way_out() {
    ip("link set dev lo up
        link add v0 type veth peer name v1
        link set dev v0 up
        link set dev v1 up
        addr add 192.0.2.2/24 dev v0
        route add default via 192.0.2.1");
}

const MAC: [u8; 6] = [0x52, 0x54, 0, 0, 0, 1];

/// RFC 2131, "DHCPDISCOVER", in UDP in IPv4 in Ethernet.
fn discover() -> Vec<u8> {
    let mut dhcp = vec![0; 240];
    dhcp[..8].copy_from_slice(&[1, 1, 6, 0, 1, 2, 3, 4]);
    dhcp[28..34].copy_from_slice(&MAC);
    dhcp[236..].copy_from_slice(&[99, 130, 83, 99]);
    dhcp.extend([53, 1, 1, 255]);
    dhcp.resize(300, 0);
    let len = |len: usize| u16::try_from(len).unwrap().to_be_bytes();
    let udp = [&[0, 68, 0, 67][..], &len(8 + dhcp.len()), &[0, 0], &dhcp].concat();
    let mut ip = [&[0x45, 0][..], &len(20 + udp.len()), &[0, 0, 0, 0, 64, 17, 0, 0]].concat();
    ip.extend([0, 0, 0, 0, 255, 255, 255, 255]);
    let sum: u32 = ip.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    let sum = u16::try_from((sum & 0xffff) + (sum >> 16)).unwrap();
    ip[10..12].copy_from_slice(&(!sum).to_be_bytes());
    [&[0; HEADER_LEN][..], &[0xff; 6], &MAC, &[8, 0], &ip, &udp].concat()
}

/// The guest gets an address, and a connection to a forwarded port reaches the guest.
fn the_guest_is_reached(passt: &Passt) {
    let port = passt.port(0);
    send(port, &discover()).unwrap();
    let offer = wait_for(port, |frame| frame.get(HEADER_LEN + 34..HEADER_LEN + 38) == Some(&[0, 67, 0, 68]));
    let frame = &offer[HEADER_LEN..];
    assert_eq!((&frame[..6], &frame[58..62]), (&MAC[..], &[192, 0, 2, 2][..]));

    let _connection = TcpStream::connect((Ipv4Addr::LOCALHOST, 2222)).unwrap();
    let is_syn = |frame: &[u8]| {
        let frame = &frame[HEADER_LEN..];
        frame.get(23) == Some(&6) && frame.get(36..38) == Some(&[0, 22]) && frame[47] & 0x3f == 2
    };
    wait_for(port, is_syn);
}

#[test]
fn passt_gives_an_address_and_forwards_ports() {
    in_namespace(|| {
        way_out();
        with_passt(|passt| {
            assert_eq!(passt.name(), "user by passt, tcp:127.0.0.1:2222-:22, udp::2222-:53");
            assert_eq!((passt.mtu(), passt.most_ports()), (Some(65_520), 1));
            the_guest_is_reached(&passt);
            // The longest that a guest may send.
            send(passt.port(0), &frame(&vec![0; 65_520])).unwrap();
            the_guest_is_reached(&passt);
            let child = format!("/proc/{}", passt.port.process.id());
            assert!(Path::new(&child).exists());
            drop(passt);
            assert!(!Path::new(&child).exists());
        });
    });
}

#[test]
fn passt_needs_no_rights() {
    const NO_RIGHTS: &str = "NVMM_TEST_NO_RIGHTS";
    in_namespace(|| {
        if env::var_os(NO_RIGHTS).is_some() {
            return with_passt(|passt| the_guest_is_reached(&passt));
        }
        way_out();
        let user = || {
            let mut setpriv = Command::new("setpriv");
            setpriv.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]);
            setpriv
        };
        let program = env::current_exe().unwrap();
        if !user().arg("test").arg("-x").arg(program).status().is_ok_and(|status| status.success()) {
            return eprintln!("skipped: no other user can run the test");
        }
        run(again(&mut user(), &inside()).env(NO_RIGHTS, "1"));
    });
}

#[test]
fn passt_ends_with_a_process_that_was_killed() {
    const HOLDS: &str = "NVMM_TEST_HOLDS_PASST";
    in_namespace(|| {
        if env::var_os(HOLDS).is_some() {
            return with_passt(|passt| {
                println!("\npasst {}", passt.port.process.id());
                loop {
                    thread::park();
                }
            });
        }
        way_out();
        let mut command = Command::new("env");
        let mut holder =
            again(&mut command, &inside()).env(HOLDS, "1").stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(holder.stdout.take().unwrap()).lines();
        let child =
            lines.map_while(Result::ok).find_map(|line| Some(line.strip_prefix("passt ")?.to_string()));
        holder.kill().unwrap();
        holder.wait().unwrap();
        let Some(child) = child else { return eprintln!("skipped: passt does not run") };
        // The process that adopts it may not wait for it.
        let is_alive = || {
            let status = fs::read_to_string(format!("/proc/{child}/status"));
            status.is_ok_and(|status| !status.contains("State:\tZ"))
        };
        let since = Instant::now();
        while is_alive() {
            assert!(since.elapsed() < Duration::from_secs(60), "passt {child} goes on");
            thread::sleep(PAUSE);
        }
    });
}

/// The earlier output is not the reason, and the process is no zombie.
fn passt_is_heard_to_end(passt: &Passt, signal: Signal, how: &str) {
    let child = passt.port.process.id();
    passt.check().unwrap();
    kill_process(Pid::from_raw(child.try_into().unwrap()).unwrap(), signal).unwrap();
    let news = passt.news().map(|news| poll(&mut [PollFd::new(&news, PollFlags::IN)], None).unwrap());
    println!("{news:?}");
    let error = loop {
        match receive(passt.port(0)) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(PAUSE),
            Err(error) => break error,
            Ok(_) => {}
        }
    };
    assert!(!Path::new(&format!("/proc/{child}")).exists());
    assert_eq!(error.to_string(), how);
    assert_eq!(send(passt.port(0), &frame(b"")).unwrap_err().to_string(), how);
    assert_eq!(passt.check().unwrap_err().to_string(), how);
}

#[test]
fn passt_that_is_gone_is_an_error() {
    in_namespace(|| {
        way_out();
        with_passt(|passt| {
            passt_is_heard_to_end(&passt, Signal::KILL, "passt has ended (signal: 9 (SIGKILL))");
        });
    });
}

#[test]
fn the_last_output_of_a_program_is_reported() {
    let dir = tempfile::tempdir().unwrap();
    let start = |on_signal: &str| {
        // It reads the frame of the probe, and then waits.
        let script = format!(
            "trap '{on_signal}' TERM; for fd; do [ \"$last\" = --fd ] && break; last=$fd; done
             echo 'an old warning' >&2; bash -c \"head -c 64 <&$fd\" >/dev/null; while :; do sleep 0.01; done"
        );
        Passt::start(&program(&dir, &script)).unwrap()
    };
    let silent = start("exit 7");
    passt_is_heard_to_end(&silent, Signal::TERM, "passt has ended (exit status: 7)");
    let speaks = start("echo the reason >&2; exit 7");
    passt_is_heard_to_end(&speaks, Signal::TERM, "passt has ended (exit status: 7): the reason");
}

#[test]
fn passt_without_a_route_says_so() {
    in_namespace(|| {
        if Command::new("passt").arg("--version").output().is_err() {
            return eprintln!("skipped: passt is not installed");
        }
        match Passt::start(&PasstOptions::default()) {
            // Newer versions choose an address.
            Ok(_) => {}
            Err(error) => {
                let error = error.to_string();
                assert!(
                    error.contains("; it needs a default route, which this host lacks; add one"),
                    "{error}"
                );
            }
        }
    });
}
