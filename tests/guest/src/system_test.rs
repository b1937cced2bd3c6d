use super::*;

const STARTED: u64 = 1_795_858_200;
const ENDED: u64 = STARTED + 100;

fn good() -> SystemFacts {
    SystemFacts {
        state: "running".to_owned(),
        date: STARTED + 80,
        rtc: STARTED + 80,
        rtc_interrupts: 1,
        clock_source: "tsc".to_owned(),
        random: "virtio_rng.0".to_owned(),
        machine_id: "6c0e5a523f3c4d7e9d0b5f6d1f0b7a11".to_owned(),
        serial: SERIAL.to_owned(),
        uuid: UUID.to_owned(),
        tables: "SMBIOS 3.0 present.\nHandle 0x0100, DMI type 1, 27 bytes\n".to_owned(),
        date_set: Some("rtc_cmos rtc_cmos: setting system clock to 2026-11-28T09:30:00 UTC".to_owned()),
        ..SystemFacts::default()
    }
}

/// Returns the faults that are found after `change`.
fn wrong(change: impl FnOnce(&mut SystemFacts)) -> String {
    let mut facts = good();
    change(&mut facts);
    judge(&facts, STARTED..=ENDED).unwrap_err().to_string()
}

#[test]
fn a_system_as_it_should_be_is_judged_good() {
    judge(&good(), STARTED..=ENDED).unwrap();
}

#[test]
fn each_fault_is_named() {
    assert_eq!(
        wrong(|facts| facts.failed.push("udev.service loaded failed".to_owned())),
        "units failed: udev.service loaded failed"
    );
    assert_eq!(wrong(|facts| facts.rtc_interrupts = 0), "the real-time clock has not interrupted");
    assert_eq!(wrong(|facts| facts.state = "degraded".to_owned()), "systemd's state is degraded");
    assert_eq!(wrong(|facts| facts.clock_source = "kvm-clock".to_owned()), "the clock source is kvm-clock");
    assert_eq!(wrong(|facts| facts.random = "none".to_owned()), "random numbers come from \"none\"");
    assert_eq!(
        wrong(|facts| facts.date_set = None),
        "the kernel has not set the date by the real-time clock"
    );
    assert_eq!(
        wrong(|facts| facts.tables.push_str("\tHandle: <BAD INDEX>")),
        "dmidecode says: Handle: <BAD INDEX>"
    );
    assert_eq!(
        wrong(|facts| facts.warnings.push("Unable to read current time from RTC".to_owned())),
        "the kernel warns: Unable to read current time from RTC"
    );
    assert_eq!(wrong(|facts| facts.serial.clear()), "dmidecode's serial number is \"\", not lab-1");
    assert_eq!(wrong(|facts| facts.uuid.clear()), format!("dmidecode's UUID is \"\", not {UUID}"));
    assert!(wrong(|facts| facts.machine_id = "uninitialized".to_owned()).starts_with("the machine ID is"));
}

#[test]
fn usual_warnings_are_none() {
    let mut facts = good();
    facts.warnings.push("tsc: Unable to calibrate against PIT".to_owned());
    facts.warnings.push(
        "ext4 filesystem being mounted at /system supports timestamps until 2038-01-19 (0x7fffffff)"
            .to_owned(),
    );
    judge(&facts, STARTED..=ENDED).unwrap();
}

#[test]
fn clocks_must_agree_with_level_0_s() {
    assert!(
        wrong(|facts| facts.rtc = STARTED - 3600).starts_with("the real-time clock says 1795854600, not")
    );
    assert!(wrong(|facts| facts.rtc = ENDED + 3).starts_with("the real-time clock says"));
    assert!(wrong(|facts| facts.date = 0).starts_with("the date is 0, not"));
    assert!(wrong(|facts| facts.date = ENDED + 61).starts_with("the date is"));
}

#[test]
fn all_faults_are_named_at_once() {
    let all = wrong(|facts| *facts = SystemFacts::default());
    assert!((8..NAMED).contains(&all.lines().count()), "{all}");
    let many = wrong(|facts| facts.warnings = vec!["BUG".to_owned(); KEPT]);
    assert_eq!(many.lines().count(), NAMED);
}

#[test]
fn the_job_runs_what_is_added() {
    assert!(JOB.iter().any(|word| word.starts_with(&format!("/run/lab {LOOK};"))));
}
