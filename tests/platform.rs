//! The platform's devices, as tiny guests on any /dev/kvm see them.

#[path = "support/mod.rs"]
mod support;
#[path = "support/terminal.rs"]
mod terminal;

use std::io::Write;

use support::{expect, guest, no_kvm, nvmm, run};
use terminal::Terminal;
use time::OffsetDateTime;

/// Runs the guest `clocks`, and returns its output.
fn clocks(cmdline: &str) -> String {
    let output = run("clocks", &["--cmdline", cmdline]);
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(21 << 1 | 1), "{printed}{said}");
    printed
}

#[test]
fn the_pm_timer_runs() {
    if no_kvm() {
        return;
    }
    assert_eq!(clocks("timer"), "0.1 s, and the halves agree\n");
}

#[test]
fn the_date_is_the_hosts_in_utc() {
    if no_kvm() {
        return;
    }
    let now = || {
        let now = OffsetDateTime::now_utc();
        let time = [now.month().into(), now.day(), now.hour(), now.minute(), now.second()];
        time.iter().fold(format!("{:04}", now.year()), |text, part| format!("{text}{part:02}"))
    };
    let before = now();
    let printed = clocks("date");
    let (date, rest) = printed.split_once('\n').unwrap();
    // Fails if the host's clock is set meanwhile.
    let after = now();
    assert!(before.as_str() <= date && date <= after.as_str() || after < before, "{before} {date} {after}");
    assert_eq!(rest, "updated\n");
}

#[test]
fn all_three_interrupts_of_the_clock_come() {
    if no_kvm() {
        return;
    }
    assert_eq!(clocks("interrupts"), "periodic periodic alarm alarm update update \n");
}

#[test]
fn a_time_that_was_set_outlives_a_reset() {
    if no_kvm() {
        return;
    }
    assert_eq!(clocks("kept"), "19990716 5a 2\n");
}

/// Runs the guest `panic`, and returns its status, its output and nvmm's messages.
fn panics(cmdline: &str, options: &[&str]) -> (Option<i32>, String, String) {
    let output = run("panic", &[&["--cmdline", cmdline], options].concat());
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn a_panic_ends_nvmm_with_its_own_status_or_resets_the_machine() {
    if no_kvm() {
        return;
    }
    let (status, printed, said) = panics("panic", &["--on-panic", "exit"]);
    assert_eq!((status, printed.as_str()), (Some(12), "pvpanic 7\n"));
    assert_eq!(said, "nvmm: the guest's kernel panicked\n");
    // Until the third panic within ten seconds.
    let (status, printed, said) = panics("panic", &["--on-panic", "reset", "--on-reboot", "exit"]);
    assert_eq!((status, printed.as_str()), (Some(12), "pvpanic 7\npvpanic 7\npvpanic 7\n"), "{said}");
    assert!(said.contains("the machine is reset") && said.contains("third panic"), "{said}");
}

#[test]
fn a_crash_kernel_runs_and_a_shutdown_is_one() {
    if no_kvm() {
        return;
    }
    let (status, printed, said) = panics("crash kernel", &["--on-panic", "exit"]);
    assert_eq!((status, printed.as_str()), (Some(1), "pvpanic 7\ngoes on\n"));
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains("runs its crash kernel"), "{said}");
    let (status, printed, said) = panics("shutdown", &["--on-panic", "exit"]);
    assert_eq!((status, printed.as_str(), said.as_str()), (Some(0), "pvpanic 7\n", ""));
}

#[test]
fn a_panic_pauses_the_machine_and_the_user_lets_it_go_on() {
    if no_kvm() {
        return;
    }
    let mut command = nvmm();
    command.arg("--kernel").arg(guest("panic")).args([
        "--memory",
        "16M",
        "--smp",
        "2",
        "--debug-exit",
        "0xf4",
    ]);
    command.args(["--cmdline", "panic", "--on-panic", "pause"]);
    let mut terminal = Terminal::start(command);
    let seen = expect(&mut terminal.user, "the machine is paused\r\n");
    // The guest's own output may come later.
    assert!(seen.contains("the guest's kernel panicked") && !seen.contains("goes on"), "{seen}");
    terminal.user.write_all(b"\x01p").unwrap();
    // The guest's debug exit of 0.
    assert_eq!(terminal.program.status_in_time(), Some(1));
}

#[test]
fn without_on_panic_there_is_no_pvpanic() {
    if no_kvm() {
        return;
    }
    let (status, printed, _) = panics("panic", &[]);
    assert_eq!((status, printed.as_str()), (Some(1), "pvpanic ff\ngoes on\n"));
}

#[test]
fn a_kernel_finds_the_users_files_in_fw_cfg() {
    if no_kvm() {
        return;
    }
    let told = |options: &[&str]| {
        let output = run("fw_cfg", options);
        assert_eq!(output.status.code(), Some(21 << 1 | 1), "{}", String::from_utf8_lossy(&output.stderr));
        (
            String::from_utf8_lossy(&output.stdout).into_owned(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    let files = ["--fw-cfg", "opt/io.systemd.credentials/motd,string=a,,b", "-fw_cfg", "name=etc/x,string="];
    let (printed, said) = told(&files);
    assert_eq!(printed, "acpi 1\nopt/io.systemd.credentials/motd=a,b\netc/x=\n");
    assert!(said.contains("name=etc/x,string=: names outside opt/ are firmware's"), "{said}");
    // Otherwise there is no fw_cfg.
    assert_eq!(told(&[]).0, "acpi 0\nno fw_cfg\n");
}
