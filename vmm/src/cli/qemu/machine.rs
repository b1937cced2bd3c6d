//! The machine: `-machine`, `-accel`, memory, and the actions at its end.

use super::{
    drive,
    given::Given,
    keys::joined,
    translator::{Kind, Translator},
};

/// Properties of `-machine` that nvmm fulfils in any case, or that no guest misses here.
const IDLE: [(&str, &[&str]); 26] = [
    ("acpi", &[]),
    ("default-bus-bypass-iommu", &[]),
    ("dump-guest-core", &[]),
    ("fd-bootchk", &[]),
    ("graphics", &[]),
    ("hmat", &["off"]),
    ("hpet", &[]),
    ("i8042", &[]),
    ("igd-passthru", &["off"]),
    ("kernel-irqchip", &["on", "split"]),
    ("kernel_irqchip", &["on", "split"]),
    ("max-ram-below-4g", &[]),
    ("mem-merge", &[]),
    ("nvdimm", &["off"]),
    ("pcie", &[]),
    ("pit", &["on"]),
    ("rtc", &["on", "auto"]),
    ("sata", &[]),
    ("smbus", &[]),
    ("smm", &["off", "auto"]),
    ("suppress-vmdesc", &[]),
    ("usb", &[]),
    ("vmport", &["off", "auto"]),
    ("memory-encryption", &[""]),
    ("pic", &["on", "auto"]),
    ("x-oem-id", &[]),
];

const NO_TCG: &str = "nvmm runs guests on KVM alone; nvmm check says why there is none, and how to get it";

/// `-machine` and `-M`.
pub(super) fn machine(translator: &mut Translator, given: &Given) -> Result<(), String> {
    let mut keys = given.keys("type")?;
    let kind = keys.take("type");
    if let Some(kind) = &kind {
        let known = ["q35", "pc"].contains(&kind.as_str())
            || ["pc-q35-", "pc-i440fx-", "pc-"].iter().any(|start| kind.starts_with(start));
        if !known {
            return Err(format!(
                "{kind}: nvmm's machine is a PC with PCI Express, such as q35; say q35, or leave it out"
            ));
        }
    }
    if let Some(accel) = keys.take("accel")
        && !accel.split(':').any(|accel| accel == "kvm")
    {
        return Err(format!("accel={accel}: {NO_TCG}"));
    }
    for unit in [0, 1] {
        if let Some(node) = keys.take(&format!("pflash{unit}")) {
            drive::flash_node(translator, given, unit, &node)?;
        }
    }
    if let Some(backend) = keys.take("memory-backend") {
        memory_backend(translator, given, &backend)?;
    }
    let idle = keys.take_idle(&IDLE);
    if keys.get("smm") == Some("on") {
        return Err("smm=on: nvmm has no System Management Mode; take a build of UEFI without it, as --firmware uefi does".to_owned());
    }
    keys.end()?;
    let more = if idle.is_empty() { String::new() } else { format!(" ({} changes nothing)", idle.join(",")) };
    translator.idle(given, &format!("nvmm has one machine, always on KVM, and it is like q35{more}"));
    Ok(())
}

/// `-accel`.
pub(super) fn accel(translator: &mut Translator, given: &Given) -> Result<(), String> {
    let mut keys = given.keys("accel")?;
    let kind = keys.take("accel").unwrap_or_default();
    if !kind.split(':').any(|accel| accel == "kvm") {
        if translator.kvm {
            translator.idle(given, "nvmm always runs its guests on KVM");
            return Ok(());
        }
        return Err(NO_TCG.to_owned());
    }
    translator.kvm = true;
    let idle = [
        ("kernel-irqchip", &["on", "split"][..]),
        ("kvm-shadow-mem", &[]),
        ("dirty-ring-size", &[]),
        ("notify-vmexit", &[]),
        ("notify-window", &[]),
        ("honor-guest-pat", &[]),
        ("thread", &[]),
    ];
    let idle = keys.take_idle(&idle);
    keys.end()?;
    translator.idle_keys(given, &idle);
    translator.idle(given, "nvmm always runs its guests on KVM");
    Ok(())
}

/// `-m`.
pub(super) fn memory(translator: &mut Translator, given: &Given) -> Result<(), String> {
    let keys = given.keys("size")?;
    if let Some(key) = ["slots", "maxmem"].into_iter().find(|key| keys.get(key).is_some()) {
        return Err(format!("{key}=: nvmm can't add memory later; leave it out"));
    }
    translator.memory.sizes.push((given.clone(), keys));
    Ok(())
}

/// `-mem-path`.
pub(super) fn mem_path(translator: &mut Translator, given: &Given) -> Result<(), String> {
    if !given.whole().contains("huge") {
        return Err("nvmm's memory is in no file; of the host's huge pages it is with --memory size=SIZE,hugepages=on".to_owned());
    }
    translator.memory.hugepages.get_or_insert_with(|| given.clone());
    Ok(())
}

/// `-mem-prealloc`.
pub(super) fn mem_prealloc(translator: &mut Translator, given: &Given) -> Result<(), String> {
    translator.memory.prefault.get_or_insert_with(|| given.clone());
    Ok(())
}

/// `-numa`.
pub(super) fn numa(translator: &mut Translator, given: &Given) -> Result<(), String> {
    let mut keys = given.keys("type")?;
    if keys.take("type").as_deref() != Some("node") || translator.memory.nodes > 0 {
        return Err("nvmm has one NUMA node; leave it out".to_owned());
    }
    translator.memory.nodes += 1;
    if let Some(backend) = keys.take("memdev") {
        memory_backend(translator, given, &backend)?;
    }
    let idle = keys.take_idle(&[("nodeid", &[]), ("cpus", &[]), ("mem", &[])]);
    keys.end()?;
    translator.idle_keys(given, &idle);
    translator.idle(given, "one node is what nvmm has in any case");
    Ok(())
}

/// `-object`, for a kind that another option refers to.
pub(super) fn object(translator: &mut Translator, given: &Given) -> Result<(), String> {
    translator.define(Kind::Object, given, given.keys("qom-type")?)
}

/// An `-object memory-backend-...` that provides guest memory.
fn memory_backend(translator: &mut Translator, given: &Given, id: &str) -> Result<(), String> {
    let part = translator.refer(Kind::Object, id)?;
    let mut keys = part.keys;
    let kind = keys.take("qom-type").unwrap_or_default();
    let in_part =
        |why: String| if part.given.at == given.at { why } else { format!("{}: {why}", part.given) };
    match kind.as_str() {
        "memory-backend-ram" | "memory-backend-memfd" => {}
        "memory-backend-file" if keys.get("mem-path").is_some_and(|path| path.contains("huge")) => {
            translator.memory.hugepages.get_or_insert_with(|| part.given.clone());
        }
        "memory-backend-file" => {
            return Err(in_part(
                "nvmm's memory is in no file; take memory-backend-memfd, or --memory size=SIZE,hugepages=on"
                    .to_owned(),
            ));
        }
        _ => return Err(in_part("it is no memory".to_owned())),
    }
    if keys.switch(&["hugetlb"]).map_err(in_part)? == Some(true) {
        translator.memory.hugepages.get_or_insert_with(|| part.given.clone());
    }
    if keys.switch(&["prealloc"]).map_err(in_part)? == Some(true) {
        translator.memory.prefault.get_or_insert_with(|| part.given.clone());
    }
    let idle = [
        ("size", &[][..]),
        ("mem-path", &[]),
        ("share", &[]),
        ("merge", &[]),
        ("dump", &[]),
        ("seal", &[]),
        ("hugetlbsize", &["2M", "2097152"]),
        ("prealloc-threads", &[]),
        ("x-use-canonical-path-for-ramblock-id", &[]),
        ("discard-data", &[]),
    ];
    keys.take_idle(&idle);
    keys.end().map_err(in_part)
}

/// Adds `--memory`, which combines all options about memory.
pub(super) fn finish(translator: &mut Translator) {
    let memory = std::mem::take(&mut translator.memory);
    let more: Vec<_> = [
        memory.hugepages.as_ref().map(|given| (given, "hugepages=on")),
        memory.prefault.as_ref().map(|given| (given, "prefault=on")),
    ]
    .into_iter()
    .flatten()
    .collect();
    let words = || more.iter().map(|(_, word)| (*word).to_owned());
    let mut sizes = memory.sizes;
    if sizes.is_empty()
        && let Some((first, _)) = more.first()
    {
        let size = Given { at: first.at, name: "m", value: "size=512M".into() };
        sizes.extend(size.keys("size").map(|keys| (size, keys)));
    }
    for (given, mut keys) in sizes {
        let size = keys.take("size").unwrap_or_else(|| "512M".to_owned());
        let mut parts: Vec<_> =
            keys.rest().map(|(key, value)| format!("{key}={value}")).chain(words()).collect();
        parts.insert(0, if parts.is_empty() { size } else { format!("size={size}") });
        translator.emit(&given, "--memory", Some(joined(parts.iter().map(String::as_str))));
    }
}

/// The message for users who want local time in the clock.
pub(super) const IN_UTC: &str =
    "the guest's clock shows the host's time in UTC; set its time zone in the guest";

/// `-rtc`.
pub(super) fn rtc(translator: &mut Translator, given: &Given) -> Result<(), String> {
    let mut keys = given.keys("")?;
    match keys.take("base").as_deref() {
        None | Some("utc") => {}
        Some("localtime") => translator.missing(given, IN_UTC),
        Some(base) => {
            return Err(format!(
                "base={base}: nvmm's real-time clock has the host's time in UTC; leave it out"
            ));
        }
    }
    let idle = keys.take_idle(&[("clock", &["host"]), ("driftfix", &[])]);
    keys.end()?;
    translator.idle_keys(given, &idle);
    Ok(())
}

/// `-name`, which is also an option of nvmm.
pub(super) fn name(translator: &mut Translator, given: &Given) -> Result<(), String> {
    let mut keys = given.keys("guest")?;
    let name = keys.take("guest");
    let idle = keys.take_idle(&[("process", &[]), ("debug-threads", &[])]);
    keys.end()?;
    translator.idle_keys(given, &idle);
    if let Some(name) = name {
        translator.emit(given, "--name", Some(joined([name.as_str()])));
    }
    Ok(())
}

/// `-action`.
pub(super) fn action(translator: &mut Translator, given: &Given) -> Result<(), String> {
    let mut keys = given.keys("")?;
    match keys.take("reboot").as_deref() {
        None | Some("reset") => {}
        Some("shutdown") => translator.emit(given, "--on-reboot", Some("exit".into())),
        Some(other) => return Err(format!("reboot={other}: give reset or shutdown")),
    }
    match keys.take("shutdown").as_deref() {
        None | Some("poweroff") => {}
        Some(_) => return Err("shutdown=pause: nvmm ends when the guest powers off; leave it out".to_owned()),
    }
    match keys.take("panic").as_deref() {
        None => {}
        Some("pause") => translator.panic_action = Some("pause"),
        Some("shutdown" | "exit-failure") => translator.panic_action = Some("exit"),
        Some(other) => {
            return Err(format!("panic={other}: leave -device pvpanic out, and nothing hears of it"));
        }
    }
    let idle = keys.take_idle(&[("watchdog", &[])]);
    keys.end()?;
    translator.idle_keys(given, &idle);
    Ok(())
}
