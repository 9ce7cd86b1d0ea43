//! The queue of what a controller has to look at: each key once, again later when it asks for that,
//! and again after a growing pause when it failed.

use std::{
    collections::{HashMap, VecDeque},
    fmt::Debug,
    hash::Hash,
    time::Duration,
};

use tokio::{sync::mpsc, time::Instant};

use crate::error::ReconcileError;

/// The pauses after failures: doubled from the first to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// When to look at an object again even if nothing changes.
pub(crate) type Next = Option<Duration>;

/// A controller: makes what it is told to look at as it should be.
pub(crate) trait Reconciler: Send + Sync + 'static {
    type Key: Clone + Debug + Eq + Hash + Send + Sync + 'static;

    /// For logs.
    const NAME: &'static str;

    fn reconcile(&self, key: &Self::Key) -> impl Future<Output = Result<Next, ReconcileError>> + Send;
}

/// The end of a queue at which keys are put in.
#[derive(Debug)]
pub(crate) struct Queue<T>(mpsc::UnboundedSender<T>);

impl<T> Clone for Queue<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Queue<T> {
    /// A queue, and the work at its other end.
    pub(crate) fn new() -> (Self, Work<T>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        let work = Work {
            receiver,
            ready: VecDeque::new(),
            later: HashMap::new(),
            failures: HashMap::new(),
        };
        (Self(sender), work)
    }

    pub(crate) fn add(&self, key: T) {
        // after the controller ended nobody looks any more
        let _ = self.0.send(key);
    }
}

/// The other end of a queue.
pub(crate) struct Work<T> {
    receiver: mpsc::UnboundedReceiver<T>,
    ready: VecDeque<T>,
    later: HashMap<T, Instant>,
    failures: HashMap<T, u32>,
}

impl<T: Clone + Debug + Eq + Hash + Send + Sync + 'static> Work<T> {
    /// Does the work for as long as it is polled.
    pub(crate) async fn run<R: Reconciler<Key = T>>(mut self, reconciler: R) {
        while let Some(key) = self.next().await {
            match reconciler.reconcile(&key).await {
                Ok(next) => {
                    self.failures.remove(&key);
                    if let Some(pause) = next {
                        self.later.insert(key, Instant::now() + pause);
                    }
                }
                Err(error) => self.failed(key, &error, R::NAME),
            }
        }
    }

    fn failed(&mut self, key: T, error: &ReconcileError, controller: &str) {
        let failures = self.failures.entry(key.clone()).or_default();
        let pause = FIRST_PAUSE
            .saturating_mul(1 << (*failures).min(16))
            .min(LONGEST_PAUSE);
        *failures += 1;
        if error.is_expected() {
            tracing::debug!(controller, ?key, %error, "trying again");
        } else {
            let cause = std::error::Error::source(error);
            tracing::warn!(controller, ?key, %error, cause, "trying again");
        }
        self.later.insert(key, Instant::now() + pause);
    }

    /// The next key, or `None` when nobody puts in keys any more.
    async fn next(&mut self) -> Option<T> {
        loop {
            while let Ok(key) = self.receiver.try_recv() {
                self.put(key);
            }
            let now = Instant::now();
            let due: Vec<T> = self
                .later
                .iter()
                .filter(|(_, at)| **at <= now)
                .map(|(key, _)| key.clone())
                .collect();
            due.into_iter().for_each(|key| self.put(key));
            if let Some(key) = self.ready.pop_front() {
                self.later.remove(&key);
                return Some(key);
            }
            let earliest = self.later.values().min().copied();
            tokio::select! {
                received = self.receiver.recv() => self.put(received?),
                () = tokio::time::sleep_until(earliest.unwrap_or(now)), if earliest.is_some() => {}
            }
        }
    }

    fn put(&mut self, key: T) {
        if !self.ready.contains(&key) {
            self.ready.push_back(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    struct Recording {
        began: Instant,
        seen: Arc<Mutex<Vec<(u8, u128)>>>,
        outcome: fn(usize) -> Result<Next, ReconcileError>,
    }

    impl Reconciler for Recording {
        type Key = u8;
        const NAME: &'static str = "recording";

        async fn reconcile(&self, key: &u8) -> Result<Next, ReconcileError> {
            let mut seen = self.seen.lock().unwrap();
            seen.push((*key, self.began.elapsed().as_millis()));
            (self.outcome)(seen.len())
        }
    }

    async fn work_on(keys: &[u8], outcome: fn(usize) -> Result<Next, ReconcileError>) -> Vec<(u8, u128)> {
        let (queue, work) = Queue::new();
        keys.iter().for_each(|key| queue.add(*key));
        let seen = Arc::default();
        let recording = Recording {
            began: Instant::now(),
            seen: Arc::clone(&seen),
            outcome,
        };
        let _ = tokio::time::timeout(Duration::from_secs(100), work.run(recording)).await;
        std::mem::take(&mut *seen.lock().unwrap())
    }

    fn failure() -> ReconcileError {
        serde_json::from_str::<u8>("").unwrap_err().into()
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_put_in_twice_is_looked_at_once() {
        assert_eq!(work_on(&[1, 2, 1], |_| Ok(None)).await, [(1, 0), (2, 0)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_is_looked_at_again_when_it_asks_for_that() {
        let again = |count| Ok((count == 1).then_some(Duration::from_secs(7)));
        assert_eq!(work_on(&[1], again).await, [(1, 0), (1, 7000)]);
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_after_failures_grow_to_a_limit() {
        let seen = work_on(&[1], |_| Err(failure())).await;
        let pauses: Vec<u128> = seen.windows(2).map(|pair| pair[1].1 - pair[0].1).collect();
        assert_eq!(pauses[..4], [5, 10, 20, 40]);
        assert_eq!(pauses.last(), Some(&30_000));
    }
}
