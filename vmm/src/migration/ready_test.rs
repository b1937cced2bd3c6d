use std::os::unix::net::UnixStream;

use rustix::pipe::pipe;

use super::*;

const LONG: Duration = Duration::from_secs(60);

/// Both sides, and the destination's end of its pipe, whose other end the source has.
fn sides(has_lifeline: bool) -> (Ready, Connection, OwnedFd) {
    let (one, other) = UnixStream::pair().unwrap();
    let (reading, writing) = pipe().unwrap();
    let lifeline = has_lifeline.then_some(reading);
    let [connection, other] = [one, other].map(|socket| Connection::new(socket.into()).unwrap());
    (Ready { connection, lifeline }, other, writing)
}

#[test]
fn the_machine_moves_once_the_other_side_confirms() {
    for has_lifeline in [false, true] {
        let (ready, mut other, writing) = sides(has_lifeline);
        other.send(Kind::Running, &[], LONG, &|| false).unwrap();
        // Even if it ended then.
        drop((other, writing));
        let fate = ready.go(&|| false);
        assert!(matches!(fate, Fate::Moved), "{fate:?}");
    }
}

#[test]
fn the_machine_is_back_if_the_other_process_has_ended() {
    let (ready, other, writing) = sides(true);
    drop((other, writing));
    let fate = ready.go(&|| false);
    assert!(matches!(fate, Fate::Back(_)), "{fate:?}");
}

#[test]
fn the_outcome_is_unknown_if_only_the_connection_has_ended() {
    let (ready, other, _writing) = sides(false);
    drop(other);
    let fate = ready.go(&|| false);
    assert!(matches!(fate, Fate::Unknown(_)), "{fate:?}");
    // Nor if the process exists, and this side must end.
    let (ready, _other, _writing) = sides(true);
    let fate = ready.go(&|| true);
    assert!(matches!(fate, Fate::Unknown(_)), "{fate:?}");
}
