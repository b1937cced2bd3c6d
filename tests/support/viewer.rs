//! A simple VNC viewer.
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::Path,
    time::{Duration, Instant},
};

use crate::{screen::Picture, support::PATIENCE};

const DESKTOP_SIZE: i32 = -223;
const EXTENDED_KEYS: i32 = -258;

/// A viewer that is connected, and its picture.
pub(crate) struct Viewer {
    socket: UnixStream,
    pub(crate) name: String,
    pub(crate) picture: Picture,
    /// The server supports QEMU's extended key events.
    pub(crate) has_extended_keys: bool,
}

impl Viewer {
    /// Connects to a unix socket, without a password.
    pub(crate) fn connect(path: &Path) -> Self {
        let start = Instant::now();
        let mut socket = loop {
            match UnixStream::connect(path) {
                Ok(socket) => break socket,
                Err(error) => assert!(start.elapsed() < PATIENCE, "{error}"),
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut version = [0; 12];
        socket.read_exact(&mut version).unwrap();
        assert_eq!(&version, b"RFB 003.008\n");
        socket.write_all(&version).unwrap();
        assert_eq!(read::<2>(&mut socket), [1, 1], "one security type, None");
        socket.write_all(&[1]).unwrap();
        assert_eq!(read::<4>(&mut socket), [0; 4]);
        // Share the screen with other viewers.
        socket.write_all(&[1]).unwrap();
        let init = read::<24>(&mut socket);
        let [width, height] = [[init[0], init[1]], [init[2], init[3]]].map(u16::from_be_bytes);
        assert_eq!(init[4..8], [32, 24, 0, 1]);
        let len = u32::from_be_bytes([init[20], init[21], init[22], init[23]]);
        let mut name = vec![0; len as usize];
        socket.read_exact(&mut name).unwrap();
        let encodings = [0, DESKTOP_SIZE, EXTENDED_KEYS].map(i32::to_be_bytes).concat();
        socket.write_all(&[&[2, 0, 0, 3], &encodings[..]].concat()).unwrap();
        let picture = Picture::black(width.into(), height.into());
        Self { socket, name: String::from_utf8(name).unwrap(), picture, has_extended_keys: false }
    }

    /// Requests an update with the changes, or with the whole picture.
    pub(crate) fn ask(&mut self, all: bool) {
        self.socket.write_all(&[3, u8::from(!all), 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]).unwrap();
    }

    /// The same, and waits for the update.
    pub(crate) fn update(&mut self, all: bool) {
        self.ask(all);
        let [kind, _, high, low] = read(&mut self.socket);
        assert_eq!(kind, 0);
        for _ in 0..u16::from_be_bytes([high, low]) {
            self.rectangle();
        }
    }

    /// Requests updates until `is_right` accepts the picture.
    pub(crate) fn until(&mut self, mut is_right: impl FnMut(&Picture) -> bool) {
        let start = Instant::now();
        self.update(true);
        while !is_right(&self.picture) {
            assert!(start.elapsed() < PATIENCE, "the screen never had the expected picture");
            self.update(false);
        }
    }

    /// Presses or releases a key by its scancode.
    pub(crate) fn code(&mut self, code: u8, pressed: bool) {
        let message = [255, 0, 0, pressed.into(), 0, 0, 0, 0, 0, 0, 0, code];
        self.socket.write_all(&message).unwrap();
    }

    /// Types a character.
    pub(crate) fn types(&mut self, keysym: u16) {
        for pressed in [1, 0] {
            let [high, low] = keysym.to_be_bytes();
            self.socket.write_all(&[4, pressed, 0, 0, 0, 0, high, low]).unwrap();
        }
    }

    /// Moves the pointer to this position in the picture, and sets its buttons.
    pub(crate) fn pointer(&mut self, buttons: u8, x: u16, y: u16) {
        let ([a, b], [c, d]) = (x.to_be_bytes(), y.to_be_bytes());
        self.socket.write_all(&[5, buttons, a, b, c, d]).unwrap();
    }

    /// Waits until the server has closed the connection.
    pub(crate) fn until_closed(mut self) {
        let _ = self.socket.read_to_end(&mut Vec::new());
    }

    fn rectangle(&mut self) {
        let head = read::<12>(&mut self.socket);
        let number = |at: usize| usize::from(u16::from_be_bytes([head[at], head[at + 1]]));
        let [x, y, width, height] = [number(0), number(2), number(4), number(6)];
        match i32::from_be_bytes([head[8], head[9], head[10], head[11]]) {
            0 => {
                let mut bytes = vec![0; 4 * width * height];
                self.socket.read_exact(&mut bytes).unwrap();
                for (at, [blue, green, red, _]) in bytes.as_chunks().0.iter().enumerate() {
                    let place = (y + at / width) * self.picture.width + x + at % width;
                    self.picture.pixels[place] = [*red, *green, *blue];
                }
            }
            DESKTOP_SIZE => self.picture = Picture::black(width, height),
            EXTENDED_KEYS => self.has_extended_keys = true,
            other => panic!("encoding {other}"),
        }
    }
}

fn read<const N: usize>(socket: &mut UnixStream) -> [u8; N] {
    let mut bytes = [0; N];
    socket.read_exact(&mut bytes).unwrap();
    bytes
}
