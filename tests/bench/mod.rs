//! The common parts of the benchmarks of devices: the driver's side of a virtqueue, and the figures of a row.

pub(crate) mod figures;
pub(crate) mod ring;
