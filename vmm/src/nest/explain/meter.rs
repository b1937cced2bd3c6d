//! Measures at a level: reads the counters whenever the last level reports its work.

use std::collections::BTreeMap;
use std::io;

use rustix::process::{Pid, Signal, kill_process};

use super::advice;
use super::cost::Cost;
use super::counts::Counts;
use super::symbols::Symbols;
use super::trace::Trace;
use super::work::Work;
use crate::nest::report::{Line, Said};
use crate::stats::{self, Counters};

/// The line in which a machine prints KVM's counters, when it gets SIGUSR1, and at its end.
pub(in crate::nest) const COUNTED: &str = "nvmm: KVM counted ";

/// The readings of KVM's counters at one level.
#[derive(Debug)]
pub(in crate::nest) struct Meter {
    /// The level that reads the counters.
    level: u32,
    /// The level that does the work.
    last: u32,
    /// The process that runs the level above.
    child: u32,
    is_svm: bool,
    /// The number of works that were reported.
    heard: usize,
    by: By,
}

/// The kind of counters, with the readings so far.
#[derive(Debug)]
enum By {
    Nothing,
    Tracepoints(Trace, Vec<Counts>),
    /// KVM's statistics, which the child prints, and the reason why there are no tracepoints.
    Statistics(Vec<Counters>, io::Error),
}

impl Meter {
    /// Makes a meter at `level`, where process `child` runs the level above. Level `last` does the work.
    pub(in crate::nest) fn new(level: u32, last: u32, child: u32, is_svm: bool) -> Self {
        Self { level, last, child, is_svm, heard: 0, by: By::Nothing }
    }

    /// Handles a line from the level above, and reads the counters if the last level reports in it that its next work begins.
    pub(in crate::nest) fn hear(&mut self, line: &Line) {
        match (&line.said, &mut self.by) {
            (Said::Work(work), _) if line.level == self.last && Work::ALL.get(self.heard) == Some(work) => {
                self.heard += 1;
                self.look();
            }
            // One for each reading; the one at the end is not used.
            (Said::Text(text), By::Statistics(looks, _))
                if line.level == self.level + 1 && looks.len() < self.heard =>
            {
                looks.extend(text.strip_prefix(COUNTED).and_then(stats::read_back));
            }
            _ => {}
        }
    }

    fn look(&mut self) {
        let by = std::mem::replace(&mut self.by, By::Nothing);
        let traced = match by {
            By::Nothing => Trace::start(self.child, self.is_svm).map(|trace| (trace, vec![])),
            By::Tracepoints(trace, looks) => Ok((trace, looks)),
            By::Statistics(looks, why) => {
                self.by = By::Statistics(looks, why);
                return self.ask();
            }
        };
        let look = traced.and_then(|(trace, mut looks)| {
            looks.push(trace.counts()?);
            Ok((trace, looks))
        });
        match look {
            Ok((trace, looks)) => self.by = By::Tracepoints(trace, looks),
            Err(why) => {
                self.by = By::Statistics(vec![], why);
                self.ask();
            }
        }
    }

    /// Makes the machine print KVM's counters.
    fn ask(&self) {
        // It fails only if the machine has ended, which it reports itself.
        if let Some(child) = i32::try_from(self.child).ok().and_then(Pid::from_raw) {
            let _ = kill_process(child, Signal::USR1);
        }
    }

    /// Returns the results, once the level above has ended. That level's kernel has these `symbols`.
    pub(in crate::nest) fn result(self, symbols: &Symbols) -> Vec<Said> {
        let mut said = Vec::new();
        let costs: Vec<_> = match self.by {
            By::Nothing => vec![],
            By::Tracepoints(trace, looks) => {
                let spans: Vec<_> = looks.windows(2).map(|looks| looks[1].without(&looks[0])).collect();
                let is_next = self.level + 1 == self.last;
                costs(&spans, |work, span, empty| {
                    Cost::traced(work, self.level, is_next, &span.without(empty), trace.names(), symbols)
                })
            }
            By::Statistics(looks, why) => {
                said.push(Said::Untraced(why.to_string()));
                // If a reading is missing, it is unknown which.
                let looks = if looks.len() == Work::ALL.len() { looks } else { vec![] };
                let spans: Vec<_> = looks.windows(2).map(|looks| less(&looks[1], &looks[0])).collect();
                costs(&spans, |work, span, empty| Cost::counted(work, &less(span, empty)))
            }
        };
        let parameters = advice::parameters();
        said.extend(
            costs.into_iter().map(|cost| Said::Cost(Cost { parameters: parameters.clone(), ..cost })),
        );
        said
    }
}

/// The costs of all works. The first one is no work: it shows what is counted meanwhile.
fn costs<T>(spans: &[T], cost: impl Fn(Work, &T, &T) -> Option<Cost>) -> Vec<Cost> {
    let Some((empty, spans)) = spans.split_first() else { return vec![] };
    let works = Work::ALL.iter().skip(1).zip(spans);
    works.filter_map(|(&work, span)| cost(work, span, empty)).collect()
}

/// Returns `counters` minus those of `other`.
fn less(counters: &Counters, other: &Counters) -> Counters {
    let left = |name, count: u64| count.saturating_sub(other.get(name).copied().unwrap_or_default());
    counters.iter().map(|(name, &count)| (name.clone(), left(name, count))).collect::<BTreeMap<_, _>>()
}

#[cfg(test)]
#[path = "meter_test.rs"]
mod tests;
