//! Elements as people have them, and what becomes of each on a Cascade Lake and on a Milan: how the canonical CPU begins and how many
//! features are warned of, or what the refusal says. Right is what libvirt's QEMU driver does.

use arch::cpu::{profile::CpuProfile, topology::Topology};

use super::parse;

/// The domain starts, with this CPU and this many warnings.
type Outcome = Result<(&'static str, usize), &'static str>;

/// The host's CPU with libvirt's defaults.
const MIGRATABLE: Outcome = Ok(("host-passthrough,-invtsc", 0));
const CASCADE_LAKE: Outcome = Ok(("Cascadelake-Server", 0));
const MILAN: Outcome = Ok(("EPYC-Milan", 0));
/// Both hosts have TSX disabled.
const NO_TSX: Outcome = Err("this host cannot give hle (CPUID.(EAX=07H,ECX=0):EBX[4]), rtm (");
const NO_AVX512: Outcome = Err("avx512f (CPUID.(EAX=07H,ECX=0):EBX[16])");

const CASES: [(&str, Outcome, Outcome); 29] = [
    // From virt-manager, virt-install and virsh.
    ("<cpu mode='host-passthrough' check='none' migratable='on'/>", MIGRATABLE, MIGRATABLE),
    ("<cpu mode='maximum'/>", MIGRATABLE, MIGRATABLE),
    ("<cpu mode='maximum' migratable='off'/>", Ok(("host-passthrough", 0)), Ok(("host-passthrough", 0))),
    (
        "<cpu mode='host-passthrough' check='none' migratable='off'><feature policy='require' name='invtsc'/></cpu>",
        Ok(("host-passthrough", 0)),
        Ok(("host-passthrough", 0)),
    ),
    (
        "<cpu mode='host-passthrough' check='none' migratable='on'><topology sockets='1' dies='1' clusters='1' cores='4' threads='2'/>\
         <cache mode='passthrough'/><feature policy='require' name='topoext'/></cpu>",
        Ok(("host-passthrough,-invtsc,host-cache-info=on", 1)),
        Ok(("host-passthrough,-invtsc,host-cache-info=on", 0)),
    ),
    (
        "<cpu mode='host-passthrough'><cache level='3' mode='emulate'/></cpu>",
        Ok(("host-passthrough,-invtsc,host-cache-info=off", 0)),
        Ok(("host-passthrough,-invtsc,host-cache-info=off", 0)),
    ),
    (
        "<cpu mode='host-passthrough'><maxphysaddr mode='emulate' bits='42'/></cpu>",
        Ok(("host-passthrough,-invtsc,phys-bits=42", 0)),
        Ok(("host-passthrough,-invtsc,phys-bits=42", 0)),
    ),
    (
        "<cpu mode='host-passthrough'><maxphysaddr mode='passthrough' limit='39'/></cpu>",
        Ok(("host-passthrough,-invtsc,host-phys-bits-limit=39", 0)),
        Ok(("host-passthrough,-invtsc,host-phys-bits-limit=39", 0)),
    ),
    (
        "<cpu mode='host-passthrough'><topology sockets='1' dies='2' clusters='1' cores='2' threads='2'/></cpu>",
        MIGRATABLE,
        MIGRATABLE,
    ),
    (
        "<cpu mode='host-passthrough'><topology sockets='1' dies='1' clusters='2' cores='2' threads='2'/></cpu>",
        Err("clusters='2' of <topology>: an x86 die has no clusters"),
        Err("clusters='2' of <topology>: an x86 die has no clusters"),
    ),
    (
        "<cpu mode='host-passthrough'><numa><cell id='0' cpus='0-3' memory='4' unit='GiB'/></numa></cpu>",
        MIGRATABLE,
        MIGRATABLE,
    ),
    (
        "<cpu mode='host-passthrough'><numa><cell id='0' memory='4'/><cell id='1' memory='4'/></numa></cpu>",
        Err("<numa> in <cpu>: nvmm's guests have one NUMA node"),
        Err("<numa> in <cpu>: nvmm's guests have one NUMA node"),
    ),
    ("<cpu mode='host-model' check='partial'/>", CASCADE_LAKE, MILAN),
    ("<cpu mode='host-model' check='full'><model fallback='allow'/></cpu>", CASCADE_LAKE, MILAN),
    (
        "<cpu mode='host-model' check='partial'><feature policy='disable' name='vmx'/></cpu>",
        CASCADE_LAKE,
        MILAN,
    ),
    ("<cpu mode='host-model'><model fallback='allow' vendor_id='GenuineIntel'/></cpu>", CASCADE_LAKE, MILAN),
    // From OpenStack, oVirt and Proxmox.
    (
        "<cpu match='exact' mode='host-model'><topology sockets='2' cores='1' threads='1'/></cpu>",
        CASCADE_LAKE,
        MILAN,
    ),
    (
        "<cpu mode='custom' match='exact'><model fallback='allow'>Cascadelake-Server-noTSX</model><topology sockets='4' cores='1' \
         threads='1'/><feature policy='require' name='vmx'/><feature policy='require' name='md-clear'/></cpu>",
        Ok(("Cascadelake-Server-noTSX,+vmx", 0)),
        NO_AVX512,
    ),
    (
        "<cpu mode='custom' match='exact' check='none'><model fallback='forbid'>qemu64</model></cpu>",
        Ok(("qemu64", 0)),
        Ok(("qemu64", 0)),
    ),
    (
        "<cpu mode='custom' match='exact'><model fallback='allow'>SandyBridge</model><vendor>Intel</vendor>\
         <feature policy='require' name='vmx'/><feature policy='require' name='osxsave'/><feature policy='require' name='pcid'/></cpu>",
        Ok(("SandyBridge,+vmx,+pcid", 0)),
        Err("this host's processor is not made by Intel"),
    ),
    // The result of a check for a feature that the host lacks.
    ("<cpu mode='custom' match='exact'><model>Haswell</model></cpu>", NO_TSX, NO_TSX),
    (
        "<cpu mode='custom' match='exact' check='partial'><model fallback='allow'>Haswell</model></cpu>",
        NO_TSX,
        NO_TSX,
    ),
    (
        "<cpu mode='custom' match='exact' check='full'><model fallback='allow'>Haswell</model></cpu>",
        NO_TSX,
        NO_TSX,
    ),
    (
        "<cpu mode='custom' match='exact' check='none'><model fallback='forbid'>Haswell</model></cpu>",
        Ok(("Haswell,-hle,-rtm", 2)),
        Ok(("Haswell,-hle,-rtm", 2)),
    ),
    // Policies and matches.
    (
        "<cpu mode='custom' match='exact'><model>Cascadelake-Server-noTSX</model><feature policy='force' name='sha-ni'/>\
         <feature policy='optional' name='avx512-bf16'/><feature policy='require' name='pcid'/><feature policy='disable' name='mpx'/></cpu>",
        Ok(("Cascadelake-Server-noTSX,+sha-ni", 0)),
        NO_AVX512,
    ),
    (
        "<cpu mode='custom' match='exact'><model>Cascadelake-Server-noTSX</model><feature policy='forbid' name='vmx'/></cpu>",
        Err("this host has what is forbidden: vmx"),
        NO_AVX512,
    ),
    (
        "<cpu match='strict'><model>Cascadelake-Server-noTSX</model></cpu>",
        Err("this host has more than what is described: vmx, "),
        NO_AVX512,
    ),
    ("<cpu match='minimum'><model>Nehalem</model></cpu>", CASCADE_LAKE, MILAN),
    (
        "<cpu match='exact'><model>EPYC</model><vendor>AMD</vendor></cpu>",
        Err("this host's processor is not made by AMD"),
        Ok(("EPYC", 0)),
    ),
];

#[test]
fn elements_of_strangers_become_what_libvirt_makes_of_them() {
    let cascade_lake =
        serde_json::from_str(include_str!("../../../resources/hosts/cascade-lake.json")).unwrap();
    let milan = serde_json::from_str(include_str!("../../../resources/hosts/milan.json")).unwrap();
    for (text, on_cascade_lake, on_milan) in CASES {
        for (host, expected) in [(&cascade_lake, on_cascade_lake), (&milan, on_milan)] {
            let cpu = parse(text).map_err(|error| error.to_string()).and_then(|element| {
                let topology =
                    element.topology.unwrap_or_default().topology().unwrap_or(Topology::flat(1).unwrap());
                CpuProfile::resolve(host, &element.spec, &topology).map_err(|error| error.to_string())
            });
            match (cpu, expected) {
                (Ok(profile), Ok((begins, warnings))) => {
                    let canonical = profile.canonical().to_string();
                    assert!(canonical.starts_with(begins), "{text}: {canonical}, and not {begins}");
                    assert_eq!(profile.unmet().len(), warnings, "{text}: {:?}", profile.unmet());
                }
                (Err(error), Err(says)) => assert!(error.contains(says), "{text}: {error}, and not {says}"),
                (got, expected) => {
                    panic!("{text}: {:?}, and not {expected:?}", got.map(|cpu| cpu.canonical().to_string()))
                }
            }
        }
    }
}
