//! Filters as the kernel runs them, compiled from the table of what is allowed: `Documentation/userspace-api/seccomp_filter.rst`.
//!
//! A filter runs at each system call of its thread. The crate seccompiler makes a list of comparisons of it, at whose end a call is
//! refused; here the number of the call is looked for as in a sorted list, so that each is decided in a dozen steps, and what is compiled is
//! short: the kernel translates it once more for each thread, which is most of what the sandbox costs at a start.

use libc::sock_filter;

use super::allowed::{Allowed, Arg, Values, Who};

/// `AUDIT_ARCH_X86_64`: linux/audit.h.
const X86_64: u32 = 0xc000_003e;
/// `__X32_SYSCALL_BIT`, from which on numbers are those of another calling convention: asm/unistd.h.
const X32: u32 = 0x4000_0000;

/// The offset of the number in `struct seccomp_data`; the processor's kind, the place of the call and the arguments follow.
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

/// The values that are known when nvmm runs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Now {
    /// The process's number.
    pub(super) process: u32,
    /// The end of the one instruction whose calls are all allowed, if there is one.
    pub(super) free: Option<u64>,
}

/// The answer to calls with numbers of one range.
#[derive(Clone, Debug)]
enum Answer<'a> {
    Refused,
    Allowed,
    /// It fails with this error.
    Fails(u16),
    /// If one of them allows it.
    If(Vec<&'a Allowed>),
}

/// Compiles the filter of the threads `who`.
pub(super) fn compile(table: &[Allowed], who: Who, now: Now) -> Vec<sock_filter> {
    let mut program = vec![load(ARCH), jump_if(JUMP_IF_EQUAL, X86_64, 1, 0), answer(RET_TRAP)];
    if let Some(place) = now.free {
        let [a, b, c, d, e, f, g, h] = place.to_le_bytes();
        let (low, high) = (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]));
        program.extend([
            load(PLACE),
            jump_if(JUMP_IF_EQUAL, low, 0, 3),
            load(PLACE + 4),
            jump_if(JUMP_IF_EQUAL, high, 0, 1),
            answer(RET_ALLOW),
        ]);
    }
    program.push(load(NUMBER));
    program.extend(search(&ranges(table, who), now));
    program
}

/// What is answered to the numbers from each of these on.
fn ranges(table: &[Allowed], who: Who) -> Vec<(u32, Answer<'_>)> {
    let mut ranges = vec![(0, Answer::Refused)];
    let mut rules: Vec<_> = table.iter().filter(|rule| rule.who.intersects(who)).collect();
    // A stable sort: of one call's rules, the first is looked at first.
    rules.sort_by_key(|rule| rule.call);
    for same in rules.chunk_by(|one, other| one.call == other.call) {
        let call = same[0].call;
        let answer = match same.iter().find(|rule| rule.when.is_empty()) {
            Some(Allowed { fails: Some(error), .. }) => Answer::Fails(*error),
            Some(_) => Answer::Allowed,
            None => Answer::If(same.to_vec()),
        };
        // The end of the range before is this call, or the range is as long as nothing.
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

/// The search for a number among ranges, and the answer.
fn search(ranges: &[(u32, Answer<'_>)], now: Now) -> Vec<sock_filter> {
    match ranges {
        [] => vec![answer(RET_TRAP)],
        [(_, Answer::Refused)] => vec![answer(RET_TRAP)],
        [(_, Answer::Allowed)] => vec![answer(RET_ALLOW)],
        [(_, Answer::Fails(error))] => vec![answer(RET_ERRNO | u32::from(*error))],
        [(_, Answer::If(rules))] => check(rules, now),
        ranges => {
            let (below, from) = ranges.split_at(ranges.len() / 2);
            let middle = from[0].0;
            let (below, from) = (search(below, now), search(from, now));
            let mut program = match u8::try_from(below.len()) {
                Ok(len) => vec![jump_if(JUMP_FROM, middle, len, 0)],
                // A jump that has a condition is short.
                Err(_) => {
                    let len = u32::try_from(below.len()).expect("a filter has 4096 statements at most");
                    vec![jump_if(JUMP_FROM, middle, 0, 1), statement(JUMP, len)]
                }
            };
            program.extend(below);
            program.extend(from);
            program
        }
    }
}

/// Allows a call whose arguments are as one of the rules says.
fn check(rules: &[&Allowed], now: Now) -> Vec<sock_filter> {
    let mut program: Vec<_> = rules.iter().flat_map(|rule| rule_of(rule.when, now)).collect();
    program.push(answer(RET_TRAP));
    program
}

/// Allows a call whose arguments are all as given, and goes on behind the rule otherwise.
fn rule_of(when: &[Arg], now: Now) -> Vec<sock_filter> {
    let Some((first, rest)) = when.split_first() else { return vec![answer(RET_ALLOW)] };
    let rest = rule_of(rest, now);
    let own = [now.process];
    let values: &[u32] = match first.values {
        Values::Any(values) => values,
        Values::OwnProcess => &own,
    };
    // The lower half: the kernel takes these arguments for 32 bits, as tests of the table see to.
    let mut program = vec![load(ARGS + 8 * u32::from(first.index))];
    if first.mask != u32::MAX {
        program.push(statement(AND, first.mask));
    }
    for (at, value) in values.iter().enumerate() {
        let left = values.len() - at - 1;
        let miss = if left == 0 { rest.len() } else { 0 };
        program.push(jump_if(JUMP_IF_EQUAL, *value, short(left), short(miss)));
    }
    program.extend(rest);
    program
}

/// A distance that a jump with a condition can go. The table's lists are short, and tests compile all of it.
fn short(distance: usize) -> u8 {
    u8::try_from(distance).expect("a short list of values")
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

fn jump_if(code: u16, k: u32, jt: u8, jf: u8) -> sock_filter {
    jump(code, k, jt, jf)
}

fn jump(code: u16, k: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter { code, jt, jf, k }
}

#[cfg(test)]
#[path = "filter_test.rs"]
mod tests;
