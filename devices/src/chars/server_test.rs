use std::{
    io::{Read, Write},
    net::TcpStream,
    os::unix::{fs::symlink, net::UnixStream},
    path::Path,
};

use super::*;
use crate::chars::{
    peers::MOST,
    testing::{Port, read, read_to_end},
};

fn listen(address: &Address, options: ServerOptions) -> Port<Server> {
    Port::new(Server::new("COM2", address, options, None).unwrap())
}

fn tcp() -> Port<Server> {
    listen(&Address::Tcp { host: "127.0.0.1".to_owned(), port: 0 }, ServerOptions::default())
}

fn connect(port: &Port<Server>) -> TcpStream {
    let Address::Tcp { host, port } = port.backend.address() else { panic!("no TCP") };
    let peer = TcpStream::connect((host.as_str(), *port)).unwrap();
    peer.set_nonblocking(true).unwrap();
    peer
}

fn unix(path: &Path) -> Port<Server> {
    listen(&Address::Unix(path.to_owned()), ServerOptions::default())
}

fn error(address: &Address) -> AddressError {
    Server::new("COM2", address, ServerOptions::default(), None).unwrap_err()
}

#[test]
fn bytes_go_both_ways() {
    let mut port = tcp();
    port.print(b"before anybody came; ");
    let mut peer = connect(&port);
    peer.write_all(b"ls\r").unwrap();
    port.until_seen(b"ls\r");
    port.print(b"file\r\n");
    assert_eq!(read(&mut port, &peer, 27), b"before anybody came; file\r\n");
}

/// Every byte from a peer reaches the guest, and every byte from the guest reaches the peer that is connected at that time.
#[test]
fn ten_sessions_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let mut ports = [tcp(), unix(&path)];
    for (port, is_tcp) in ports.iter_mut().zip([true, false]) {
        let mut sent = Vec::new();
        for session in 0..10 {
            let line = format!("session {session}\r");
            if is_tcp {
                let mut peer = connect(port);
                talk(port, &mut peer, &line);
            } else {
                let mut peer = UnixStream::connect(&path).unwrap();
                peer.set_nonblocking(true).unwrap();
                talk(port, &mut peer, &line);
            }
            // No peer is connected.
            sent.extend(line.as_bytes());
            sent.extend(b"bye");
            port.until_seen(&sent);
            port.print(b"later;");
        }
    }
}

/// Reads the output since the last peer, has a line echoed, and leaves in the middle of a word.
fn talk(port: &mut Port<Server>, peer: &mut (impl Read + Write + std::fmt::Debug), line: &str) {
    let before = if line.starts_with("session 0") { "" } else { "later;" };
    peer.write_all(line.as_bytes()).unwrap();
    let seen = port.seen.len() + line.len();
    port.until(|port| port.seen.len() >= seen);
    port.print(line.as_bytes());
    let text = read(port, &mut *peer, before.len() + line.len());
    assert_eq!(String::from_utf8_lossy(&text), format!("{before}{line}"));
    peer.write_all(b"bye").unwrap();
}

#[test]
fn a_second_peer_is_refused_politely_and_the_first_may_come_back() {
    let mut port = tcp();
    let first = connect(&port);
    port.until(|port| !port.backend.waits && port.backend.peers.output.is_connected());
    let mut second = connect(&port);
    second.write_all(b"hello?").unwrap();
    let answer = read_to_end(&mut port, &second);
    assert_eq!(
        String::from_utf8_lossy(&answer),
        "nvmm: COM2 has a connection already; try again when that has ended\r\n"
    );
    assert!(port.seen.is_empty(), "what it said is not the guest's");
    drop(first);
    let mut again = connect(&port);
    again.write_all(b"again").unwrap();
    port.until_seen(b"again");
}

/// With a guest that reads nothing, the peer waits, and its input reaches the guest later; meanwhile other peers come and go.
#[test]
fn input_that_the_guest_does_not_take_waits_at_the_peer() {
    let mut port = tcp();
    port.takes = false;
    let mut sent = Vec::new();
    for session in 0..3_u8 {
        let mut peer = connect(&port);
        let text = vec![b'a' + session; 10_000];
        let written = peer.write(&text).unwrap();
        sent.extend(&text[..written]);
        port.settle();
        port.print(b"x");
        assert_eq!(read(&mut port, &peer, 1), b"x", "it is served all the same");
        drop(peer);
        port.settle();
    }
    assert_eq!(port.input.room(), 0);
    port.takes = true;
    port.until_seen(&sent);
}

#[test]
fn a_guest_that_reads_nothing_has_so_many_peers_wait_and_no_more() {
    let mut port = tcp();
    port.takes = false;
    for _ in 0..20 {
        let mut peer = connect(&port);
        peer.write_all(&[b'.'; 5000]).unwrap();
        drop(peer);
        port.settle();
    }
    let peer = connect(&port);
    let refused = read_to_end(&mut port, peer);
    assert!(String::from_utf8_lossy(&refused).contains("reads nothing from COM2"), "{refused:?}");
    port.takes = true;
    port.until(|port| port.seen.len() >= 8 * 5000);
}

/// One peer fills the input; peers that sent nothing leave nothing behind, and the last one still gets the output.
#[test]
fn silent_peers_keep_no_place_while_the_guest_reads_nothing() {
    let address = Address::Tcp { host: "127.0.0.1".to_owned(), port: 0 };
    for telnet in [false, true] {
        let mut port = listen(&address, ServerOptions { wait: false, telnet });
        port.takes = false;
        let mut first = connect(&port);
        first.write_all(&[b'.'; 8000]).unwrap();
        drop(first);
        port.settle();
        for _ in 0..MOST + 1 {
            let mut peer = connect(&port);
            if telnet {
                // The client program answers the greeting itself.
                peer.write_all(b"\xff\xfd\x01\xff\xfd\x03").unwrap();
            }
            drop(peer);
            port.settle();
        }
        assert_eq!(port.input.room(), 0);
        port.print(b"output");
        let peer = connect(&port);
        let expected: &[u8] =
            if telnet { b"\xff\xfb\x01\xff\xfb\x03\xff\xfb\x00\xff\xfd\x00output" } else { b"output" };
        assert_eq!(read(&mut port, &peer, expected.len()), expected);
        port.takes = true;
        port.until_seen(&[b'.'; 8000]);
    }
}

/// The peer's input fits exactly, so that none of it waits in the socket.
#[test]
fn a_peer_whose_input_was_read_keeps_no_place() {
    let mut port = tcp();
    port.takes = false;
    let mut peer = connect(&port);
    peer.write_all(&[b'.'; Input::CAPACITY]).unwrap();
    drop(peer);
    port.settle();
    assert!(port.backend.peers.is_empty(), "{port:?}");
}

#[test]
fn a_peer_that_does_not_read_blocks_nothing() {
    let mut port = tcp();
    let mut peer = connect(&port);
    port.settle();
    // More than the sockets and the output can hold together.
    for _ in 0..20_000 {
        port.print(&[b'.'; 1000]);
    }
    assert!(port.backend.peers.output.lost() > 0);
    peer.write_all(b"still heard").unwrap();
    port.until_seen(b"still heard");
}

#[test]
fn the_machine_may_wait_for_the_first_peer() {
    let address = Address::Tcp { host: "127.0.0.1".to_owned(), port: 0 };
    let mut port = listen(&address, ServerOptions { wait: true, telnet: false });
    assert!(port.backend.waits_for_peer());
    let peer = connect(&port);
    port.until(|port| !port.backend.waits_for_peer());
    drop(peer);
    port.settle();
    assert!(!port.backend.waits_for_peer(), "it has come and gone");
}

#[test]
fn telnet_is_asked_for_keys_and_its_answers_are_not_the_guests() {
    let address = Address::Tcp { host: "127.0.0.1".to_owned(), port: 0 };
    let mut port = listen(&address, ServerOptions { wait: false, telnet: true });
    let mut peer = connect(&port);
    assert_eq!(read(&mut port, &peer, 12), b"\xff\xfb\x01\xff\xfb\x03\xff\xfb\x00\xff\xfd\x00");
    peer.write_all(b"\xff\xfd\x01\xff\xfd\x03\xff\xfc\x00ls\r\0").unwrap();
    port.until_seen(b"ls\r");
    port.print(b"\xff");
    assert_eq!(read(&mut port, &peer, 2), b"\xff\xff");
}

#[test]
fn a_port_in_use_is_refused() {
    let port = tcp();
    let error = error(port.backend.address()).to_string();
    assert_eq!(
        error,
        format!("{}: another program listens there; give another port", port.backend.address())
    );
}

#[test]
fn a_stale_socket_is_replaced_and_a_live_one_or_another_file_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let mut port = unix(&path);
    let peer = UnixStream::connect(&path).unwrap();
    port.until(|port| port.backend.peers.output.is_connected());
    let address = Address::Unix(path.clone());
    assert!(matches!(error(&address), AddressError::PathInUse(_)));
    port.settle();
    assert!(port.backend.peers.is_connected(), "asking is no peer");
    drop((peer, port));
    assert!(!path.exists(), "it is removed at the end");
    for at in ["file", "folder", "link"] {
        let path = folder.path().join(at);
        match at {
            "file" => std::fs::write(&path, "text").unwrap(),
            "folder" => std::fs::create_dir(&path).unwrap(),
            _ => symlink(folder.path().join("file"), &path).unwrap(),
        }
        assert!(matches!(error(&Address::Unix(path.clone())), AddressError::NoSocket(_)), "{at}");
        assert!(path.exists());
    }
    assert!(matches!(error(&Address::Unix(folder.path().join("no/socket"))), AddressError::Failed(..)));
}

/// Another process may have removed the socket and created its own.
#[test]
fn the_socket_of_another_process_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let port = unix(&path);
    std::fs::remove_file(&path).unwrap();
    let _other = unix(&path);
    drop(port);
    assert!(path.exists());
}

#[test]
fn at_the_end_the_peer_gets_the_last_words() {
    let mut port = tcp();
    let mut peer = connect(&port);
    peer.write_all(b"never read").unwrap();
    port.takes = false;
    port.until(|port| port.backend.peers.output.is_connected());
    port.print(b"power down\r\n");
    port.backend.finish();
    peer.write_all(b"too late").unwrap();
    let output = port.backend.output().unwrap();
    let event = output.finish().unwrap();
    port.until(|_| event.read().is_ok());
    assert!(TcpStream::connect(peer.peer_addr().unwrap()).is_err(), "nobody is taken any more");
    drop((port, output));
    peer.set_nonblocking(false).unwrap();
    let mut text = [0; 12];
    peer.read_exact(&mut text).unwrap();
    assert_eq!(&text, b"power down\r\n");
}

#[test]
fn the_end_does_not_wait_for_a_missing_reader() {
    let port = tcp();
    port.print(b"nobody hears that");
    let mut port = port;
    port.backend.finish();
    let output = port.backend.output().unwrap();
    output.finish().unwrap();
    assert!(output.is_gone());
}
