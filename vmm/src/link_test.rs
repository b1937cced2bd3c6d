use std::thread;

use super::*;

/// Reports that the machine is gone, to a main thread that holds no part of it.
fn gone(link: &Link, inbox: Inbox) -> (Option<Exit>, Inbox) {
    let main = thread::spawn(move || {
        assert!(matches!(inbox.requests.recv(), Ok(Request::News(News::Gone(_)))));
        inbox
    });
    (link.gone(), main.join().unwrap())
}

#[test]
fn questions_while_no_machine_runs_wait_for_the_next() {
    let (link, controls, inbox) = ends(None).unwrap();
    let vcpu = link.exits();
    vcpu.send(Event::Exit(Exit::Reset)).unwrap();
    assert!(matches!(link.next(), Some(Event::Exit(Exit::Reset))));
    // Another vCPU and a user request something before the whole machine is gone.
    vcpu.send(Event::Exit(Exit::Debug(3))).unwrap();
    controls.send(Command::Totals);
    controls.send(Command::Measure);
    let (exit, inbox) = gone(&link, inbox);
    assert!(exit.is_none());
    // And while the next is built.
    controls.send(Command::Totals);
    assert!(matches!(link.next(), Some(Event::Command(Command::Totals))));
    assert!(matches!(link.next(), Some(Event::Command(Command::Measure))));
    assert!(matches!(link.next(), Some(Event::Command(Command::Totals))));
    controls.send(Command::Quit(Exit::Quit));
    assert!(link.end_is_asked());
    assert!(matches!(gone(&link, inbox).0, Some(Exit::Quit)));
}

#[test]
fn saves_that_have_not_begun_are_one() {
    let (link, controls, _inbox) = ends(None).unwrap();
    let saves = |count| (0..count).for_each(|_| controls.send(Command::Save));
    let is_save = || matches!(link.next(), Some(Event::Command(Command::Save)));
    saves(300);
    // A thread that looks into the queue doesn't begin them.
    assert!(!link.end_is_wished());
    saves(300);
    assert!(is_save());
    saves(2);
    controls.send(Command::Totals);
    assert!(is_save());
    assert!(matches!(link.next(), Some(Event::Command(Command::Totals))));
}

#[test]
fn a_press_of_the_power_button_outlives_the_machine() {
    let (link, _controls, inbox) = ends(None).unwrap();
    assert!(!link.is_asked_to_power_off());
    link.answer_control(Control::PowerDown, None, Err(Refusal(String::new())));
    assert!(!link.is_asked_to_power_off());
    assert!(matches!(inbox.requests.try_recv(), Ok(Request::News(News::NobodyListens))));
    link.changed(Change::PowerDown);
    assert!(matches!(inbox.requests.try_recv(), Ok(Request::News(News::Changed(Change::PowerDown)))));
    assert!(gone(&link, inbox).0.is_none());
    assert!(link.is_asked_to_power_off());
}

#[test]
fn a_press_that_comes_too_late_is_reported() {
    let (link, controls, inbox) = ends(None).unwrap();
    controls.send(Command::Control(Control::PowerDown, None));
    let (exit, inbox) = gone(&link, inbox);
    assert!(exit.is_none() && !link.is_asked_to_power_off());
    assert!(matches!(inbox.requests.try_recv(), Ok(Request::News(News::NobodyListens))));
}

#[test]
fn a_request_to_end_is_visible_before_it_is_taken() {
    let (link, controls, inbox) = ends(None).unwrap();
    let asker = crate::questions::Asker::new().unwrap();
    let others = [
        Command::Totals,
        Command::Control(Control::Stop, None),
        // Not from a signal: that client wants the guest to end, but not nvmm.
        Command::Control(Control::PowerDown, Some(asker.reply(0))),
    ];
    let count = others.len();
    others.into_iter().for_each(|command| controls.send(command));
    assert!(!link.end_is_wished());
    controls.send(Command::Control(Control::PowerDown, None));
    assert!(link.end_is_wished() && link.end_is_wished() && !link.end_is_asked());
    for _ in 0..count {
        assert!(link.end_is_wished());
        link.next();
    }
    assert!(matches!(link.next(), Some(Event::Command(Command::Control(Control::PowerDown, None)))));
    assert!(!link.end_is_wished(), "the guest was asked: there may be more to look into");
    controls.send(Command::Quit(Exit::Quit));
    assert!(link.end_is_wished() && link.end_is_asked());
    drop(inbox);
}

/// A source with or without a peer.
#[derive(Debug)]
struct Waits(bool);

impl Source for Waits {
    fn watches(&mut self) -> Vec<Events> {
        Vec::new()
    }

    fn ready(&mut self, _: RawFd, _: &mut Vec<Request>) {}

    fn waits_for_peer(&self) -> bool {
        self.0
    }
}

#[test]
fn any_source_can_be_waited_for() {
    let (link, _controls, inbox) = ends(None).unwrap();
    link.serve(Waits(false));
    assert!(matches!(inbox.requests.recv(), Ok(Request::Serve(_))));
    link.wait_for_peers();
    assert!(inbox.requests.try_recv().is_err(), "nobody is waited for");
    link.serve(Waits(true));
    link.serve(Waits(false));
    let machine = thread::spawn(move || link.wait_for_peers());
    assert!(matches!(inbox.requests.recv(), Ok(Request::Serve(_))));
    assert!(matches!(inbox.requests.recv(), Ok(Request::Serve(_))));
    let held = inbox.requests.recv();
    assert!(matches!(held, Ok(Request::News(News::Waits(_)))));
    assert!(!machine.is_finished());
    drop(held);
    machine.join().unwrap();
}

#[test]
fn a_panic_is_an_end() {
    let (_controls, inbox) = start(None, |_| panic!("as tested")).unwrap();
    assert!(matches!(inbox.requests.recv(), Ok(Request::News(News::Ended(COULD_NOT)))));
}
