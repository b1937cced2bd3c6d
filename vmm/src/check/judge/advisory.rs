//! Kernels with known flaws through which a nesting guest can reach the host. Never a failure: a distribution may have fixed an older
//! version, which can't be seen from here.

use arch::cpu::nesting::Virtualization;

use super::{
    finding::warning,
    kind::kind,
    processor::{self, Version},
};
use crate::check::{facts::Facts, report::Finding};

/// A flaw of KVM that a guest can use if it can nest.
struct Advisory {
    id: &'static str,
    about: &'static str,
    /// The kind of virtualization that has the flaw, if only one has.
    kind: Option<Virtualization>,
    /// The first version with the flaw.
    since: Version,
    /// The first version of each stable series without it. A series that is not listed never got the fix.
    fixed: &'static [Version],
    /// The first of Linus' own versions without it.
    mainline: Version,
    source: &'static str,
}

/// The flaws, with the versions of the CVE records; those of 2021 with the versions of the stable series' changelogs.
const ADVISORIES: [Advisory; 6] = [
    Advisory {
        id: "advisory.CVE-2026-64562",
        about: "a shadow VMCS is used after it was freed",
        kind: Some(Virtualization::Vmx),
        since: (4, 9, 0),
        fixed: &[(5, 10, 265), (5, 15, 216), (6, 1, 183), (6, 6, 148), (6, 12, 101), (6, 18, 42), (7, 1, 6)],
        mainline: (7, 2, 0),
        source: "https://nvd.nist.gov/vuln/detail/CVE-2026-64562",
    },
    Advisory {
        id: "advisory.CVE-2026-64561",
        about: "Zapscape: pages of the shadow MMU are used after they were freed",
        kind: None,
        since: (5, 9, 0),
        fixed: &[(5, 15, 218), (6, 1, 183), (6, 6, 148), (6, 12, 101), (6, 18, 42), (7, 1, 6)],
        mainline: (7, 2, 0),
        source: "https://nvd.nist.gov/vuln/detail/CVE-2026-64561",
    },
    Advisory {
        id: "advisory.CVE-2026-53359",
        about: "Januscape: pages of the shadow MMU are used after they were freed (with CVE-2026-46113, which was fixed before it)",
        kind: None,
        since: (2, 6, 36),
        fixed: &[(5, 15, 222), (6, 1, 177), (6, 6, 144), (6, 12, 95), (6, 18, 38), (7, 1, 3)],
        mainline: (7, 2, 0),
        source: "https://nvd.nist.gov/vuln/detail/CVE-2026-53359",
    },
    Advisory {
        id: "advisory.CVE-2021-3656",
        about: "a nested guest's VMLOAD and VMSAVE reach the host's memory",
        kind: Some(Virtualization::Svm),
        since: (4, 13, 0),
        fixed: &[(5, 4, 142), (5, 10, 60), (5, 13, 12)],
        mainline: (5, 14, 0),
        source: "https://nvd.nist.gov/vuln/detail/CVE-2021-3656",
    },
    Advisory {
        id: "advisory.CVE-2021-3653",
        about: "a nested guest's AVIC reaches the host's memory",
        kind: Some(Virtualization::Svm),
        since: (2, 6, 30),
        fixed: &[(5, 4, 142), (5, 10, 60), (5, 13, 12)],
        mainline: (5, 14, 0),
        source: "https://nvd.nist.gov/vuln/detail/CVE-2021-3653",
    },
    Advisory {
        id: "advisory.CVE-2021-29657",
        about: "a VMCB that changes while it is checked frees the bitmap of MSRs in use",
        kind: Some(Virtualization::Svm),
        since: (5, 10, 0),
        fixed: &[(5, 10, 28), (5, 11, 12)],
        mainline: (5, 12, 0),
        source: "https://nvd.nist.gov/vuln/detail/CVE-2021-29657",
    },
];

impl Advisory {
    fn concerns(&self, version: Version, kind: Option<Virtualization>) -> bool {
        let series = |other: &&Version| (other.0, other.1) == (version.0, version.1);
        let fixed =
            self.fixed.iter().find(series).map_or(version >= self.mainline, |fixed| version >= *fixed);
        version >= self.since && !fixed && (self.kind.is_none() || self.kind == kind)
    }
}

pub(super) fn findings(facts: &Facts) -> Vec<Finding> {
    let Some(version @ (major, minor, patch)) = processor::version(&facts.kernel, &facts.build) else {
        return Vec::new();
    };
    let kind = kind(facts);
    let concern = |advisory: &&Advisory| advisory.concerns(version, kind);
    ADVISORIES
        .iter()
        .filter(concern)
        .map(|advisory| Finding {
            source: Some(advisory.source),
            ..warning(
                advisory.id,
                format!(
                    "Linux {major}.{minor}.{patch} lets a guest that nests attack the host: {}. Whether this kernel has the fix from its distribution can't be seen",
                    advisory.about
                ),
            )
        })
        .collect()
}

#[cfg(test)]
#[path = "advisory_test.rs"]
mod tests;
