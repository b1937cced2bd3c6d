use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use super::*;

fn readme() -> String {
    fs::read_to_string(build::root().join("README.md")).unwrap()
}

#[test]
fn every_command_of_the_readme_is_pasted_or_has_a_reason() {
    let commands = commands(&readme()).unwrap();
    assert_eq!(commands.len(), ENTRIES.len());
    let pasted = commands.iter().filter(|(_, how)| !matches!(how, How::NotPasted(_))).count();
    assert!(pasted > 10, "{pasted}");
}

#[test]
fn a_command_more_or_less_is_told() {
    let error = |readme: &str| format!("{:#}", commands(readme).unwrap_err());
    assert_eq!(
        error(&(readme() + "\n    nvmm disk check a.qcow2\n")),
        "readme.rs has no entry for: nvmm disk check a.qcow2"
    );
    assert_eq!(error(""), "the README has 0 commands that begin with: nvmm --cpu host-passthrough --kernel");
    assert_eq!(
        error(&(readme() + "\n    nvmm cpu show host\n")),
        "the README has 2 commands that begin with: nvmm cpu show"
    );
}

/// The lab's scripts, which the README's last recipe names, are those that `cargo lab training` runs.
#[test]
fn the_lab_is_made_by_the_scripts_of_the_training() {
    let commands = commands(&readme()).unwrap();
    let (line, _) = commands.iter().find(|(line, _)| line.starts_with("resources/lab/")).unwrap();
    let steps: Vec<Vec<_>> = line.split(" && ").map(|step| step.split_whitespace().collect()).collect();
    assert_eq!(
        steps,
        [
            vec!["resources/lab/images", "/srv/lab"],
            vec!["resources/lab/bridge", "up"],
            vec!["resources/lab/start", "/srv/lab"]
        ]
    );
    for words in [r#"recipe.join("images")"#, r#"["bridge", "start", "ssh_config"]"#] {
        assert!(include_str!("training.rs").contains(words), "{words}");
    }
    for words in ["\n./bridge up\n", " ./start . "] {
        assert!(include_str!("../training/level0.sh").contains(words), "{words}");
    }
}

#[test]
fn a_machine_has_to_start_its_disk_and_end() {
    let judged = |status: i32, stdout: &str, stderr: &str, how| {
        let status = ExitStatus::from_raw(status << 8);
        let output = Output { status, stdout: stdout.into(), stderr: stderr.into() };
        judge(&output, how, false).is_ok()
    };
    assert!(judged(0, HELLO, "", How::Boots));
    assert!(!judged(0, "", "", How::Boots));
    assert!(!judged(124, HELLO, "", How::Boots));
    let lacks = "nvmm: --cpu X,enforce: this host cannot give vmx (CPUID.01H:ECX[5])";
    assert!(judged(1, "", lacks, How::BootsIfHostCan));
    assert!(!judged(1, "", lacks, How::Boots));
    assert!(!judged(1, "", "nvmm: no such file", How::BootsIfHostCan));
    assert!(judged(77, "", "", How::Nests(&[1, 77])));
    assert!(!judged(0, "", "", How::Nests(&[1, 77])));
    assert!(!judged(2, "", "", How::Nests(&[1, 77])));
}
