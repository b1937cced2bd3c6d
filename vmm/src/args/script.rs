//! `--expect` and `--send`, in the order in which they stand on the command line.

use std::ffi::OsString;

use super::{heading::SERIAL, seconds::seconds};
use clap::{ArgMatches, Args, Command, FromArgMatches};

/// The default of `--expect-timeout`. It is more than 90 seconds, after which systemd gives up waiting for a device.
const TIMEOUT: u32 = 120;

/// The script on COM1, as the user wrote it, in order.
#[derive(Clone, Debug)]
pub struct ScriptArgs {
    /// The steps.
    pub steps: Vec<Step>,
    /// The timeout of each `--expect` in seconds; 0 means none.
    pub timeout: u32,
}

/// One of the two options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// `--expect`.
    Expect(OsString),
    /// `--send`.
    Send(OsString),
}

/// The options in the form that clap needs, in which each has a list of its own.
#[derive(Debug, Args)]
struct Options {
    /// Wait until COM1 prints this; repeatable
    ///
    /// Wait until the guest prints TEXT on COM1, or what re:REGEX matches, and then type the --send that follow; repeatable, in order.
    /// Escape sequences are left out, and line ends are \n; $ is also where the guest stops printing
    #[arg(long, help_heading = SERIAL, value_name = "TEXT|re:REGEX")]
    expect: Vec<OsString>,

    /// Then type this on COM1; repeatable
    ///
    /// Type TEXT and Enter on COM1 once the --expect before it is met and the guest has stopped printing; without one, when the machine
    /// starts. Escapes: \n, \r, \t, \xHH, \\, and \c at the end to leave Enter out
    #[arg(long, help_heading = SERIAL, value_name = "TEXT")]
    send: Vec<OsString>,

    /// Time for each --expect
    ///
    /// The time that each --expect may take while the machine runs; 0 is for ever
    #[arg(long, help_heading = SERIAL, value_name = "SECONDS", default_value_t = TIMEOUT, requires = "expect", value_parser = seconds::<u32>)]
    expect_timeout: u32,
}

impl Args for ScriptArgs {
    fn augment_args(command: Command) -> Command {
        Options::augment_args(command)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Options::augment_args_for_update(command)
    }
}

impl FromArgMatches for ScriptArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let Options { expect, send, expect_timeout } = Options::from_arg_matches(matches)?;
        let places = |name| matches.indices_of(name).into_iter().flatten();
        let expects = places("expect").zip(expect.into_iter().map(Step::Expect));
        let mut steps: Vec<_> = expects.chain(places("send").zip(send.into_iter().map(Step::Send))).collect();
        steps.sort_by_key(|&(place, _)| place);
        Ok(Self { steps: steps.into_iter().map(|(_, step)| step).collect(), timeout: expect_timeout })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

#[cfg(test)]
#[path = "script_test.rs"]
mod tests;
