//! What the points of a group come to.

use super::super::excerpt::Excerpt;
use super::super::point::ValueKind;
use super::super::shared::SharedWindows;
use super::super::stats::{
    Cadence, Coverage, HistogramIncrease, Needs, Numbers, Statistic, SummaryIncrease,
};
use super::choice::StatMeaning;
use super::find::{AggregationGroups, GroupMember};
use super::{
    Across, AggregationGroup, AggregationLimits, AggregationPlan, AggregationStop, Combine,
    StatChoice,
};

/// What one group came to in one window.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupReading {
    /// For each statistic of the plan its value; `None` where it isn't defined, or there are too
    /// few points.
    pub values: Vec<Option<f64>>,
    /// Points present for each that was expected, between 0 and 1.
    pub coverage: f64,
}

impl AggregationGroups {
    /// Computes the statistics of every group in the window `(from, to]`, in milliseconds
    /// since the epoch, and hands them to `each`. Groups without a finite number there are left
    /// out. `proceed` is asked for every series whether to go on.
    ///
    /// # Errors
    ///
    /// If there are too many points, or `proceed` says no. What was handed over stays.
    pub fn reduce(
        &self,
        plan: &AggregationPlan,
        (from, to): (i64, i64),
        limits: &AggregationLimits,
        proceed: &mut dyn FnMut() -> bool,
        mut each: impl FnMut(&AggregationGroup, GroupReading),
    ) -> Result<(), AggregationStop> {
        let statistics = plan.stats.iter();
        let mut reader = GroupReader {
            stores: &self.stores,
            plan,
            statistics: statistics.map(|stat| stat.statistic(plan.method)).collect(),
            window: (from, to),
            limits,
            proceed,
            points: 0,
            excerpt: Excerpt::default(),
            other: Excerpt::default(),
            pooled: Numbers::default(),
            single: Numbers::default(),
            cadence: Cadence::default(),
        };
        for group in self.groups() {
            if let Some(reading) = reader.read(group)? {
                each(group, reading);
            }
        }
        Ok(())
    }
}

/// Reads one group after the other, with the same memory.
struct GroupReader<'a> {
    stores: &'a [SharedWindows],
    plan: &'a AggregationPlan,
    statistics: Vec<Option<Box<dyn Statistic + Send>>>,
    window: (i64, i64),
    limits: &'a AggregationLimits,
    proceed: &'a mut dyn FnMut() -> bool,
    /// Points that were read so far.
    points: usize,
    excerpt: Excerpt,
    other: Excerpt,
    pooled: Numbers,
    single: Numbers,
    cadence: Cadence,
}

/// The results of one group, of which those of its series are still apart.
struct Gathered {
    /// Of each statistic: those of the series, or that of the group.
    values: Vec<Vec<f64>>,
    coverage: Coverage,
    points: usize,
}

impl GroupReader<'_> {
    fn read(&mut self, group: &AggregationGroup) -> Result<Option<GroupReading>, AggregationStop> {
        let mut gathered = Gathered {
            values: vec![Vec::new(); self.plan.stats.len()],
            coverage: Coverage::default(),
            points: 0,
        };
        // One series is its own group, whichever way series come together.
        let pools = group.members.len() > 1 && self.plan.across == Across::Points;
        match group.kind() {
            ValueKind::Gauge | ValueKind::Counter => self.numbers(group, pools, &mut gathered)?,
            ValueKind::Histogram | ValueKind::ExponentialHistogram => {
                self.observations::<HistogramIncrease>(group, pools, &mut gathered)?;
            }
            ValueKind::Summary => {
                self.observations::<SummaryIncrease>(group, pools, &mut gathered)?;
            }
        }
        if gathered.points == 0 {
            return Ok(None);
        }
        let combine = match self.plan.across {
            // Of what is not of the whole group there is a sum.
            Across::Points => Combine::Sum,
            Across::Series(combine) => combine,
        };
        let values = gathered.values.iter().map(|values| combine.of(values));
        Ok(Some(GroupReading {
            values: values.collect(),
            coverage: gathered.coverage.share(),
        }))
    }

    fn numbers(
        &mut self,
        group: &AggregationGroup,
        pools: bool,
        gathered: &mut Gathered,
    ) -> Result<(), AggregationStop> {
        let (from, to) = self.window;
        let wanted = |stat: &StatChoice| stat.applies_to(group.kind());
        // The digest for the coverage, in any case.
        let (mut of_all, mut of_each) = (Needs::DIGEST, Needs::DIGEST);
        for (stat, statistic) in self.plan.stats.iter().zip(&self.statistics) {
            let defined = wanted(stat) && !(pools && is_sequence(stat));
            if let Some(statistic) = statistic.as_ref().filter(|_| defined) {
                let needs = if pools && stat.is_pooled() {
                    &mut of_all
                } else {
                    &mut of_each
                };
                *needs = needs.and(statistic.needs());
            }
        }
        let apart = pools && self.plan.stats.iter().any(|stat| !stat.is_pooled());
        self.pooled.begin(from, to);
        let mut held = 0;
        for member in &group.members {
            let points = self.take(member)?;
            held = if pools { held + points } else { points };
            if (of_all.values || of_each.values) && held > self.limits.held {
                return Err(AggregationStop::Held(self.limits.held));
            }
            let present = if pools && !apart {
                let before = self.pooled.digest().count;
                self.pooled.gather(&self.excerpt, of_all);
                self.pooled.digest().count - before
            } else {
                if pools {
                    self.pooled.gather(&self.excerpt, of_all);
                }
                self.single.begin(from, to);
                self.single.gather(&self.excerpt, of_each);
                self.single.digest().count
            } as usize;
            gathered.points += present;
            self.cover(present, member, &mut gathered.coverage);
            if pools && !apart {
                continue;
            }
            let stats = self.plan.stats.iter().zip(&self.statistics);
            for ((stat, statistic), values) in stats.zip(&mut gathered.values) {
                // Of a sequence a group has none.
                if wanted(stat) && !(pools && (stat.is_pooled() || is_sequence(stat))) {
                    values.extend(statistic.as_ref().and_then(|s| s.of(&mut self.single)));
                }
            }
        }
        if pools {
            let stats = self.plan.stats.iter().zip(&self.statistics);
            for ((stat, statistic), values) in stats.zip(&mut gathered.values) {
                if wanted(stat) && stat.is_pooled() {
                    values.extend(statistic.as_ref().and_then(|s| s.of(&mut self.pooled)));
                }
            }
        }
        Ok(())
    }

    /// Histograms and summaries: what they observed is added up, and each statistic read from it.
    fn observations<I: MergedIncrease>(
        &mut self,
        group: &AggregationGroup,
        pools: bool,
        gathered: &mut Gathered,
    ) -> Result<(), AggregationStop> {
        let mut increase = I::default();
        for member in &group.members {
            self.take(member)?;
            let before = increase.points();
            increase.gather(&self.excerpt);
            let present = increase.points() - before;
            self.cover(present, member, &mut gathered.coverage);
            gathered.points += present;
            self.grown(gathered);
            if !pools {
                self.observed(&increase, gathered);
                increase = I::default();
            }
        }
        if pools {
            self.observed(&increase, gathered);
        }
        Ok(())
    }

    /// Adds what observations come to, of one series or of all.
    fn observed(&self, increase: &impl MergedIncrease, gathered: &mut Gathered) {
        for (stat, values) in self.plan.stats.iter().zip(&mut gathered.values) {
            values.extend(increase.value(stat.meaning));
        }
    }

    /// Adds by how much the count of observations of the series grew that was taken.
    fn grown(&mut self, gathered: &mut Gathered) {
        let stats = self.plan.stats.iter();
        if stats
            .clone()
            .all(|stat| stat.meaning != StatMeaning::Growth)
        {
            return;
        }
        self.single.begin(self.window.0, self.window.1);
        self.single.gather_counts(&self.excerpt);
        for ((stat, statistic), values) in stats.zip(&self.statistics).zip(&mut gathered.values) {
            if stat.meaning == StatMeaning::Growth {
                values.extend(statistic.as_ref().and_then(|s| s.of(&mut self.single)));
            }
        }
    }

    /// Takes the points of a series, from the store that has more of them, and answers how many
    /// may have to be read.
    fn take(&mut self, member: &GroupMember) -> Result<usize, AggregationStop> {
        if !(self.proceed)() {
            return Err(AggregationStop::GivenUp);
        }
        let (from, to) = self.window;
        self.excerpt.clear();
        for (store, id) in &member.places {
            let Some(store) = self.stores.get(*store) else {
                continue;
            };
            store
                .lock()
                .excerpt(*id, from.saturating_add(1), to, &mut self.other);
            if self.other.points() > self.excerpt.points() {
                std::mem::swap(&mut self.excerpt, &mut self.other);
            }
        }
        self.other.clear();
        let points = self.excerpt.points();
        self.points += points;
        if self.points > self.limits.points {
            return Err(AggregationStop::Points(self.limits.points));
        }
        Ok(points)
    }

    fn cover(&mut self, present: usize, member: &GroupMember, coverage: &mut Coverage) {
        self.cadence.gather(&self.excerpt, self.window);
        let expected = self.cadence.expected(self.window, member.interval);
        coverage.add(present, expected);
    }
}

fn is_sequence(stat: &StatChoice) -> bool {
    stat.meaning == StatMeaning::Sequence
}

/// What the series of a group observed in the window, added up.
trait MergedIncrease: Default {
    /// Adds a series.
    fn gather(&mut self, excerpt: &Excerpt);

    /// Points that were read.
    fn points(&self) -> usize;

    /// A statistic of the observations; `None` where they don't define it.
    fn value(&self, stat: StatMeaning) -> Option<f64>;
}

impl MergedIncrease for HistogramIncrease {
    fn gather(&mut self, excerpt: &Excerpt) {
        self.gather(excerpt);
    }

    fn points(&self) -> usize {
        self.points()
    }

    fn value(&self, stat: StatMeaning) -> Option<f64> {
        match stat {
            _ if self.is_mixed() => None,
            StatMeaning::Percentile(percent) => self.quantile(percent / 100.0),
            StatMeaning::Mean => self.mean(),
            StatMeaning::Total => self.sum(),
            StatMeaning::Number => Some(self.count()),
            _ => None,
        }
    }
}

impl MergedIncrease for SummaryIncrease {
    fn gather(&mut self, excerpt: &Excerpt) {
        self.gather(excerpt);
    }

    fn points(&self) -> usize {
        self.points()
    }

    fn value(&self, stat: StatMeaning) -> Option<f64> {
        match stat {
            StatMeaning::Mean => self.mean(),
            StatMeaning::Total => self.sum(),
            StatMeaning::Number => Some(self.count()),
            _ => None,
        }
    }
}
