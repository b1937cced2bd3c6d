//! The replacement of [`libvirt`](self) in an nvmm without that feature.

use arch::cpu::spec::CpuSpec;
use thiserror::Error;

use crate::smp::Smp;

/// The CPU that a `<cpu>` element describes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CpuElement {
    /// The CPU.
    pub spec: CpuSpec,
    /// `<topology>`.
    pub topology: Option<Smp>,
    /// Other settings of the domain.
    pub ignored: Vec<XmlError>,
}

/// The reason why `<cpu>` elements are not supported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("this nvmm was built without libvirt's XML (the cargo feature libvirt)")]
pub struct XmlError;

/// Always fails.
///
/// # Errors
///
/// Always.
pub fn parse(_text: &str) -> Result<CpuElement, XmlError> {
    Err(XmlError)
}
