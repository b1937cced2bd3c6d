use std::{
    cell::RefCell,
    io::{self, Read, Write},
    os::fd::AsRawFd,
    rc::Rc,
    time::Duration,
};

use event_manager::EventSet;

use super::*;

/// Pipes. One that has been read is closed, and another opened in its place.
#[derive(Debug, Default)]
struct Pipes {
    pipes: Vec<io::PipeReader>,
    seen: Rc<RefCell<Vec<u8>>>,
    then: Vec<io::PipeReader>,
    /// No longer watched, to be closed at the next call.
    read: Vec<io::PipeReader>,
    due: Option<Instant>,
}

impl Source for Pipes {
    fn watches(&mut self) -> Vec<Events> {
        self.pipes.iter().map(|pipe| Events::new(pipe, EventSet::IN)).collect()
    }

    fn ready(&mut self, fd: RawFd, requests: &mut Vec<Request>) {
        self.read.clear();
        let Some(at) = self.pipes.iter().position(|pipe| pipe.as_raw_fd() == fd) else { return };
        let mut byte = [0];
        self.pipes[at].read_exact(&mut byte).unwrap();
        self.seen.borrow_mut().extend(byte);
        self.read.push(self.pipes.remove(at));
        self.pipes.extend(self.then.pop().map(|pipe| pipe.try_clone().unwrap()));
        requests.push(Request::Quit);
    }

    fn deadline(&self) -> Option<Instant> {
        self.due
    }

    fn on_time(&mut self, requests: &mut Vec<Request>) {
        self.due = None;
        requests.push(Request::End(7));
    }

    fn is_over(&self) -> bool {
        self.pipes.is_empty() && self.due.is_none()
    }

    fn hear(&mut self, notice: &Notice<'_>) {
        self.read.clear();
        if let Notice::Stops = notice {
            self.read.append(&mut self.pipes);
        }
    }
}

fn written(text: &[u8]) -> io::PipeReader {
    let (reader, mut writer) = io::pipe().unwrap();
    writer.write_all(text).unwrap();
    reader
}

#[test]
fn descriptors_come_and_go_while_they_are_served() {
    let mut sources = Sources::new().unwrap();
    let seen = Rc::new(RefCell::new(Vec::new()));
    let (pipes, then) = (vec![written(b"a"), written(b"b")], vec![written(b"d"), written(b"c")]);
    sources.add(Box::new(Pipes { pipes, then, seen: seen.clone(), ..Pipes::default() }));
    let mut requests = 0;
    while requests < 4 {
        requests += sources.wait(None).unwrap().len();
    }
    seen.borrow_mut().sort_unstable();
    assert_eq!(*seen.borrow(), b"abcd");
}

#[test]
fn no_source_starves_another() {
    let mut sources = Sources::new().unwrap();
    let seen: Vec<_> = (0..3).map(|_| Rc::new(RefCell::new(Vec::new()))).collect();
    for (letter, seen) in (b'a'..).zip(&seen) {
        let then = (0..100).map(|_| written(&[letter])).collect();
        sources.add(Box::new(Pipes {
            pipes: vec![written(&[letter])],
            then,
            seen: seen.clone(),
            ..Pipes::default()
        }));
    }
    for round in 1..=100 {
        assert_eq!(sources.wait(None).unwrap().len(), 3);
        assert!(seen.iter().all(|seen| seen.borrow().len() == round));
    }
}

#[test]
fn sources_that_are_ready_at_once_are_served_in_order() {
    let mut sources = Sources::new().unwrap();
    let seen = Rc::new(RefCell::new(Vec::new()));
    let mut pipes: Vec<_> = (0..8).map(|_| io::pipe().unwrap()).collect();
    for (reader, _) in &pipes {
        let pipes = vec![reader.try_clone().unwrap()];
        sources.add(Box::new(Pipes { pipes, seen: seen.clone(), ..Pipes::default() }));
    }
    // The last one has been ready for the longest time.
    for (number, (_, writer)) in (0..8).zip(&mut pipes).rev() {
        writer.write_all(&[number]).unwrap();
    }
    assert_eq!(sources.wait(None).unwrap().len(), 8);
    assert_eq!(*seen.borrow(), [0, 1, 2, 3, 4, 5, 6, 7]);
}

#[test]
fn time_is_an_event() {
    let mut sources = Sources::new().unwrap();
    let due = Some(Instant::now() + Duration::from_millis(3));
    sources.add(Box::new(Pipes { due, ..Pipes::default() }));
    assert!(matches!(sources.wait(None).unwrap()[..], [Request::End(7)]));
    assert!(due.is_some_and(|due| due <= Instant::now()), "and not before");
    assert!(sources.wait(Some(Instant::now())).unwrap().is_empty());
}

#[test]
fn descriptors_closed_by_a_notice_are_no_longer_watched() {
    let mut sources = Sources::new().unwrap();
    let pipes = vec![written(b"a")];
    sources.add(Box::new(Pipes { pipes, ..Pipes::default() }));
    sources.tell(&Notice::Stops);
    // Most likely with the same number.
    let pipes = vec![written(b"b")];
    let seen = Rc::new(RefCell::new(Vec::new()));
    sources.add(Box::new(Pipes { pipes, seen: seen.clone(), ..Pipes::default() }));
    assert_eq!(sources.wait(None).unwrap().len(), 1);
    assert_eq!(*seen.borrow(), b"b");
}

#[test]
fn a_source_that_is_over_is_dropped() {
    let mut sources = Sources::new().unwrap();
    let seen = Rc::new(RefCell::new(Vec::new()));
    // Even if another descriptor of the same pipe stays open.
    let pipe = written(b"ab");
    let pipes = vec![pipe.try_clone().unwrap()];
    sources.add(Box::new(Pipes { pipes, seen: seen.clone(), ..Pipes::default() }));
    assert_eq!(sources.wait(None).unwrap().len(), 1);
    assert_eq!(Rc::strong_count(&seen), 1);
    assert!(sources.wait(Some(Instant::now())).unwrap().is_empty());

    // A notice can also end a source.
    let pipes = vec![written(b"c")];
    sources.add(Box::new(Pipes { pipes, seen: seen.clone(), ..Pipes::default() }));
    sources.tell(&Notice::Stops);
    assert_eq!(Rc::strong_count(&seen), 1);
    assert_eq!(*seen.borrow(), b"a");
}

/// A pipe that is watched for one event until a notice, and then for another.
#[derive(Debug)]
struct Changing(io::PipeReader, EventSet, EventSet);

impl Source for Changing {
    fn watches(&mut self) -> Vec<Events> {
        vec![Events::new(&self.0, self.1)]
    }

    fn ready(&mut self, _: RawFd, requests: &mut Vec<Request>) {
        requests.push(Request::Quit);
    }

    fn hear(&mut self, notice: &Notice<'_>) {
        if let Notice::Stops = notice {
            self.1 = self.2;
        }
    }
}

#[test]
fn watched_descriptors_stay_in_epoll_until_they_change() {
    let mut sources = Sources::new().unwrap();
    let told = |sources: &mut Sources| sources.wait(Some(Instant::now())).unwrap().len();
    // Reported once, unless it is registered with epoll again.
    let once = EventSet::IN | EventSet::EDGE_TRIGGERED;
    sources.add(Box::new(Changing(written(b"a"), once, EventSet::IN)));
    assert_eq!(told(&mut sources), 1);
    sources.tell(&Notice::Quits);
    assert_eq!(told(&mut sources), 0);
    sources.tell(&Notice::Stops);
    for _ in 0..2 {
        assert_eq!(told(&mut sources), 1);
    }
}
