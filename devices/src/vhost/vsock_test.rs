use std::error::Error;

use super::*;

/// A CID that no user's guest is likely to have.
const CID: u32 = 0x7a5c_1d2e;

/// If the kernel has no vhost-vsock, or the user may not open it, the error says so.
#[test]
fn an_address_belongs_to_one_guest_or_the_remedy_is_given() {
    let sockets = match VhostVsock::open(CID) {
        Ok(sockets) => sockets,
        Err(error) => {
            let text = error.to_string();
            for part in ["/dev/vhost-vsock", "`modprobe vhost_vsock`", "add uds=PATH, a unix socket"] {
                assert!(text.contains(part), "{text}");
            }
            assert!(error.source().is_some());
            return;
        }
    };
    let in_use = |cid| matches!(VhostVsock::open(cid), Err(VhostVsockError::InUse(found)) if found == cid);
    assert!(in_use(CID));
    sockets.end_connections().unwrap();
    assert!(in_use(CID));
    drop(sockets);
    assert!(!in_use(CID));
    // VMADDR_CID_HOST can't be used by a guest.
    assert!(matches!(VhostVsock::open(2), Err(VhostVsockError::Refused(2, _))));
}

#[test]
fn a_planned_device_serves_nothing() {
    let sockets = VhostVsock::planned(CID);
    assert_eq!((sockets.cid(), sockets.features()), (CID, 0));
    sockets.serve(&[0, 1], false).unwrap();
    let nowhere = GuestRam::default();
    let refused =
        [sockets.set_up(&nowhere, 0, &[]), sockets.serve(&[0, 1], true), sockets.position(0).map(drop)];
    for refused in refused {
        assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::NotConnected);
    }
}
