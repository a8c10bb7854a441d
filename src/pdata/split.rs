//! Divides batches by items: whole parts go to either side as they are, and only the part
//! that the border runs through is copied.

use super::splice::{Action, At, Edit, Replacement};
use super::view::{LogRecord, Metric, Point, Span};
use super::{Batch, Part};

impl Batch {
    /// The first `items` items, and the rest. What stands around the border, such as its
    /// resource, scope and metric, stands in both.
    pub fn split_at(mut self, items: u64) -> (Batch, Batch) {
        let mut front = Batch::empty(self.signal);
        let mut back = Batch::empty(self.signal);
        let mut room = items;
        for part in self.parts.drain(..) {
            if part.items <= room && back.parts.is_empty() {
                room -= part.items;
                front.parts.push(part);
            } else if room == 0 {
                back.parts.push(part);
            } else {
                let only = |side| Batch::of(front.signal, part.clone()).keep(side, room);
                let (before, after) = (only(SplitSide::Before), only(SplitSide::After));
                front.append(before);
                back.append(after);
                room = 0;
            }
        }
        (front, back)
    }

    /// Pieces of at most `most` items (at least one), all but the last of exactly so many.
    pub fn divide(self, most: u64) -> Vec<Batch> {
        let mut pieces = Vec::new();
        self.divide_into(most.max(1), &mut pieces);
        pieces
    }

    /// Cuts in the middle first: cutting piece by piece from the front would walk a large
    /// part once for each.
    fn divide_into(self, most: u64, pieces: &mut Vec<Batch>) {
        let count = self.items().div_ceil(most);
        if count <= 1 {
            pieces.push(self);
            return;
        }
        let (front, back) = self.split_at(count / 2 * most);
        front.divide_into(most, pieces);
        back.divide_into(most, pieces);
    }

    /// A batch of one part, which must be of this signal.
    pub fn of(signal: super::Signal, part: Part) -> Self {
        Self {
            signal,
            parts: vec![part],
        }
    }

    fn keep(mut self, side: SplitSide, border: u64) -> Self {
        let seen = 0;
        self.edit(&mut Border { side, border, seen });
        self
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SplitSide {
    Before,
    After,
}

/// Drops the items on the other side of a border.
struct Border {
    side: SplitSide,
    border: u64,
    seen: u64,
}

impl Border {
    fn item(&mut self) -> Action {
        let before = self.seen < self.border;
        self.seen += 1;
        if before == (self.side == SplitSide::Before) {
            Action::Keep
        } else {
            Action::Drop
        }
    }
}

impl Edit for Border {
    fn point(&mut self, _: At<'_>, _: &Metric<'_>, _: &Point<'_>, _: &mut Replacement) -> Action {
        self.item()
    }

    fn span(&mut self, _: At<'_>, _: &Span<'_>, _: &mut Replacement) -> Action {
        self.item()
    }

    fn log_record(&mut self, _: At<'_>, _: &LogRecord<'_>, _: &mut Replacement) -> Action {
        self.item()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;

    use super::super::samples::{self, Style};
    use super::super::{Batch, Signal};

    fn sample(signal: Signal, seed: u64) -> Batch {
        let request = match signal {
            Signal::Metrics => samples::metrics(seed, Style::CANONICAL),
            Signal::Traces => samples::traces(seed, Style::CANONICAL),
            Signal::Logs => samples::logs(seed, Style::CANONICAL),
        };
        Batch::decode(signal, Bytes::from(request)).unwrap()
    }

    /// Every item as it is encoded, in order.
    fn items(batch: &Batch) -> Vec<Vec<u8>> {
        let mut items: Vec<&[u8]> = Vec::new();
        for resource in batch.resource_metrics() {
            for scope in resource.scopes() {
                for metric in scope.metrics() {
                    items.extend(metric.data().points().map(|point| point.raw()));
                }
            }
        }
        for resource in batch.resource_spans() {
            for scope in resource.scopes() {
                items.extend(scope.spans().map(|span| span.raw()));
            }
        }
        for resource in batch.resource_logs() {
            for scope in resource.scopes() {
                items.extend(scope.log_records().map(|record| record.raw()));
            }
        }
        items.into_iter().map(<[u8]>::to_vec).collect()
    }

    #[test]
    fn both_sides_together_are_the_whole_in_its_order() {
        for signal in Signal::ALL {
            for seed in 0..50 {
                let mut batch = sample(signal, seed);
                batch.append(sample(signal, seed + 1000));
                let whole = items(&batch);
                for border in [0, 1, batch.items() / 2, batch.items(), batch.items() + 1] {
                    let (front, back) = batch.clone().split_at(border);
                    assert_eq!(front.items(), border.min(batch.items()));
                    assert_eq!(front.items() + back.items(), batch.items());
                    let mut joined = items(&front);
                    assert_eq!(joined.len() as u64, front.items());
                    joined.extend(items(&back));
                    assert!(joined == whole, "{signal} {seed} at {border}");
                    for side in [front, back] {
                        for part in side.parts() {
                            Batch::decode(signal, part.bytes().clone()).unwrap();
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn how_long_its_series_are_kept_goes_to_both_sides() {
        let mut samples = (0..).map(|seed| sample(Signal::Metrics, seed));
        let mut batch = samples.find(|batch| batch.items() > 1).unwrap();
        batch.keep_series(Duration::from_secs(7));
        batch.append(samples.find(|batch| batch.items() > 0).unwrap());
        let (front, back) = batch.split_at(1);
        let kept = |batch: &Batch| {
            let kept = batch.resource_metrics_kept();
            kept.map(|(_, keep)| keep.as_secs()).collect::<Vec<_>>()
        };
        assert!(kept(&front).contains(&7) && !kept(&front).contains(&0));
        assert!(kept(&back).contains(&7) && kept(&back).contains(&0));
    }

    #[test]
    fn pieces_are_full_but_for_the_last() {
        for signal in Signal::ALL {
            for seed in 0..20 {
                let mut batch = sample(signal, seed);
                batch.append(sample(signal, seed + 1000));
                let whole = items(&batch);
                for most in [1, 2, 3, 7, 1000] {
                    let mut pieces = batch.clone().divide(most);
                    let joined: Vec<_> = pieces.iter().flat_map(items).collect();
                    assert!(joined == whole, "{signal} {seed} by {most}");
                    let last = pieces.pop().unwrap();
                    assert!(last.items() <= most);
                    assert!(pieces.iter().all(|piece| piece.items() == most));
                }
            }
        }
    }
}
