//! `--cpu file:cpu.xml`: libvirt's `<cpu>` element, alone or inside a whole `<domain>`.
//!
//! libvirt, "Domain XML format", "CPU model and topology". Anything in the element that nvmm does not support is an error that names it:
//! nothing is ignored silently. The element means the same as with libvirt's QEMU driver on KVM:
//!
//! - without a `<model>`, or a mode that implies one, the CPU is `qemu64`, without a check;
//! - `check='none'` starts on any host and leaves it to QEMU to warn: no feature, vendor or match is required. `partial`, the default of
//!   all but the host's own CPU, refuses a host that lacks a feature of the model or of the list; `full` refuses any difference from the
//!   description that is found after KVM has made the vCPUs;
//! - `fallback` is for models that the hypervisor does not know. nvmm knows all of libvirt's except four, and has no replacement for these:
//!   an unknown name is an error in any case;
//! - `match='minimum'` is the host's model, if it has all of the model's features;
//! - the host's own CPU is migratable unless there is `migratable='off'`;
//! - features that QEMU never had are ignored: `DROPPED`.

mod domain;
mod element;
mod error;

use arch::cpu::{
    address_width::{MAX_PHYSICAL_BITS, MIN_PHYSICAL_BITS},
    feature::FeatureId,
    identity::{Identity, MakerName},
    model,
    spec::{CacheMode, CpuSpec, Match, Model, PhysicalBits, Policy, Setting, SpecError, Want},
    vendor::Vendor,
};
use domain::Domain;
use element::Element;
pub use error::{Problem, XmlError};
use roxmltree::Document;

use crate::smp::Smp;

/// The CPU that a `<cpu>` element asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CpuElement {
    /// The CPU.
    pub spec: CpuSpec,
    /// `<topology>`, if there is one. It does not include the number of vCPUs.
    pub topology: Option<Smp>,
    /// Other settings of the domain that the guest does not get, as warnings.
    pub ignored: Vec<XmlError>,
}

/// `check`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Check {
    None,
    Partial,
    Full,
}

/// `mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Custom,
    HostModel,
    /// The same as `maximum`: with KVM there is no difference.
    HostPassthrough,
}

/// The elements that `<cpu>` may contain.
const CHILDREN: [&str; 6] = ["model", "vendor", "topology", "feature", "cache", "maxphysaddr"];
/// Names of modes, which are not models.
const MODES: [&str; 5] = ["host-passthrough", "host-model", "maximum", "host", "max"];
/// Features that libvirt knows but never passes to QEMU: the guest sets them, or KVM does not support them.
const DROPPED: [&str; 6] = ["osxsave", "ospke", "cmt", "cqm", "mbm_total", "mbm_local"];
/// The default CPU of QEMU's machines.
const DEFAULT: &str = "qemu64";

/// Reads a `<cpu>` element, or that of a `<domain>`.
///
/// # Errors
///
/// The text is not XML, has no such element, or asks for something that libvirt or nvmm does not support. The error gives the place.
pub fn parse(text: &str) -> Result<CpuElement, XmlError> {
    let document = Document::parse(text).map_err(|error| XmlError::malformed(&error))?;
    let root = Element::root(&document);
    let (cpu, domain) = match root.name() {
        "cpu" => (Some(root), Domain::default()),
        "domain" => (root.child("cpu")?, domain::read(root)?),
        other => return Err(root.wrong(Problem::Root(other.to_owned()))),
    };
    let default = || CpuSpec { model: default_model(), ..CpuSpec::default() };
    let (mut spec, topology) = cpu.map_or_else(|| Ok((default(), None)), read)?;
    spec.settings.extend(domain.settings);
    (spec.hide_kvm, spec.pmu, spec.tsc_khz) = (domain.hide_kvm, domain.pmu, domain.tsc_khz);
    Ok(CpuElement { spec, topology, ignored: domain.ignored })
}

fn default_model() -> Model {
    model::find(DEFAULT).map(Model::Named).unwrap_or_default()
}

fn read(cpu: Element<'_>) -> Result<(CpuSpec, Option<Smp>), XmlError> {
    cpu.allow(&["mode", "match", "check", "migratable"])?;
    cpu.no_text()?;
    for child in cpu.children() {
        match child.name() {
            // One cell is the same as no NUMA.
            "numa" if child.children().filter(|cell| cell.name() == "cell").count() < 2 => {}
            "numa" => return Err(child.refuse("nvmm's guests have one NUMA node; take the element out")),
            name if CHILDREN.contains(&name) && !child.is_foreign() => {}
            _ => return Err(child.refuse("nvmm knows no such element; take it out")),
        }
    }
    let modes = [
        ("custom", Mode::Custom),
        ("host-model", Mode::HostModel),
        ("host-passthrough", Mode::HostPassthrough),
        ("maximum", Mode::HostPassthrough),
    ];
    let mode = cpu.choice("mode", &modes)?.unwrap_or(Mode::Custom);
    let (named, maker) = cpu.child("model")?.map_or(Ok((None, None)), |element| read_model(element, mode))?;
    let chosen = match mode {
        Mode::Custom => named.map(Model::Named),
        Mode::HostModel => Some(Model::HostModel),
        Mode::HostPassthrough => Some(Model::HostPassthrough),
    };
    let model = chosen.unwrap_or_else(default_model);
    let check = read_check(cpu, chosen)?;
    let matching = read_match(cpu, chosen)?;
    let vendor = cpu.child("vendor")?.map(read_vendor).transpose()?;
    let mut settings = read_features(cpu, chosen)?;
    if check == Check::None {
        for setting in &mut settings {
            setting.want = match setting.want {
                Want::Require => Want::On,
                Want::Forbid => Want::Off,
                want => want,
            };
        }
    }
    let spec = CpuSpec {
        model,
        settings,
        policy: match check {
            Check::None => Policy::Check,
            Check::Partial => Policy::Partial,
            Check::Full => Policy::Full,
        },
        migratable: read_migratable(cpu, mode)?,
        caches: cpu.child("cache")?.map_or(Ok(CacheMode::Model), |element| read_cache(element, model))?,
        physical_bits: cpu.child("maxphysaddr")?.map_or(Ok(PhysicalBits::Model), read_physical_bits)?,
        vendor: vendor.filter(|_| check != Check::None),
        matching: if check == Check::None && matching == Match::Strict { Match::Exact } else { matching },
        identity: Identity { vendor: maker, ..Identity::default() },
        ..CpuSpec::default()
    };
    Ok((spec, cpu.child("topology")?.map(read_topology).transpose()?))
}

/// `<model fallback='' vendor_id=''>NAME</model>`: the model, and the maker that the guest sees.
fn read_model(
    element: Element<'_>,
    mode: Mode,
) -> Result<(Option<&'static model::NamedModel>, Option<MakerName>), XmlError> {
    element.allow(&["fallback", "vendor_id"])?;
    let maker = element.value("vendor_id").map(|name| {
        let name = MakerName::new(name).filter(|_| !name.contains(','));
        let why = "give 12 letters without a comma, such as GenuineIntel or AuthenticAMD";
        name.ok_or_else(|| element.refuse_attribute("vendor_id", why))
    });
    let maker = maker.transpose()?;
    element.choice("fallback", &[("allow", ()), ("forbid", ())])?;
    let name = element.text()?;
    let name = name.trim();
    if name.is_empty() {
        return Ok((None, maker));
    }
    if mode != Mode::Custom {
        return Err(element
            .refuse_text(name, "the mode says what the CPU is; take the name out, or give mode='custom'"));
    }
    if MODES.contains(&name) {
        return Err(element.refuse_text(
            name,
            "that is a mode; give <cpu mode='host-passthrough'/> or <cpu mode='host-model'/>",
        ));
    }
    let unknown = || SpecError::Model { given: name.to_owned(), nearest: model::suggest(name) };
    let named = model::find(name).ok_or_else(|| element.wrong(Problem::Name(unknown())))?;
    Ok((Some(named), maker))
}

/// `migratable`. A host's CPU is migratable by default.
fn read_migratable(cpu: Element<'_>, mode: Mode) -> Result<bool, XmlError> {
    let migratable = cpu.choice("migratable", &[("on", true), ("off", false)])?;
    if migratable.is_some() && mode != Mode::HostPassthrough {
        return Err(cpu
            .refuse_attribute("migratable", "only modes host-passthrough and maximum have it; take it out"));
    }
    Ok(migratable.unwrap_or(mode == Mode::HostPassthrough))
}

/// All `<feature policy='' name=''/>`, in their order.
fn read_features(cpu: Element<'_>, chosen: Option<Model>) -> Result<Vec<Setting>, XmlError> {
    let mut settings: Vec<Setting> = Vec::new();
    for element in cpu.children().filter(|child| child.name() == "feature") {
        if chosen.is_none() {
            return Err(element.refuse("there is no <model> that it would change; give one, or a mode"));
        }
        let Some(setting) = read_feature(element)? else { continue };
        if settings.iter().any(|before| before.feature == setting.feature) {
            return Err(element.refuse_attribute("name", "the feature stands here twice; keep one"));
        }
        settings.push(setting);
    }
    Ok(settings)
}

/// A `<feature>`; none if libvirt ignores it.
fn read_feature(element: Element<'_>) -> Result<Option<Setting>, XmlError> {
    element.allow(&["policy", "name"])?;
    element.empty()?;
    let policies = [
        ("force", Want::Force),
        ("require", Want::Require),
        ("optional", Want::Optional),
        ("disable", Want::Off),
        ("forbid", Want::Forbid),
    ];
    let want = element.choice("policy", &policies)?.unwrap_or(Want::Require);
    let name = element.required("name", element.value("name"))?;
    if DROPPED.contains(&name) {
        return Ok(None);
    }
    let unknown = || SpecError::Feature { given: name.to_owned(), nearest: FeatureId::suggest(name) };
    let feature =
        FeatureId::find(name).ok_or_else(|| element.wrong_attribute("name", Problem::Name(unknown())))?;
    Ok(Some(Setting { feature, want }))
}

/// `check`. The host's own CPU and the default one are not checked.
fn read_check(cpu: Element<'_>, chosen: Option<Model>) -> Result<Check, XmlError> {
    let checks = [("none", Check::None), ("partial", Check::Partial), ("full", Check::Full)];
    let default = match chosen {
        None | Some(Model::HostPassthrough) => Check::None,
        Some(Model::HostModel | Model::Named(_)) => Check::Partial,
    };
    Ok(cpu.choice("check", &checks)?.unwrap_or(default))
}

/// `match`.
fn read_match(cpu: Element<'_>, chosen: Option<Model>) -> Result<Match, XmlError> {
    let matches = [("exact", Match::Exact), ("minimum", Match::Minimum), ("strict", Match::Strict)];
    let matching = cpu.choice("match", &matches)?.unwrap_or_default();
    if matching != Match::Exact && !matches!(chosen, Some(Model::Named(_))) {
        return Err(cpu.refuse_attribute("match", "only a CPU with a <model> can be matched so; take it out"));
    }
    Ok(matching)
}

/// `<vendor>`.
fn read_vendor(element: Element<'_>) -> Result<Vendor, XmlError> {
    element.allow(&[])?;
    match element.text()?.trim() {
        "Intel" => Ok(Vendor::Intel),
        "AMD" => Ok(Vendor::Amd),
        "Hygon" => Ok(Vendor::Hygon),
        "Zhaoxin CentaurHauls" | "Zhaoxin Shanghai" => Ok(Vendor::Zhaoxin),
        other => {
            Err(element
                .refuse_text(other, "give Intel, AMD, Hygon, Zhaoxin CentaurHauls or Zhaoxin Shanghai"))
        }
    }
}

/// `<topology sockets='' dies='' clusters='' cores='' threads=''/>`.
fn read_topology(element: Element<'_>) -> Result<Smp, XmlError> {
    element.allow(&["sockets", "dies", "clusters", "cores", "threads"])?;
    element.empty()?;
    if element.number("clusters", 1)?.is_some_and(|clusters| clusters != 1) {
        return Err(element.refuse_attribute("clusters", "an x86 die has no clusters; take it out"));
    }
    let needed = |name| element.required(name, element.number(name, 1)?);
    Ok(Smp {
        sockets: Some(needed("sockets")?),
        dies: Some(element.number("dies", 1)?.unwrap_or(1)),
        cores: Some(needed("cores")?),
        threads: Some(needed("threads")?),
        ..Smp::default()
    })
}

/// `<cache level='' mode=''/>`. A named model has all of its caches: `emulate`, which libvirt only allows for level 3, changes nothing. The
/// host's CPU gets QEMU's caches.
fn read_cache(element: Element<'_>, model: Model) -> Result<CacheMode, XmlError> {
    element.allow(&["level", "mode"])?;
    element.empty()?;
    let modes = [
        ("emulate", CacheMode::Model),
        ("passthrough", CacheMode::Passthrough),
        ("disable", CacheMode::Disable),
    ];
    let mode = element.required("mode", element.choice("mode", &modes)?)?;
    let level = element.choice("level", &[("1", 1), ("2", 2), ("3", 3)])?;
    match (mode, level) {
        (CacheMode::Model, None | Some(3)) if model == Model::HostPassthrough => Ok(CacheMode::Emulate),
        (CacheMode::Model, None | Some(3)) | (_, None) => Ok(mode),
        (CacheMode::Model, Some(_)) => {
            Err(element.refuse_attribute("level", "with mode='emulate', give level='3' or none"))
        }
        (_, Some(_)) => Err(element
            .refuse_attribute("level", "that mode is about all the caches at once; take the level out")),
    }
}

/// `<maxphysaddr mode='' bits='' limit=''/>`.
fn read_physical_bits(element: Element<'_>) -> Result<PhysicalBits, XmlError> {
    element.allow(&["mode", "bits", "limit"])?;
    element.empty()?;
    let modes = [("passthrough", true), ("emulate", false)];
    let passthrough = element.required("mode", element.choice("mode", &modes)?)?;
    let bits = element.number("bits", 0)?;
    let limit = element.number("limit", 0)?;
    match (passthrough, bits, limit) {
        (true, Some(_), _) => {
            Err(element.refuse_attribute("bits", "only mode='emulate' has it; take it out"))
        }
        (false, _, Some(_)) => {
            Err(element.refuse_attribute("limit", "only mode='passthrough' has it; take it out"))
        }
        (true, None, None) => Ok(PhysicalBits::Host),
        (true, None, Some(limit)) if limit >= MIN_PHYSICAL_BITS => {
            Ok(PhysicalBits::HostUpTo(limit.min(MAX_PHYSICAL_BITS)))
        }
        (true, None, Some(_)) => {
            Err(element
                .refuse_attribute("limit", format!("give {MIN_PHYSICAL_BITS} or more, or take it out")))
        }
        (false, None, None) => Ok(PhysicalBits::Model),
        (false, Some(bits), None) if (MIN_PHYSICAL_BITS..=MAX_PHYSICAL_BITS).contains(&bits) => {
            Ok(PhysicalBits::Fixed(bits))
        }
        (false, Some(_), None) => {
            let why = format!("give a number from {MIN_PHYSICAL_BITS} to {MAX_PHYSICAL_BITS}");
            Err(element.refuse_attribute("bits", why))
        }
    }
}

#[cfg(test)]
#[path = "libvirt/cases_test.rs"]
mod cases;
#[cfg(test)]
#[path = "libvirt/names_test.rs"]
mod names;
#[cfg(test)]
#[path = "libvirt_test.rs"]
mod tests;
