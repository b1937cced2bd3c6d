use super::*;

#[test]
fn a_console_is_shown_without_what_only_a_terminal_acts_on() {
    assert_eq!(plain("\x1b[?2004hroot@lab:~# \x1b[1mls\x1b[0m\r"), "root@lab:~# ls");
    assert_eq!(plain("\x1b[5;78H+---+\x08\x1b[6;2H|"), "+---+ |");
}

/// The shell that a script has reached powers the machine off if level 1 is not as expected.
#[test]
fn a_machine_with_other_output_powers_off() {
    for (told, is_off) in [("as it is to be", false), ("otherwise", true)] {
        let mut nvmm = Command::new("nvmm");
        look(&mut nvmm, &format!("echo first; echo {told}"), "as it is to be");
        let typed = nvmm.get_args().last().unwrap().to_str().unwrap();
        let said = format!("{}/lab-{}-{told}", std::env::temp_dir().display(), std::process::id());
        let script = typed.replace("/run/said", &format!("'{said}'")).replace("poweroff -ff", "echo off");
        let output = Command::new("sh").args(["-c", &script]).output().unwrap();
        fs::remove_file(&said).unwrap();
        let off = if is_off { "off\n" } else { "" };
        assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("first\n{told}\n{off}"));
    }
}
