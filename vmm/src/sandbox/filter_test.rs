use proptest::prelude::*;

use super::{super::allowed::TABLE, *};

const NOW: Now = Now { process: 4711, free: None };
const FREE: u64 = 0x1_0000_4321;

/// A system call, in a filter's view.
#[derive(Clone, Copy, Debug)]
struct Call {
    number: u32,
    arch: u32,
    place: u64,
    args: [u64; 6],
}

impl Call {
    fn of(number: u32, args: [u64; 6]) -> Self {
        Self { number, arch: X86_64, place: 0, args }
    }

    /// The word at an offset of `struct seccomp_data`.
    fn word(&self, offset: u32) -> u32 {
        let half = |value: u64, offset: u32| low(value >> (8 * (offset % 8)));
        match offset {
            0 => self.number,
            4 => self.arch,
            8 | 12 => half(self.place, offset),
            16..64 => half(self.args[(offset as usize - 16) / 8], offset),
            _ => panic!("offset {offset}"),
        }
    }
}

/// The lower half.
fn low(value: u64) -> u32 {
    u32::try_from(value & u64::from(u32::MAX)).unwrap()
}

/// Runs a filter as the kernel does. Returns its answer, and the number of steps.
fn run(program: &[sock_filter], call: &Call) -> (u32, usize) {
    let (mut accumulator, mut at) = (0, 0_usize);
    for steps in 1.. {
        let sock_filter { code, jt, jf, k } = program[at];
        at += 1;
        match code {
            LOAD => accumulator = call.word(k),
            AND => accumulator &= k,
            JUMP => at += k as usize,
            JUMP_IF_EQUAL => at += usize::from(if accumulator == k { jt } else { jf }),
            JUMP_FROM => at += usize::from(if accumulator >= k { jt } else { jf }),
            RETURN => return (k, steps),
            _ => panic!("code {code}"),
        }
    }
    unreachable!()
}

/// The answer according to the table.
fn answer_to(who: Who, call: &Call) -> u32 {
    let rule =
        TABLE.iter().filter(|rule| rule.who.intersects(who) && rule.call == call.number).find(|rule| {
            rule.when.iter().all(|arg| {
                let value = low(call.args[usize::from(arg.index)]) & arg.mask;
                match arg.values {
                    Values::Any(values) => values.contains(&value),
                    Values::OwnProcess => value == NOW.process,
                }
            })
        });
    match rule {
        None => RET_TRAP,
        Some(Allowed { fails: Some(error), .. }) => RET_ERRNO | u32::from(*error),
        Some(_) => RET_ALLOW,
    }
}

fn whos() -> impl Iterator<Item = Who> {
    Who::all().iter().chain([Who::all(), Who::empty(), Who::MAIN | Who::CLIENT, Who::all() - Who::SPAWNER])
}

fn assert_as_in_the_table(who: Who, program: &[sock_filter], call: &Call) {
    assert_eq!(run(program, call).0, answer_to(who, call), "{who:?}: {call:x?}");
}

#[test]
fn each_call_is_answered_as_in_the_table() {
    for who in whos() {
        let program = compile(&TABLE, who, NOW);
        assert!(program.len() < 4096, "BPF_MAXINSNS");
        for number in 0..1000 {
            assert_as_in_the_table(who, &program, &Call::of(number, [0; 6]));
        }
        for rule in &TABLE {
            // The arguments of the rule, and each with one bit changed.
            let mut args = [0; 6];
            for arg in rule.when {
                args[usize::from(arg.index)] = u64::from(match arg.values {
                    Values::Any(values) => *values.last().unwrap(),
                    Values::OwnProcess => NOW.process,
                });
            }
            let fits = Call::of(rule.call, args);
            assert!(!rule.who.intersects(who) || answer_to(who, &fits) != RET_TRAP, "{rule:?}");
            assert_as_in_the_table(who, &program, &fits);
            for (index, bit) in (0..6).flat_map(|index| (0..64).map(move |bit| (index, bit))) {
                let mut beside = fits;
                beside.args[index] ^= 1 << bit;
                assert_as_in_the_table(who, &program, &beside);
            }
        }
    }
}

proptest! {
    #[test]
    fn so_is_any_call(number in 0..500_u32, args: [u32; 6], who: u32) {
        let who = Who::from_bits_truncate(who);
        let program = compile(&TABLE, who, NOW);
        assert_as_in_the_table(who, &program, &Call::of(number, args.map(u64::from)));
    }
}

#[test]
fn other_calling_conventions_are_refused() {
    let program = compile(&TABLE, Who::all(), NOW);
    let read = u32::try_from(libc::SYS_read).unwrap();
    assert_eq!(run(&program, &Call::of(read, [0; 6])).0, RET_ALLOW);
    assert_eq!(run(&program, &Call::of(read | X32, [0; 6])).0, RET_TRAP);
    // `AUDIT_ARCH_I386`.
    assert_eq!(run(&program, &Call { arch: 0x4000_0003, ..Call::of(read, [0; 6]) }).0, RET_TRAP);
    for number in [X32, u32::MAX, u32::MAX - 1] {
        assert_eq!(run(&program, &Call::of(number, [0; 6])).0, RET_TRAP);
    }
}

#[test]
fn one_place_may_be_free() {
    let now = Now { free: Some(FREE), ..NOW };
    let execve = u32::try_from(libc::SYS_execve).unwrap();
    for (place, expected) in
        [(FREE, RET_ALLOW), (FREE + 1, RET_TRAP), (FREE ^ 1 << 32, RET_TRAP), (0, RET_TRAP)]
    {
        let program = compile(&TABLE, Who::VCPU, now);
        assert_eq!(run(&program, &Call { place, ..Call::of(execve, [0; 6]) }).0, expected);
        assert_eq!(run(&program, &Call { place, arch: 0, ..Call::of(execve, [0; 6]) }).0, RET_TRAP);
    }
}

#[test]
fn a_call_is_decided_in_few_steps() {
    let program = compile(&TABLE, Who::VCPU, NOW);
    let ioctl = u32::try_from(libc::SYS_ioctl).unwrap();
    // `KVM_RUN`.
    let (answer, steps) = run(&program, &Call::of(ioctl, [0, 0xae80, 0, 0, 0, 0]));
    assert_eq!(answer, RET_ALLOW);
    assert!(steps <= 16, "{steps}");
}
