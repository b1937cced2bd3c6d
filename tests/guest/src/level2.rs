//! Level 2, where it is Linux: it says that it is up, and powers off.

use vmm::nest::pid1::Pid1;
use vmm::nest::report::Said;

/// Its words once it is up.
pub(crate) const UP: &str = "level 2 is up";

/// Says it.
pub(crate) fn run(pid1: &mut Pid1) -> anyhow::Result<()> {
    pid1.say(Said::Text(UP.to_owned()));
    Ok(())
}
