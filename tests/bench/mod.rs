//! The parts that the benchmarks of devices share: the driver's side of a virtqueue, and the figures of a row.

pub(crate) mod figures;
pub(crate) mod ring;
