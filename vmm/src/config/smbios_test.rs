use std::{fs, os::unix::ffi::OsStringExt};

use super::*;

const UUID: &str = "6c0e5a52-3f3c-4d7e-9d0b-5f6d1f0b7a11";

fn smbios(given: &[&str]) -> Result<SmbiosValues, String> {
    let given: Vec<OsString> = given.iter().map(OsString::from).collect();
    parse(&given, None).map(|(values, _)| values).map_err(|error| error.to_string())
}

#[test]
fn every_key_that_is_offered_is_taken() {
    for (kind, keys) in KEYS {
        for key in keys.replace(" or ", ", ").split(", ") {
            let value = match key {
                "release" => "1.2",
                "uuid" => UUID,
                "speed" | "max-speed" | "current-speed" => "3000",
                "path" => "/proc/self/comm",
                _ => "text",
            };
            let values = smbios(&[&format!("type={kind},{key}={value}")]).unwrap();
            assert_ne!(values, SmbiosValues::default(), "type={kind},{key}={value}");
        }
    }
}

#[test]
fn values_are_as_they_were_given() {
    let values = smbios(&[
        "type=1,manufacturer=Acme,, Inc.,product=Anvil,serial=ds=nocloud;s=http://10.0.0.1/",
        "type=1,product=Hammer,sku=7,family=Tools,version=2",
        "serial=B1,type=2,asset=A1,location=Slot 1",
        "type=0,release=4.17,date=11/28/2026",
        "type=4,max-speed=3600,current-speed=2400",
        "type=17,loc_pfx=Bay,speed=3200",
        &format!("type=1,uuid={}", UUID.to_uppercase()),
    ])
    .unwrap();
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(
        values.system,
        arch::smbios::System {
            manufacturer: text("Acme, Inc."),
            product: text("Hammer"),
            version: text("2"),
            serial: text("ds=nocloud;s=http://10.0.0.1/"),
            uuid: Some(UUID.parse().unwrap()),
            sku: text("7"),
            family: text("Tools"),
        }
    );
    assert_eq!((values.baseboard.serial, values.baseboard.asset), (text("B1"), text("A1")));
    assert_eq!((values.bios.release, values.bios.date), (Some((4, 17)), text("11/28/2026")));
    assert_eq!((values.processor.max_speed, values.processor.current_speed), (Some(3600), Some(2400)));
    assert_eq!((values.memory.locator_prefix, values.memory.speed), (text("Bay"), Some(3200)));
}

#[test]
fn oem_strings_add_up_and_come_from_files_too() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("credential");
    fs::write(&file, "io.systemd.credential:b=two\nlines").unwrap();
    let values = smbios(&[
        "type=11,value=io.systemd.credential:a=1,value=second",
        &format!("type=11,path={}", file.display()),
    ])
    .unwrap();
    assert_eq!(
        values.oem_strings,
        ["io.systemd.credential:a=1", "second", "io.systemd.credential:b=two\nlines"]
    );
}

#[test]
fn wrong_words_are_refused_with_the_way_out() {
    for (given, why) in [
        ("serial=1", "which structure is it? Give type=N"),
        ("type=1,serial", "give key=value, with commas between"),
        ("", "give key=value, with commas between"),
        ("file=table.bin", "nvmm takes no file of finished structures; give type=N and its values"),
        (
            "type=1,asset=7",
            "type=1 has no asset; give manufacturer, product, version, serial, uuid, sku or family",
        ),
        ("type=9,slot=1", "type=9: give 0, 1, 2, 3, 4, 11 or 17"),
        ("type=one", "type=one: give 0, 1, 2, 3, 4, 11 or 17"),
        ("type=0,release=1", "release=1: give two numbers up to 255, such as 1.0"),
        ("type=0,release=1.256", "release=1.256: give two numbers up to 255, such as 1.0"),
        ("type=17,speed=fast", "speed=fast: give a whole number up to 65535"),
        ("type=1,serial=a\tb", "serial= has a control character in it; leave it out"),
        ("type=1,uuid=7", "uuid=7: give 32 hexadecimal digits, such as 6c0e5a52-3f3c-4d7e-9d0b-5f6d1f0b7a11"),
        ("type=11,path=/no/such", "path=/no/such: No such file or directory (os error 2)"),
    ] {
        let shown = given.replace('\t', "\\t");
        assert_eq!(smbios(&[given]), Err(format!("--smbios {shown}: {why}")));
    }
    let bytes = OsString::from_vec(b"type=1,serial=\xff".to_vec());
    let error = parse(&[bytes], None).unwrap_err().to_string();
    assert!(error.contains("is not UTF-8"), "{error}");
}

#[test]
fn a_uuid_is_given_once() {
    let uuid =
        |given: &[OsString], uuid: Option<&str>| parse(given, uuid).map(|(values, _)| values.system.uuid);
    let found = UUID.parse().ok();
    assert_eq!(uuid(&[], None).unwrap(), None);
    assert_eq!(uuid(&[], Some(UUID)).unwrap(), found);
    let same = [format!("type=1,uuid={UUID}").into()];
    assert_eq!(uuid(&same, None).unwrap(), found);
    assert_eq!(uuid(&same, Some(&UUID.to_uppercase())).unwrap(), found);
    let other = "00000000-0000-0000-0000-000000000001";
    assert_eq!(
        uuid(&same, Some(other)).unwrap_err().to_string(),
        format!("--uuid {other}: --smbios gives another, {UUID}; leave one of them out")
    );
    assert_eq!(
        uuid(&[], Some("7")).unwrap_err().to_string(),
        "--uuid 7: give 32 hexadecimal digits, such as 6c0e5a52-3f3c-4d7e-9d0b-5f6d1f0b7a11"
    );
}
