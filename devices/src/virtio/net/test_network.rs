//! A host's side for tests, which have its other ends.

use std::{
    io::{self, ErrorKind},
    os::fd::{AsRawFd, OwnedFd, RawFd},
    sync::{
        Arc, Mutex,
        atomic::{AtomicI32, AtomicU32, AtomicUsize, Ordering},
    },
};

use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use vm_memory::VolatileSlice;

use crate::{
    net::{LONGEST, Network, Offloads, Port},
    vhost::Vhost,
    virtio::test_vhost::TestVhost,
};

#[derive(Debug)]
pub(crate) struct TestNetwork {
    ports: Vec<TestPort>,
    pub(crate) can: Offloads,
    /// The offloads that the device has asked for.
    pub(crate) given: Mutex<Vec<Offloads>>,
    pub(crate) used_ports: Mutex<Vec<u16>>,
    pub(crate) header_len: AtomicUsize,
    /// The kernel's service for each port, or none.
    pub(crate) vhost: Vec<Arc<TestVhost>>,
    /// The errno with which both fail, unless it is 0.
    pub(crate) refuses: AtomicI32,
    /// The errno that reports that it is gone, unless it is 0.
    pub(crate) is_gone: AtomicI32,
}

/// A pair of sockets that preserve the boundaries of frames.
#[derive(Debug)]
pub(crate) struct TestPort {
    device: OwnedFd,
    peer: Mutex<Option<OwnedFd>>,
    pub(crate) receives: AtomicU32,
    pub(crate) sends: AtomicU32,
    /// The errno with which sending fails, unless it is 0.
    pub(crate) send_fails: AtomicI32,
}

impl TestNetwork {
    pub(crate) fn new(ports: u16, can: Offloads) -> Self {
        Self {
            ports: (0..ports).map(|_| TestPort::new()).collect(),
            can,
            given: Mutex::default(),
            used_ports: Mutex::default(),
            header_len: AtomicUsize::new(0),
            vhost: Vec::new(),
            refuses: AtomicI32::new(0),
            is_gone: AtomicI32::new(0),
        }
    }

    pub(crate) fn test_port(&self, index: u16) -> &TestPort {
        &self.ports[usize::from(index)]
    }

    fn refuse(&self) -> io::Result<()> {
        fail(&self.refuses)
    }
}

impl TestPort {
    fn new() -> Self {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let (device, peer) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
        let zero = || AtomicI32::new(0);
        let (receives, sends) = (AtomicU32::new(0), AtomicU32::new(0));
        Self { device, peer: Mutex::new(Some(peer)), receives, sends, send_fails: zero() }
    }

    /// Makes the device receive `frame`, which includes its header. Returns false if too many are waiting.
    pub(crate) fn try_put(&self, frame: &[u8]) -> bool {
        let peer = self.peer.lock().unwrap();
        match rustix::io::write(peer.as_ref().unwrap(), frame) {
            Ok(len) => {
                assert_eq!(len, frame.len());
                true
            }
            Err(error) => {
                assert_eq!(error, rustix::io::Errno::AGAIN);
                false
            }
        }
    }

    pub(crate) fn put(&self, frame: &[u8]) {
        while !self.try_put(frame) {
            std::thread::yield_now();
        }
    }

    /// Takes a frame that the device has sent, with its header.
    pub(crate) fn take(&self) -> Option<Vec<u8>> {
        let mut frame = vec![0; LONGEST + 1];
        let len = rustix::io::read(self.peer.lock().unwrap().as_ref().unwrap(), &mut frame).ok()?;
        frame.truncate(len);
        Some(frame)
    }

    /// Closes the other end.
    pub(crate) fn close(&self) {
        self.peer.lock().unwrap().take();
    }
}

impl Network for TestNetwork {
    fn name(&self) -> String {
        "test".to_owned()
    }

    fn most_ports(&self) -> u16 {
        u16::try_from(self.ports.len()).unwrap()
    }

    fn use_ports(&self, ports: u16) -> io::Result<()> {
        self.refuse()?;
        self.used_ports.lock().unwrap().push(ports);
        Ok(())
    }

    fn port(&self, index: u16) -> &dyn Port {
        self.test_port(index)
    }

    fn vhost(&self, index: u16) -> Option<Arc<dyn Vhost>> {
        self.vhost.get(usize::from(index)).map(|vhost| Arc::clone(vhost) as Arc<dyn Vhost>)
    }

    fn set_header_len(&self, len: usize) -> io::Result<()> {
        self.refuse()?;
        self.header_len.store(len, Ordering::SeqCst);
        Ok(())
    }

    fn check(&self) -> io::Result<()> {
        fail(&self.is_gone)
    }

    fn takes(&self) -> Offloads {
        self.can
    }

    fn gives(&self) -> Offloads {
        self.can
    }

    fn give(&self, offloads: Offloads) -> io::Result<()> {
        self.refuse()?;
        self.given.lock().unwrap().push(offloads);
        Ok(())
    }
}

impl Port for TestPort {
    fn descriptor(&self) -> RawFd {
        self.device.as_raw_fd()
    }

    fn receive(&self, buffers: &[VolatileSlice<'_>]) -> io::Result<usize> {
        self.receives.fetch_add(1, Ordering::SeqCst);
        let mut frame = vec![0; buffers.iter().map(VolatileSlice::len).sum()];
        let len = rustix::io::read(&self.device, &mut frame)?;
        if len == 0 {
            return Err(ErrorKind::ConnectionReset.into());
        }
        let mut rest = &frame[..len];
        for buffer in buffers {
            let (now, later) = rest.split_at(buffer.len().min(rest.len()));
            buffer.copy_from(now);
            rest = later;
        }
        Ok(len)
    }

    fn send(&self, buffers: &[VolatileSlice<'_>]) -> io::Result<()> {
        self.sends.fetch_add(1, Ordering::SeqCst);
        fail(&self.send_fails)?;
        let mut frame = Vec::new();
        for buffer in buffers {
            let at = frame.len();
            frame.resize(at + buffer.len(), 0);
            buffer.copy_to(&mut frame[at..]);
        }
        rustix::io::write(&self.device, &frame)?;
        Ok(())
    }
}

fn fail(errno: &AtomicI32) -> io::Result<()> {
    match errno.load(Ordering::SeqCst) {
        0 => Ok(()),
        errno => Err(io::Error::from_raw_os_error(errno)),
    }
}
