use super::*;

const OUTPUT: &str = "
running 4 tests
test a::fine ... ok
test a::absent ... ok
test a::slow ... ignored, takes an hour
test a::broken ... FAILED

successes:

---- a::absent stdout ----
skipped: no /dev/kvm

successes:
    a::absent
    a::fine

failures:

---- a::broken stdout ----
thread 'a::broken' panicked
left: 1


failures:
    a::broken

test result: FAILED. 2 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out

running 1 test
test a::absent ... ok
";

#[test]
fn a_test_that_says_so_was_skipped() {
    let outcomes = parse(OUTPUT);
    let named = |name: &str, outcome| (format!("a::{name}"), outcome);
    assert_eq!(
        outcomes,
        [
            named("fine", Outcome::Passed),
            named("absent", Outcome::Skipped("no /dev/kvm".into())),
            named("slow", Outcome::Skipped("takes an hour".into())),
            named("broken", Outcome::Failed("thread 'a::broken' panicked\nleft: 1\n\n\n".into())),
            named("absent", Outcome::Passed),
        ]
    );
}

#[test]
fn the_counts_tell_how_many_passed_of_how_many() {
    assert_eq!(counts(&parse(OUTPUT)), "2 passed of 5, 1 FAILED, 2 skipped");
    assert_eq!(counts(&parse("running 1 test\ntest a ... ok\n")), "1 passed of 1");
}
