use super::*;

#[test]
fn so_many_lines_are_said_and_the_rest_is_counted() {
    let start = Instant::now();
    let mut complaints = Complaints::new(start);
    let mut at = |seconds| complaints.line(&"rubbish", start + Duration::from_secs(seconds));
    for _ in 0..4 {
        assert_eq!(at(1).as_deref(), Some("rubbish"));
    }
    assert_eq!(at(2).as_deref(), Some("rubbish; others are left out for a while"));
    for _ in 0..1000 {
        assert_eq!(at(59), None);
    }
    assert_eq!(at(60).as_deref(), Some("rubbish; before, there were 1000 more such messages"));
    assert_eq!(at(200).as_deref(), Some("rubbish"));
}
