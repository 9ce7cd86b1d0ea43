//! The time that controllers go by: the wall clock as it was at the start, moved on by the runtime's
//! clock, so that tests can pause both.

use std::time::Duration;

use k8s_openapi::{
    apimachinery::pkg::apis::meta::v1::Time,
    jiff::{SignedDuration, Timestamp},
};
use tokio::time::Instant;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    start: Timestamp,
    started: Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self {
            start: Timestamp::now(),
            started: Instant::now(),
        }
    }

    /// Now, in whole seconds as the API keeps times.
    pub(crate) fn now(&self) -> Time {
        let passed = SignedDuration::try_from(self.started.elapsed()).unwrap_or(SignedDuration::MAX);
        let now = self.start.saturating_add(passed).unwrap_or(self.start);
        Time(Timestamp::from_second(now.as_second()).unwrap_or(now))
    }

    /// How long it is until `seconds` after `time`; zero when that has passed.
    pub(crate) fn until(&self, time: &Time, seconds: i64) -> Duration {
        let left = time.0.as_second() + seconds - self.now().0.as_second();
        Duration::from_secs(u64::try_from(left).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn time_passes_as_the_runtime_says() {
        let clock = Clock::start();
        let before = clock.now();
        assert_eq!(clock.until(&before, 90), Duration::from_secs(90));
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(clock.until(&before, 90), Duration::from_secs(30));
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(clock.until(&before, 90), Duration::ZERO);
    }
}
