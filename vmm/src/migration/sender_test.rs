use std::os::unix::net::UnixStream;

use vm_memory::GuestAddress;

use super::*;

const LONG: Duration = Duration::from_secs(60);

fn sides(memory: &GuestRam) -> (Sender, Connection) {
    let [one, other] = <[UnixStream; 2]>::from(UnixStream::pair().unwrap())
        .map(|socket| Connection::new(socket.into()).unwrap());
    (Sender::new(one, memory.clone(), Arc::default(), Arc::default()), other)
}

#[test]
fn zeros_are_announced_and_not_sent() {
    let memory =
        GuestRam::from_ranges(&[(GuestAddress(0), 0x6000), (GuestAddress(0x10_0000), 0x3000)]).unwrap();
    memory.write_slice(&[1; 0x2000], GuestAddress(0x1000)).unwrap();
    memory.write_slice(&[2; 8], GuestAddress(0x10_2ff8)).unwrap();
    let (mut sender, mut other) = sides(&memory);
    sender.send_ram(&PageSet::all(&memory)).unwrap();
    let mut seen = Vec::new();
    while other.has_news().unwrap() {
        let message = other.receive(Some(LONG), &|| false).unwrap();
        let (number, page) = (message.content[0], message.content[4]);
        seen.push((message.kind, number, page, message.content.len() - 12));
    }
    let expected = [
        (Kind::Zeros, 0, 0, 8),
        (Kind::Pages, 0, 1, 0x2000),
        (Kind::Zeros, 0, 3, 8),
        (Kind::Zeros, 1, 0, 8),
        (Kind::Pages, 1, 2, 0x1000),
    ];
    assert_eq!(seen, expected);
    let facts = sender.progress.facts().clone();
    assert_eq!((facts.pages, facts.zeros), (3, 6));
}

#[test]
fn untouched_memory_is_not_read() {
    let memory = GuestRam::from_ranges(&[(GuestAddress(0), 8 << 20)]).unwrap();
    memory.write_slice(&[1], GuestAddress(5 << 20)).unwrap();
    let (mut sender, mut other) = sides(&memory);
    sender.send_ram(&PageSet::all(&memory)).unwrap();
    let facts = sender.progress.facts().clone();
    assert_eq!((facts.pages, facts.zeros), (1, 2047));
    while other.has_news().unwrap() {
        other.receive(Some(LONG), &|| false).unwrap();
    }
    let parts = snapshot::ram(&memory);
    let untouched = |start| {
        sender.untouched.has(&parts[0].memory.bytes().unwrap().subslice(start, 1 << 20).unwrap(), None)
    };
    assert_eq!([4 << 20, 5 << 20, 6 << 20].map(untouched), [true, false, true]);
}

#[test]
fn a_guest_that_never_stops_writing_is_stopped() {
    let memory = GuestRam::from_ranges(&[(GuestAddress(0), 4 << 20)]).unwrap();
    memory.write_slice(&vec![1; 4 << 20], GuestAddress(0)).unwrap();
    let (sender, mut other) = sides(&memory);
    let reader = std::thread::spawn(move || {
        other.expect(Kind::Begin, Some(LONG), &|| false).unwrap();
        other.expect(Kind::Machine, Some(LONG), &|| false).unwrap();
        other.send(Kind::Welcome, &[], LONG, &|| false).unwrap();
        while other.receive(Some(LONG), &|| false).is_ok() {}
    });
    let all = memory.clone();
    let sent =
        sender.run(b"{}", Duration::ZERO, &(Box::new(move || Ok(PageSet::all(&all))) as Collect)).unwrap();
    assert_eq!(sent.left, PageSet::all(&memory));
    // The first of them leaves less to send than before it.
    assert_eq!(sent.sender.progress.facts().rounds, 1 + u64::from(VAIN_ROUNDS));
    drop(sent);
    reader.join().unwrap();
}

#[test]
fn a_cancelled_migration_ends() {
    let memory = GuestRam::from_ranges(&[(GuestAddress(0), 0x1000)]).unwrap();
    let (sender, _other) = sides(&memory);
    sender.cancelled.store(true, Ordering::SeqCst);
    let error =
        sender.run(b"{}", Duration::ZERO, &(Box::new(|| Ok(PageSet::default())) as Collect)).unwrap_err();
    assert_eq!(error.to_string(), "it was cancelled");
}
