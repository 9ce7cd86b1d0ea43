//! What the node tells the task of a pod: what the pod is by now, and when it has to end.

use std::{sync::Arc, time::Duration};

use k8s_openapi::api::core::v1::Pod;
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

/// What the node tells the task of a pod.
pub(crate) struct PodControl {
    pub(crate) stop: CancellationToken,
    pub(crate) grace: watch::Sender<Grace>,
    pub(crate) latest: watch::Sender<Arc<Pod>>,
}

impl PodControl {
    /// Tells the task that its pod is to end within `period`, counted from the first time that this is told.
    pub(crate) fn end(&self, period: Duration) {
        self.grace.send_modify(|grace| {
            grace.began.get_or_insert_with(Instant::now);
            grace.period = period;
        });
        self.stop.cancel();
    }
}

/// The time that a pod gets to end, and since when.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Grace {
    pub(crate) began: Option<Instant>,
    pub(crate) period: Duration,
}

/// The time that a container gets to end. It may become shorter while it passes.
pub(crate) struct Ending {
    grace: watch::Receiver<Grace>,
    began: Instant,
    own: Option<Duration>,
}

impl Ending {
    /// The pod's time, or `own` from now on as long as the pod need not end.
    pub(crate) fn new(grace: watch::Receiver<Grace>, own: Option<Duration>) -> Self {
        Self {
            grace,
            began: Instant::now(),
            own,
        }
    }

    /// Returns when the time is over, but not before `at_least`.
    pub(crate) async fn over(&mut self, at_least: Instant) {
        loop {
            let grace = *self.grace.borrow_and_update();
            let end = match grace.began {
                Some(began) => began + grace.period,
                None => self.began + self.own.unwrap_or(grace.period),
            };
            // a pod that is ended by force does not wait for anything
            let end = if grace.began.is_some() && grace.period.is_zero() {
                end
            } else {
                end.max(at_least)
            };
            tokio::select! {
                () = tokio::time::sleep_until(end) => return,
                changed = self.grace.changed() => if changed.is_err() {
                    return tokio::time::sleep_until(end).await;
                }
            }
        }
    }
}

/// What a pod's task is told, on its side.
pub(crate) struct PodOrders {
    pub(crate) stop: CancellationToken,
    pub(crate) grace: watch::Receiver<Grace>,
    pub(crate) latest: watch::Receiver<Arc<Pod>>,
}

/// The two sides of what a pod's task is told.
pub(crate) fn orders(pod: &Pod) -> (PodControl, PodOrders) {
    let spec = pod.spec.as_ref();
    let seconds = spec
        .and_then(|spec| spec.termination_grace_period_seconds)
        .unwrap_or(30);
    let period = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
    let (grace, grace_orders) = watch::channel(Grace { began: None, period });
    let (latest, latest_orders) = watch::channel(Arc::new(pod.clone()));
    let stop = CancellationToken::new();
    let orders = PodOrders {
        stop: stop.clone(),
        grace: grace_orders,
        latest: latest_orders,
    };
    (PodControl { stop, grace, latest }, orders)
}
