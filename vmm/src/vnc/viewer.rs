//! The thread of one viewer.

use std::{
    io,
    os::fd::AsFd,
    time::{Duration, Instant},
};

use rustix::event::PollFlags;
use thiserror::Error;

use super::{
    connection::{Connection, Stop, Woken},
    handshake::HandshakeError,
    session::{Session, SessionError},
};

/// The shortest time between two updates: 30 per second.
const SHORTEST: Duration = Duration::from_millis(33);
/// The longest time between two looks at an unchanging screen.
const LONGEST: Duration = Duration::from_millis(250);
/// The time after which a viewer that doesn't read what it has requested is disconnected.
const STUCK: Duration = Duration::from_secs(60);
/// The delay of the answer to a wrong password, which slows down guessing.
const WRONG_PASSWORD: Duration = Duration::from_secs(2);
/// The bytes to read at once.
const READ: usize = 16 << 10;

/// The reason for the end of a viewer's session.
#[derive(Debug, Error)]
pub(super) enum End {
    #[error("nvmm ends")]
    Stopped,
    #[error("it has gone")]
    Gone(#[source] io::Error),
    #[error("it did not say in time who it is")]
    Silent,
    #[error("it has read nothing for {} seconds", STUCK.as_secs())]
    Stuck,
    #[error(transparent)]
    Session(#[from] SessionError),
    #[error("it can't be waited for")]
    Wait(#[source] io::Error),
}

impl End {
    /// Returns whether this is a normal end of a viewer or nvmm.
    pub(super) fn is_usual(&self) -> bool {
        matches!(self, Self::Stopped | Self::Gone(_))
    }
}

/// The timing of looks at the screen.
#[derive(Debug)]
struct Pace {
    last: Option<Instant>,
    pause: Duration,
}

impl Pace {
    fn new() -> Self {
        Self { last: None, pause: SHORTEST }
    }

    /// The time left until the next look.
    fn left(&self, now: Instant) -> Duration {
        self.last.map_or(Duration::ZERO, |last| (last + self.pause).saturating_duration_since(now))
    }

    /// Records a look, and whether anything had changed. If not, the next look comes later.
    fn looked(&mut self, seen: bool, now: Instant) {
        self.last = Some(now);
        self.pause = if seen { SHORTEST } else { (self.pause * 5 / 4).min(LONGEST) };
    }

    /// Speeds up the next look, since the user did something and waits for its effect.
    fn hurry(&mut self) {
        self.pause = SHORTEST;
    }
}

/// Serves a viewer until it goes, sends something invalid, or `stop` is set.
pub(super) fn serve(connection: &Connection, mut session: Session, stop: &Stop) -> End {
    let end = match run(connection, &mut session, stop) {
        Err(end) => end,
        Ok(never) => match never {},
    };
    if matches!(end, End::Session(SessionError::Handshake(HandshakeError::Password))) {
        let _ = stop.pause(WRONG_PASSWORD);
    }
    // A last message, if there is room for it.
    let _ = connection.send(session.output());
    end
}

fn run(connection: &Connection, session: &mut Session, stop: &Stop) -> Result<std::convert::Infallible, End> {
    let mut pace = Pace::new();
    let mut buffer = vec![0; READ];
    let mut began = (session.patience(), Instant::now());
    let mut moved = Instant::now();
    loop {
        let now = Instant::now();
        if session.wants_update() && pace.left(now).is_zero() {
            let seen = session.update()?;
            pace.looked(seen, now);
            moved = now;
        }
        let sent = connection.send_all(session).map_err(End::Gone)?;
        if sent || session.output().is_empty() {
            moved = now;
        }

        let mut patience = None;
        let mut events = PollFlags::IN;
        if !session.output().is_empty() {
            events |= PollFlags::OUT;
            patience = Some(left(moved, STUCK, now).ok_or(End::Stuck)?);
        } else if session.wants_update() {
            patience = Some(pace.left(now));
        }
        if let (Some(answer), since) = began {
            let left = left(since, answer, now).ok_or(End::Silent)?;
            patience = Some(patience.map_or(left, |patience| patience.min(left)));
        }
        match stop.wait(connection.as_fd(), events, patience).map_err(End::Wait)? {
            Woken::Stopped => return Err(End::Stopped),
            Woken::Ready => {}
        }
        if let Some(bytes) = connection.read(&mut buffer).map_err(End::Gone)? {
            if session.receive(bytes)?.touched {
                pace.hurry();
            }
            if session.patience() != began.0 {
                began = (session.patience(), Instant::now());
            }
        }
    }
}

/// The rest of `patience`; none if it is over.
fn left(since: Instant, patience: Duration, now: Instant) -> Option<Duration> {
    patience.checked_sub(now.saturating_duration_since(since)).filter(|left| !left.is_zero())
}

impl Connection {
    /// Sends as much as there is room for, and returns whether that was anything.
    fn send_all(&self, session: &mut Session) -> io::Result<bool> {
        let mut any = false;
        while !session.output().is_empty() {
            let len = self.send(session.output())?;
            if len == 0 {
                break;
            }
            session.sent(len);
            any = true;
        }
        Ok(any)
    }
}

#[cfg(test)]
#[path = "viewer_test.rs"]
mod tests;
