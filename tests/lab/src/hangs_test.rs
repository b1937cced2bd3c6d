use super::*;

#[test]
fn only_hangs_are_repeated_and_not_for_ever() {
    let runs_until = |ends_at: usize| {
        let mut runs = 0;
        let result = repeat_hangs(
            || {
                runs += 1;
                runs
            },
            |&run| run < ends_at,
        );
        (result, runs)
    };
    assert_eq!(runs_until(1), (1, 1));
    assert_eq!(runs_until(2), (2, 2));
    assert_eq!(runs_until(usize::MAX), (ATTEMPTS, ATTEMPTS));
}
