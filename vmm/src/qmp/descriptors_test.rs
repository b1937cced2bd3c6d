use std::{io::IoSlice, os::unix::net::UnixStream};

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

use super::*;

/// Sends a byte with a descriptor.
fn pass(socket: &UnixStream, passed: &UnixStream) {
    let fds = [passed.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    control.push(SendAncillaryMessage::ScmRights(&fds));
    sendmsg(socket, &[IoSlice::new(b"x")], &mut control, SendFlags::empty()).unwrap();
}

#[test]
fn descriptors_are_kept_by_name_and_not_without_end() {
    let (one, other) = UnixStream::pair().unwrap();
    let mut descriptors = Descriptors::default();
    let why = |answer: Result<Value, Refusal>| answer.unwrap_err().0;
    assert_eq!(why(descriptors.keep("a".to_owned())), "No file descriptor supplied via SCM_RIGHTS");
    for number in 0..MOST {
        pass(&one, &one);
        assert_eq!(descriptors.receive(&other, &mut [0; 10]), Ok(1));
        descriptors.keep(format!("a{number}")).unwrap();
    }
    pass(&one, &one);
    descriptors.receive(&other, &mut [0; 10]).unwrap();
    assert_eq!(
        why(descriptors.keep("b".to_owned())),
        "there are 8 descriptors already; close one with closefd"
    );
    // Replacing another.
    descriptors.keep("a1".to_owned()).unwrap();
    assert!(why(descriptors.keep("1".to_owned())).contains("not starting with a digit"));
    descriptors.close("a0").unwrap();
    assert!(descriptors.take("a1").is_ok());
    assert_eq!(why(descriptors.close("a1")), "File descriptor named 'a1' not found");
}
