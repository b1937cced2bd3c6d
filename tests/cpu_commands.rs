//! `nvmm cpu` on recorded hosts, as users run it.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

#[path = "support/mod.rs"]
mod support;
#[path = "support/terminal.rs"]
mod terminal;

use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
    process::{Output, Stdio},
};

use arch::cpu::host::HostCpu;
use support::{no_kvm, nvmm};
use terminal::Terminal;

const HOSTS: [&str; 4] = ["bochs-haswell", "milan", "sapphire-rapids", "software-kvm"];
const SPECS: [&str; 12] = [
    "host-passthrough",
    "host-passthrough,-avx,+invtsc",
    "host-model",
    "qemu64",
    "Haswell,-smep",
    "EPYC,+svm,-npt",
    "core2duo,+vmx,-vmx-ept",
    "x86-64-v3",
    "host,kvm=off,pmu=off,l3-cache=off,migratable=on",
    "EPYC,vendor=SomebodyElse,family=6,model=0x5e,stepping=3,level=0xd,model-id=One of mine",
    "host-model,pmu=on,host-phys-bits,min-xlevel=0x80000022,topoext",
    "Haswell,tsc-frequency=2.5G,vmware-cpuid-freq,kvm-pv-enforce-cpuid,guest-phys-bits=32,host-cache-info=off",
];

fn hosts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../resources/hosts")
}

fn host(name: &str) -> String {
    hosts().join(name).with_extension("json").to_str().unwrap().to_owned()
}

fn cpu(words: &[&str]) -> Output {
    nvmm().arg("cpu").args(words).output().unwrap()
}

/// Returns its output; nothing may be printed on stderr.
#[track_caller]
fn prints(words: &[&str]) -> String {
    let output = cpu(words);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), stderr.as_str()), (Some(0), ""), "{words:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Checks that it fails with `status` and one line that contains all of `parts`.
#[track_caller]
fn refused(words: &[&str], status: i32, parts: &[&str]) {
    let output = cpu(words);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(status), "{words:?}: {stderr}");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "", "{words:?}");
    for part in parts {
        assert!(stderr.contains(part), "{words:?}: no {part:?} in {stderr}");
    }
    assert_eq!(stderr.lines().count(), 1, "{words:?}: {stderr}");
}

#[test]
fn list_marks_models_and_features() {
    let host = host("milan");
    let text = prints(&["list", "--host", &host]);
    for part in ["AMD EPYC 7713", "EPYC-Milan", "runs\n", "lacks ", "CPUID.8000000AH:EDX\n  here      npt"] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    let json: serde_json::Value =
        serde_json::from_str(&prints(&["list", "--json", "--host", &host])).unwrap();
    assert!(json["models"].as_array().unwrap().len() > 40);
}

#[test]
fn cpu_help_lists_what_cpu_takes() {
    for word in ["help", "?"] {
        let output = nvmm().args(["--cpu", word, "--kvm", "/dev/no-kvm"]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(0), "{word}");
        assert!(
            text.contains("host-passthrough (host, max)") && text.contains("EPYC-Milan"),
            "{word}: {text}"
        );
        assert!(text.contains("sse4.2") && text.contains("vmx-ept"), "{word}: {text}");
    }
    // Any other machine needs something to start.
    let output = nvmm().args(["--cpu", "host"]).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr.contains("there is nothing to start: give a disk with --disk PATH")
            && stderr.contains("or a kernel with --kernel FILE"),
        "{stderr}"
    );
}

#[test]
fn unsupported_settings_of_a_domain_are_printed_on_stderr() {
    let file = tempfile::Builder::new().suffix(".xml").tempfile().unwrap();
    let domain = "<domain type='kvm'>
        <features>
          <kvm><hidden state='on'/></kvm><pmu state='off'/>
          <hyperv><relaxed state='on'/></hyperv>
        </features>
        <cpu mode='host-passthrough' migratable='off'/>
        <clock offset='utc'><timer name='hpet' present='no'/><timer name='rtc' tickpolicy='catchup'/></clock>
        </domain>";
    fs::write(&file, domain).unwrap();
    let path = format!("file:{}", file.path().display());
    let output = cpu(&["expand", &path, "--host", &host("milan")]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "host-passthrough,kvm=off,pmu=off\n");
    let stderr = String::from_utf8(output.stderr).unwrap();
    let lines: Vec<_> = stderr.lines().collect();
    assert_eq!(lines.len(), 2, "{stderr}");
    assert!(
        lines[0].contains(&format!("--cpu {path}: line 4, column 11: <hyperv> in <features>: ")),
        "{stderr}"
    );
    assert!(lines[1].contains("<timer> in <clock>: nvmm's real-time clock makes up"), "{stderr}");
}

#[test]
fn values_that_mean_nothing_are_one_line() {
    let host = host("milan");
    for (spec, part) in [
        ("host,family=271", "family=271: give a number from 0 to 270"),
        ("host,vendor=Intel", "vendor=Intel: give 12 letters"),
        ("host,hv_relaxed,hv_time", "hv-relaxed: nvmm has no Hyper-V enlightenments"),
        ("host,guest-phys-bits=64", "guest-phys-bits=64: give a number from 32 to 52"),
    ] {
        refused(&["show", spec, "--host", &host], 2, &[part]);
        refused(&["diff", "host", spec, "--host", &host], 2, &[part]);
    }
    refused(&["show", "host,guest-phys-bits=52", "--host", &host], 1, &["guest-phys-bits=52", "48 bits"]);
    refused(&["show", "host,kvm=off", "--smp", "300", "--host", &host], 1, &["kvm=off", "above 254"]);
}

#[test]
fn list_and_explain_do_without_kvm() {
    for words in [["list"].as_slice(), &["explain", "avx2"]] {
        let output = nvmm().arg("cpu").args(words).args(["--kvm", "/dev/no-kvm"]).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), stderr.lines().count()), (Some(0), 1), "{stderr}");
        assert!(stderr.contains("/dev/no-kvm is missing") && stderr.contains("--host FILE"), "{stderr}");
        assert!(String::from_utf8(output.stdout).unwrap().contains("avx2"));
    }
}

#[test]
fn the_output_of_expand_gives_the_same_cpu() {
    for name in HOSTS {
        let host = host(name);
        for spec in SPECS {
            for nested in ["off", "auto"] {
                let options = ["--host", &host, "--nested", nested];
                let output = cpu(&[&["expand", spec], options.as_slice()].concat());
                assert_eq!(output.status.code(), Some(0), "{name} {spec}");
                let expanded = String::from_utf8(output.stdout).unwrap();
                assert_eq!(expanded.lines().count(), 1, "{expanded}");
                let raw = |spec: &str, options: &[&str]| {
                    let options = [options, &["--smp", "4,threads=2", "--vcpu", "3"]].concat();
                    String::from_utf8(cpu(&[&["show", "--raw", spec], options.as_slice()].concat()).stdout)
                        .unwrap()
                };
                let first = raw(spec, &options);
                assert!(first.starts_with("0x00000000 0x00: eax=0x"), "{first}");
                assert_eq!(
                    raw(expanded.trim_end(), &["--host", &host]),
                    first,
                    "{name}: {spec} is {expanded}"
                );
            }
        }
    }
}

#[test]
fn raw_lines_are_those_of_cpuid_r() {
    let raw = prints(&["show", "host-passthrough", "--raw", "--host", &host("bochs-haswell")]);
    let host: HostCpu = serde_json::from_str(&fs::read_to_string(host("bochs-haswell")).unwrap()).unwrap();
    let leaf = arch::cpu::cpuid::Leaf::sub(7, 0);
    let line = format!("0x00000007 0x00: {}", host.supported.get(leaf));
    assert!(raw.lines().any(|other| other == line), "{line}\n{raw}");
    assert!(raw.lines().any(|line| line == "MSR 0x3a: 0x0000000000000005"), "{raw}");
    assert!(raw.lines().all(|line| line.starts_with("0x") || line.starts_with("MSR 0x")), "{raw}");
}

#[test]
fn features_that_cannot_be_given_are_printed_on_stderr() {
    let host = host("bochs-haswell");
    let output = cpu(&["expand", "SapphireRapids", "--host", &host]);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), stderr.lines().count()), (Some(0), 1));
    assert!(
        stderr.starts_with("nvmm: this host cannot give ") && stderr.contains("avx512f (CPUID."),
        "{stderr}"
    );
    refused(&["expand", "SapphireRapids,enforce", "--host", &host], 1, &["cannot give", "avx512f"]);
    refused(&["show", "qemu64", "--nested", "on", "--host", &self::host("software-kvm")], 1, &["vmx", "svm"]);
}

#[test]
fn show_names_bits_and_the_settings_that_decided_them() {
    let host = host("bochs-haswell");
    let text = prints(&["show", "host-passthrough,-vmx-ept", "--host", &host, "--smp", "2"]);
    for part in [
        "nesting       vmx (vpid, ",
        "EBX[23:16]  topology    logical",
        "IA32_VMX_TRUE_EXIT_CTLS",
        "vmx-ept (asked for)",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    assert!(!text.contains('\x1b'), "colour that nobody sees");
    let json = prints(&["show", "host-passthrough", "--json", "--host", &host]);
    assert_eq!(serde_json::from_str::<serde_json::Value>(&json).unwrap()["nesting"]["kind"], "vmx");
}

#[test]
fn diff_distinguishes_equal_from_different() {
    let (intel, amd) = (host("bochs-haswell"), host("milan"));
    assert_eq!(prints(&["diff", "host", "host-passthrough", "--host", &intel]), "");
    assert_eq!(prints(&["diff", &amd, "host", "--host", &amd]), "");
    let output = cpu(&["diff", "host", "host,-movbe", "--host", &intel]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text.contains("CPUID.01H:ECX[22]  movbe") && text.ends_with("1 difference\n"), "{text}");
    // Files don't need a host.
    let output = cpu(&["diff", &intel, &amd, "--json", "--kvm", "/dev/no-kvm"]);
    assert_eq!(output.status.code(), Some(1));
    let rows: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let vendor = serde_json::json!(
        {"place": "CPUID.00H", "name": "vendor", "a": "GenuineIntel", "b": "AuthenticAMD"}
    );
    assert!(rows.as_array().unwrap().contains(&vendor), "{rows:#}");
}

#[test]
fn explain_shows_the_bit_and_its_users() {
    let text = prints(&["explain", "vmx_ept", "--host", &host("bochs-haswell")]);
    for part in ["vmx-ept: ", "MSR(48BH)[1]", "SDM 3D", "KVM offers it (Intel(R) Core(TM) i7-4770", "Haswell"]
    {
        assert!(text.contains(part), "{part}\n{text}");
    }
}

#[test]
fn dump_is_what_host_reads() {
    let host = host("milan");
    let dump = prints(&["dump", "--host", &host]);
    let read = |text: &str| serde_json::from_str::<HostCpu>(text).unwrap();
    assert_eq!(read(&dump), read(&fs::read_to_string(&host).unwrap()));
    if no_kvm() {
        return;
    }
    let file = tempfile::Builder::new().suffix(".json").tempfile().unwrap();
    fs::write(&file, prints(&["dump"])).unwrap();
    assert_eq!(prints(&["diff", "host", file.path().to_str().unwrap()]), "");
}

#[test]
fn a_reader_may_stop_early() {
    let mut list = nvmm();
    list.args(["cpu", "list", "--host", &host("milan")]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut list = list.spawn().unwrap();
    drop(list.stdout.take());
    let output = list.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr), (Some(0), Vec::new()));
}

#[test]
fn a_baseline_is_a_cpu_that_each_host_gives_alike() {
    let folder = tempfile::tempdir().unwrap();
    for names in [&["ice-lake", "cascade-lake", "granite-rapids"][..], &["naples", "genoa"], &["dhyana"]] {
        let files: Vec<_> = names.iter().map(|name| host(name)).collect();
        let words = |more: &[&'static str]| {
            let files = files.iter().map(String::as_str);
            ["baseline"].into_iter().chain(files).chain(more.iter().copied()).collect::<Vec<_>>().join("\n")
        };
        let text = prints(&words(&[]).split('\n').collect::<Vec<_>>());
        let json = prints(&words(&["--json"]).split('\n').collect::<Vec<_>>());
        let report: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(report["cpu"].as_str().unwrap(), text.trim_end());
        assert_eq!(report["hosts"].as_array().unwrap().len(), names.len());
        let mut shown = Vec::new();
        for (name, output) in [("both.cpu", &text), ("both.json", &json)] {
            let path = folder.path().join(name);
            fs::write(&path, output).unwrap();
            let file = format!("file:{}", path.to_str().unwrap());
            shown.extend(files.iter().map(|host| prints(&["show", &file, "--raw", "--host", host])));
        }
        for (number, other) in shown.iter().enumerate() {
            assert_eq!(*other, shown[0], "{names:?} {number}");
        }
        assert_eq!(prints(&["show", text.trim_end(), "--raw", "--host", &files[0]]), shown[0], "{names:?}");
    }
}

#[test]
fn a_baseline_reports_omissions_and_why_there_is_none() {
    let [naples, genoa, ice_lake] = ["naples", "genoa", "ice-lake"].map(host);
    let json = prints(&["baseline", &genoa, "host", "--host", &naples, "--json"]);
    let report: serde_json::Value = serde_json::from_str(&json).unwrap();
    let left_out = report["left-out"].as_array().unwrap();
    let lacking = |name| left_out.iter().find(|left| left["feature"] == name).unwrap()["lacking"].clone();
    assert_eq!(lacking("avx512f"), serde_json::json!(["host"]));
    assert_eq!(lacking("invtsc"), serde_json::json!([]));
    refused(&["baseline", &naples, &ice_lake], 1, &[&ice_lake, "Intel", &naples, "AMD"]);
    refused(&["baseline", "/nowhere.json"], 1, &["/nowhere.json", "No such file"]);
    let no_file = cpu(&["baseline"]);
    assert_eq!(no_file.status.code(), Some(2));
}

#[test]
fn a_file_of_words_that_mean_nothing_is_named() {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), "Haswel,+vmx\n").unwrap();
    let path = format!("file:{}", file.path().to_str().unwrap());
    refused(&["show", &path, "--host", &host("milan")], 2, &[&path, "unknown CPU \"Haswel\""]);
}

#[test]
fn wrong_words() {
    let host = host("milan");
    let with_host = |words: &[&'static str]| [words, &["--host"]].concat();
    let wrong: [(&[&'static str], &[&str]); 6] = [
        (&["show", "Haswel"], &["unknown CPU \"Haswel\"", "did you mean Haswell"]),
        (&["expand", "Haswell,+avx3"], &["unknown CPU feature \"avx3\""]),
        (&["show", "qemu64", "--smp", "4,cores=3"], &["--smp 4,cores=3", "not 4"]),
        (&["show", "qemu64", "--vcpu", "4", "--smp", "4"], &["--vcpu 4", "0 to 3"]),
        (&["diff", "host", "hots"], &["unknown CPU \"hots\"", "nvmm cpu list"]),
        (&["explain", "vmxx"], &["unknown CPU feature \"vmxx\"", "vmx"]),
    ];
    for (words, parts) in wrong {
        let words = with_host(words);
        let words: Vec<&str> = words.into_iter().chain([host.as_str()]).collect();
        refused(&words, 2, parts);
    }
    refused(&["show", "qemu64", "--host", "/nowhere.json"], 1, &["/nowhere.json", "No such file"]);
    refused(&["diff", "/nowhere.json", "host", "--host", &host], 2, &["/nowhere.json"]);
    let readme = hosts().join("README.md");
    refused(
        &["list", "--host", readme.to_str().unwrap()],
        1,
        &["README.md is not a recorded host", "line 1"],
    );
    // clap's own errors.
    for words in
        [["show"].as_slice(), &["show", "host", "--nested", "maybe"], &["show", "host", "--raw", "--json"]]
    {
        let output = cpu(words);
        assert_eq!(output.status.code(), Some(2), "{words:?}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn lines_are_as_long_as_the_terminal_is_wide() {
    let longest = |columns| {
        let mut command = nvmm();
        command.args(["cpu", "explain", "avx512f", "--host", &host("milan")]).env("TERM", "dumb");
        let mut terminal = Terminal::with_columns(command, columns);
        drop(terminal.guest);
        let mut text = Vec::new();
        // Reading a terminal whose program has ended gives an error.
        let _ = terminal.user.read_to_end(&mut text);
        let text = String::from_utf8(text).unwrap();
        assert_eq!(terminal.program.status_in_time(), Some(0));
        text.lines().map(|line| line.trim_end().len()).max().unwrap()
    };
    let lengths = [80, 100, 150, 0].map(longest);
    for (length, columns) in lengths.into_iter().zip([80, 100, 150, 100]) {
        assert!((columns - 20..=columns).contains(&length), "{length} of {columns}");
    }
}

/// On a terminal, a list of features that the host can't give is broken between them. In a log it is a line.
#[test]
fn missing_features_fit_the_terminal() {
    let host = host("bochs-haswell");
    for (spec, status) in [("SapphireRapids", 0), ("SapphireRapids,enforce", 1)] {
        for columns in [80, 120] {
            let mut command = nvmm();
            command.args(["cpu", "expand", spec, "--host", &host]).env("TERM", "dumb");
            let mut terminal = Terminal::with_columns(command, columns);
            drop(terminal.guest);
            let mut text = Vec::new();
            // Reading a terminal whose program has ended gives an error.
            let _ = terminal.user.read_to_end(&mut text);
            let text = String::from_utf8(text).unwrap();
            assert_eq!(terminal.program.status_in_time(), Some(status));
            let lines: Vec<_> = text.lines().map(str::trim_end).collect();
            let missing: Vec<_> = lines
                .iter()
                .filter(|line| line.starts_with("nvmm: ") || line.starts_with("      "))
                .collect();
            assert!(missing.len() > 3 && missing[0].contains("this host cannot give "), "{text}");
            assert!(missing.iter().all(|line| line.len() <= usize::from(columns)), "{columns}: {text}");
            assert!(missing[1].contains(" (CPUID."), "{text}");
        }
    }
}
