//! `blk_durable`, round by round.

use std::{
    io::{Read, Write},
    process::{ChildStdin, ChildStdout, Command, Stdio},
};

use rustix::process::Pid;

use crate::{
    model::Model,
    support::{Running, expect},
};

/// The guest's report of a round: the writes, flush and reads that failed, and the reads that returned other data than was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) round: u64,
    pub(crate) writes: u64,
    pub(crate) flush: u64,
    pub(crate) reads: u64,
    pub(crate) differing: u64,
}

impl Line {
    pub(crate) fn parse(line: &str) -> Self {
        let numbers: Vec<_> = line.split(' ').map(|number| u64::from_str_radix(number, 16)).collect();
        let [Ok(round), Ok(writes), Ok(flush), Ok(reads), Ok(differing)] = numbers[..] else {
            panic!("the guest says {line:?}");
        };
        Self { round, writes, flush, reads, differing }
    }

    /// Returns whether nothing failed.
    pub(crate) fn is_good(&self) -> bool {
        (self.writes, self.flush, self.reads) == (0, 0, 0)
    }
}

/// A guest that does a round on request.
pub(crate) struct Stepped {
    child: Running,
    stdin: ChildStdin,
    stdout: ChildStdout,
    model: Model,
    last: Line,
}

impl Stepped {
    /// Starts a machine with this guest, on a disk that `model` describes.
    pub(crate) fn start(machine: &mut Command, model: Model) -> Self {
        let mut child = Running::start(machine.args(["--cmdline", "1sr"]).stdin(Stdio::piped()));
        let stdin = child.0.stdin.take().unwrap();
        let mut stdout = child.0.stdout.take().unwrap();
        expect(&mut stdout, "ready\n");
        Self { child, stdin, stdout, model, last: Line::default() }
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child.0)
    }

    /// Makes the guest do a round. It must read the data of the round before as it was written.
    pub(crate) fn step(&mut self) -> Line {
        self.stdin.write_all(b"s").unwrap();
        let line = Line::parse(expect(&mut self.stdout, "\n").trim_end());
        assert_eq!(line.round, self.last.round + 1);
        assert_eq!(line.differing & !self.last.writes, 0, "{line:?} after {:?}", self.last);
        self.model.write(line.round, line.writes);
        if line.flush == 0 {
            self.model.flush();
        }
        self.last = line.clone();
        line
    }

    /// Ends the machine. Returns the contents of its disk, and nvmm's messages.
    pub(crate) fn quit(mut self) -> (Model, String) {
        self.stdin.write_all(b"q").unwrap();
        assert_eq!(self.child.status(), Some(1));
        let mut said = String::new();
        self.child.0.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        (self.model, said)
    }
}
