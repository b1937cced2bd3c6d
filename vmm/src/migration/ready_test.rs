use std::{os::unix::net::UnixStream, thread};

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

/// Gives the word to a side that waits for it, and then does this.
fn go(ready: Ready, mut other: Connection, then: impl FnOnce(Connection) + Send) -> Fate {
    thread::scope(|scope| {
        scope.spawn(move || {
            other.expect(Kind::Go, Some(LONG), &|| false).unwrap();
            then(other);
        });
        ready.go(&|| false)
    })
}

#[test]
fn a_side_that_gives_up_before_the_word_does_not_run_it() {
    for has_lifeline in [false, true] {
        let (ready, other, _writing) = sides(has_lifeline);
        other.refuse("it is tired");
        let fate = ready.go(&|| false);
        assert!(matches!(&fate, Fate::Back(Broken::Refused(why)) if why == "it is tired"), "{fate:?}");
        let (ready, other, _writing) = sides(has_lifeline);
        drop(other);
        let fate = ready.go(&|| false);
        assert!(matches!(fate, Fate::Back(Broken::Closed)), "{fate:?}");
        // The word is under way when it gives up.
        let (ready, other, _writing) = sides(has_lifeline);
        let fate = go(ready, other, |other| other.refuse("it is tired"));
        assert!(matches!(fate, Fate::Back(Broken::Refused(_))), "{fate:?}");
    }
}

#[test]
fn the_machine_moves_once_the_other_side_confirms() {
    for has_lifeline in [false, true] {
        let (ready, other, writing) = sides(has_lifeline);
        // Even if it ends then.
        let fate = go(ready, other, |mut other| {
            other.send(Kind::Running, &[], LONG, &|| false).unwrap();
            drop((other, writing));
        });
        assert!(matches!(fate, Fate::Moved), "{fate:?}");
    }
}

#[test]
fn the_machine_is_back_if_the_other_process_has_ended() {
    let (ready, other, writing) = sides(true);
    let fate = go(ready, other, |other| drop((other, writing)));
    assert!(matches!(fate, Fate::Back(Broken::Closed)), "{fate:?}");
}

#[test]
fn the_outcome_is_unknown_if_only_the_connection_has_ended() {
    let (ready, other, _writing) = sides(false);
    let fate = go(ready, other, drop);
    assert!(matches!(fate, Fate::Unknown(_)), "{fate:?}");
    // Nor if the process exists, and this side must end.
    let (ready, _other, _writing) = sides(true);
    let fate = ready.go(&|| true);
    assert!(matches!(fate, Fate::Unknown(_)), "{fate:?}");
}
