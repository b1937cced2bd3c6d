use super::*;
use crate::nest::record::Kind;

fn pace(limit: u64) -> Pace {
    Pace { limit, slower: [2, 10] }
}

fn see(watches: &mut [Watch], level: u32, said: Said, now: Instant) {
    let line = Line { level, said };
    watches.iter_mut().for_each(|watch| watch.see(&line, now));
}

#[test]
fn the_one_right_below_gives_up_first() {
    let start = Instant::now();
    let after = |seconds| start + Duration::from_secs(seconds);
    // Those of the host, of level 0 and of level 1, by one clock.
    let right = Pace { slower: [1; 2], ..pace(100) };
    let begun = [(0, 0), (1, 10), (2, 50)];
    let mut watches = begun.map(|(own, seconds)| Watch::new(own, &right, after(seconds)));
    see(&mut watches, 1, Said::Start, after(10));
    see(&mut watches, 2, Said::Start, after(50));
    assert_eq!(watches.each_ref().map(Watch::deadline), [after(200), after(175), after(150)]);
    assert_eq!(watches[2].verdict(), "before its kernel ran /init");
    assert_eq!(watches[0].verdict(), "it ran level 2, which gave no sign of life, and did not end it");
    // Once it is said, the others wait for the level below to end.
    see(&mut watches, 2, Said::Fail(Kind::TimedOut, String::new()), after(151));
    assert_eq!(watches[1].deadline(), after(251));
    assert_eq!(watches[1].verdict(), "before it powered off");
}

#[test]
fn chatting_gains_no_time() {
    let start = Instant::now();
    let mut watch = Watch::new(1, &Pace { limit: 100, ..Pace::default() }, start);
    for said in [Said::Text("still here".into()), Said::Kvm, Said::Start] {
        watch.see(&Line { level: 1, said }, start + Duration::from_secs(50));
        assert_eq!(watch.deadline(), start + Duration::from_secs(100));
    }
}

#[test]
fn slow_clocks_are_made_up_for() {
    let start = Instant::now();
    let limit = |own, pace: &Pace| (Watch::new(own, pace, start).deadline() - start).as_secs();
    assert_eq!([0, 1, 2, 3].map(|own| limit(own, &pace(100))), [100, 50, 10, 10]);
    assert_eq!([1, 2].map(|own| limit(own, &Pace::default())), [120, 120]);
}
