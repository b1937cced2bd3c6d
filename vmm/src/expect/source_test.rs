use std::io::{self, Write};

use super::{
    super::{pattern::Pattern, script::Expect},
    *,
};
use crate::{attached::Attached, exit::PANICKED};

const LIMIT: Duration = Duration::from_secs(3600);

fn script(first: &[&str], expects: &[(&str, &[&str])]) -> Script {
    let bytes = |texts: &[&str]| texts.iter().map(|text| text.as_bytes().to_vec()).collect();
    let expects = expects.iter().map(|(expression, sends)| Expect {
        given: expression.as_bytes().to_vec(),
        pattern: Pattern::regex(expression).unwrap(),
        sends: bytes(sends),
    });
    Script { first: bytes(first), expects: expects.collect(), timeout: Some(LIMIT) }
}

struct Test {
    source: ScriptSource,
    uart: Box<dyn Write + Send>,
}

impl Test {
    /// A machine that runs.
    fn new(script: &Script) -> Self {
        let (tap, source) = start(script).unwrap();
        let mut test = Self { source, uart: tap.on(Box::new(io::sink())) };
        test.source.hear(&Notice::Runs(&Attached::default()));
        test.source.hear(&Notice::Changed(&Change::Resume));
        test
    }

    /// The guest prints something, and the main thread learns if that matches.
    fn print(&mut self, text: &str) {
        self.uart.write_all(text.as_bytes()).unwrap();
        if self.source.tap.met().read().is_ok() {
            self.source.tap.met().write(1).unwrap();
            self.source.ready(0, &mut Vec::new());
        }
    }

    /// Advances the time to the next check.
    fn look(&mut self) -> Vec<String> {
        let mut requests = Vec::new();
        let look = self.source.look.as_mut().expect("nothing waits for a pause");
        look.at = Instant::now();
        self.source.on_time(&mut requests);
        requests.iter().map(show).collect()
    }

    /// Advances the time beyond the limit.
    fn run_out(&mut self) -> Vec<String> {
        self.source.clock = Clock::new(Some(Duration::ZERO));
        self.source.clock.go(true, Instant::now());
        let mut requests = Vec::new();
        self.source.on_time(&mut requests);
        requests.iter().map(show).collect()
    }
}

fn show(request: &Request) -> String {
    match request {
        Request::Type { port: 0, text } => String::from_utf8(text.clone()).unwrap(),
        other => format!("{other:?}"),
    }
}

#[test]
fn an_answer_waits_until_the_guest_has_stopped_printing() {
    let mut test = Test::new(&script(&[], &[("login: ", &["root", "again"]), ("never", &[])]));
    assert!(test.source.look.is_none());
    test.print("login: ");
    test.print("more");
    assert_eq!(test.look(), [""; 0]);
    assert_eq!(test.look(), ["root"]);
    test.print("root");
    assert_eq!(test.look(), [""; 0]);
    assert_eq!(test.look(), ["again"]);
    assert!(test.source.look.is_none());
    assert!(!test.source.is_over());
}

#[test]
fn a_guest_that_never_stops_is_answered_in_the_end() {
    let mut test = Test::new(&script(&[], &[("login: ", &["root"])]));
    test.print("login: ");
    for _ in 1..PATIENCE {
        test.print(".");
        assert_eq!(test.look(), [""; 0]);
    }
    test.print(".");
    assert_eq!(test.look(), ["root"]);
    assert!(test.source.is_over());
}

#[test]
fn a_pause_meets_the_end_of_a_line() {
    let mut test = Test::new(&script(&[], &[("# $", &["ls"]), ("# $", &["off"])]));
    test.print("# ");
    assert_eq!(test.look(), [""; 0]);
    assert_eq!(test.look(), ["ls"]);
    test.print("ls\r\nfile\r\n# ");
    assert_eq!(test.look(), [""; 0]);
    assert_eq!(test.look(), ["off"]);
    assert!(test.source.is_over());
}

#[test]
fn the_script_types_nothing_while_no_machine_runs() {
    let mut test = Test::new(&script(&["first"], &[("a", &["x"])]));
    assert_eq!(test.look(), ["first"]);
    test.print("a");
    for (stops, goes) in [
        (Notice::Changed(&Change::Stop(RunState::Paused)), Notice::Changed(&Change::Resume)),
        (Notice::Stops, Notice::Runs(&Attached::default())),
    ] {
        test.source.hear(&stops);
        assert_eq!(test.source.deadline(), None);
        test.source.hear(&goes);
        assert!(test.source.look.is_some());
    }
    assert_eq!(test.look(), ["x"]);
}

#[test]
fn the_clock_stands_while_the_machine_is_paused() {
    let mut test = Test::new(&script(&[], &[("a", &[])]));
    assert!(test.source.deadline().is_some());
    test.source.hear(&Notice::Changed(&Change::Stop(RunState::Paused)));
    assert_eq!(test.source.deadline(), None);
    test.source.hear(&Notice::Changed(&Change::Resume));
    test.source.hear(&Notice::Suspends);
    assert_eq!(test.source.deadline(), None);
    test.source.hear(&Notice::Continues);
    assert!(test.source.deadline().is_some());
}

#[test]
fn time_that_has_run_out_ends_the_machine_once() {
    let mut test = Test::new(&script(&[], &[("a", &[])]));
    assert_eq!(test.run_out(), ["Unmet"]);
    assert_eq!(test.source.deadline(), None);
    test.source.hear(&Notice::Changed(&Change::Shutdown { by: Cause::HostUi }));
    assert_eq!(test.source.verdict(UNMET), None);
    // Output that has arrived by then is matched.
    let mut test = Test::new(&script(&[], &[("a", &[])]));
    test.uart.write_all(b"a").unwrap();
    assert_eq!(test.run_out(), [""; 0]);
}

#[test]
fn an_orderly_end_is_judged() {
    let verdict = |printed: &str, by: Cause, status: u8| {
        let mut test = Test::new(&script(&[], &[("login: $", &["root"])]));
        test.print(printed);
        test.source.hear(&Notice::Changed(&Change::Shutdown { by }));
        test.source.verdict(status)
    };
    assert_eq!(verdict("log", Cause::GuestShutdown, 0), Some(UNMET));
    // A debug exit.
    assert_eq!(verdict("log", Cause::GuestShutdown, 33), Some(UNMET));
    assert_eq!(verdict("log", Cause::GuestReset, 0), Some(UNMET));
    assert_eq!(verdict("login: ", Cause::GuestShutdown, 0), None);
    // It crashed, or another process ended it.
    assert_eq!(verdict("log", Cause::GuestReset, 4), None);
    assert_eq!(verdict("log", Cause::GuestPanic, PANICKED), None);
    assert_eq!(verdict("log", Cause::HostError, 1), None);
    for other in [Cause::HostSignal, Cause::HostUi, Cause::HostQmpQuit] {
        assert_eq!(verdict("log", other, 0), None);
    }
}
