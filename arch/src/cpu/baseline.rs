//! The best CPU that several hosts can all give, as libvirt's `cpu-baseline` finds one: the features that all of them have, described by
//! the named model that is nearest to these features.

use super::{
    CpuError,
    choice::{base, changes},
    cpuid::{Cpuid, Leaf},
    feature::{FeatureId, FeatureSet},
    host::HostCpu,
    host_model::{distance, left_out, nearest},
    lacking::Lacking,
    leaves::WITH_FEATURES,
    model::{self, NamedModel},
    offer::Offer,
    profile::CpuProfile,
    sets::{SVM, SVM_PARTS, VMX, VMX_PARTS},
    spec::{CpuSpec, Model, PhysicalBits, Policy},
    topology::Topology,
    vendor::Vendor,
    xsave,
};

/// A CPU that several hosts can all give, bit for bit the same.
#[derive(Clone, Debug)]
pub struct Baseline {
    /// The specification. It is complete: nothing in it depends on the host.
    pub spec: CpuSpec,
    /// The maker of all the hosts.
    pub vendor: Vendor,
    /// The CPU, as resolved on the first host.
    pub profile: CpuProfile,
    /// Features that some of the hosts can give to guests, and that this CPU leaves out.
    pub left_out: Vec<LeftOut>,
}

/// A feature that some hosts have, and that the shared CPU leaves out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// The feature.
    pub feature: FeatureId,
    /// The hosts that lack it, by index in the list. Empty if it is left out for another reason, as `host-model` leaves out what can't be
    /// migrated.
    pub lacking: Vec<usize>,
}

/// Reasons why several hosts share no CPU.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BaselineError {
    /// No host was given.
    #[error("give the files of one or more hosts, as `nvmm cpu dump` prints them")]
    NoHosts,
    /// A host for which no CPU can be made.
    #[error("{host}")]
    Host {
        /// The name.
        host: String,
        /// The reason.
        source: CpuError,
    },
    /// The hosts have different makers.
    #[error(
        "{first} is {first_maker}'s processor and {other} is {other_maker}'s: no guest moves between makers; \
         give hosts of one maker"
    )]
    Makers {
        /// The first host's name.
        first: String,
        /// The maker.
        first_maker: Vendor,
        /// The first host that has another maker.
        other: String,
        /// The maker.
        other_maker: Vendor,
    },
    /// Hosts whose KVMs differ in something that no word of `--cpu` controls.
    #[error("a guest of {from} could not go on on {to}, which lacks {}; no --cpu leaves that out", .lacking.join(", "))]
    Differ {
        /// The name of a host.
        from: String,
        /// The name of another host.
        to: String,
        /// The parts that the second host lacks.
        lacking: Vec<String>,
    },
}

impl Baseline {
    /// Finds the CPU that all `hosts` can give. The order of the hosts does not matter.
    ///
    /// # Errors
    ///
    /// The hosts have different makers, or one of them can't be used.
    pub fn of(hosts: &[(String, HostCpu)]) -> Result<Self, BaselineError> {
        let fails = |host: &str| {
            let host = host.to_owned();
            move |source| BaselineError::Host { host, source }
        };
        let offers: Vec<_> = hosts
            .iter()
            .map(|(name, host)| Offer::new(host).map_err(fails(name)))
            .collect::<Result<_, _>>()?;
        let ([(first, first_host), ..], [offer, ..]) = (hosts, &offers[..]) else {
            return Err(BaselineError::NoHosts);
        };
        let maker = |host: &HostCpu| host.supported.get(Leaf::new(0)).maker();
        if let Some((other, other_host)) = hosts.iter().find(|(_, host)| maker(host) != maker(first_host)) {
            return Err(BaselineError::Makers {
                first: first.clone(),
                first_maker: first_host.vendor(),
                other: other.clone(),
                other_maker: other_host.vendor(),
            });
        }
        let shared = intersection(offers.iter().map(|offer| offer.features));
        let shared = offers.iter().flat_map(left_out).fold(shared, |shared, (features, _)| shared - features);
        let model = nearest_to(&offers, shared).map_err(fails(first))?;
        let bits = hosts.iter().map(|(_, host)| host.physical_address_width()).min().unwrap_or_default();
        let bases = |of: fn(FeatureSet, FeatureSet) -> FeatureSet| {
            let nested = shared & (*VMX | *SVM);
            let bases = offers.iter().map(|offer| base(offer, Some(model), nested));
            bases.reduce(of).unwrap_or_default()
        };
        let (every, any) = (bases(|a, b| a & b), bases(|a, b| a | b));
        let mut granted = shared;
        let topology = Topology::flat(1).map_err(fails(first))?;
        loop {
            let spec = CpuSpec {
                model: Model::Named(model),
                settings: changes(granted - every, missing(any, granted), granted),
                physical_bits: PhysicalBits::Fixed(bits),
                policy: Policy::Ignore,
                ..CpuSpec::default()
            };
            let resolve = |(name, host): &(String, HostCpu)| {
                CpuProfile::resolve(host, &spec, &topology).map_err(fails(name))
            };
            let profiles: Vec<_> = hosts.iter().map(resolve).collect::<Result<_, _>>()?;
            // Drop each feature that lost something that it needs on a host, or that hosts describe differently.
            let common = intersection(profiles.iter().map(CpuProfile::features));
            let kept = (granted & common) - described_otherwise(&profiles);
            if kept != granted {
                granted = kept;
                continue;
            }
            check(hosts, &profiles)?;
            let all = offers.iter().map(|offer| offer.features).reduce(|all, set| all | set);
            let left_out = all.unwrap_or_default() - granted;
            let lacking = |id| {
                let lacks = |(_, offer): &(usize, &Offer)| !offer.features.contains(id);
                offers.iter().enumerate().filter(lacks).map(|(number, _)| number).collect()
            };
            let left_out = left_out.iter().map(|feature| LeftOut { feature, lacking: lacking(feature) });
            let spec = CpuSpec { policy: Policy::default(), ..spec };
            let left_out = left_out.collect();
            let profile = profiles.into_iter().next().ok_or(BaselineError::NoHosts)?;
            return Ok(Self { spec, vendor: offer.vendor, profile, left_out });
        }
    }
}

fn intersection(sets: impl Iterator<Item = FeatureSet>) -> FeatureSet {
    sets.reduce(|all, set| all & set).unwrap_or_default()
}

/// Returns the model that describes `shared` best. The candidates are the models that host-model would choose on each of the hosts if it
/// had only the `shared` features.
fn nearest_to(offers: &[Offer], shared: FeatureSet) -> Result<&'static NamedModel, CpuError> {
    let mut candidates = Vec::new();
    for offer in offers {
        let offer = Offer { features: shared, ..offer.clone() };
        let model = nearest(&offer)?;
        let number = model::all().position(|other| other.name == model.name);
        candidates.push((distance(&offer, model), number, model));
    }
    let best = candidates.into_iter().min_by_key(|(distance, number, _)| (*distance, *number));
    best.map(|(_, _, model)| model).ok_or(CpuError::NoModel)
}

/// The features to take away from a model. If VMX or SVM goes, its parts go with it and are not listed.
fn missing(base: FeatureSet, granted: FeatureSet) -> FeatureSet {
    let gone = [(*VMX, *VMX_PARTS), (*SVM, *SVM_PARTS)];
    gone.into_iter()
        .filter(|(bit, _)| (granted & *bit).is_empty())
        .fold(base - granted, |missing, (bit, parts)| missing - bit - parts)
}

/// The features whose further leaves differ between hosts, such as state for which XSAVE has another place.
fn described_otherwise(profiles: &[CpuProfile]) -> FeatureSet {
    let leaves: Vec<Cpuid> = profiles.iter().map(|profile| profile.leaves(0)).collect();
    let Some((first, others)) = leaves.split_first() else { return FeatureSet::default() };
    let differs = |leaf: Leaf| others.iter().any(|other| other.get(leaf) != first.get(leaf));
    let states = leaves.iter().flat_map(xsave::components);
    let states = states.filter(|(bit, _)| differs(Leaf::sub(xsave::FUNCTION, *bit)));
    let further = WITH_FEATURES.into_iter().filter(|(function, _)| {
        *function != xsave::FUNCTION
            && leaves.iter().flat_map(|cpuid| cpuid.function(*function)).any(|(leaf, _)| differs(leaf))
    });
    let names = states.filter_map(|(_, name)| name).chain(further.map(|(_, name)| name));
    names.filter_map(FeatureId::find).collect()
}

/// Checks that a guest with this CPU can move from each host to each other one.
fn check(hosts: &[(String, HostCpu)], profiles: &[CpuProfile]) -> Result<(), BaselineError> {
    for (to, host) in hosts {
        let fails = |source| BaselineError::Host { host: to.clone(), source };
        let lacking = Lacking::new(host).map_err(fails)?;
        for ((from, _), profile) in hosts.iter().zip(profiles) {
            let features: Vec<_> = profile.features().iter().map(|id| id.name().to_owned()).collect();
            let lacks = lacking.of_cpu(&features, &profile.leaves(0), profile.capability_msrs());
            if !lacks.is_empty() {
                return Err(BaselineError::Differ { from: from.clone(), to: to.clone(), lacking: lacks });
            }
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "baseline_test.rs"]
mod tests;
