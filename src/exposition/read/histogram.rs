//! Histograms of the protobuf exposition: classic, native, or both.

use super::messages::{double, exemplar, message, timestamp, varint, wrong_kind};
use super::wire::{PageField, PageFields};
use super::{PageExemplar, PageFault, PageLimits};
use crate::steps;

/// A run of buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BucketSpan {
    /// How many buckets are left out between the run before and this one. Of the first run: the
    /// index of its first bucket, whose upper bound is the base to this power.
    pub offset: i32,
    /// How many buckets there are.
    pub length: u32,
}

/// Observations per bucket of all spans, one after the other.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum NativeCounts<'r> {
    /// Whole numbers, none of them negative.
    Whole(&'r [i64]),
    /// Numbers, none of them negative.
    Float(&'r [f64]),
}

/// A native histogram: buckets whose bounds are powers of 2^(2^-schema). Checked as Prometheus
/// does: the buckets are as many as the spans say, and have no more observations than there are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PageHistogram<'r> {
    /// From -4 to 8.
    pub schema: i32,
    /// How many observations there are.
    pub count: f64,
    /// Their sum.
    pub sum: f64,
    /// The zero bucket holds what is no further from zero than this.
    pub zero_threshold: f64,
    /// Observations in the zero bucket.
    pub zero_count: f64,
    /// Buckets above zero.
    pub positive: (&'r [BucketSpan], NativeCounts<'r>),
    /// Buckets below zero.
    pub negative: (&'r [BucketSpan], NativeCounts<'r>),
    /// Whether the counts may fall.
    pub is_gauge: bool,
}

/// One side of a native histogram, as it comes.
#[derive(Debug, Default)]
struct Side {
    spans: Vec<BucketSpan>,
    /// Differences as they are read, then what they add up to.
    whole: Vec<i64>,
    float: Vec<f64>,
}

/// A bucket of a classic histogram.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct PageBucket {
    pub(super) bound: f64,
    whole: u64,
    float: f64,
    /// Its place among the exemplars.
    pub(super) exemplar: Option<usize>,
}

impl PageBucket {
    pub(super) fn count(&self) -> f64 {
        if self.float == 0.0 {
            self.whole as f64
        } else {
            self.float
        }
    }
}

/// A message `Histogram`, used again for every histogram of a page.
#[derive(Debug, Default)]
pub(super) struct HistogramMessage<'p> {
    whole: u64,
    float: f64,
    pub(super) sum: f64,
    schema: i32,
    zero_threshold: f64,
    zero_whole: u64,
    zero_float: f64,
    positive: Side,
    negative: Side,
    pub(super) buckets: Vec<PageBucket>,
    /// The exemplars of classic buckets.
    pub(super) of_buckets: Vec<PageExemplar<'p>>,
    /// Those of the native form.
    exemplars: Vec<PageExemplar<'p>>,
    pub(super) created: Option<(i64, i64)>,
}

impl<'p> HistogramMessage<'p> {
    pub(super) fn clear(&mut self) {
        for side in [&mut self.positive, &mut self.negative] {
            side.spans.clear();
            side.whole.clear();
            side.float.clear();
        }
        self.buckets.clear();
        self.of_buckets.clear();
        self.exemplars.clear();
        self.created = None;
        (self.whole, self.zero_whole, self.schema) = (0, 0, 0);
        (self.float, self.sum) = (0.0, 0.0);
        (self.zero_threshold, self.zero_float) = (0.0, 0.0);
    }

    /// Reads a message on top of what was read.
    pub(super) fn merge(&mut self, raw: &'p [u8], limits: &PageLimits) -> Result<(), PageFault> {
        let mut fields = PageFields::new(raw);
        while let Some((number, field)) = fields.next()? {
            match number {
                1 => self.whole = varint(field)?,
                2 => self.sum = double(field)?,
                3 => self.bucket(message(field)?, limits)?,
                4 => self.float = double(field)?,
                5 => self.schema = zigzag(varint(field)?) as i32,
                6 => self.zero_threshold = double(field)?,
                7 => self.zero_whole = varint(field)?,
                8 => self.zero_float = double(field)?,
                9 => self.negative.span(message(field)?)?,
                10 => self.negative.deltas(field)?,
                11 => self.negative.floats(field)?,
                12 => self.positive.span(message(field)?)?,
                13 => self.positive.deltas(field)?,
                14 => self.positive.floats(field)?,
                15 => timestamp(message(field)?, self.created.get_or_insert((0, 0)))?,
                16 => {
                    if let Some(read) = exemplar(message(field)?, limits)? {
                        self.exemplars.push(read);
                    }
                }
                _ => {}
            }
            let most = limits.buckets;
            if self.buckets.len() > most
                || self.positive.exceeds(most)
                || self.negative.exceeds(most)
            {
                return Err(PageFault::beyond("a histogram has too many buckets"));
            }
            if self.exemplars.len() > limits.exemplars {
                return Err(PageFault::beyond("a histogram has too many exemplars"));
            }
        }
        Ok(())
    }

    fn bucket(&mut self, raw: &'p [u8], limits: &PageLimits) -> Result<(), PageFault> {
        let mut bucket = PageBucket::default();
        let before = self.of_buckets.len();
        let mut fields = PageFields::new(raw);
        while let Some((number, field)) = fields.next()? {
            match number {
                1 => bucket.whole = varint(field)?,
                2 => bucket.bound = double(field)?,
                3 => {
                    if let Some(read) = exemplar(message(field)?, limits)? {
                        // A bucket has one; of several, the last counts.
                        self.of_buckets.truncate(before);
                        self.of_buckets.push(read);
                        bucket.exemplar = Some(before);
                    }
                }
                4 => bucket.float = double(field)?,
                _ => {}
            }
        }
        self.buckets.push(bucket);
        Ok(())
    }

    /// How many observations there are.
    pub(super) fn count(&self) -> f64 {
        if self.float == 0.0 {
            self.whole as f64
        } else {
            self.float
        }
    }

    /// Whether it has anything that only native histograms have.
    pub(super) fn is_native(&self) -> bool {
        !self.positive.spans.is_empty()
            || !self.negative.spans.is_empty()
            || self.zero_threshold > 0.0
            || self.zero_whole > 0
    }

    /// The exemplars of the native form, each with its time: without, they are left out as in
    /// Prometheus. Those of the buckets, if there are none of its own.
    pub(super) fn choose_exemplars(&mut self) {
        if self.exemplars.is_empty() {
            self.exemplars.extend(self.of_buckets.iter().cloned());
        }
        self.exemplars
            .retain(|exemplar| exemplar.timestamp.is_some());
    }

    /// What [`choose_exemplars`](Self::choose_exemplars) chose.
    pub(super) fn exemplars(&self) -> &[PageExemplar<'p>] {
        &self.exemplars
    }

    /// Adds up the differences, and checks what Prometheus checks.
    pub(super) fn check(&mut self) -> Result<(), PageFault> {
        let is_float = self.is_float();
        let mut total = u128::from(self.zero_whole);
        for side in [&mut self.positive, &mut self.negative] {
            total += side.check(is_float)?;
        }
        if !(-4..=8).contains(&self.schema) {
            return Err("a histogram has an unknown schema".into());
        }
        if is_float {
            if self.zero_float < 0.0 || self.float < 0.0 {
                return Err("a histogram has negative counts".into());
            }
        } else {
            let count = u128::from(self.whole);
            if total > count || (total < count && !self.sum.is_nan()) {
                return Err("the buckets of a histogram don't add up to its count".into());
            }
        }
        Ok(())
    }

    fn is_float(&self) -> bool {
        self.float > 0.0 || self.zero_float > 0.0
    }

    /// The native form, after [`check`](Self::check).
    pub(super) fn native(&self, is_gauge: bool) -> PageHistogram<'_> {
        let is_float = self.is_float();
        PageHistogram {
            schema: self.schema,
            count: if is_float {
                self.float
            } else {
                self.whole as f64
            },
            sum: self.sum,
            zero_threshold: self.zero_threshold,
            zero_count: if is_float {
                self.zero_float
            } else {
                self.zero_whole as f64
            },
            positive: self.positive.counts(is_float),
            negative: self.negative.counts(is_float),
            is_gauge,
        }
    }
}

impl Side {
    fn exceeds(&self, most: usize) -> bool {
        self.spans.len() > most || self.whole.len() > most || self.float.len() > most
    }

    fn span(&mut self, raw: &[u8]) -> Result<(), PageFault> {
        let mut span = BucketSpan::default();
        let mut fields = PageFields::new(raw);
        while let Some((number, field)) = fields.next()? {
            match number {
                1 => span.offset = zigzag(varint(field)?) as i32,
                2 => span.length = varint(field)? as u32,
                _ => {}
            }
        }
        self.spans.push(span);
        Ok(())
    }

    fn deltas(&mut self, field: PageField<'_>) -> Result<(), PageFault> {
        match field {
            PageField::Varint(number) => self.whole.push(zigzag(number)),
            PageField::Bytes(packed) => {
                let mut numbers = PageFields::new(packed);
                while !numbers.rest().is_empty() {
                    steps::count(1);
                    self.whole.push(zigzag(numbers.varint()?));
                }
            }
            _ => return Err(wrong_kind()),
        }
        Ok(())
    }

    fn floats(&mut self, field: PageField<'_>) -> Result<(), PageFault> {
        match field {
            PageField::Fixed(bits) => self.float.push(f64::from_bits(bits)),
            PageField::Bytes(packed) => {
                let mut numbers = PageFields::new(packed);
                while !numbers.rest().is_empty() {
                    steps::count(1);
                    let bits = u64::from_le_bytes(numbers.take()?);
                    self.float.push(f64::from_bits(bits));
                }
            }
            _ => return Err(wrong_kind()),
        }
        Ok(())
    }

    /// Returns how many observations the buckets have, if these are whole numbers.
    fn check(&mut self, is_float: bool) -> Result<u128, PageFault> {
        let buckets: u64 = self.spans.iter().map(|span| u64::from(span.length)).sum();
        let there = if is_float {
            self.float.len()
        } else {
            self.whole.len()
        };
        if buckets != there as u64 {
            return Err("a histogram has other buckets than its spans say".into());
        }
        // An empty span only moves the next one.
        let mut gap: i64 = 0;
        let mut first = true;
        for span in &self.spans {
            gap += i64::from(span.offset);
            if span.length > 0 {
                if !first && gap < 0 {
                    return Err("the spans of a histogram overlap".into());
                }
                (first, gap) = (false, 0);
            }
        }
        if is_float {
            return match self.float.iter().any(|count| *count < 0.0) {
                true => Err("a histogram has negative counts".into()),
                false => Ok(0),
            };
        }
        let (mut last, mut total) = (0_i64, 0_u128);
        for count in &mut self.whole {
            last = last
                .checked_add(*count)
                .filter(|count| *count >= 0)
                .ok_or("a histogram has negative counts")?;
            *count = last;
            total += u128::from(last.unsigned_abs());
        }
        Ok(total)
    }

    fn counts(&self, is_float: bool) -> (&[BucketSpan], NativeCounts<'_>) {
        let counts = if is_float {
            NativeCounts::Float(&self.float)
        } else {
            NativeCounts::Whole(&self.whole)
        };
        (&self.spans, counts)
    }
}

fn zigzag(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -(number & 1).cast_signed()
}
