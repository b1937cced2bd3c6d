use super::*;

#[test]
fn each_is_another_and_random() {
    let [first, second] = [new_uuid(), new_uuid()];
    assert_ne!(first, second);
    for uuid in [first, second] {
        assert_eq!(uuid.get_version_num(), 4);
        assert_eq!(uuid.get_variant(), uuid::Variant::RFC4122);
    }
}
