use std::{
    cell::RefCell,
    os::fd::RawFd,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, TryRecvError},
    },
    time::Duration,
};

use event_manager::Events;

use super::*;
use crate::link::{self, Event, Inbox, Link};

const GRACE: Duration = Duration::from_secs(60);

/// The notice about a machine of which the main thread serves nothing.
const RUNS: &str = "Runs(Attached { uarts: [], wakers: [] })";

/// A source that records all notices.
#[derive(Debug, Default)]
struct Ear(Rc<RefCell<Vec<String>>>);

impl Source for Ear {
    fn watches(&mut self) -> Vec<Events> {
        Vec::new()
    }

    fn ready(&mut self, _: RawFd, _: &mut Vec<Request>) {}

    fn hear(&mut self, notice: &Notice<'_>) {
        self.0.borrow_mut().push(format!("{notice:?}"));
    }
}

/// A source that replaces the exit status of a machine that ended with 0.
#[derive(Debug)]
struct Judge;

impl Source for Judge {
    fn watches(&mut self) -> Vec<Events> {
        Vec::new()
    }

    fn ready(&mut self, _: RawFd, _: &mut Vec<Request>) {}

    fn verdict(&self, status: u8) -> Option<u8> {
        (status == 0).then_some(UNMET)
    }
}

/// A source that another may hand over. It sends its notices to a channel until it is dropped.
#[derive(Debug)]
struct Client {
    heard: Sender<String>,
    peer_is_there: Arc<AtomicBool>,
}

impl Client {
    fn new(peer_is_there: bool) -> (Self, mpsc::Receiver<String>, Arc<AtomicBool>) {
        let (heard, told) = mpsc::channel();
        let peer_is_there = Arc::new(AtomicBool::new(peer_is_there));
        (Self { heard, peer_is_there: peer_is_there.clone() }, told, peer_is_there)
    }
}

impl Source for Client {
    fn watches(&mut self) -> Vec<Events> {
        Vec::new()
    }

    fn ready(&mut self, _: RawFd, _: &mut Vec<Request>) {}

    fn hear(&mut self, notice: &Notice<'_>) {
        self.heard.send(format!("{notice:?}")).unwrap();
    }

    fn waits_for_peer(&self) -> bool {
        !self.peer_is_there.load(Ordering::SeqCst)
    }
}

struct Test {
    session: Session,
    sources: Sources,
    link: Link,
    _inbox: Inbox,
    heard: Rc<RefCell<Vec<String>>>,
}

impl Test {
    fn new(grace: Duration) -> Self {
        let (link, controls, inbox) = link::ends(None).unwrap();
        let mut sources = Sources::new().unwrap();
        let heard = Rc::<RefCell<Vec<String>>>::default();
        sources.add(Box::new(Ear(heard.clone())));
        Self {
            session: Session::new(controls, Wishes::new(grace), None),
            sources,
            link,
            _inbox: inbox,
            heard,
        }
    }

    fn running(grace: Duration) -> Self {
        let mut test = Self::new(grace);
        test.on(Request::News(News::Runs(Attached::default())));
        test
    }

    fn on(&mut self, request: Request) {
        self.session.on_request(request, &mut self.sources);
    }

    fn asked(&self) -> Command {
        match self.link.next() {
            Some(Event::Command(command)) => command,
            other => panic!("{other:?}"),
        }
    }

    fn heard(&self) -> Vec<String> {
        self.heard.take()
    }

    /// Serves until the end.
    fn status(&mut self) -> u8 {
        loop {
            if let Some(status) = self.session.over() {
                return status;
            }
            for request in self.sources.wait(self.session.deadline()).unwrap() {
                self.on(request);
            }
            self.session.on_time(&mut self.sources);
        }
    }
}

#[test]
fn a_guest_that_does_not_listen_is_ended() {
    let mut test = Test::running(GRACE);
    assert_eq!(test.heard(), [RUNS]);
    test.on(Request::Signal(libc::SIGTERM));
    assert!(matches!(test.asked(), Command::Control(Control::PowerDown, None)));
    assert!(test.heard().is_empty(), "it may power off");
    test.on(Request::News(News::NobodyListens));
    assert!(matches!(test.asked(), Command::Quit(Exit::Signal(libc::SIGTERM))));
    assert_eq!(test.heard(), ["Quits"]);
    test.on(Request::News(News::NobodyListens));
    assert_eq!(test.session.over(), None, "that is no second wish");
    test.on(Request::News(News::Ended(143)));
    assert_eq!(test.heard(), ["Changed(Shutdown { by: HostSignal })", "Leaves"]);
    assert_eq!(test.status(), 143);
}

#[test]
fn a_second_request_ends_nvmm_even_if_the_machine_hangs() {
    let mut test = Test::running(GRACE);
    test.on(Request::Signal(libc::SIGINT));
    assert!(matches!(test.asked(), Command::Quit(Exit::Signal(libc::SIGINT))));
    test.on(Request::Signal(libc::SIGINT));
    assert_eq!(test.session.over(), None, "the same wish");
    test.on(Request::Quit);
    assert_eq!(test.session.over(), Some(0));
}

#[test]
fn an_end_does_not_wait_long_for_a_machine_that_is_not_there() {
    let mut test = Test::new(GRACE);
    test.on(Request::Signal(libc::SIGTERM));
    assert!(test.session.over().is_none(), "its thread may have something to put away");
    assert_eq!(test.status(), 143);
    assert!(test.link.end_is_asked(), "and it is not to run");

    // The same between two machines.
    let mut test = Test::running(GRACE);
    let held = mpsc::channel().0;
    test.on(Request::News(News::Stops(held.clone())));
    test.on(Request::News(News::Gone(held)));
    test.on(Request::Quit);
    assert_eq!(test.status(), 0);
    assert_eq!(test.heard(), [RUNS, "Stops", "Quits", "Changed(Shutdown { by: HostUi })", "Leaves"]);
    // The machine's thread may have been about to report that.
    test.on(Request::News(News::Changed(Change::Shutdown { by: Cause::HostUi })));
    assert!(test.heard().is_empty(), "there is one end");
}

#[test]
fn a_machines_thread_that_ends_before_there_is_a_machine_is_not_asked_for_a_status() {
    let mut test = Test::new(GRACE);
    let (held, starts) = mpsc::channel();
    test.on(Request::News(News::Waits(held)));
    test.on(Request::Signal(libc::SIGINT));
    assert_eq!(starts.try_recv(), Err(TryRecvError::Disconnected), "there is nothing to wait for any more");
    let (held, starts) = mpsc::channel();
    test.on(Request::News(News::Waits(held)));
    assert_eq!(starts.try_recv(), Err(TryRecvError::Disconnected), "nor later");
    test.on(Request::News(News::Ended(1)));
    assert_eq!(test.session.deadline(), None);
    assert_eq!(test.status(), 130);
}

#[test]
fn a_machine_that_stops_is_waited_for() {
    let mut test = Test::running(GRACE);
    test.on(Request::News(News::Stops(mpsc::channel().0)));
    test.on(Request::Signal(libc::SIGTERM));
    assert!(matches!(test.asked(), Command::Quit(_)), "it has no button that anybody sees");
    assert_eq!(test.heard(), [RUNS, "Stops", "Quits"]);
    test.on(Request::News(News::Ended(143)));
    assert_eq!(test.status(), 143);
}

#[test]
fn the_guests_grace_ends() {
    let mut test = Test::running(Duration::from_millis(2));
    test.on(Request::Signal(libc::SIGTERM));
    assert!(matches!(test.asked(), Command::Control(Control::PowerDown, None)));
    test.session.on_time(&mut test.sources);
    while test.session.deadline().is_some() {
        assert!(test.sources.wait(test.session.deadline()).unwrap().is_empty());
        test.session.on_time(&mut test.sources);
    }
    assert!(matches!(test.asked(), Command::Quit(Exit::Signal(libc::SIGTERM))));
}

#[test]
fn a_machine_that_is_about_to_end_is_not_stopped() {
    let mut test = Test::running(GRACE);
    test.on(Request::Quit);
    test.on(Request::Suspend);
    test.on(Request::Continue);
    assert_eq!(test.heard(), [RUNS, "Quits", "Continues"]);
}

#[test]
fn requests_to_the_machine_are_passed_on() {
    let mut test = Test::running(GRACE);
    test.on(Request::Obey(Command::Measure));
    test.on(Request::Obey(Command::Totals));
    assert!(matches!(test.asked(), Command::Measure));
    assert!(matches!(test.asked(), Command::Totals));
}

#[test]
fn a_source_that_comes_late_gets_the_notices_it_missed() {
    let mut test = Test::running(GRACE);
    let (client, told, _) = Client::new(true);
    test.on(Request::Serve(Box::new(client)));
    assert_eq!(told.try_iter().collect::<Vec<_>>(), [RUNS]);
    test.on(Request::News(News::Stops(mpsc::channel().0)));
    assert_eq!(told.try_iter().collect::<Vec<_>>(), ["Stops"]);

    // Nothing runs now, and then the user requests the end.
    test.on(Request::Quit);
    let (client, told, _) = Client::new(true);
    test.on(Request::Serve(Box::new(client)));
    assert_eq!(told.try_iter().collect::<Vec<_>>(), ["Quits"]);

    // The other sources have been told to send their remaining output.
    test.on(Request::News(News::Ended(0)));
    let end = ["Changed(Shutdown { by: HostUi })", "Leaves"];
    assert_eq!(told.try_iter().collect::<Vec<_>>(), end);
    let (client, told, _) = Client::new(true);
    test.on(Request::Serve(Box::new(client)));
    assert_eq!(told.try_recv(), Err(TryRecvError::Disconnected));
}

#[test]
fn the_machine_starts_once_no_source_waits_for_a_peer() {
    let mut test = Test::new(GRACE);
    let (first, _told, first_peer) = Client::new(false);
    let (second, _heard, second_peer) = Client::new(false);
    test.on(Request::Serve(Box::new(first)));
    test.on(Request::Serve(Box::new(second)));
    let (held, starts) = mpsc::channel();
    test.on(Request::News(News::Waits(held)));
    for peer in [first_peer, second_peer] {
        test.session.on_time(&mut test.sources);
        assert_eq!(starts.try_recv(), Err(TryRecvError::Empty));
        peer.store(true, Ordering::SeqCst);
    }
    test.session.on_time(&mut test.sources);
    assert_eq!(starts.try_recv(), Err(TryRecvError::Disconnected));
}

#[test]
fn a_script_that_is_not_met_ends_the_machine() {
    let mut test = Test::running(GRACE);
    test.on(Request::Unmet);
    assert!(matches!(test.asked(), Command::Quit(Exit::Unmet)));
    assert_eq!(test.heard(), [RUNS, "Quits"]);
    test.on(Request::News(News::Ended(UNMET)));
    assert_eq!(test.status(), UNMET);
}

#[test]
fn a_source_may_have_a_status_of_its_own() {
    for (ended, status) in [(0, UNMET), (4, 4)] {
        let mut test = Test::running(GRACE);
        test.on(Request::Serve(Box::new(Judge)));
        test.on(Request::News(News::Ended(ended)));
        assert_eq!(test.status(), status);
    }
}

#[test]
fn typed_text_is_sent_to_all_sources() {
    let mut test = Test::running(GRACE);
    test.on(Request::Type { port: 0, text: b"a".to_vec() });
    assert_eq!(test.heard(), [RUNS, "Types { port: 0, text: [97] }"]);
}
