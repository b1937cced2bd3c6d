//! The table of features, made of its parts.

use super::{amd, basic, kvm, row::Feature, speculation, structured, vmx};

/// The parts of the table, one for each chapter of a manual.
const PARTS: [&[Feature]; 6] = [
    basic::FEATURES,
    structured::FEATURES,
    amd::FEATURES,
    speculation::FEATURES,
    kvm::FEATURES,
    vmx::FEATURES,
];

/// The number of features.
pub(super) const COUNT: usize = count(&PARTS);

/// The rows of all parts.
pub(super) const ROWS: [&Feature; COUNT] = flatten(&PARTS);

/// The number of features in the parts.
const fn count(parts: &[&[Feature]]) -> usize {
    let (mut count, mut part) = (0, 0);
    while part < parts.len() {
        count += parts[part].len();
        part += 1;
    }
    count
}

/// The features of all parts.
const fn flatten<const COUNT: usize>(parts: &[&'static [Feature]]) -> [&'static Feature; COUNT] {
    let mut features = [&parts[0][0]; COUNT];
    let (mut id, mut part) = (0, 0);
    while part < parts.len() {
        let mut row = 0;
        while row < parts[part].len() {
            features[id] = &parts[part][row];
            id += 1;
            row += 1;
        }
        part += 1;
    }
    features
}
