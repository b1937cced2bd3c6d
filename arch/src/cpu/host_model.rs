//! host-model: the named model to describe a host by, and what of the host is left out then.

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

/// Models that libvirt gives no guest by itself: a microcode update switches TSX off, and the host would be another model after it.
const NOT_FOR_HOST_MODEL: [&str; 4] = [
    "Skylake-Client-noTSX-IBRS",
    "Skylake-Server-noTSX-IBRS",
    "Cascadelake-Server-noTSX",
    "Icelake-Server-noTSX",
];
static TSX: LazyLock<FeatureSet> = LazyLock::new(|| FeatureSet::parse("hle rtm"));
/// The model to describe the host by, as libvirt finds it (`x86DecodeUseCandidate` of src/cpu/cpu_x86.c): one of the host's generation,
/// and of those the one with the fewest features to change, or the newest of such. No feature that the host lacks makes it one of another
/// generation. If the host's generation has no model, one of the host's family comes before others of its maker. For a maker without models it
/// is one of nobody's.
///
/// The plain names are asked, not the versions, as any other QEMU or libvirt knows them.
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

/// The features that host-model leaves out, and why: as libvirt does.
pub(super) fn left_out(offer: &Offer) -> [(FeatureSet, &'static str); 2] {
    let Signature { family, model, stepping } = offer.signature;
    let broken = matches!((family, model, stepping), (6, 60 | 69 | 70, _) | (6, 63, 0..4));
    let broken = if offer.vendor == Vendor::Intel && broken { *TSX } else { FeatureSet::default() };
    [
        (*NOT_MIGRATABLE, "left out of host-model: it can't be migrated"),
        // Intel's microcode switches it off, on hosts that have that microcode.
        (broken, "left out of host-model: this Haswell's transactions are not reliable"),
    ]
}

/// The cost of describing the host by this model, and the number of features to take away for that.
pub(super) fn distance(offer: &Offer, model: &NamedModel) -> (u32, u32) {
    let uncounted = *KVM_LACKS | *TOPOLOGICAL | *VMX_PARTS | *SVM_PARTS;
    let host = left_out(offer).into_iter().fold(offer.features - uncounted, |host, (out, _)| host - out);
    let features = model.features - uncounted;
    let disabled = (features - host - offer.emulated).len();
    (cost((host - features).len(), disabled), disabled)
}

/// libvirt's measure of how far a model is from the host: 1 for each feature to add, and 2, 3, 4 and so on for those to take away.
fn cost(added: u32, disabled: u32) -> u32 {
    added + disabled * (disabled + 3) / 2
}

#[cfg(test)]
#[path = "host_model_test.rs"]
mod tests;
