//! `nvmm cpu explain`: explains a feature, and lists what has it.

use arch::cpu::{
    capabilities::Capabilities,
    feature::{FeatureId, FeatureSet, Place},
    host::HostCpu,
    model, msr,
    patch::Why,
    profile::CpuProfile,
    sets::{KVM_BRINGS, KVM_LACKS},
    spec::{CpuSpec, SpecError},
    topology::Topology,
};
use serde::Serialize;

use super::{
    UsageError, models,
    text::{Paint, block, fill},
};

/// The width in columns of the labels.
const LABEL: usize = 13;

/// A feature, with what has it.
#[derive(Debug, Serialize)]
pub(super) struct Explanation {
    name: &'static str,
    about: &'static str,
    aliases: &'static [&'static str],
    place: String,
    /// The feature is a bit in both halves of a control MSR.
    control: bool,
    citation: String,
    /// The features that it needs itself.
    needs: Vec<&'static str>,
    /// The features that these need.
    needs_further: Vec<&'static str>,
    needed_by: Vec<&'static str>,
    /// The other bits that its name also switches.
    with: &'static [&'static str],
    host: Option<Host>,
    /// The models that have it, including every version.
    models: Vec<&'static str>,
    /// The same, abbreviated.
    #[serde(skip)]
    models_in_brief: Vec<String>,
    /// A rule for models on KVM that is not in their tables.
    on_kvm: &'static str,
}

/// A host's support of the feature.
#[derive(Debug, Serialize)]
struct Host {
    brand: String,
    /// KVM offers it.
    kvm: bool,
    /// A guest with all of the host's features gets it.
    guest: bool,
    /// The step of the pipeline that decided this.
    by: Why,
}

impl Explanation {
    /// Finds a feature, and what has it.
    pub(super) fn new(given: &str, host: Option<&HostCpu>) -> anyhow::Result<Self> {
        let id = FeatureId::find(given).ok_or_else(|| {
            let nearest = FeatureId::suggest(given);
            UsageError::Spec(SpecError::Feature { given: given.to_owned(), nearest })
        })?;
        let feature = id.feature();
        let direct: FeatureSet = id.needs().iter().copied().collect();
        let has = |model: &model::NamedModel| model.features.contains(id);
        let versions = model::all().filter(|model| model.alias_of.is_none() && has(model));
        Ok(Self {
            name: feature.name,
            about: feature.about,
            aliases: feature.aliases,
            place: feature.place.to_string(),
            control: matches!(feature.place, Place::Control(..)),
            citation: feature.place.citation(),
            needs: names(direct),
            needs_further: names(needs(id) - direct),
            needed_by: names(id.dependents()),
            with: feature.with,
            host: host.map(|host| Host::new(host, id)).transpose()?,
            models: versions.map(|model| model.name.as_str()).collect(),
            models_in_brief: models::brief(has),
            on_kvm: on_kvm(id),
        })
    }

    /// The text for a terminal.
    pub(super) fn text(&self, paint: Paint) -> String {
        let mut text = format!("{}: {}\n", paint.bold(self.name), self.about);
        let mut line = |label: &str, words: Vec<String>| text += &block(label, LABEL, &fill(words, LABEL));
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let halves = if self.control { " in both halves: it may be 0, and it may be 1" } else { "" };
        line("place", words(&format!("{}{halves}", self.place)));
        line("described", words(&self.citation));
        line("aliases", owned(self.aliases));
        line("switches", owned(self.with));
        let mut needs = owned(&self.needs);
        if !self.needs_further.is_empty() {
            needs.push("(and".to_owned());
            needs.extend(owned(&self.needs_further));
            if let Some(last) = needs.last_mut() {
                last.push(')');
            }
        }
        line("needs", needs);
        line("needed by", brief(&self.needed_by));
        if let Some(host) = &self.host {
            line("host", words(&format!("{} ({})", host.verdict(), host.brand)));
        }
        line("models", self.models_in_brief.clone());
        line("", words(self.on_kvm));
        text
    }
}

impl Host {
    fn new(host: &HostCpu, id: FeatureId) -> anyhow::Result<Self> {
        let profile = CpuProfile::resolve(host, &CpuSpec::default(), &Topology::flat(1)?)?;
        let mut offered = Capabilities { cpuid: host.offered(), msrs: host.feature_msrs.clone() };
        offered.msrs.retain(|index, _| *index != msr::FEATURE_CONTROL);
        let place = id.feature().place;
        let decision =
            profile.decisions().iter().find(|decision| decision.place.to_string() == place.to_string());
        Ok(Self {
            brand: profile.brand(),
            kvm: offered.has(place),
            guest: profile.features().contains(id),
            by: decision.map_or_else(|| profile.why(id), |decision| decision.why),
        })
    }

    fn verdict(&self) -> String {
        match (self.kvm, self.guest, self.by) {
            (_, _, Why::Topology) => "as the guest's topology needs".to_owned(),
            (true, true, _) => "KVM offers it".to_owned(),
            (false, true, by) => format!("KVM does not name it, but guests get it: {by}"),
            (true, false, by) => format!("KVM offers it, but guests don't get it: {by}"),
            (false, false, _) => "KVM does not offer it".to_owned(),
        }
    }
}

/// The result for a feature in every model on KVM.
fn on_kvm(id: FeatureId) -> &'static str {
    if id.name() == "vmx" {
        "no model has it by itself: MODEL,+vmx, or --nested on"
    } else if id.name() == "svm" {
        "on KVM no model has it by itself: MODEL,+svm, or --nested on"
    } else if KVM_LACKS.contains(id) {
        "on KVM no model has it by itself: MODEL,+FEATURE"
    } else if KVM_BRINGS.contains(id) {
        "on KVM every model has it"
    } else if id.needs().iter().any(|need| need.name().starts_with("vmx")) {
        "which have it once they have vmx"
    } else {
        ""
    }
}

/// All features that a feature needs, directly or not.
fn needs(id: FeatureId) -> FeatureSet {
    let mut all = FeatureSet::default();
    let mut open = vec![id];
    while let Some(id) = open.pop() {
        for &need in id.needs() {
            if !all.contains(need) {
                all.insert(need);
                open.push(need);
            }
        }
    }
    all
}

/// Abbreviates names: all of VMX's parts become one word.
fn brief(names: &[&str]) -> Vec<String> {
    let of_vmx = |name: &&str| name.starts_with("vmx-");
    let all = FeatureId::all().filter(|id| of_vmx(&id.name())).count();
    if names.iter().filter(|name| of_vmx(name)).count() < all {
        return names.iter().map(|name| (*name).to_owned()).collect();
    }
    let others = names.iter().filter(|name| !of_vmx(name)).map(|name| (*name).to_owned());
    others.chain([format!("vmx-* (all {all})")]).collect()
}

fn names(features: FeatureSet) -> Vec<&'static str> {
    features.iter().map(FeatureId::name).collect()
}

#[cfg(test)]
#[path = "explain_test.rs"]
mod tests;
