//! The recipes for CI in resources/ci: they are valid YAML, each `nvmm` in them is a valid command line, and its exit statuses have the
//! described effect.
//!
//! The recipes' scripts run as in a job, with an `nvmm` that records its arguments and ends with a status.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;
use vmm::cli::{self, Cli};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../resources/ci")
}

/// A recipe as parsed by Python's YAML module. If that is missing, prints it and returns none.
fn recipe(name: &str) -> Option<Value> {
    let has_yaml = Command::new("python3").args(["-c", "import yaml"]).output();
    if !has_yaml.is_ok_and(|output| output.status.success()) {
        println!("skipped: no YAML in Python (apt install python3-yaml)");
        return None;
    }
    let script = "import json, sys, yaml; print(json.dumps(yaml.safe_load(open(sys.argv[1]))))";
    let output = Command::new("python3").args(["-c", script]).arg(folder().join(name)).output().unwrap();
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

/// A directory in which scripts run: its commands record their arguments instead of doing anything.
struct Job {
    folder: tempfile::TempDir,
}

/// The result of a script.
struct Ran {
    status: i32,
    /// The output.
    output: String,
    /// The arguments of each `nvmm`, with its name first.
    nvmm: Vec<Vec<OsString>>,
    /// The arguments of other commands.
    others: String,
}

impl Job {
    /// A job in which `nvmm nest` ends with `status`.
    fn new(status: i32) -> Self {
        let job = Self { folder: tempfile::tempdir().unwrap() };
        let nvmm = format!(
            "#!/bin/sh\n\
             {{ printf 'nvmm\\0'; for word in \"$@\"; do printf '%s\\0' \"$word\"; done; printf '\\n'; }} >> {}\n\
             case $1 in nest) exit {status} ;; *) exit 1 ;; esac\n",
            job.path("nvmm.words").display()
        );
        job.add("nvmm", &nvmm);
        for name in ["sudo", "cargo"] {
            let words = job.path("others.words");
            job.add(name, &format!("#!/bin/sh\necho {name} \"$@\" >> {}\n", words.display()));
        }
        job
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn add(&self, name: &str, text: &str) {
        let path = self.path("bin").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn run(&self, shell: &[&str], script: &str, env: &BTreeMap<String, String>) -> Ran {
        let path = format!("{}:/usr/bin:/bin", self.path("bin").display());
        let output = Command::new(shell[0])
            .args(&shell[1..])
            .args(["-c", script])
            .current_dir(self.folder.path())
            .env_clear()
            .env("PATH", path)
            .env("GITHUB_OUTPUT", self.path("github.output"))
            .envs(env)
            .output()
            .unwrap();
        let read = |name: &str| fs::read_to_string(self.path(name)).unwrap_or_default();
        let words = |line: &str| line.split_terminator('\0').map(OsString::from).collect();
        Ran {
            status: output.status.code().unwrap(),
            output: String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
                + &read("github.output"),
            nvmm: read("nvmm.words").lines().map(words).collect(),
            others: read("others.words"),
        }
    }
}

/// Checks that nvmm accepts each command line.
fn are_taken(lines: &[Vec<OsString>]) {
    for words in lines {
        let cli = Cli::of(words).unwrap_or_else(|error| panic!("{words:?}: {error}"));
        assert!(matches!(cli.command, Some(cli::Command::Nest(_) | cli::Command::Check(_))), "{words:?}");
    }
}

/// The values of a step's `env`, with the action's inputs filled in.
fn environment(step: &Value, place: &Path, inputs: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let values = step["env"].as_object().into_iter().flatten();
    values
        .map(|(name, value)| {
            let mut value =
                value.as_str().unwrap().replace("${{ github.action_path }}", place.to_str().unwrap());
            for (input, given) in inputs {
                value = value.replace(&format!("${{{{ inputs.{input} }}}}"), given);
            }
            assert!(!value.contains("${{"), "{name}: {value}");
            (name.clone(), value)
        })
        .collect()
}

/// Runs GitHub's action with default inputs except those given, in a directory where `nvmm nest` ends with `status`.
fn action(status: i32, given: &[(&str, &str)]) -> Option<Ran> {
    let action = recipe("action.yml")?;
    let defaults = action["inputs"].as_object().unwrap().iter();
    let mut inputs: BTreeMap<String, String> =
        defaults.map(|(name, input)| (name.clone(), input["default"].as_str().unwrap().to_owned())).collect();
    for (name, value) in given {
        assert!(inputs.insert((*name).to_owned(), (*value).to_owned()).is_some(), "{name}");
    }
    assert_eq!(action["runs"]["using"], "composite");
    let job = Job::new(status);
    let place = job.path("resources/ci");
    fs::create_dir_all(&place).unwrap();
    let mut ran = None;
    for step in action["runs"]["steps"].as_array().unwrap() {
        let Some(script) = step["run"].as_str() else { continue };
        assert_eq!(step["shell"], "bash", "{}", step["name"]);
        let shell = ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail"];
        let step_ran = job.run(&shell, script, &environment(step, &place, &inputs));
        let is_last = step["id"] == "nest";
        assert!(is_last || step_ran.status == 0, "{}: {}", step["name"], step_ran.output);
        if is_last {
            ran = Some(step_ran);
        }
    }
    ran
}

#[test]
fn the_action_for_github() {
    let Some(ran) = action(0, &[]) else { return };
    assert_eq!(ran.status, 0, "{}", ran.output);
    assert!(ran.output.contains("verdict=passed\n"), "{}", ran.output);
    are_taken(&ran.nvmm);
    assert_eq!(ran.nvmm.len(), 3, "{:?}", ran.nvmm);
    assert_eq!(ran.nvmm[2][1..4], ["nest", "--levels", "2"]);
    // Built from the action's own source.
    assert!(ran.others.contains("cargo build --release --locked --package vmm\n"), "{}", ran.others);

    let given = [("nvmm", "/opt/nvmm"), ("exec", "./my test"), ("levels", "3")];
    let ran = action(0, &given).unwrap();
    are_taken(&ran.nvmm);
    assert!(ran.nvmm[2].ends_with(&["--exec", "./my test"].map(OsString::from)), "{:?}", ran.nvmm);
    assert!(ran.others.ends_with("sudo install /opt/nvmm /usr/local/bin/nvmm\n"), "{}", ran.others);
    assert!(!ran.others.contains("cargo"), "{}", ran.others);

    for (status, require, expected, verdict) in [
        (77, "false", 0, "skipped"),
        (77, "true", 77, "skipped"),
        (12, "false", 12, "failed"),
        (1, "true", 1, "failed"),
    ] {
        let ran = action(status, &[("require", require), ("nvmm", "x")]).unwrap();
        assert_eq!(ran.status, expected, "{}", ran.output);
        assert!(ran.output.contains(&format!("verdict={verdict}\n")), "{}", ran.output);
    }
}

#[test]
fn the_job_for_gitlab() {
    let Some(recipe) = recipe("gitlab-ci.yml") else { return };
    let job = &recipe["nest"];
    let lines: Vec<_> = job["script"].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect();
    let variables = job["variables"].as_object().unwrap().iter();
    let variables =
        variables.map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())).collect();
    for status in [0, 77, 11] {
        let ran = Job::new(status).run(&["bash", "-e", "-o", "pipefail"], &lines.join("\n"), &variables);
        assert_eq!(ran.status, status, "{}", ran.output);
        assert_eq!(ran.nvmm.len(), 2);
        are_taken(&ran.nvmm);
    }
    assert_eq!(job["allow_failure"]["exit_codes"], serde_json::json!([77]));
    let junit = job["artifacts"]["reports"]["junit"].as_str().unwrap();
    assert!(lines[1].contains(&format!("--junit {junit} ")), "{lines:?}");
}

#[test]
fn the_job_for_kubernetes() {
    let Some(job) = recipe("kubernetes-job.yaml") else { return };
    assert_eq!((&job["apiVersion"], &job["kind"]), (&Value::from("batch/v1"), &Value::from("Job")));
    let container = &job["spec"]["template"]["spec"]["containers"][0];
    let command: Vec<_> =
        container["command"].as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect();
    let [shell, "-c", script] = command[..] else { panic!("{command:?}") };
    for (status, expected) in [(0, 0), (77, 0), (12, 1)] {
        let ran = Job::new(status).run(&[shell], script, &BTreeMap::new());
        assert_eq!(ran.status, expected, "{}", ran.output);
        assert_eq!(ran.nvmm.len(), 2);
        are_taken(&ran.nvmm);
    }
    assert_eq!(container["resources"]["limits"]["devices.kubevirt.io/kvm"], "1");
    // A failed Job is not retried: a level doesn't fail by chance.
    assert_eq!(job["spec"]["backoffLimit"], 0);
}

/// The alternative in a comment is valid without the comment marks.
#[test]
fn the_comment_for_kubernetes_is_yaml() {
    let text = fs::read_to_string(folder().join("kubernetes-job.yaml")).unwrap();
    let comment = text.lines().skip_while(|line| !line.contains("limit devices.kubevirt.io/kvm"));
    let lines = comment.filter_map(|line| line.strip_prefix("      #     "));
    // One list level less: the container's keys are on the line of its name.
    let yaml: String = lines.map(|line| format!("{line}\n")).collect();
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("comment.yaml");
    let (container, pod) = yaml.split_once("volumes:").unwrap();
    fs::write(&file, format!("container:\n{container}volumes:{pod}")).unwrap();
    let Some(read) = recipe(file.to_str().unwrap()) else { return };
    assert_eq!(read["container"]["securityContext"]["privileged"], true);
    assert_eq!(read["container"]["volumeMounts"][0]["mountPath"], "/dev/kvm");
    assert_eq!(read["volumes"][0]["hostPath"]["type"], "CharDevice");
    assert_eq!(read["nodeSelector"]["kvm"], "yes");
}
