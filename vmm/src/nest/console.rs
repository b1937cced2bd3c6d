//! Reads the lines of a level's console.

use std::time::{Duration, Instant};

use anyhow::Context;

use super::child::{Child, Output};
use super::joined::Joined;
use super::report::{Line, Said};

/// The interval for checking the clock while there is no output.
const TICK: Duration = Duration::from_secs(1);

/// Passes the lines of `level`'s console to `hear` until the console ends or the level reports that it is off. Returns false if `hear`
/// gives up. `hear` is also asked after each line, since a level that never stops printing must be ended, too. `last` is the last level.
pub fn relay(
    child: &mut Child,
    level: u32,
    last: u32,
    hear: &mut dyn FnMut(Option<&Line>) -> bool,
) -> anyhow::Result<bool> {
    let mut joined = Joined::new(level, last);
    loop {
        let (lines, ends) = match child.line(Some(Instant::now() + TICK)).context("reading the console")? {
            Output::Line(line) => (joined.read(&line), false),
            Output::End => (joined.end().into_iter().collect(), true),
            Output::Timeout if hear(None) => continue,
            Output::Timeout => return Ok(false),
        };
        for line in &lines {
            if !hear(Some(line)) {
                return Ok(false);
            }
            if line.said == Said::Off {
                return Ok(true);
            }
        }
        if ends {
            return Ok(true);
        }
    }
}
