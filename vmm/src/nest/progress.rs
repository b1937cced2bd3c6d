//! Shows the progress of a run: a line for each event, or on a terminal a line for each level, of which the last one is redrawn. The output
//! of the user's program is shown as it is.

use std::cell::Cell;
use std::io::{self, IsTerminal, Write};
use std::sync::mpsc::{self, RecvTimeoutError, SyncSender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use devices::threads::{self, Role};

use crate::{cpu::text::has_signs, terminal};

const TICK: Duration = Duration::from_millis(100);
/// The most events that wait to be shown.
const EVENTS: usize = 256;

/// The signs before the last line, one after the other, and the one before a line that stays.
#[derive(Debug, Clone, Copy)]
struct Signs {
    turning: &'static [char],
    done: char,
}

const SIGNS: Signs =
    Signs { turning: &['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'], done: '·' };
/// For a terminal without UTF-8.
const ASCII_SIGNS: Signs = Signs { turning: &['|', '/', '-', '\\'], done: '.' };

/// Shows progress on stderr, from the start of a run until it is dropped.
#[derive(Debug)]
pub(super) struct Progress {
    start: Instant,
    live: Option<Live>,
    output: Stream,
    /// The program has begun a line, and not ended it.
    begun: Cell<bool>,
}

/// The stream for the program's output.
#[derive(Debug, Clone, Copy)]
pub(super) enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Stream {
    /// Writes to the stream. A failure can't be reported, as when the reader has gone, and the run continues.
    fn write(self, bytes: &[u8]) {
        let _ = match self {
            Self::Stdout => io::stdout().write_all(bytes).and_then(|()| io::stdout().flush()),
            Self::Stderr => io::stderr().write_all(bytes),
        };
    }
}

/// The thread that redraws a terminal's last line.
#[derive(Debug)]
struct Live {
    events: Option<SyncSender<Event>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
enum Event {
    Level(u32, String),
    Text(String),
    /// Output of the program: nothing is redrawn until the next event.
    Output(Vec<u8>),
}

impl Progress {
    /// Begins to show progress. `output` is the stream for the program's output.
    pub(super) fn new(start: Instant, output: Stream) -> Self {
        let live = if io::stderr().is_terminal() { Live::new(start, output) } else { None };
        Self { start, live, output, begun: Cell::new(false) }
    }

    /// Shows what `level` is doing.
    pub(super) fn level(&self, level: u32, doing: String) {
        self.send(Event::Level(level, doing));
    }

    /// Shows a line of text.
    pub(super) fn text(&self, text: String) {
        self.send(Event::Text(text));
    }

    /// Shows output of the program.
    pub(super) fn output(&self, bytes: Vec<u8>) {
        self.send(Event::Output(bytes));
    }

    fn send(&self, event: Event) {
        match &self.live {
            Some(Live { events: Some(events), .. }) => {
                let _ = events.send(event);
            }
            _ => {
                // Both may go to the same place.
                let newline = if self.begun.replace(event.begins_line()) { "\n" } else { "" };
                match event {
                    Event::Output(bytes) => self.output.write(&bytes),
                    event => {
                        let line = plain(&event, self.start.elapsed());
                        Stream::Stderr.write(format!("{newline}{line}\n").as_bytes());
                    }
                }
            }
        }
    }
}

impl Event {
    /// Returns whether it leaves an incomplete line.
    fn begins_line(&self) -> bool {
        matches!(self, Self::Output(bytes) if !bytes.ends_with(b"\n"))
    }
}

impl Live {
    /// Starts the thread. If that fails, lines of text are shown instead.
    fn new(start: Instant, output: Stream) -> Option<Self> {
        // Bounded: a sender with more than the terminal can show has to wait.
        let (events, received) = mpsc::sync_channel(EVENTS);
        let thread = threads::spawn(&Role::Progress, move || {
            let signs = if has_signs(&io::stderr()) { SIGNS } else { ASCII_SIGNS };
            let mut screen = Screen::new(start, terminal::columns(), signs);
            loop {
                let drawn = match received.recv_timeout(TICK) {
                    Ok(Event::Output(bytes)) => {
                        Stream::Stderr.write(screen.settle(Instant::now()).as_bytes());
                        output.write(&bytes);
                        screen.begun = Event::Output(bytes).begins_line();
                        continue;
                    }
                    Ok(event) => screen.take(event, Instant::now()),
                    Err(RecvTimeoutError::Timeout) => screen.draw(Instant::now()),
                    Err(RecvTimeoutError::Disconnected) => break,
                };
                Stream::Stderr.write(drawn.as_bytes());
            }
            Stream::Stderr.write(screen.settle(Instant::now()).as_bytes());
        });
        Some(Self { events: Some(events), thread: Some(thread.ok()?) })
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(live) = &mut self.live {
            live.events = None;
            let _ = live.thread.take().map(JoinHandle::join);
        }
    }
}

fn plain(event: &Event, at: Duration) -> String {
    match event {
        Event::Level(level, doing) => format!("{:7.1} s  level {level}: {doing}", at.as_secs_f64()),
        Event::Text(text) => format!("{:7.1} s  {text}", at.as_secs_f64()),
        // The caller shows it as it is.
        Event::Output(_) => String::new(),
    }
}

/// A terminal: lines that stay, and the last one, which is redrawn.
#[derive(Debug)]
struct Screen {
    columns: usize,
    signs: Signs,
    turn: usize,
    current: Option<(u32, String, Instant)>,
    start: Instant,
    /// The program has begun a line, and not ended it.
    begun: bool,
}

impl Screen {
    fn new(start: Instant, columns: usize, signs: Signs) -> Self {
        Self { columns, signs, turn: 0, current: None, start, begun: false }
    }

    /// The text to write for an event.
    fn take(&mut self, event: Event, now: Instant) -> String {
        let mut out = if std::mem::take(&mut self.begun) { "\n".to_owned() } else { String::new() };
        match event {
            Event::Level(level, doing) => {
                let same = matches!(&self.current, Some((current, ..)) if *current == level);
                if same {
                    self.current = self.current.take().map(|(level, _, since)| (level, doing, since));
                } else {
                    out += &self.settle(now);
                    self.current = Some((level, doing, now));
                }
            }
            Event::Text(text) => {
                let at = now.saturating_duration_since(self.start);
                out += &format!("\r\x1b[K{}\n", plain(&Event::Text(text), at));
            }
            Event::Output(_) => {}
        }
        out + &self.draw(now)
    }

    /// The last line with its spinner, without a line end.
    fn draw(&mut self, now: Instant) -> String {
        self.turn += 1;
        let turning = self.signs.turning;
        let spinner = turning[self.turn % turning.len()];
        self.line(spinner, now).map(|line| format!("\r\x1b[K{line}")).unwrap_or_default()
    }

    /// The last line in its final form.
    fn settle(&mut self, now: Instant) -> String {
        let line =
            self.line(self.signs.done, now).map(|line| format!("\r\x1b[K{line}\n")).unwrap_or_default();
        self.current = None;
        line
    }

    /// The last line, cut so that it does not wrap: then it could not be overwritten.
    fn line(&self, mark: char, now: Instant) -> Option<String> {
        let (level, doing, since) = self.current.as_ref()?;
        let seconds = now.saturating_duration_since(*since).as_secs_f64();
        let line = format!("{mark} {seconds:6.1} s  level {level}: {doing}");
        Some(line.chars().take(self.columns.saturating_sub(1)).collect())
    }
}

#[cfg(test)]
#[path = "progress_test.rs"]
mod tests;
