//! Which names a page uses, so that none comes twice.

use std::collections::HashSet;

use super::Kind;

/// Whether a name can stand without quotes: ASCII letters, digits and `_`, and in metric
/// names `:`, no digit first.
pub fn is_legacy_name(name: &str, colon: bool) -> bool {
    let allowed =
        |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || (colon && byte == b':');
    !name.is_empty() && !is_digit_first(name) && name.bytes().all(allowed)
}

/// The names of the families of a page and of all their samples.
///
/// A histogram `x` also writes `x_bucket`, `x_sum` and `x_count`, so no other family may
/// have one of those names. The family that is entered first has them.
#[derive(Debug, Clone, Default)]
pub struct FamilyNames {
    taken: HashSet<String>,
}

impl FamilyNames {
    /// No names yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the names of a family; false, and nothing is taken, where one is in use.
    pub fn claim(&mut self, name: &str, kind: Kind) -> bool {
        let free = own(name, kind).all(|name| !self.taken.contains(&name));
        if free {
            self.taken.extend(own(name, kind));
        }
        free
    }

    /// Gives back what a family took.
    pub fn release(&mut self, name: &str, kind: Kind) {
        for name in own(name, kind) {
            self.taken.remove(&name);
        }
        if self.taken.len() < self.taken.capacity() / 4 {
            self.taken.shrink_to_fit();
        }
    }

    /// Whether a name is in use.
    pub fn contains(&self, name: &str) -> bool {
        self.taken.contains(name)
    }

    /// Which counters OpenMetrics can show as such. There a counter's family is its name
    /// without `_total`, and that name and its `_created` must be free. The other counters
    /// are written with type unknown under their full name, because a name must not depend
    /// on the format.
    ///
    /// `counters` come in the order of the page; the first of two that want one name has it.
    pub fn openmetrics_counters<'a>(
        &self,
        counters: impl Iterator<Item = &'a str>,
    ) -> HashSet<&'a str> {
        let mut bases = HashSet::new();
        counters
            .filter(|name| {
                let Some(base) = name.strip_suffix("_total").filter(|base| !base.is_empty()) else {
                    return false;
                };
                let wanted = [base.to_owned(), format!("{base}_created")];
                let free = !is_digit_first(base)
                    && wanted
                        .iter()
                        .all(|name| !self.contains(name) && !bases.contains(name));
                if free {
                    bases.extend(wanted);
                }
                free
            })
            .collect()
    }
}

fn is_digit_first(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_digit())
}

/// A family's name and those of its samples.
fn own(name: &str, kind: Kind) -> impl Iterator<Item = String> {
    std::iter::once("")
        .chain(kind.suffixes().iter().copied())
        .map(move |suffix| format!("{name}{suffix}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_samples_of_a_histogram_are_nobody_elses() {
        let mut names = FamilyNames::new();
        assert!(names.claim("x", Kind::Histogram));
        assert!(!names.claim("x_count", Kind::Gauge));
        assert!(!names.claim("x", Kind::Gauge));
        assert!(names.claim("x_total", Kind::Counter));
        names.release("x", Kind::Histogram);
        assert!(names.claim("x_count", Kind::Gauge));
        assert!(!names.claim("x", Kind::Summary), "x_count is taken");
    }

    #[test]
    fn a_counter_gives_way_to_whoever_has_its_name_without_total() {
        let mut names = FamilyNames::new();
        for (name, kind) in [
            ("betanet_packets_dropped", Kind::Gauge),
            ("betanet_packets_dropped_total", Kind::Counter),
            ("a_total", Kind::Counter),
            ("a_created_total", Kind::Counter),
            ("b_bucket_total", Kind::Counter),
            ("b", Kind::Histogram),
            ("points", Kind::Counter),
            ("_total", Kind::Counter),
        ] {
            assert!(names.claim(name, kind), "{name}");
        }
        let counters = [
            "_total",
            "a_created_total",
            "a_total",
            "b_bucket_total",
            "betanet_packets_dropped_total",
            "points",
        ];
        assert_eq!(
            names.openmetrics_counters(counters.into_iter()),
            HashSet::from(["a_created_total"])
        );
    }
}
