//! The script as an event source: it types the answers, and ends the machine if the guest does not print the expected text.

use std::{
    collections::VecDeque,
    os::fd::RawFd,
    time::{Duration, Instant},
};

use devices::printable::ToPrintable;
use event_manager::{EventSet, Events};

use super::{clock::Clock, matcher::Matcher, script::Script, tap::Tap};
use crate::{
    exit::{self, UNMET},
    run_state::{Cause, Change, RunState},
    source::{Notice, Request, Source},
};

/// The time without output after which a guest counts as waiting. When PAM asks for a password, it drops what was typed before it turned
/// the echo off, which it does a moment after printing the prompt.
const PAUSE: Duration = Duration::from_millis(250);
/// The number of checks after which a guest that never stops printing is answered anyway.
const PATIENCE: u32 = 8;
/// COM1.
const PORT: usize = 0;

/// The script while the machine runs. It outlives the machine's resets.
#[derive(Debug)]
pub(crate) struct ScriptSource {
    script: Script,
    tap: Tap,
    /// The number of texts that are known to have been found.
    met: usize,
    to_type: VecDeque<Vec<u8>>,
    state: RunState,
    /// A machine exists.
    is_there: bool,
    /// The time limit for the current text.
    clock: Clock,
    look: Option<Look>,
    /// The script no longer waits for anything: the machine ends.
    ended: bool,
    /// The guest ended before all texts were found.
    ended_unmet: bool,
}

/// A check whether the guest has stopped printing.
#[derive(Clone, Copy, Debug)]
struct Look {
    at: Instant,
    /// The number of bytes that it had printed.
    count: u64,
    /// The number of checks before this one after which it printed more.
    before: u32,
}

/// Makes the two ends of a script: the tap on COM1's output, and the main thread's source.
///
/// # Errors
///
/// No file descriptor is left.
pub(crate) fn start(script: &Script) -> std::io::Result<(Tap, ScriptSource)> {
    let patterns = script.expects.iter().map(|expect| expect.pattern.clone()).collect();
    let tap = Tap::new(Matcher::new(patterns))?;
    let script = script.clone();
    let source = ScriptSource {
        tap: tap.clone(),
        met: 0,
        to_type: script.first.iter().cloned().collect(),
        state: RunState::default(),
        is_there: false,
        clock: Clock::new(script.timeout),
        look: None,
        ended: false,
        ended_unmet: false,
        script,
    };
    Ok((tap, source))
}

impl ScriptSource {
    /// Handles texts that have been found.
    fn advance(&mut self, now: Instant) {
        let met = self.tap.matcher().met();
        for index in self.met..met {
            log::info!("{} is met", self.name(index));
            self.to_type.extend(self.script.expects[index].sends.iter().cloned());
            self.clock.restart(now);
        }
        self.met = met;
    }

    /// Starts and stops the timers.
    fn arm(&mut self, now: Instant) {
        let runs = self.is_there && self.state == RunState::Running && !self.ended;
        self.clock.go(runs && self.met < self.script.expects.len(), now);
        let next = self.script.expects.get(self.met);
        let waits = !self.to_type.is_empty() || next.is_some_and(|expect| expect.pattern.looks_around());
        if !runs || !waits {
            self.look = None;
        } else if self.look.is_none() {
            self.look = Some(Look { at: now + PAUSE, count: self.tap.matcher().count(), before: 0 });
        }
    }

    /// Checks whether the guest has stopped printing.
    fn look(&mut self, look: Look, now: Instant, requests: &mut Vec<Request>) {
        let mut matcher = self.tap.matcher();
        let count = matcher.count();
        let has_stopped = count == look.count;
        if has_stopped {
            matcher.pause();
        }
        drop(matcher);
        self.advance(now);
        self.look = None;
        let before = look.before + 1;
        if (has_stopped || before >= PATIENCE)
            && let Some(text) = self.to_type.pop_front()
        {
            requests.push(Request::Type { port: PORT, text });
            self.clock.restart(now);
        } else if !has_stopped {
            self.look = Some(Look { at: now + PAUSE, count, before });
        }
    }

    /// Reports that the next text was not found, with the console's last lines.
    fn tell_unmet(&mut self, why: &str) {
        self.ended = true;
        let lines = self.tap.matcher().last_lines();
        let lines = match lines[..] {
            [] => "; the console shows nothing".to_owned(),
            _ => format!("; the console's last lines:\n    {}", lines.join("\n    ")),
        };
        log::error!("{} was not met {why}{lines}", self.name(self.met));
    }

    /// A text as the user gave it.
    fn name(&self, index: usize) -> String {
        let expects = &self.script.expects;
        format!("--expect {:?} ({} of {})", expects[index].given.printable(), index + 1, expects.len())
    }

    /// Handles the machine's end. Nothing is reported if the user wanted it.
    fn end(&mut self, by: Cause) {
        let by_user = matches!(by, Cause::HostSignal | Cause::HostUi | Cause::HostQmpQuit);
        if !self.ended && !by_user {
            self.tap.matcher().pause();
            self.advance(Instant::now());
            if self.met < self.script.expects.len() {
                self.tell_unmet("before the guest ended");
                self.ended_unmet = by != Cause::HostError;
            }
        }
        self.ended = true;
    }
}

impl Source for ScriptSource {
    fn watches(&mut self) -> Vec<Events> {
        vec![Events::new(self.tap.met(), EventSet::IN)]
    }

    fn ready(&mut self, _: RawFd, _: &mut Vec<Request>) {
        // Make it unreadable before checking the search.
        let _ = self.tap.met().read();
        let now = Instant::now();
        self.advance(now);
        self.arm(now);
    }

    fn deadline(&self) -> Option<Instant> {
        [self.clock.end(), self.look.map(|look| look.at)].into_iter().flatten().min()
    }

    fn on_time(&mut self, requests: &mut Vec<Request>) {
        let now = Instant::now();
        self.advance(now);
        if let Some(look) = self.look.filter(|look| look.at <= now) {
            self.look(look, now, requests);
        }
        if self.clock.end().is_some_and(|end| end <= now) && self.met < self.script.expects.len() {
            let limit = self.script.timeout.unwrap_or_default().as_secs();
            self.tell_unmet(&format!("in {limit} s (--expect-timeout)"));
            requests.push(Request::Unmet);
        }
        self.arm(now);
    }

    fn hear(&mut self, notice: &Notice<'_>) {
        match notice {
            Notice::Runs(_) => self.is_there = true,
            Notice::Stops => self.is_there = false,
            Notice::Changed(change) => {
                self.state = self.state.after(change);
                if let Change::Shutdown { by } = change {
                    self.end(*by);
                }
            }
            Notice::Quits | Notice::Leaves => self.ended = true,
            Notice::Suspends => self.clock.go(false, Instant::now()),
            Notice::Continues | Notice::Types { .. } => {}
        }
        if !matches!(notice, Notice::Suspends) {
            self.arm(Instant::now());
        }
    }

    fn is_over(&self) -> bool {
        self.met == self.script.expects.len() && self.to_type.is_empty()
    }

    /// For a guest that crashed, that status is more informative.
    fn verdict(&self, status: u8) -> Option<u8> {
        (self.ended_unmet && exit::crash(status.into()).is_none()).then_some(UNMET)
    }
}

#[cfg(test)]
#[path = "source_test.rs"]
mod tests;
