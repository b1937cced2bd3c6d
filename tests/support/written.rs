//! The check of a disk whose `blk_durable` ended in the middle of its rounds.

use crate::{blk_plan::Round, images::Image, model::Model, stepped::Line};

/// Checks the image against the lines that the guest has printed, the last of which may be incomplete. Returns the number of rounds.
pub(crate) fn check(seen: &str, image: &Image) -> u64 {
    let whole = seen.rfind('\n').map_or("", |end| &seen[..end]);
    let lines: Vec<_> = whole.lines().map(Line::parse).collect();
    let mut model = Model::new(image.is_filled());
    for (round, line) in (1..).zip(&lines) {
        let differing = if round == 1 { line.differing } else { 0 };
        assert_eq!(*line, Line { round, differing, ..Line::default() });
        model.write(round, 0);
        model.flush();
    }
    let done = lines.last().unwrap().round;
    model.begin(done + 1, Round(done + 1).writes());
    model.begin(done + 2, Round(done + 2).writes());
    model.verify(&image.read(true)).unwrap_or_else(|error| panic!("after round {done:#x}: {error}"));
    done
}
