//! Level 2, if it is Linux: it reports that it is up, and powers off, in one scenario after level 0 has logged in.

use vmm::nest::pid1::{self, Pid1};
use vmm::nest::report::Said;

use crate::scenario;
use crate::snapshot;
use crate::ssh;

/// The message that it is up.
pub(crate) const UP: &str = "level 2 is up";

/// Runs its scenario.
pub(crate) fn run(pid1: &mut Pid1) -> anyhow::Result<()> {
    let scenario = pid1::parameter(scenario::PARAMETER)?;
    let server = if scenario == scenario::SSH { Some(ssh::level_2(pid1)?) } else { None };
    if scenario == scenario::SNAPSHOT {
        snapshot::level_2(pid1)?;
    }
    pid1.say(Said::Text(UP.to_owned()));
    server.map_or(Ok(()), ssh::until_done)
}
