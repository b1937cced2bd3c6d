use super::*;

fn rules(call: c_long) -> impl Iterator<Item = &'static Allowed> {
    TABLE.iter().filter(move |rule| c_long::from(rule.call) == call)
}

#[test]
fn no_thread_may_run_a_program_or_reach_another_process() {
    for call in [
        libc::SYS_execve,
        libc::SYS_execveat,
        libc::SYS_fork,
        libc::SYS_vfork,
        libc::SYS_kill,
        libc::SYS_tkill,
        libc::SYS_ptrace,
        libc::SYS_process_vm_readv,
        libc::SYS_process_vm_writev,
        libc::SYS_pidfd_getfd,
        libc::SYS_mount,
        libc::SYS_bpf,
        libc::SYS_socketpair,
    ] {
        assert_eq!(rules(call).count(), 0, "{call}");
    }
    assert!(rules(libc::SYS_tgkill).all(|rule| matches!(rule.when[0].values, Values::OwnProcess)));
}

/// The kernel uses 64 bits of other arguments, such as lengths, and a filter compares only 32 of them.
#[test]
fn the_arguments_that_count_have_32_bits() {
    for rule in &TABLE {
        for arg in rule.when {
            let fits = match c_long::from(rule.call) {
                libc::SYS_ioctl | libc::SYS_fcntl | libc::SYS_setsockopt | libc::SYS_dup2 => arg.index == 1,
                libc::SYS_mmap | libc::SYS_mprotect => arg.index == 2,
                libc::SYS_tgkill | libc::SYS_prctl | libc::SYS_clone => arg.index == 0,
                libc::SYS_socket => arg.index < 2,
                _ => false,
            };
            assert!(fits, "{rule:?}");
        }
    }
}

#[test]
fn only_the_spawner_may_start_threads() {
    for rule in rules(libc::SYS_clone).chain(rules(libc::SYS_clone3)) {
        assert_eq!(rule.who, Who::SPAWNER);
    }
}

#[test]
fn rules_are_sorted_by_their_calls_and_else_as_they_are_written() {
    assert!(TABLE.is_sorted_by_key(|rule| rule.call));
    for of_call in TABLE.chunk_by(|one, other| one.call == other.call) {
        let written: Vec<_> = RULES.iter().filter(|rule| rule.call == of_call[0].call).collect();
        let why = |rule: &Allowed| format!("{rule:?}");
        assert_eq!(
            of_call.iter().map(why).collect::<Vec<_>>(),
            written.into_iter().map(why).collect::<Vec<_>>()
        );
    }
}
