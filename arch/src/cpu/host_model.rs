//! host-model: the named model that describes a host, and the features of the host that are left out.

use std::{cmp::Reverse, sync::LazyLock};

use super::{
    CpuError,
    feature::FeatureSet,
    model::{self, NamedModel},
    offer::Offer,
    sets::{KVM_LACKS, NOT_MIGRATABLE, SVM_PARTS, TOPOLOGICAL, VMX_PARTS},
    signature::Signature,
    vendor::Vendor,
};

/// Models that host-model never chooses, as in libvirt: a microcode update switches TSX off, after which the host would be another model.
const NOT_FOR_HOST_MODEL: [&str; 4] = [
    "Skylake-Client-noTSX-IBRS",
    "Skylake-Server-noTSX-IBRS",
    "Cascadelake-Server-noTSX",
    "Icelake-Server-noTSX",
];
static TSX: LazyLock<FeatureSet> = LazyLock::new(|| FeatureSet::parse("hle rtm"));
/// Finds the model that describes the host, as libvirt does (`x86DecodeUseCandidate` of src/cpu/cpu_x86.c): one of the host's generation,
/// and among those the one with the fewest features to change, or the newest of several such. A feature that the host lacks never moves it
/// to another generation. If the host's generation has no model, one of the host's family is better than others of its maker. A maker
/// without models gets a model that has no maker.
///
/// Only plain names are candidates, not versions (`-v2`), because any other QEMU or libvirt knows them.
pub(super) fn nearest(offer: &Offer) -> Result<&'static NamedModel, CpuError> {
    let rank = |&(number, model): &(usize, &NamedModel)| {
        let kinship = match model.vendor() {
            None => 0,
            Some(_) if model.is_of(offer.signature) => 3,
            Some(_) if model.signature.family == offer.signature.family => 2,
            Some(_) => 1,
        };
        (Reverse(kinship), distance(offer, model), Reverse(number))
    };
    let candidates = (0..).zip(model::all()).filter(|(_, model)| match model.vendor() {
        None => true,
        vendor => {
            let listed = model.alias_of.is_some() && !NOT_FOR_HOST_MODEL.contains(&model.name.as_str());
            vendor == Some(offer.vendor) && listed
        }
    });
    candidates.min_by_key(rank).map(|(_, model)| model).ok_or(CpuError::NoModel)
}

/// The features that host-model leaves out, with the reason, as in libvirt.
pub(super) fn left_out(offer: &Offer) -> [(FeatureSet, &'static str); 2] {
    let Signature { family, model, stepping } = offer.signature;
    let broken = matches!((family, model, stepping), (6, 60 | 69 | 70, _) | (6, 63, 0..4));
    let broken = if offer.vendor == Vendor::Intel && broken { *TSX } else { FeatureSet::default() };
    [
        (*NOT_MIGRATABLE, "left out of host-model: it can't be migrated"),
        // Intel's microcode switches TSX off, but not every host has that microcode.
        (broken, "left out of host-model: this Haswell's transactions are not reliable"),
    ]
}

/// The cost of describing the host by this model, and the number of features that would be taken away.
pub(super) fn distance(offer: &Offer, model: &NamedModel) -> (u32, u32) {
    let uncounted = *KVM_LACKS | *TOPOLOGICAL | *VMX_PARTS | *SVM_PARTS;
    let host = left_out(offer).into_iter().fold(offer.features - uncounted, |host, (out, _)| host - out);
    let features = model.features - uncounted;
    let disabled = (features - host - offer.emulated).len();
    (cost((host - features).len(), disabled), disabled)
}

/// libvirt's measure of how far a model is from the host: 1 for each feature to add; 2, 3, 4 and so on for the features to take away.
fn cost(added: u32, disabled: u32) -> u32 {
    added + disabled * (disabled + 3) / 2
}

#[cfg(test)]
#[path = "host_model_test.rs"]
mod tests;
