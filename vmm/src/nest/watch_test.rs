use super::*;
use crate::nest::exec::news::End;
use crate::nest::record::FailureKind;

const LAST: u32 = 3;

fn pace(limit: u64) -> Pace {
    Pace { limit, alone: false }
}

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn see(watches: &mut [Watch], level: u32, said: Said, now: Duration) {
    let line = Line { level, said };
    watches.iter_mut().for_each(|watch| watch.see(&line, now));
}

#[test]
fn the_one_right_below_gives_up_first() {
    // The times of the host, of level 1 and of level 2, by one clock.
    let begun = [(1, 0), (2, 10), (3, 50)];
    let mut watches = begun.map(|(own, seconds)| Watch::new(own, LAST, &pace(100), at(seconds)));
    see(&mut watches, 2, Said::Start, at(10));
    see(&mut watches, 3, Said::Start, at(50));
    assert_eq!(watches.each_ref().map(|watch| watch.deadline().unwrap()), [at(200), at(175), at(150)]);
    assert!(watches[2].is_over(at(150)) && !watches[1].is_over(at(150)));
    assert_eq!(watches[2].verdict(), (3, "before its kernel ran /init".to_owned()));
    let silent = "it ran level 3, which gave no sign of life, and did not end it".to_owned();
    assert_eq!(watches[0].verdict(), (1, silent));
    // Once it is reported, the others wait for the level below to end.
    see(&mut watches, 3, Said::Fail(FailureKind::TimedOut, String::new()), at(151));
    assert_eq!(watches[1].deadline(), Some(at(251)));
    assert_eq!(watches[1].verdict(), (2, "before it powered off".to_owned()));
}

#[test]
fn the_host_alone_watches_an_emulated_machine() {
    let emulated = Pace { alone: true, ..pace(100) };
    let [mut host, mut inside] = [0, 1].map(|own| Watch::new(own, LAST, &emulated, at(0)));
    for watch in [&mut host, &mut inside] {
        watch.see(&Line { level: 1, said: Said::Start }, at(50));
        watch.see(&Line { level: 2, said: Said::Start }, at(90));
    }
    assert_eq!((host.deadline(), inside.deadline()), (Some(at(190)), None));
    assert!(!inside.is_over(Duration::MAX));
    assert_eq!(host.verdict(), (2, "before its kernel ran /init".to_owned()));
}

#[test]
fn chatting_gains_no_time() {
    let mut watch = Watch::new(1, LAST, &pace(100), at(0));
    for said in [Said::Text("still here".into()), Said::Kvm, Said::Start] {
        watch.see(&Line { level: 1, said }, at(50));
        assert_eq!(watch.deadline(), Some(at(100)));
    }
}

#[test]
fn no_level_is_believed_to_start_but_the_next() {
    let mut watch = Watch::new(1, LAST, &pace(100), at(0));
    for level in [0, 1, 3, 4, u32::MAX] {
        watch.see(&Line { level, said: Said::Start }, at(50));
        watch.see(&Line { level, said: Said::Done }, at(60));
        assert_eq!((watch.deadline(), watch.verdict().0), (Some(at(100)), 1), "{level}");
    }
    // There is no level above the last.
    let mut last = Watch::new(LAST, LAST, &pace(100), at(0));
    last.see(&Line { level: LAST + 1, said: Said::Start }, at(50));
    assert_eq!(last.deadline(), Some(at(100)));
}

#[test]
fn starting_and_ending_over_and_over_gains_no_time() {
    let mut watch = Watch::new(1, LAST, &pace(100), at(0));
    for round in 0..100 {
        for level in [2, 3, 2, 3] {
            watch.see(&Line { level, said: Said::Start }, at(round));
            watch.see(&Line { level, said: Said::Done }, at(round));
            watch.see(&Line { level, said: Said::Fail(FailureKind::Vmm, String::new()) }, at(round));
        }
    }
    assert_eq!(watch.deadline(), Some(at(100)));
}

#[test]
fn the_program_has_a_time_of_its_own() {
    let mut watch = Watch::new(1, 1, &pace(100), at(0));
    let mut see = |said, now| watch.see(&Line { level: 1, said }, at(now));
    see(Said::Up(crate::nest::facts::Facts::gather()), 50);
    see(Said::Program(News::Started), 90);
    // Repeated, and from a level that does not run.
    see(Said::Program(News::Started), 150);
    assert_eq!(watch.deadline(), Some(at(190)));
    assert!(watch.verdict().1.contains("its program did not end: it hangs"), "{:?}", watch.verdict());
    watch.see(&Line { level: 2, said: Said::Program(News::Ended(End::Exited(0))) }, at(160));
    assert_eq!(watch.deadline(), Some(at(190)));
    for seconds in [180, 181] {
        watch.see(&Line { level: 1, said: Said::Program(News::Ended(End::Exited(0))) }, at(seconds));
    }
    assert_eq!((watch.deadline(), watch.verdict().1), (Some(at(280)), "before it powered off".to_owned()));
}

#[test]
fn a_level_that_waits_for_a_program_may_do_so_for_days() {
    let mut watch = Watch::new(1, 2, &pace(100), at(0));
    watch.see(&Line { level: 2, said: Said::Start }, at(10));
    // Not the one of a level below.
    watch.see(&Line { level: 1, said: Said::Ready }, at(20));
    assert!(watch.is_over(at(1000)));
    watch.see(&Line { level: 2, said: Said::Ready }, at(30));
    assert!(!watch.is_over(at(1_000_000)));
    // It was saved and restored meanwhile, and the restoring host watches.
    watch.see(&Line { level: 2, said: Said::Program(News::Started) }, at(1_000_000));
    assert!(!watch.is_over(at(2_000_000)));
}

#[test]
fn a_program_in_kept_levels_has_its_time() {
    let mut watch = Watch::of_kept(1, 3, &pace(100), at(0));
    assert_eq!((watch.deadline(), watch.verdict().0), (Some(at(100)), 3));
    assert_eq!(watch.verdict().1, "its last level did not take up the program");
    watch.see(&Line { level: 3, said: Said::Program(News::Started) }, at(50));
    assert_eq!((watch.deadline(), watch.verdict().0), (Some(at(150)), 3));
    assert!(watch.verdict().1.contains("its program did not end"), "{:?}", watch.verdict());
}
