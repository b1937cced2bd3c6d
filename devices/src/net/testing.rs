//! Network namespaces for tests, and frames.

#![expect(unsafe_code, reason = "ports give plain descriptors")]

use std::{any::type_name, env, os::fd::BorrowedFd, process::Command};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use vm_memory::VolatileSlice;

use super::{HEADER_LEN, LONGEST, Port};

/// The environment variable with the name of the test that runs in a namespace.
const INSIDE: &str = "NVMM_TEST_NETWORK";

/// Runs `test`, the body of a test, in its own network namespace, in another process. If that can't be created, the test is skipped.
pub(crate) fn in_namespace<F: FnOnce()>(test: F) {
    if env::var_os(INSIDE).is_some() {
        return test();
    }
    let unshare = if rustix::process::geteuid().is_root() { "-n" } else { "-Urn" };
    match Command::new("unshare").args([unshare, "sh", "-c", "ip link && test -w /dev/net/tun"]).output() {
        Ok(output) if output.status.success() => {}
        Ok(output) => {
            let error = String::from_utf8_lossy(&output.stderr);
            return eprintln!("skipped: no network namespace with /dev/net/tun: {error}");
        }
        Err(error) => return eprintln!("skipped: unshare: {error}"),
    }
    // The type's name is `devices::net::tests::a_frame_comes::{{closure}}`, for example.
    let name = type_name::<F>().split_once("::").unwrap().1.split("::{{closure}}").next().unwrap();
    run(again(Command::new("unshare").arg(unshare), name));
}

/// Makes `command` run only the test `name`, marked as inside of the namespace.
pub(crate) fn again<'a>(command: &'a mut Command, name: &str) -> &'a mut Command {
    command.arg(env::current_exe().unwrap()).args([name, "--exact", "--nocapture"]).env(INSIDE, name)
}

/// The name of the test that this process runs.
pub(crate) fn inside() -> String {
    env::var(INSIDE).unwrap()
}

/// Runs the `command` that [`again`] made.
pub(crate) fn run(command: &mut Command) {
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}\n{errors}");
    errors.lines().filter(|line| line.starts_with("skipped")).for_each(|line| eprintln!("{line}"));
}

/// Runs iproute2's `ip`, with each of the lines.
pub(crate) fn ip(lines: &str) {
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
        assert!(try_ip(line), "ip {line}");
    }
}

pub(crate) fn try_ip(line: &str) -> bool {
    Command::new("ip").args(line.split_whitespace()).status().unwrap().success()
}

/// Returns whether there is such an interface.
pub(crate) fn has(interface: &str) -> bool {
    Command::new("ip").args(["link", "show", interface]).output().unwrap().status.success()
}

pub(crate) fn send(port: &dyn Port, bytes: &[u8]) -> std::io::Result<()> {
    let mut bytes = bytes.to_vec();
    // In several buffers, one of which is empty.
    let first = 5.min(bytes.len());
    let (a, rest) = bytes.split_at_mut(first);
    let second = 20.min(rest.len());
    let (b, c) = rest.split_at_mut(second);
    let buffers = [a, &mut [], b, c].map(VolatileSlice::from);
    port.send(&buffers)
}

/// The next frame with its header, if one has arrived.
pub(crate) fn receive(port: &dyn Port) -> std::io::Result<Vec<u8>> {
    let mut bytes = vec![0; LONGEST];
    let (a, b) = bytes.split_at_mut(13);
    let len = port.receive(&[a, b].map(VolatileSlice::from))?;
    bytes.truncate(len);
    Ok(bytes)
}

/// Waits for the next frame that `is_it`, for ten seconds at most.
pub(crate) fn wait_for(port: &dyn Port, is_it: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    loop {
        match receive(port) {
            Ok(frame) if is_it(&frame) => return frame,
            // For example the host's own frames, which search for routers.
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                assert!(wait(port, PollFlags::IN).contains(PollFlags::IN), "no frame came");
            }
            Err(error) => panic!("{error}"),
        }
    }
}

/// Waits until the port's descriptor is ready, for ten seconds at most.
pub(crate) fn wait(port: &dyn Port, flags: PollFlags) -> PollFlags {
    // SAFETY: the port keeps it open.
    let fd = unsafe { BorrowedFd::borrow_raw(port.descriptor()) };
    let mut fds = [PollFd::new(&fd, flags)];
    poll(&mut fds, Some(&Timespec { tv_sec: 10, tv_nsec: 0 })).unwrap();
    fds[0].revents()
}

/// The type of frames that only tests send: IEEE 802, "Local Experimental EtherType".
pub(crate) const EXPERIMENTAL: [u8; 2] = [0x88, 0xb5];

/// A broadcast frame with a header of zeros.
pub(crate) fn frame(payload: &[u8]) -> Vec<u8> {
    let ends = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x52, 0x54, 0, 0, 0, 1];
    [&[0; HEADER_LEN][..], &ends, &EXPERIMENTAL, payload].concat()
}

/// Returns whether a frame with its header is one that [`frame`] makes.
pub(crate) fn is_ours(frame: &[u8]) -> bool {
    frame.get(HEADER_LEN + 12..HEADER_LEN + 14) == Some(&EXPERIMENTAL)
}
