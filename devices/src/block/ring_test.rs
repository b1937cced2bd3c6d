use io_uring::types::Fd;
use vmm_sys_util::eventfd::EFD_NONBLOCK;

use super::*;

#[test]
fn a_ring_takes_a_disks_requests_on_its_files_and_no_others() {
    if let Err(error) = check_io_uring() {
        return println!("skipped: no io_uring here: {error}");
    }
    let file = tempfile::tempfile().unwrap();
    let doorbell = EventFd::new(EFD_NONBLOCK).unwrap();
    let mut ring = Ring::<()>::new(4, &[&file], &doorbell).unwrap();
    let is_modern = set_up(1).unwrap().1;

    let path = c"/dev/null".as_ptr();
    let mut bytes = [0_u8; 8];
    let address = bytes.as_mut_ptr();
    let any_file = Fd(file.as_raw_fd());
    let cases = [
        ("a request on its file", true, opcode::Read::new(Fixed(0), address, 8).build()),
        ("nothing", false, opcode::Nop::new().build()),
        ("to open a file", false, opcode::OpenAt::new(Fd(libc::AT_FDCWD), path).build()),
        ("a socket", false, opcode::Socket::new(libc::AF_UNIX, libc::SOCK_STREAM, 0).build()),
        ("another file", !is_modern, opcode::Read::new(any_file, address, 8).build()),
    ];
    for (number, (name, is_taken, entry)) in (1000..).zip(cases) {
        // SAFETY: what the entries point to outlives the ring.
        unsafe { ring.push(&entry.user_data(number)).unwrap() };
        ring.uring.submit_and_wait(1).unwrap();
        let done = ring.uring.completion().next().unwrap();
        assert_eq!(done.user_data(), number);
        let expected = if is_taken { 0 } else { -libc::EACCES };
        assert_eq!(done.result(), expected, "{name}");
    }
    assert!(ring.uring.submitter().register_restrictions(&mut restrictions(is_modern)).is_err());
    assert!(ring.uring.submitter().unregister_files().is_err());
}
