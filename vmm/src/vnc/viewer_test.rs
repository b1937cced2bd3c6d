use super::*;

#[test]
fn looks_become_rarer_while_nothing_changes() {
    let start = Instant::now();
    let mut pace = Pace::new();
    assert_eq!(pace.left(start), Duration::ZERO);
    pace.looked(true, start);
    assert_eq!(pace.left(start), SHORTEST);
    assert_eq!(pace.left(start + SHORTEST), Duration::ZERO);
    let (mut now, mut looks) = (start, 0);
    while now < start + Duration::from_secs(60) {
        pace.looked(false, now);
        now += pace.left(now);
        looks += 1;
    }
    assert_eq!(pace.left(now - LONGEST), LONGEST);
    assert!(looks < 260, "{looks}");
    pace.hurry();
    assert_eq!(pace.left(now - LONGEST), SHORTEST, "after the last look");
    pace.looked(true, now);
    assert_eq!(pace.left(now), SHORTEST);
}

#[test]
fn patience_ends() {
    let start = Instant::now();
    let patience = Duration::from_secs(10);
    assert_eq!(left(start, patience, start), Some(patience));
    assert_eq!(left(start, patience, start + Duration::from_secs(4)), Some(Duration::from_secs(6)));
    for later in [10, 11] {
        assert_eq!(left(start, patience, start + Duration::from_secs(later)), None);
    }
}
