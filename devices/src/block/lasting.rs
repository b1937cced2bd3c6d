//! The state of a disk that outlives a reset of its device or its machine.

use std::sync::Arc;

use super::{counters::Counters, faults::Faults, limit::Limiter, options::BlockOptions};

/// A disk's options, and its state that outlives resets. Clones share it.
#[derive(Clone, Debug)]
pub struct Lasting {
    /// The user's options.
    pub options: BlockOptions,
    /// The work that was done.
    pub counters: Arc<Counters>,
    pub(crate) limiter: Option<Arc<Limiter>>,
    pub(crate) faults: Arc<Faults>,
}

/// Makes the state of a disk that has done nothing yet.
impl From<BlockOptions> for Lasting {
    fn from(options: BlockOptions) -> Self {
        let limited = options.iops.is_some() || options.bandwidth.is_some();
        Self {
            counters: Arc::new(Counters::new(options.queues)),
            limiter: limited.then(|| Arc::new(Limiter::new(options.iops, options.bandwidth))),
            faults: Arc::default(),
            options,
        }
    }
}
