use std::{
    io::{Read, Write},
    net::TcpStream,
    os::unix::net::UnixStream,
    path::PathBuf,
    time::Instant,
};

use devices::chars::{Access, Address};
use tempfile::TempDir;

use super::{
    super::test_viewer::{Heard, TestInput, TestScreen, TestViewer, subject},
    *,
};

struct Machine {
    screen: Arc<TestScreen>,
    input: Arc<TestInput>,
    server: Server,
    path: PathBuf,
    _folder: TempDir,
}

impl Machine {
    fn new(size: (u16, u16)) -> Self {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("vnc");
        let listener = Listener::new(&Address::Unix(path.clone()), Access::Owner).unwrap();
        let (screen, input) = (Arc::new(TestScreen::default()), Arc::new(TestInput::default()));
        screen.draw(size, |x, y| u32::from(x) << 12 | u32::from(y));
        let server = Server::start(listener, subject(&screen, &input, None)).unwrap();
        Self { screen, input, server, path, _folder: folder }
    }

    /// A connected viewer, which waits at most a minute for each answer.
    fn viewer(&self) -> UnixStream {
        let mut socket = self.connect();
        socket.write_all(b"RFB 003.008\n\x01\x01").unwrap();
        let mut bytes = [0; 12 + 2 + 4 + 24 + 9];
        socket.read_exact(&mut bytes).unwrap();
        assert!(bytes.ends_with(b"a machine"));
        socket
    }

    fn connect(&self) -> UnixStream {
        let socket = UnixStream::connect(&self.path).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        socket
    }

    /// Waits until there are this many viewers.
    fn until_viewers(&self, count: usize) {
        let start = Instant::now();
        while self.server.viewers().len() != count {
            assert!(start.elapsed() < Duration::from_secs(60), "{:?}", self.server.viewers());
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

fn ask(socket: &mut impl Write, incremental: u8) {
    socket.write_all(&[3, incremental, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]).unwrap();
}

/// Reads one update.
fn update(socket: &mut impl Read, viewer: &mut TestViewer) {
    let (mut bytes, mut part) = (Vec::new(), [0; 4096]);
    while bytes.is_empty() || viewer.update(&bytes).is_none() {
        let len = socket.read(&mut part).unwrap();
        assert_ne!(len, 0, "the connection is closed");
        bytes.extend(&part[..len]);
    }
}

#[test]
fn several_viewers_see_the_same() {
    let machine = Machine::new((200, 100));
    let mut viewers: Vec<_> = (0..MOST).map(|_| (machine.viewer(), TestViewer::new((200, 100)))).collect();
    assert_eq!(machine.server.viewers().len(), MOST);
    for round in 0..3 {
        for (socket, picture) in &mut viewers {
            ask(socket, 1);
            update(socket, picture);
            assert_eq!(picture.pixels, machine.screen.pixels((200, 100)));
        }
        machine.screen.draw((200, 100), |x, _| u32::from(x) + round);
    }
    // The next one is disconnected, until there is room again.
    let mut greeting = Vec::new();
    machine.connect().read_to_end(&mut greeting).unwrap();
    assert!(greeting.is_empty());
    viewers.pop();
    machine.until_viewers(MOST - 1);
    machine.viewer();
}

#[test]
fn a_viewer_that_never_reads_costs_only_itself() {
    let machine = Machine::new((1600, 1200));
    let mut lazy = machine.viewer();
    let mut eager = (machine.viewer(), TestViewer::new((1600, 1200)));
    for _ in 0..1000 {
        ask(&mut lazy, 0);
    }
    for round in 0..5 {
        machine.screen.draw((1600, 1200), |x, _| u32::from(x) * round);
        ask(&mut eager.0, 1);
        update(&mut eager.0, &mut eager.1);
        assert_eq!(eager.1.pixels, machine.screen.pixels((1600, 1200)));
        // Its keys still work.
        lazy.write_all(&[4, 1, 0, 0, 0, 0, 0, b'b']).unwrap();
    }
    let start = Instant::now();
    let mut heard = 0;
    while heard < 5 {
        assert!(start.elapsed() < Duration::from_secs(60), "{heard}");
        heard += machine.input.heard().iter().filter(|heard| **heard == Heard::Key(0x30, true)).count();
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_viewer_that_sends_nonsense_is_disconnected_and_others_stay() {
    let machine = Machine::new((64, 64));
    let mut stays = (machine.viewer(), TestViewer::new((64, 64)));
    for rubbish in
        [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0xff; 4096], b"RFB 003.008\n\x02", b"RFB 003.008\n\x01\x01\x63"]
    {
        let mut socket = machine.connect();
        // It may be closed meanwhile.
        let _ = socket.write_all(rubbish);
        let _ = socket.read_to_end(&mut Vec::new());
        machine.until_viewers(1);
    }
    // Half a message, and then it disconnects.
    let mut socket = machine.viewer();
    socket.write_all(&[4, 1, 0, 0, 0, 0, 0, b'b', 4, 1]).unwrap();
    drop(socket);
    machine.until_viewers(1);
    assert_eq!(machine.input.heard(), [Heard::Key(0x30, true), Heard::Key(0x30, false)]);
    ask(&mut stays.0, 0);
    update(&mut stays.0, &mut stays.1);
    assert_eq!(stays.1.pixels, machine.screen.pixels((64, 64)));
}

#[test]
fn the_end_closes_all_connections_and_the_path_is_gone() {
    let machine = Machine::new((64, 64));
    let (mut viewer, mut silent) = (machine.viewer(), machine.connect());
    ask(&mut viewer, 1);
    machine.until_viewers(2);
    let Machine { server, path, _folder, .. } = machine;
    assert!(path.exists());
    drop(server);
    assert!(!path.exists());
    let mut rest = Vec::new();
    silent.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, b"RFB 003.008\n");
    let _ = viewer.read_to_end(&mut rest);
}

#[test]
fn viewers_have_addresses() {
    let listener =
        Listener::new(&Address::Tcp { host: "127.0.0.1".to_owned(), port: 0 }, Access::Owner).unwrap();
    let Address::Tcp { host, port } = listener.address().clone() else { panic!("it is TCP") };
    let (screen, input) = (Arc::new(TestScreen::default()), Arc::new(TestInput::default()));
    let server = Server::start(listener, subject(&screen, &input, Some("secret"))).unwrap();
    let mut socket = TcpStream::connect((host, port)).unwrap();
    let mut greeting = [0; 12];
    socket.read_exact(&mut greeting).unwrap();
    assert_eq!(server.viewers(), [Some(socket.local_addr().unwrap())]);
    socket.write_all(b"RFB 003.008\n\x01").unwrap();
    let mut rest = Vec::new();
    let _ = socket.read_to_end(&mut rest);
    assert_eq!(rest, [1, 2], "None is not offered where there is a password");
}
