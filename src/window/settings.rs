//! The bounds of the store.

/// How much the store remembers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WindowSettings {
    /// Readable points of a series, at least 1. The newest stay.
    pub capacity: usize,
    /// Series; a histogram is one.
    pub max_series: usize,
    /// Bytes of all that the store holds. Beyond it the oldest chunks of all series are
    /// dropped, and if there are none, new points and series are refused.
    pub max_memory: usize,
    /// Milliseconds after the arrival of its last point at which a series is removed.
    pub series_ttl: i64,
    /// Milliseconds that a point may be older than the newest of its series.
    pub out_of_order_window: i64,
    /// Milliseconds that a point may be ahead of the time of its arrival. One wrong clock would
    /// otherwise make all later points of the series too old.
    pub max_ahead: i64,
    /// Numbers in one point of a histogram or summary.
    pub max_columns: usize,
}

impl Default for WindowSettings {
    fn default() -> Self {
        Self {
            capacity: 5760,
            max_series: 20_000,
            max_memory: 64 << 20,
            series_ttl: 3_600_000,
            out_of_order_window: 15_000,
            max_ahead: 600_000,
            max_columns: 1024,
        }
    }
}
