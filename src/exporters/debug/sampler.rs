//! Decides which batches are printed: the first `sampling_initial` of each second, then every
//! `sampling_thereafter`-th, as the Collector's logger does.

use std::time::Duration;

use tokio::time::Instant;

#[derive(Debug)]
pub(super) struct Sampler {
    initial: u64,
    /// 0 prints no more in that second.
    thereafter: u64,
    second: Option<Instant>,
    seen: u64,
}

impl Sampler {
    pub(super) fn new(initial: u64, thereafter: u64) -> Self {
        Self {
            initial,
            thereafter,
            second: None,
            seen: 0,
        }
    }

    pub(super) fn admits(&mut self, now: Instant) -> bool {
        let over = self
            .second
            .is_none_or(|began| now.duration_since(began) >= Duration::from_secs(1));
        if over {
            self.second = Some(now);
            self.seen = 0;
        }
        self.seen += 1;
        self.seen <= self.initial
            || (self.thereafter > 0 && (self.seen - self.initial).is_multiple_of(self.thereafter))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_first_few_of_each_second_and_then_each_so_many_th() {
        let f = |initial: u64, thereafter: u64, expected: [u64; 4]| {
            let mut sampler = Sampler::new(initial, thereafter);
            let start = Instant::now();
            for second in 0..2 {
                let at = start + Duration::from_secs(second);
                let admitted: Vec<u64> = (1..=12).filter(|_| sampler.admits(at)).collect();
                assert_eq!(
                    admitted[..4.min(admitted.len())],
                    expected[..4.min(admitted.len())]
                );
            }
        };
        f(2, 5, [1, 2, 7, 12]);
        f(0, 3, [3, 6, 9, 12]);
        f(2, 1, [1, 2, 3, 4]);
        f(2, 0, [1, 2, 0, 0]);
    }
}
