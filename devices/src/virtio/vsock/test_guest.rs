//! A guest's driver, and programs on its host.

use std::{
    io::{ErrorKind, Read, Write},
    os::unix::net::{UnixListener, UnixStream},
    path::PathBuf,
    sync::Arc,
};

use tempfile::TempDir;
use zerocopy::{FromBytes, IntoBytes};

use super::{
    Host, Vsock,
    packet::{HOST_CID, Header, Operation, Ports, STREAM},
};
use crate::virtio::{
    queue::test_driver::{FREE, SEAM, WRITE},
    test_machine::{LONG, TestMachine},
};

pub(super) const CID: u32 = 42;
/// The queues.
pub(super) const RX: u16 = 0;
pub(super) const TX: u16 = 1;
/// The length of each receive buffer. There are as many as descriptors.
const BUFFER: u32 = 4096;
/// The address of packets to transmit: the place where two regions of memory meet is in the middle of the header.
pub(super) const PACKET: u64 = SEAM - 20;

pub(super) struct Guest {
    pub(super) machine: TestMachine<Vsock>,
    folder: TempDir,
    posted: u16,
    /// Makes each buffer available again at once.
    pub(super) reposts: bool,
    /// The room that its packets announce.
    pub(super) buf_alloc: u32,
    pub(super) fwd_cnt: u32,
}

impl Guest {
    /// A guest with this many receive buffers.
    pub(super) fn new(buffers: u16) -> Self {
        let folder = TempDir::new().unwrap();
        let host = Host::listen(CID, &folder.path().join("vsock")).unwrap();
        let mut machine = TestMachine::new(Vsock::new(Arc::new(host)), 3);
        machine.activate(0);
        let mut guest = Self { machine, folder, posted: 0, reposts: true, buf_alloc: 1 << 20, fwd_cnt: 0 };
        guest.post(buffers);
        guest
    }

    pub(super) fn path(&self) -> PathBuf {
        self.folder.path().join("vsock")
    }

    /// Restarts the driver.
    pub(super) fn restart(&mut self, buffers: u16) {
        self.machine.activate(0);
        self.posted = 0;
        self.post(buffers);
    }

    pub(super) fn post(&mut self, buffers: u16) {
        for _ in 0..buffers {
            let address = FREE + u64::from(BUFFER) * u64::from(self.posted % 128);
            self.machine.drivers[0].chain(&[(address, BUFFER, WRITE)]);
            self.posted = self.posted.wrapping_add(1);
        }
        self.machine.kick(RX);
    }

    pub(super) fn header(&self, ports: Ports, op: Operation) -> Header {
        Header {
            src_cid: u64::from(CID).into(),
            dst_cid: HOST_CID.into(),
            src_port: ports.guest.into(),
            dst_port: ports.host.into(),
            socket_type: STREAM.into(),
            op: (op as u16).into(),
            buf_alloc: self.buf_alloc.into(),
            fwd_cnt: self.fwd_cnt.into(),
            ..Header::default()
        }
    }

    /// Sends a packet, and waits until the device has taken it.
    pub(super) fn send_packet(&mut self, header: &Header, data: &[u8]) {
        let bytes = [header.as_bytes(), data].concat();
        self.machine.drivers[1].write(PACKET, &bytes);
        self.machine.offer(TX, &[(PACKET, u32::try_from(bytes.len()).unwrap(), 0)]);
        self.wait_taken();
    }

    pub(super) fn wait_taken(&mut self) {
        while self.machine.drivers[1].used().is_none() {
            self.machine.event();
        }
    }

    pub(super) fn send(&mut self, ports: Ports, op: Operation) {
        self.send_packet(&self.header(ports, op), &[]);
    }

    pub(super) fn send_data(&mut self, ports: Ports, data: &[u8]) {
        let len = u32::try_from(data.len()).unwrap().into();
        self.send_packet(&Header { len, ..self.header(ports, Operation::Rw) }, data);
    }

    pub(super) fn shutdown(&mut self, ports: Ports, flags: u32) {
        let header = self.header(ports, Operation::Shutdown);
        self.send_packet(&Header { flags: flags.into(), ..header }, &[]);
    }

    /// Waits for the next packet.
    pub(super) fn receive(&mut self) -> (Header, Vec<u8>) {
        let (head, len) = loop {
            match self.machine.drivers[0].used() {
                Some(used) => break used,
                None => self.machine.event(),
            };
        };
        let address = FREE + u64::from(BUFFER) * u64::from(head);
        let bytes = self.machine.drivers[0].read(address, len as usize);
        let (header, data) = Header::read_from_prefix(&bytes).unwrap();
        assert_eq!(header.len.get() as usize, data.len());
        if self.reposts {
            self.post(1);
        }
        (header, data.to_vec())
    }

    /// Waits for the next packet, which must be the host's and have these ports.
    pub(super) fn expect(&mut self, ports: Ports, op: Operation) -> Header {
        let (header, data) = self.receive();
        assert_eq!((header.operation(), data.len()), (Some(op), 0), "{header:?}");
        assert_eq!(header, Header { ..header_of(ports, &header) });
        header
    }

    /// Checks that no packet comes: the next one is the answer to a request that is made now.
    pub(super) fn expect_nothing(&mut self) {
        let nobody = Ports { guest: 7, host: 7 };
        self.send(nobody, Operation::CreditRequest);
        self.expect(nobody, Operation::Rst);
    }

    /// Connects to a program of the host.
    pub(super) fn connect(&mut self, guest: u32, host: u32) -> (Ports, UnixStream) {
        let listener = self.listen(host);
        let ports = Ports { guest, host };
        self.send(ports, Operation::Request);
        self.expect(ports, Operation::Response);
        let program = listener.accept().unwrap().0;
        program.set_read_timeout(Some(LONG)).unwrap();
        std::fs::remove_file(self.path_of(host)).unwrap();
        (ports, program)
    }

    /// The same, if other packets come before.
    pub(super) fn connect_after(&mut self, guest: u32, host: u32) -> (Ports, UnixStream) {
        let listener = self.listen(host);
        let ports = Ports { guest, host };
        self.send(ports, Operation::Request);
        while self.receive().0.operation() != Some(Operation::Response) {}
        let program = listener.accept().unwrap().0;
        program.set_read_timeout(Some(LONG)).unwrap();
        (ports, program)
    }

    /// Listens as a program of the host.
    pub(super) fn listen(&self, port: u32) -> UnixListener {
        UnixListener::bind(self.path_of(port)).unwrap()
    }

    pub(super) fn path_of(&self, port: u32) -> PathBuf {
        self.folder.path().join(format!("vsock_{port}"))
    }

    /// Connects a program of the host, which first sends this.
    pub(super) fn program(&self, greeting: &[u8]) -> UnixStream {
        let mut program = UnixStream::connect(self.path()).unwrap();
        program.set_read_timeout(Some(LONG)).unwrap();
        program.write_all(greeting).unwrap();
        program
    }
}

/// Reads `len` bytes.
pub(super) fn read(mut program: &UnixStream, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    program.read_exact(&mut bytes).unwrap();
    bytes
}

/// Reads to the end, even if the connection was reset.
pub(super) fn read_to_end(mut program: &UnixStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    match program.read_to_end(&mut bytes) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
    }
    bytes
}

/// `header` with the right addresses.
fn header_of(ports: Ports, header: &Header) -> Header {
    Header {
        src_cid: HOST_CID.into(),
        dst_cid: u64::from(CID).into(),
        src_port: ports.host.into(),
        dst_port: ports.guest.into(),
        socket_type: STREAM.into(),
        ..*header
    }
}

/// Bytes that differ at nearby positions.
pub(super) fn pattern(len: usize, seed: u8) -> Vec<u8> {
    (0..len).map(|at| u8::try_from((at % 251) ^ ((at >> 8) & 0xff)).unwrap() ^ seed).collect()
}
