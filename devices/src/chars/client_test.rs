use std::{
    io::{Read, Write},
    net::TcpListener,
    os::unix::net::UnixListener,
};

use super::*;
use crate::chars::testing::{Port, read};

fn client(address: Address) -> Port<Client> {
    Port::new(Client::new("COM3", address, false, None).unwrap())
}

fn tcp(listener: &TcpListener) -> Port<Client> {
    let address = listener.local_addr().unwrap();
    client(Address::Tcp { host: address.ip().to_string(), port: address.port() })
}

/// Accepts the next connection.
fn accept<S: Read + Write>(port: &mut Port<Client>, mut accept: impl FnMut() -> io::Result<S>) -> S {
    let mut taken = None;
    port.until(|_| {
        taken = accept().ok();
        taken.is_some()
    });
    taken.unwrap()
}

#[test]
fn ten_connections_lose_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let mut port = tcp(&listener);
    let mut sent = Vec::new();
    for session in 0..10 {
        port.print(b"hello");
        let mut server = accept(&mut port, || listener.accept().map(|(socket, _)| socket));
        server.set_nonblocking(true).unwrap();
        assert_eq!(read(&mut port, &server, 5), b"hello");
        let line = format!("session {session};");
        server.write_all(line.as_bytes()).unwrap();
        drop(server);
        sent.extend(line.as_bytes());
        port.until_seen(&sent);
        port.until(|port| !matches!(port.backend.state, State::ConnectedSince(_)));
    }
}

#[test]
fn a_server_that_is_not_there_yet_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let mut port = client(Address::Unix(path.clone()));
    port.print(b"hello");
    port.until(|port| port.backend.told_of_error);
    port.settle();
    let listener = UnixListener::bind(&path).unwrap();
    listener.set_nonblocking(true).unwrap();
    let server = accept(&mut port, || listener.accept().map(|(socket, _)| socket));
    server.set_nonblocking(true).unwrap();
    assert_eq!(read(&mut port, &server, 5), b"hello");
}

#[test]
fn the_pause_grows_while_no_server_answers() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut port = tcp(&listener);
    drop(listener);
    port.until(|port| port.backend.pause == LONGEST_PAUSE);
    port.settle();
}

/// A guest that reads nothing doesn't stop the client from reconnecting, until too much unread input is stored.
#[test]
fn last_words_reach_the_guest() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let mut port = tcp(&listener);
    port.takes = false;
    let mut sent = Vec::new();
    for _ in 0..2 {
        let mut server = accept(&mut port, || listener.accept().map(|(socket, _)| socket));
        let text = [b'.'; 9000];
        server.write_all(&text).unwrap();
        sent.extend(text);
    }
    port.takes = true;
    port.until_seen(&sent);
}

/// The server hangs up each time, and only the first connection leaves input behind.
#[test]
fn connections_that_sent_nothing_keep_no_place_while_the_guest_reads_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let mut port = tcp(&listener);
    port.takes = false;
    for session in 0..MOST + 2 {
        let mut server = accept(&mut port, || listener.accept().map(|(socket, _)| socket));
        if session == 0 {
            server.write_all(&[b'.'; 8000]).unwrap();
        }
        drop(server);
        // It need not wait until the pause is over.
        port.until(|port| !matches!(port.backend.state, State::ConnectedSince(_)));
        port.backend.pause = SHORTEST_PAUSE;
    }
    assert!(!port.backend.told_of_backlog);
    port.takes = true;
    port.until_seen(&[b'.'; 8000]);
}

#[test]
fn a_full_backlog_is_logged_and_connecting_goes_on_after_it() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let mut port = tcp(&listener);
    port.takes = false;
    for _ in 0..MOST {
        let mut server = accept(&mut port, || listener.accept().map(|(socket, _)| socket));
        server.write_all(&[b'.'; 5000]).unwrap();
        drop(server);
        port.until(|port| !matches!(port.backend.state, State::ConnectedSince(_)));
        port.backend.pause = SHORTEST_PAUSE;
    }
    port.until(|port| port.backend.told_of_backlog);
    assert!(listener.accept().is_err(), "no more is taken");
    port.takes = true;
    port.until_seen(&[b'.'; 5000 * MOST]);
    accept(&mut port, || listener.accept().map(|(socket, _)| socket));
    port.until(|port| !port.backend.told_of_backlog);
}

#[test]
fn a_host_without_an_address_is_refused() {
    // Too long for a host name, so that no resolver is asked.
    let host = "x".repeat(70);
    let address = Address::Tcp { host: host.clone(), port: 4444 };
    let error = Client::new("COM3", address, false, None).unwrap_err();
    assert_eq!(error.to_string(), format!("{host}:4444"));
}

#[test]
fn a_client_does_nothing_after_the_end() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let mut port = tcp(&listener);
    let server = accept(&mut port, || listener.accept().map(|(socket, _)| socket));
    port.until(|port| matches!(port.backend.state, State::ConnectedSince(_)));
    port.backend.finish();
    drop(server);
    let output = port.backend.output().unwrap();
    port.print(b"nobody hears that");
    let event = output.finish().unwrap();
    port.until(|_| event.read().is_ok());
    assert!(listener.accept().is_err());
}

#[test]
fn a_pause_that_is_over_after_the_end_causes_no_work() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut port = tcp(&listener);
    drop(listener);
    port.until(|port| port.backend.told_of_error && matches!(port.backend.state, State::Pausing));
    port.backend.finish();
    while port.is_idle() {
        std::thread::yield_now();
    }
    port.turn();
    assert!(port.is_idle());
}
