//! The lines of a level's console, one after the other.

use std::time::{Duration, Instant};

use anyhow::Context;

use super::child::{Child, Output};
use super::joined::Joined;
use super::report::{Line, Said};

/// The time between two looks at the clock while nothing is heard.
const TICK: Duration = Duration::from_secs(1);

/// Has the lines of `level`'s console heard until it ends or says that it is off; false once `hear` has had enough. It is
/// asked after each line too, or a level that never stops talking would never be ended. `last` is the last level.
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
