use super::*;

/// The manual's page, which has the same commands as level 0's script.
fn page() -> String {
    fs::read_to_string(build::root().join("resources/manual/lab.md")).unwrap()
}

#[test]
fn the_manual_has_no_command_for_the_lab_that_is_not_tested() {
    let tested = SCRIPT.replace("$guests ", "guests ");
    let mut commands = 0;
    for line in page().lines().filter_map(|line| line.strip_prefix("    ")) {
        let (command, _) = line.split_once(" #").unwrap_or((line, ""));
        let command = command.trim();
        let tested_as = if let Some(at_level1) = command.strip_prefix("ssh -F ssh_config l1 ") {
            at_level1.to_owned()
        } else if let Some(host) = command.strip_prefix("ssh -F ssh_config ") {
            format!("reach {host}")
        } else if let Some(script) = command.strip_prefix("resources/lab/") {
            // The disks are made before level 0 starts.
            if script.starts_with("images") {
                continue;
            }
            format!("./{}", script.replace("/srv/lab", "."))
        } else {
            continue;
        };
        assert!(tested.contains(&tested_as), "level0.sh has no {tested_as:?}");
        commands += 1;
    }
    assert_eq!(commands, 6);
}

#[test]
fn the_scripts_that_level_0_gets_are_the_recipes() {
    for script in SCRIPTS {
        assert!(build::root().join("resources/lab").join(script).exists(), "{script}");
    }
    assert!(text_of(&build::root().join("resources/lab")).unwrap().contains("LAB_TYPE"));
}

#[test]
fn level_0_knows_the_parts_by_the_names_on_the_command_line() {
    for part in Part::value_variants() {
        assert!(SCRIPT.contains(&format!("\n    {})\n", part.name())), "level0.sh has no {}", part.name());
        assert_eq!(Part::from_str(part.name(), false), Ok(*part));
    }
}

#[test]
fn each_part_is_run_once_and_the_first_first() {
    let parts = Parts::new(&[Part::Qemu64, Part::Libvirt]);
    assert_eq!([parts.next(), parts.next(), parts.next()], [Some(Part::Qemu64), Some(Part::Libvirt), None]);
}

#[test]
fn a_part_runs_again_only_if_it_hung() {
    assert!(SCRIPT.contains(&format!("echo \"{LATE}\"")));
    let late = Outcome::Failed(format!("start\n{LATE}\nTerminated"));
    assert!(hung(&late).is_some());
    assert!(hung(&Outcome::Failed(format!("{HANGS}: login:"))).is_some());
    assert_eq!(hung(&Outcome::Failed("Permission denied (publickey).".to_owned())), None);
    assert_eq!(hung(&Outcome::Passed), None);
}
