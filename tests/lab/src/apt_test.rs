use super::*;

#[test]
fn a_meta_package_names_the_one_it_stands_for() {
    let output = "linux-image-cloud-amd64\n  Depends: linux-image-6.1.0-56-cloud-amd64\n";
    assert_eq!(first_dependency(output).as_deref(), Some("linux-image-6.1.0-56-cloud-amd64"));
    assert_eq!(first_dependency(""), None);
}

#[test]
fn the_release_is_distinguished_from_its_updates() {
    let targets = "Google cloud-sdk https://packages.example/apt\n\
                   Debian bookworm-updates http://mirror.example/debian/\n\
                   Debian bookworm http://mirror.example/debian/\n\
                   Debian bookworm-security http://mirror.example/debian-security/\n";
    assert_eq!(release(targets), Some(("bookworm", "http://mirror.example/debian/")));
    assert_eq!(release("Ubuntu noble http://mirror.example/ubuntu/\n"), None);
}

#[test]
fn a_failed_command_is_shown_with_its_output() {
    let error = run(Command::new("sh").args(["-c", "echo why >&2; exit 3"])).unwrap_err().to_string();
    assert_eq!(error, "sh -c echo why >&2; exit 3: exit status: 3\nwhy");
}

#[test]
fn a_lock_is_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = Command::new("sh");
    // The first try fails because of the lock, the second succeeds.
    let script = "test -e tried && exit; touch tried; echo 'E: Could not get lock /var/lib/apt/lists/lock. It is held by process 4711 (apt-get)' >&2; exit 100";
    command.args(["-c", script]).current_dir(&dir);
    run_unlocked(&mut command).unwrap();
    // Any other failure is reported at once.
    let start = Instant::now();
    let mut command = Command::new("sh");
    command.args(["-c", "echo 'E: Unable to locate package nvmm' >&2; exit 100"]);
    assert!(run_unlocked(&mut command).is_err() && start.elapsed() < PATIENCE);
}

#[test]
fn every_apt_get_waits_and_tries_again() {
    let command = apt_get(Command::new("apt-get"));
    let arguments: Vec<_> = command.get_args().filter_map(|argument| argument.to_str()).collect();
    assert_eq!(arguments, ["-o", "DPkg::Lock::Timeout=600", "-o", "Acquire::Retries=3"]);
}
