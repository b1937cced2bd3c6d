//! A host that does not run the levels: one that can't, and one that keeps its KVM from this user.

use std::path::Path;

use arch::cpu::{nesting::Nesting, profile::CpuProfile, spec::CpuSpec, topology::Topology};

use crate::host::{self, Host, HostError};

/// The reasons for which this machine does not run the levels.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unfit {
    /// The host has no KVM, or one that can't nest: there is nothing to test here.
    CanNot(String),
    /// This user may not open the host's KVM, which could perhaps nest: a job that took this for a skip would never test anything.
    NoAccess(String),
}

impl From<HostError> for Unfit {
    fn from(error: HostError) -> Self {
        let kind = if matches!(error, HostError::NoAccess(..)) { Self::NoAccess } else { Self::CanNot };
        kind(format!("{:#}", anyhow::Error::from(error)))
    }
}

/// Opens this machine's KVM, if it gives guests all that `levels` need.
pub(super) fn nesting_host(levels: u32) -> Result<Host, Unfit> {
    let host = Host::open(Path::new("/dev/kvm"))?;
    let all = Topology::flat(1).and_then(|one| CpuProfile::resolve(&host.cpu, &CpuSpec::default(), &one));
    let all = all.map_err(|cause| Unfit::CanNot(format!("{:#}", anyhow::Error::from(cause))))?;
    let nesting = *all.nesting();
    if levels > 1 && nesting == Nesting::None {
        return Err(Unfit::CanNot(format!(
            "this machine's KVM can't nest: {}; --emulated svm, or vmx, makes a machine that can",
            host::describe_nesting(&nesting)
        )));
    }
    Ok(host)
}
