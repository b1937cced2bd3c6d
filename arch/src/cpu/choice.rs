//! The choice of the guest's features: those of the base, the user's, their consequences, and the host's limits.

use std::collections::BTreeMap;

pub use super::unmet::{Reason, Unmet};
use super::{
    CpuError,
    feature::{FeatureId, FeatureSet, Place},
    host_model::{left_out, nearest},
    hypervisor, leaves,
    model::NamedModel,
    offer::Offer,
    patch::Why,
    pmu,
    sets::{KVM_BRINGS, KVM_LACKS, NOT_MIGRATABLE, SVM, SVM_PARTS, TOPOLOGICAL, VMX, VMX_PARTS},
    spec::{CpuSpec, Match, Model, Nested, Policy, Setting, Want},
};

/// The function that guests with `topoext` read.
const TOPOLOGY_EXTENSIONS: u32 = 0x8000_001e;

/// The features of a guest.
#[derive(Clone, Debug)]
pub(super) struct Choice {
    /// The model that the rest of the CPU is taken from; none if that is the host's own.
    pub(super) model: Option<&'static NamedModel>,
    /// The features that the guest gets.
    pub(super) granted: FeatureSet,
    /// The features that were asked for and that the guest doesn't get.
    pub(super) unmet: Vec<Unmet>,
    /// The features that words such as `pmu=off` hide, each set with its word. No setting brings them back.
    hidden: Vec<(&'static str, FeatureSet)>,
    whys: BTreeMap<FeatureId, Why>,
}

impl Choice {
    /// Decides on every feature.
    pub(super) fn new(offer: &Offer, spec: &CpuSpec) -> Result<Self, CpuError> {
        if let Some(vendor) = spec.vendor
            && vendor != offer.vendor
        {
            return Err(CpuError::Vendor(vendor));
        }
        let settings = settings(offer, spec);
        let model = match spec.model {
            Model::HostPassthrough => None,
            Model::HostModel => Some(nearest(offer)?),
            Model::Named(_) if spec.matching == Match::Minimum => Some(nearest(offer)?),
            Model::Named(model) => Some(model),
        };
        let mut choice = Self {
            model,
            granted: FeatureSet::default(),
            unmet: Vec::new(),
            hidden: hidden(spec, model.is_some()),
            whys: BTreeMap::new(),
        };
        let minimum = spec.matching == Match::Minimum;
        match (spec.model, model) {
            (Model::Named(_), Some(model)) if !minimum => {
                choice.want_model(model, base(offer, Some(model), last(&settings)));
            }
            (_, model) => choice.want_host(offer, model, spec.migratable),
        }
        if let (Model::Named(least), true) = (spec.model, minimum) {
            let lacking = base(offer, Some(least), last(&settings)) - offer.features - offer.emulated;
            choice.want(lacking, Why::Model(&least.name));
        }
        choice.apply(offer, &settings)?;
        choice.judge(offer, spec, &settings)?;
        Ok(choice)
    }

    /// Returns who decided whether the guest has a feature.
    pub(super) fn why(&self, id: FeatureId) -> Why {
        let absent = self.model.map_or(Why::Host, |model| Why::Model(&model.name));
        self.whys.get(&id).copied().unwrap_or(absent)
    }

    /// The shortest settings that make this choice again from the same model, or the host.
    pub(super) fn settings(&self, offer: &Offer) -> Vec<Setting> {
        let nested =
            [*VMX, *SVM].into_iter().fold(FeatureSet::default(), |set, bit| set | (bit & self.granted));
        let base = base(offer, self.model, nested) - self.hidden();
        // Don't name features that go only because another one went.
        let missing = (base - self.granted).iter().filter(|id| self.violated(offer, *id).is_none());
        changes(self.granted - base, missing.collect(), self.granted)
    }

    /// All features that words hide.
    fn hidden(&self) -> FeatureSet {
        self.hidden.iter().fold(FeatureSet::default(), |all, (_, hidden)| all | *hidden)
    }

    fn want(&mut self, features: FeatureSet, why: Why) {
        self.granted = self.granted | features;
        self.whys.extend(features.iter().map(|id| (id, why)));
    }

    /// Wants all features of the host, described by a model or passed through.
    fn want_host(&mut self, offer: &Offer, model: Option<&'static NamedModel>, migratable: bool) {
        if let Some(model) = model {
            self.want_model(model, base(offer, Some(model), offer.features) & offer.features);
        }
        self.want(offer.features - self.granted, Why::Host);
        let left_out = left_out(offer).map(|(features, reason)| (features, Why::Restrict(reason)));
        let unmigratable = [(*NOT_MIGRATABLE, Why::Word("migratable=on"))];
        let gone = match (model, migratable) {
            (Some(_), _) => &left_out[..],
            (None, true) => &unmigratable[..],
            (None, false) => &[],
        };
        for &(features, why) in gone {
            (features & self.granted).iter().for_each(|id| self.drop(id, why));
        }
    }

    fn want_model(&mut self, model: &'static NamedModel, base: FeatureSet) {
        self.want(base & model.features, Why::Model(&model.name));
        self.want(base - model.features, Why::Host);
        self.want(*KVM_BRINGS & base, Why::Hypervisor);
    }

    fn drop(&mut self, id: FeatureId, why: Why) {
        self.granted.remove(id);
        self.whys.insert(id, why);
    }

    /// Applies the user's settings, and takes away features that no longer have what they need.
    fn apply(&mut self, offer: &Offer, settings: &[Setting]) -> Result<(), CpuError> {
        for &Setting { feature, want } in settings {
            match want {
                Want::On | Want::Force | Want::Require | Want::Optional => {
                    self.granted.insert(feature);
                    self.whys.insert(feature, Why::Feature);
                }
                Want::Off | Want::Forbid => self.drop(feature, Why::Feature),
            }
        }
        let forbidden: Vec<_> = asked(settings, |want| want == Want::Forbid).collect();
        let present: Vec<_> = forbidden.into_iter().filter(|id| offer.features.contains(*id)).collect();
        if !present.is_empty() {
            return Err(CpuError::Forbidden(names(present)));
        }
        for (word, hidden) in self.hidden.clone() {
            for id in (self.granted & hidden).iter() {
                self.drop(id, Why::Word(word));
            }
        }
        self.close(offer);
        Ok(())
    }

    /// Takes away what the host can't give, and ignores, reports or refuses that as the user's policy says.
    fn judge(&mut self, offer: &Offer, spec: &CpuSpec, settings: &[Setting]) -> Result<(), CpuError> {
        let explicit: FeatureSet = asked(settings, |want| matches!(want, Want::On | Want::Require)).collect();
        let forced: FeatureSet = asked(settings, |want| want == Want::Force).collect();
        let optional: FeatureSet = asked(settings, |want| want == Want::Optional).collect();
        for &(word, hidden) in &self.hidden {
            let reason = Reason::Hidden(word);
            self.unmet.extend((explicit & hidden).iter().map(|feature| Unmet { feature, reason }));
        }
        for id in (explicit - self.granted - self.hidden()).iter() {
            if let Some(need) = self.violated(offer, id) {
                self.unmet.push(Unmet { feature: id, reason: Reason::Needs(need) });
            }
        }
        let lacking = self.granted - offer.features - offer.emulated - forced;
        for id in lacking.iter() {
            self.drop(id, Why::Restrict("KVM does not offer it"));
            self.unmet.push(Unmet { feature: id, reason: Reason::Host });
        }
        // If VMX or SVM is missing, don't also warn about its parts, which nobody asked for.
        for (bit, parts) in [(*VMX, *VMX_PARTS), (*SVM, *SVM_PARTS)] {
            if !(lacking & bit).is_empty() {
                self.unmet.retain(|unmet| explicit.contains(unmet.feature) || !parts.contains(unmet.feature));
            }
        }
        let lost = self.close(offer);
        self.unmet.extend(lost);
        self.unmet.retain(|unmet| !optional.contains(unmet.feature));
        self.unmet.sort_by_key(|unmet| unmet.feature);

        if let Some(id) = (forced & (self.granted - offer.features)).iter().find(|id| !is_leaf(*id)) {
            return Err(CpuError::Force(id.name()));
        }
        let required: FeatureSet = asked(settings, |want| want == Want::Require).collect();
        let models = match spec.model {
            Model::Named(model) => model.features,
            Model::HostPassthrough | Model::HostModel => FeatureSet::default(),
        };
        let refuse = |unmet: &&Unmet| match spec.policy {
            Policy::Enforce | Policy::Full => true,
            Policy::Partial => (models | explicit | required).contains(unmet.feature),
            Policy::Ignore | Policy::Check => required.contains(unmet.feature),
        };
        let refused: Vec<_> = self.unmet.iter().filter(refuse).copied().collect();
        if !refused.is_empty() {
            return Err(match spec.policy {
                Policy::Partial | Policy::Full => CpuError::Checked(refused),
                Policy::Ignore | Policy::Check | Policy::Enforce => CpuError::Unmet(refused),
            });
        }
        if spec.policy == Policy::Ignore {
            self.unmet.clear();
        }
        if spec.matching == Match::Strict {
            let beyond = offer.features - self.granted - *hypervisor::FEATURES - self.hidden();
            if !beyond.is_empty() {
                return Err(CpuError::Strict(names(beyond.iter())));
            }
        }
        Ok(())
    }

    /// Takes away features whose needs are missing, again and again, until all needs are met.
    fn close(&mut self, offer: &Offer) -> Vec<Unmet> {
        let mut lost = Vec::new();
        loop {
            let violated: Vec<_> =
                self.granted.iter().filter_map(|id| Some((id, self.violated(offer, id)?))).collect();
            if violated.is_empty() {
                return lost;
            }
            for (id, need) in violated {
                self.drop(id, Why::Needs(need.name()));
                lost.push(Unmet { feature: id, reason: Reason::Needs(need) });
            }
        }
    }

    /// Returns a needed feature that the guest lacks. A host or a model that itself has `id` without this need may keep it so, but a
    /// model's parts of VMX always need VMX.
    fn violated(&self, offer: &Offer, id: FeatureId) -> Option<FeatureId> {
        let without =
            |features: FeatureSet, need: FeatureId| features.contains(id) && !features.contains(need);
        let model = |need| self.model.is_some_and(|model| without(model.features | *VMX, need));
        let excused = |need| without(offer.features, need) || model(need);
        id.needs().iter().copied().find(|&need| !self.granted.contains(need) && !excused(need))
    }
}

/// The settings that add and take away these features of a CPU, which then has the features in `granted`.
pub(super) fn changes(added: FeatureSet, missing: FeatureSet, granted: FeatureSet) -> Vec<Setting> {
    let set = |want| move |feature| Setting { feature, want };
    let mut settings: Vec<_> =
        added.iter().map(set(Want::On)).chain(missing.iter().map(set(Want::Off))).collect();
    // A name that stands for several features may have switched too many: switch those back.
    let switched = settings.iter().flat_map(|setting| {
        let on = setting.want == Want::On;
        let others = (setting.feature.together() - FeatureSet::from_iter([setting.feature])).iter();
        others.filter(move |id| granted.contains(*id) != on)
    });
    let back: Vec<_> = switched.collect();
    settings.extend(back.into_iter().map(|feature| {
        let want = if granted.contains(feature) { Want::On } else { Want::Off };
        Setting { feature, want }
    }));
    settings
}

/// The user's settings, together with those that `--nested` adds.
fn settings(offer: &Offer, spec: &CpuSpec) -> Vec<Setting> {
    let set = |want| move |feature| Setting { feature, want };
    let mut settings: Vec<_> = spec
        .settings
        .iter()
        .flat_map(|setting| setting.feature.together().iter().map(set(setting.want)))
        .collect();
    match spec.nested {
        Nested::Auto => {}
        Nested::Off => settings.extend((*VMX | *SVM).iter().map(set(Want::Off))),
        Nested::On => settings.extend(((*VMX | *SVM) & offer.features).iter().map(set(Want::On))),
    }
    settings.retain(|setting| !TOPOLOGICAL.contains(setting.feature));
    settings
}

/// The features that words of `spec` hide, each set with its word.
fn hidden(spec: &CpuSpec, is_model: bool) -> Vec<(&'static str, FeatureSet)> {
    let mut hidden = Vec::new();
    if spec.hide_kvm {
        hidden.push((hypervisor::OFF, *hypervisor::FEATURES));
    }
    if !pmu::wanted(spec, is_model) {
        hidden.push((pmu::OFF, *pmu::FEATURES));
    }
    if !spec.identity.ends_a_range() {
        return hidden;
    }
    let of_leaf = |id: FeatureId| match id.feature().place {
        Place::Cpuid(leaf, ..) => spec.identity.hides(leaf.function),
        Place::Msr(..) | Place::Control(..) => None,
    };
    // A feature is also hidden if the leaf that describes it further is.
    let described = leaves::WITH_FEATURES.into_iter().chain([(TOPOLOGY_EXTENSIONS, "topoext")]);
    let described: Vec<_> =
        described.filter_map(|(function, name)| Some((spec.identity.hides(function)?, name))).collect();
    for word in ["level", "xlevel"] {
        let names =
            described.iter().filter(|(of, _)| *of == word).filter_map(|(_, name)| FeatureId::find(name));
        let set: FeatureSet = FeatureId::all().filter(|id| of_leaf(*id) == Some(word)).chain(names).collect();
        if !set.is_empty() {
            hidden.push((word, set));
        }
    }
    hidden
}

/// The features that are on after all settings.
fn last(settings: &[Setting]) -> FeatureSet {
    let mut on = FeatureSet::default();
    for &Setting { feature, want } in settings {
        on.set(feature, !matches!(want, Want::Off | Want::Forbid));
    }
    on
}

/// The features whose last setting satisfies `what`.
fn asked(settings: &[Setting], what: impl Fn(Want) -> bool) -> impl Iterator<Item = FeatureId> {
    let last: BTreeMap<_, _> = settings.iter().map(|setting| (setting.feature, setting.want)).collect();
    last.into_iter().filter(move |&(_, want)| what(want)).map(|(id, _)| id)
}

/// The features of a model on KVM, or of the host. For a model that says nothing of the parts of VMX or SVM, these are the host's if
/// `nested` contains VMX or SVM.
pub(super) fn base(offer: &Offer, model: Option<&NamedModel>, nested: FeatureSet) -> FeatureSet {
    let Some(model) = model else { return offer.features };
    let mut base = (model.features - *KVM_LACKS - *TOPOLOGICAL) | *KVM_BRINGS;
    for (bit, parts) in [(*VMX, *VMX_PARTS), (*SVM, *SVM_PARTS)] {
        if !(nested & bit).is_empty() && (model.features & parts).is_empty() {
            base = base | (offer.features & parts);
        }
    }
    base
}

/// Returns whether the feature is a bit of CPUID that KVM lets a VMM show even if the host lacks it.
fn is_leaf(id: FeatureId) -> bool {
    matches!(id.feature().place, Place::Cpuid(..)) && !(*VMX | *SVM).contains(id)
}

fn names(ids: impl IntoIterator<Item = FeatureId>) -> String {
    ids.into_iter().map(FeatureId::name).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
#[path = "choice_test.rs"]
mod tests;
