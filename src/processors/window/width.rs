//! How many numbers a point has.

use crate::pdata::view::Point;

/// Whether a point of a histogram or summary has more buckets or quantiles than that, whichever
/// there are more of. No more are read than it takes to say so: a request that is small on the
/// wire may have millions, which would be eight times as large once they are numbers.
#[inline]
pub(super) fn is_wider(point: &Point<'_>, most: usize) -> bool {
    match point {
        Point::Number(_) => false,
        Point::Histogram(point) => {
            point
                .bucket_counts()
                .len()
                .max(point.explicit_bounds().len())
                > most
        }
        Point::ExponentialHistogram(point) => {
            let (positive, negative) = (point.positive().counts(), point.negative().counts());
            has_more(positive.chain(negative), most)
        }
        Point::Summary(point) => has_more(point.quantiles(), most),
    }
}

fn has_more(mut all: impl Iterator, most: usize) -> bool {
    all.nth(most).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pdata::{Signal, json};

    #[test]
    fn a_point_is_wider_than_all_but_its_own_numbers() {
        let f = |data: &str, numbers: usize| {
            let text = format!(
                r#"{{"resourceMetrics":[{{"scopeMetrics":[{{"metrics":[{{"name":"x",{data}}}]}}]}}]}}"#
            );
            let batch = json::decode(Signal::Metrics, text.as_bytes())
                .unwrap()
                .batch;
            let mut seen = 0;
            for resource in batch.resource_metrics() {
                for metric in resource.scopes().flat_map(|scope| scope.metrics()) {
                    for point in metric.data().points() {
                        seen += 1;
                        let wider: Vec<bool> = (0..5).map(|most| is_wider(&point, most)).collect();
                        let expected: Vec<bool> = (0..5).map(|most| numbers > most).collect();
                        assert_eq!(wider, expected, "{data}");
                    }
                }
            }
            assert_eq!(seen, 1, "{data}");
        };
        f(r#""gauge":{"dataPoints":[{"asDouble":1}]}"#, 0);
        f(
            r#""histogram":{"dataPoints":[{"explicitBounds":[1,2],"bucketCounts":["1","2","3"]}]}"#,
            3,
        );
        f(
            r#""histogram":{"dataPoints":[{"explicitBounds":[1,2],"bucketCounts":[]}]}"#,
            2,
        );
        f(
            r#""exponentialHistogram":{"dataPoints":[{"positive":{"bucketCounts":["1","2"]},
            "negative":{"bucketCounts":["300"]}}]}"#,
            3,
        );
        f(
            r#""summary":{"dataPoints":[{"quantileValues":[{"quantile":0.5},{"quantile":0.5}]}]}"#,
            2,
        );
    }
}
