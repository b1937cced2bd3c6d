use super::*;

#[test]
fn a_record_survives_on_the_disk() {
    let disk = std::env::temp_dir().join(format!("lab-guest-record-{}", std::process::id()));
    File::create(&disk).and_then(|disk| disk.set_len(DISK_LEN)).unwrap();
    let mut record = Record::read(&disk).unwrap();
    assert_eq!((record.boots, record.facts.is_none()), (0, true));
    record.facts = Some(Facts { flags: ["fpu".to_owned()].into(), ..Facts::default() });
    for boots in [10, 9] {
        record.boots = boots;
        record.write(&disk).unwrap();
    }
    let again = Record::read(&disk).unwrap();
    assert_eq!((again.boots, again.facts), (9, record.facts));
    assert_eq!(std::fs::metadata(&disk).unwrap().len(), DISK_LEN);
    std::fs::remove_file(&disk).unwrap();
}
