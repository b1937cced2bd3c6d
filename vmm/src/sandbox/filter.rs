//! Filters in the kernel's form, compiled from the table of allowed calls: `Documentation/userspace-api/seccomp_filter.rst`.
//!
//! A filter runs at each system call of its thread. The crate seccompiler compiles a list of comparisons, at whose end a call is refused.
//! Here the call's number is looked up in a binary tree, so that each call is decided in about twelve steps and the filter is short. That
//! matters at a start: for each thread the kernel translates the filter again, and runs it for every call number, which is most of the
//! sandbox's cost.

use libc::sock_filter;

use super::allowed::{Allowed, Arg, Values, Who};

/// `AUDIT_ARCH_X86_64`: linux/audit.h.
const X86_64: u32 = 0xc000_003e;
/// `__X32_SYSCALL_BIT`: numbers from here on belong to another calling convention, asm/unistd.h.
const X32: u32 = 0x4000_0000;

/// The offset of the number in `struct seccomp_data`; the architecture, the caller's address and the arguments follow.
const NUMBER: u32 = 0;
const ARCH: u32 = 4;
const PLACE: u32 = 8;
const ARGS: u32 = 16;

const RET_ALLOW: u32 = 0x7fff_0000;
const RET_TRAP: u32 = 0x0003_0000;
const RET_ERRNO: u32 = 0x0005_0000;

/// `BPF_LD | BPF_W | BPF_ABS` and so on: linux/bpf_common.h.
const LOAD: u16 = 0x20;
const AND: u16 = 0x54;
const JUMP: u16 = 0x05;
const JUMP_IF_EQUAL: u16 = 0x15;
const JUMP_FROM: u16 = 0x35;
const RETURN: u16 = 0x06;

/// Conditional jumps reach at most 255 statements ahead. The margin is for statements that are inserted later.
const NEAR: usize = 200;
/// The upper bound of Linux's call numbers. The last ones that mean anything here are lower.
const NUMBERS: u32 = 470;

/// Values that are known only at run time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Now {
    /// The process ID.
    pub(super) process: u32,
    /// The address after the one instruction whose calls are all allowed, if there is one.
    pub(super) free: Option<u64>,
}

/// The answer to the calls of a range of numbers.
#[derive(Clone, Copy, Debug)]
enum Answer<'a> {
    Refused,
    Allowed,
    /// The call fails with this error.
    Fails(u16),
    /// Allowed if one of the rules allows it, of those for these threads.
    If(&'a [Allowed]),
}

/// Compiles the filter of the threads in `who` from a table that is sorted by calls.
pub(super) fn compile(table: &[Allowed], who: Who, now: Now) -> Vec<sock_filter> {
    let mut code = Code { reversed: Vec::with_capacity(256), answers: Vec::with_capacity(4), who, now };
    let ranges = ranges(table, who);
    code.search(&ranges, NUMBERS);
    code.push(load(NUMBER));
    if let Some(place) = now.free {
        let (low, high) = halves(place);
        let goes_on = code.here();
        let free = code.answer(RET_ALLOW);
        code.jump_if(JUMP_IF_EQUAL, high, free, goes_on);
        code.push(load(PLACE + 4));
        let low_fits = code.here();
        code.jump_if(JUMP_IF_EQUAL, low, low_fits, goes_on);
        code.push(load(PLACE));
    }
    let goes_on = code.here();
    let refused = code.answer(RET_TRAP);
    code.jump_if(JUMP_IF_EQUAL, X86_64, goes_on, refused);
    code.push(load(ARCH));
    code.reversed.reverse();
    code.reversed
}

fn halves(value: u64) -> (u32, u32) {
    let [a, b, c, d, e, f, g, h] = value.to_le_bytes();
    (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]))
}

/// The ranges of call numbers by their first number, each with its answer.
fn ranges(table: &[Allowed], who: Who) -> Vec<(u32, Answer<'_>)> {
    let mut ranges = Vec::with_capacity(128);
    ranges.push((0, Answer::Refused));
    for same in table.chunk_by(|one, other| one.call == other.call) {
        let mine = || same.iter().filter(|rule| rule.who.intersects(who));
        if mine().next().is_none() {
            continue;
        }
        let call = same[0].call;
        let answer = match mine().find(|rule| rule.when.is_empty()) {
            Some(Allowed { fails: Some(error), .. }) => Answer::Fails(*error),
            Some(_) => Answer::Allowed,
            None => Answer::If(same),
        };
        // The range before ends at this call, or is empty.
        if ranges.last().is_some_and(|(start, _)| *start == call) {
            ranges.pop();
        }
        if !matches!((ranges.last(), &answer), (Some((_, Answer::Allowed)), Answer::Allowed)) {
            ranges.push((call, answer));
        }
        ranges.push((call + 1, Answer::Refused));
    }
    debug_assert!(
        ranges.iter().all(|(start, _)| *start < X32),
        "the last range has all that is no call of x86-64's"
    );
    ranges
}

/// A filter built from its end, since jumps only go forward: the target of a jump exists before the jump.
struct Code {
    /// The statements in reverse order.
    reversed: Vec<sock_filter>,
    /// The latest statement that returns each answer.
    answers: Vec<(u32, Label)>,
    who: Who,
    now: Now,
}

/// A statement, identified by the number of statements after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Label(usize);

impl Code {
    /// Puts a statement before all others.
    fn push(&mut self, statement: sock_filter) {
        self.reversed.push(statement);
    }

    /// The first statement at present.
    fn here(&self) -> Label {
        Label(self.reversed.len() - 1)
    }

    /// The distance of a jump from the next statement to be put to `to`, with `more` statements in between.
    fn distance(&self, to: Label, more: usize) -> usize {
        self.reversed.len() + more - 1 - to.0
    }

    /// A statement that returns this answer, close enough for a conditional jump.
    fn answer(&mut self, value: u32) -> Label {
        let here = Label(self.reversed.len());
        match self.answers.iter_mut().find(|(theirs, _)| *theirs == value) {
            Some((_, latest)) if here.0 - latest.0 <= NEAR => return *latest,
            Some((_, latest)) => *latest = here,
            None => self.answers.push((value, here)),
        }
        self.push(answer(value));
        here
    }

    /// Puts a conditional jump that compares with `value`. A target out of its reach gets an unconditional jump in between.
    fn jump_if(&mut self, code: u16, value: u32, yes: Label, no: Label) {
        let [yes, no] = [yes, no].map(|to| match u8::try_from(self.distance(to, 1)) {
            Ok(_) => to,
            Err(_) => {
                let distance = u32::try_from(self.distance(to, 0)).expect("4096 statements at most");
                self.push(statement(JUMP, distance));
                self.here()
            }
        });
        let [jt, jf] = [yes, no].map(|to| u8::try_from(self.distance(to, 0)).expect("it is near"));
        self.push(jump(code, value, jt, jf));
    }

    /// Puts a search for the number, which is below `end`, among ranges. Wide ranges are found soonest: when the kernel takes a filter, it
    /// tries all numbers to learn which are always allowed.
    fn search(&mut self, ranges: &[(u32, Answer<'_>)], end: u32) -> Label {
        match ranges {
            [] | [(_, Answer::Refused)] => self.answer(RET_TRAP),
            [(_, Answer::Allowed)] => self.answer(RET_ALLOW),
            [(_, Answer::Fails(error))] => self.answer(RET_ERRNO | u32::from(*error)),
            [(_, Answer::If(rules))] => self.check(rules),
            ranges => {
                let (below, from) = ranges.split_at(middle(ranges, end));
                let first = from[0].0;
                let from = self.search(from, end);
                let below = self.search(below, first);
                self.jump_if(JUMP_FROM, first, from, below);
                self.here()
            }
        }
    }

    /// Puts statements that allow a call if its arguments meet one of the rules.
    fn check(&mut self, rules: &[Allowed]) -> Label {
        let mut miss = self.answer(RET_TRAP);
        let who = self.who;
        for rule in rules.iter().rev().filter(|rule| rule.who.intersects(who)) {
            let mut hit = self.answer(RET_ALLOW);
            for arg in rule.when.iter().rev() {
                hit = self.compare(arg, hit, miss);
            }
            miss = hit;
        }
        miss
    }

    /// Puts the comparison of an argument.
    fn compare(&mut self, arg: &Arg, hit: Label, miss: Label) -> Label {
        let own = [self.now.process];
        let values: &[u32] = match arg.values {
            Values::Any(values) => values,
            Values::OwnProcess => &own,
        };
        let mut miss = miss;
        for value in values.iter().rev() {
            self.jump_if(JUMP_IF_EQUAL, *value, hit, miss);
            miss = self.here();
        }
        if arg.mask != u32::MAX {
            self.push(statement(AND, arg.mask));
        }
        // Only the lower half: the kernel uses 32 bits of these arguments, as tests of the table ensure.
        self.push(load(ARGS + 8 * u32::from(arg.index)));
        self.here()
    }
}

/// The index that divides the ranges, the last of which ends at `end`, so that about as many numbers are below as above.
fn middle(ranges: &[(u32, Answer<'_>)], end: u32) -> usize {
    let half = ranges[0].0.midpoint(end);
    let above = ranges.partition_point(|(first, _)| *first <= half);
    // The range in the middle goes to the side that has fewer numbers.
    let (first, next) = (ranges[above - 1].0, ranges.get(above).map_or(end, |(next, _)| *next));
    let at = if half - first < next.saturating_sub(half) { above - 1 } else { above };
    at.clamp(1, ranges.len() - 1)
}

fn load(offset: u32) -> sock_filter {
    statement(LOAD, offset)
}

fn answer(value: u32) -> sock_filter {
    statement(RETURN, value)
}

fn statement(code: u16, k: u32) -> sock_filter {
    jump(code, k, 0, 0)
}

fn jump(code: u16, k: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter { code, jt, jf, k }
}

#[cfg(test)]
#[path = "filter_test.rs"]
mod tests;
