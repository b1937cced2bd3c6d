use std::{
    env,
    io::{BufRead, BufReader},
    os::unix::fs::{PermissionsExt, symlink},
    process::{self, Command, Stdio},
};

use super::{
    super::testing::{contents, open, vars},
    *,
};

/// An error with its causes.
fn reasons(error: &VarsError) -> String {
    let mut reasons = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(next) = source {
        reasons = format!("{reasons}: {next}");
        source = next.source();
    }
    reasons
}

fn refusal(folder: &Path) -> String {
    reasons(&open(folder).unwrap_err())
}

#[test]
fn a_file_that_is_not_there_is_made_of_the_template() {
    let folder = tempfile::tempdir().unwrap();
    let (mut file, path) = vars(&folder);
    assert_eq!(fs::read(&path).unwrap(), contents(0));
    file.replace(&contents(1)).unwrap();
    drop(file);
    let (_file, bytes) = open(folder.path()).unwrap();
    assert_eq!(bytes, contents(1));
    let mut names: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["vars.fd"]);
}

#[test]
fn a_file_in_use_is_refused_also_after_it_was_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let (mut file, path) = vars(&folder);
    let me = format!(
        "it is in use by {} (pid {}); ",
        fs::read_to_string("/proc/self/comm").unwrap().trim(),
        process::id()
    );
    for mark in 1..4 {
        let refused = refusal(folder.path());
        assert!(refused.starts_with(&me), "{refused}");
        file.replace(&contents(mark)).unwrap();
        assert_eq!(fs::read(&path).unwrap(), contents(mark));
    }
    drop(file);
    open(folder.path()).unwrap();
}

#[test]
fn a_file_that_took_the_name_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (mut file, path) = vars(&folder);
    fs::remove_file(&path).unwrap();
    file.replace(&contents(1)).unwrap();
    assert_eq!(fs::read(&path).unwrap(), contents(1), "it was only removed");
    fs::remove_file(&path).unwrap();
    fs::write(&path, contents(2)).unwrap();
    assert_eq!(file.replace(&contents(3)).unwrap_err().to_string(), "another file has its name now");
    assert_eq!(fs::read(&path).unwrap(), contents(2));
}

#[test]
fn a_symbolic_link_is_not_written_through() {
    let folder = tempfile::tempdir().unwrap();
    let (mut file, path) = vars(&folder);
    let victim = folder.path().join("victim");
    fs::write(&victim, "precious").unwrap();
    symlink(&victim, folder.path().join(".vars.fd.new")).unwrap();
    file.replace(&contents(1)).unwrap_err();
    assert_eq!((fs::read(&victim).unwrap(), fs::read(&path).unwrap()), (b"precious".to_vec(), contents(0)));
}

#[test]
fn a_new_file_that_was_not_finished_is_never_read() {
    for there in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        if there {
            vars(&folder).0.replace(&contents(1)).unwrap();
        }
        for torn in [&[][..], &contents(2)[..0x1234], &contents(2)] {
            fs::write(folder.path().join(".vars.fd.new"), torn).unwrap();
            let (mut file, bytes) = open(folder.path()).unwrap();
            assert_eq!(bytes, contents(there.into()));
            file.replace(&bytes).unwrap();
            if !there {
                fs::remove_file(file.path()).unwrap();
            }
        }
    }
}

#[test]
fn a_file_that_is_none_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vars.fd");
    let whole = contents(1);
    let with = |at: usize, byte: u8| {
        let mut bytes = whole.clone();
        bytes[at] = byte;
        bytes
    };
    let length = "and this firmware's variables have 12288: it is another firmware's, or not whole";
    let none = "it has no UEFI variables: ";
    for (bytes, expected) in [
        (Vec::new(), format!("it has 0 bytes, {length}")),
        (whole[..whole.len() - 1].to_vec(), format!("it has 12287 bytes, {length}")),
        ([&whole[..], &[0]].concat(), format!("it has 12289 bytes, {length}")),
        (vec![0; whole.len()], format!("{none}it does not begin with a firmware volume")),
        (vec![0xff; whole.len()], format!("{none}it does not begin with a firmware volume")),
        (with(16, 0), format!("{none}the firmware volume in it is for something else, such as code")),
        (with(33, 0x40), format!("{none}the firmware volume in it has another length")),
        (with(49, 0x40), format!("{none}its header goes past its end")),
        (with(48, 0x46), format!("{none}the checksum of its header is wrong")),
        (with(44, 0), format!("{none}the checksum of its header is wrong")),
    ] {
        fs::write(&path, &bytes).unwrap();
        assert_eq!(refusal(folder.path()), expected);
        assert_eq!(fs::read(&path).unwrap(), bytes, "it is left alone");
    }
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(refusal(folder.path()).starts_with("can't open it: "));
    fs::remove_dir(&path).unwrap();
    symlink("/dev/null", &path).unwrap();
    assert_eq!(refusal(folder.path()), "it is no file");
    fs::remove_file(&path).unwrap();
    symlink("nowhere/at all", &path).unwrap();
    assert_eq!(
        refusal(folder.path()),
        "it is not there, and can't be made: it is a symbolic link to nothing"
    );
}

#[test]
fn a_file_in_no_folder_cannot_be_made() {
    let folder = tempfile::tempdir().unwrap();
    let refused =
        reasons(&VarsFile::open(&folder.path().join("no folder/vars.fd"), Some(&contents(0))).unwrap_err());
    assert!(refused.starts_with("it is not there, and can't be made: "), "{refused}");
}

#[test]
fn links_and_permissions_stay() {
    let folder = tempfile::tempdir().unwrap();
    let (file, path) = vars(&folder);
    assert_eq!(file.file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    drop(file);
    let real = folder.path().join("real.fd");
    fs::rename(&path, &real).unwrap();
    symlink("real.fd", &path).unwrap();
    fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).unwrap();
    let (mut file, _) = open(folder.path()).unwrap();
    file.replace(&contents(3)).unwrap();
    assert!(fs::symlink_metadata(&path).unwrap().is_symlink());
    assert_eq!(fs::read(&real).unwrap(), contents(3));
    assert_eq!(fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o640);
}

/// The environment variable by which [`a_process_that_is_killed_leaves_one_whole_state`] gives the process that it kills the file to write.
const FOLDER: &str = "NVMM_TEST_VARS_FOLDER";

/// Replaces the file repeatedly, until it is killed. Only another test starts it.
#[test]
#[ignore = "another test starts it"]
fn writes_until_it_is_killed() {
    let Some(folder) = env::var_os(FOLDER) else { return };
    let (mut file, _) = open(folder.as_ref()).unwrap();
    for mark in (0..=255).cycle() {
        file.replace(&contents(mark)).unwrap();
        // Standard output belongs to the test harness.
        eprintln!("written");
    }
}

#[test]
fn a_process_that_is_killed_leaves_one_whole_state() {
    let folder = tempfile::tempdir().unwrap();
    drop(vars(&folder));
    for writes in [1, 2, 3, 5, 8, 13, 21, 34] {
        let mut child = Command::new(env::current_exe().unwrap())
            .args([
                "--exact",
                "platform::flash::file::tests::writes_until_it_is_killed",
                "--ignored",
                "--nocapture",
            ])
            .env(FOLDER, folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let said = BufReader::new(child.stderr.take().unwrap()).lines();
        assert_eq!(said.take(writes).filter(|line| line.as_ref().unwrap() == "written").count(), writes);
        child.kill().unwrap();
        child.wait().unwrap();
        let (_file, bytes) = open(folder.path()).unwrap();
        assert_eq!(bytes, contents(bytes[0x48]));
    }
}

#[test]
fn a_folder_where_no_file_can_be_made_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let (file, path) = vars(&folder);
    file.check_folder().unwrap();
    assert!(!folder.path().join(".vars.fd.new").exists(), "nothing stays");
    assert_eq!(fs::read(&path).unwrap(), contents(0));
    // Root can write to every directory.
    fs::create_dir(folder.path().join(".vars.fd.new")).unwrap();
    let refused = reasons(&file.check_folder().unwrap_err());
    assert!(
        refused.starts_with("no file can be made beside it") && refused.contains("directory"),
        "{refused}"
    );
}

#[test]
fn without_a_template_the_file_has_to_be_there() {
    let folder = tempfile::tempdir().unwrap();
    let (file, path) = vars(&folder);
    drop(file);
    let (_file, bytes) = VarsFile::open(&path, None).unwrap();
    assert_eq!(bytes, contents(0));
    let refused = VarsFile::open(&folder.path().join("none.fd"), None).unwrap_err();
    assert!(matches!(refused, VarsError::Open(error) if error.kind() == io::ErrorKind::NotFound));
    // Without one for comparison, its own header gives its length.
    fs::write(folder.path().join("short.fd"), &contents(0)[..0x2000]).unwrap();
    let refused = VarsFile::open(&folder.path().join("short.fd"), None).unwrap_err();
    assert_eq!(reasons(&refused), "it has no UEFI variables: the firmware volume in it has another length");
    assert!(begins_with_variables(&contents(1)) && !begins_with_variables(&[0; 100]));
}
