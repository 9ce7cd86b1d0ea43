//! The probes of a running container, as long as it runs.

use std::time::Duration;

use k8s_openapi::api::core::v1::Probe;
use tokio::time::MissedTickBehavior;

use super::Keeper;
use crate::{
    event::Severity,
    probe::{self, Counter},
};

/// A probe that wants its container restarted.
pub(super) struct Failed {
    pub(super) title: &'static str,
    /// The time that the container gets to end, where it is not the pod's.
    pub(super) grace: Option<Duration>,
}

impl Failed {
    fn new(title: &'static str, probe: &Probe) -> Self {
        let seconds = probe
            .termination_grace_period_seconds
            .and_then(|seconds| u64::try_from(seconds).ok());
        Self {
            title,
            grace: seconds.map(Duration::from_secs),
        }
    }
}

impl Keeper {
    /// Runs the container's probes; ends when one of them wants it restarted.
    pub(super) async fn watch_probes(&self) -> Failed {
        if let Some(probe) = &self.container.startup_probe {
            if !self.watch_probe(probe, "Startup", |_| true).await {
                return Failed::new("startup", probe);
            }
            self.pod.change(self.name(), |progress| {
                progress.started = true;
                progress.ready = self.container.readiness_probe.is_none();
            });
        }
        let readiness = async {
            if let Some(probe) = &self.container.readiness_probe {
                self.watch_probe(probe, "Readiness", |ready| {
                    self.pod.change(self.name(), |progress| progress.ready = ready);
                    false
                })
                .await;
            }
            std::future::pending::<Failed>().await
        };
        let liveness = async {
            if let Some(probe) = &self.container.liveness_probe {
                self.watch_probe(probe, "Liveness", |alive| !alive).await;
                return Failed::new("liveness", probe);
            }
            std::future::pending().await
        };
        tokio::select! {
            never = readiness => never,
            failed = liveness => failed,
        }
    }

    /// Tries a probe again and again; `decide` is told when a threshold is reached, and says whether
    /// that is enough. Gives what the threshold was reached with.
    async fn watch_probe(&self, probe: &Probe, title: &str, mut decide: impl FnMut(bool) -> bool) -> bool {
        tokio::time::sleep(probe::initial_delay(probe)).await;
        let mut ticks = tokio::time::interval(probe::period(probe));
        // an attempt that took long is not made up for
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut counter = Counter::new(probe);
        let commands = self.pod.commands(self.name());
        loop {
            ticks.tick().await;
            let attempt = probe::attempt(probe, &self.container, &self.pod.ip.to_string(), &commands).await;
            if let Err(reason) = &attempt {
                self.event(
                    Severity::Warning,
                    "Unhealthy",
                    format!("{title} probe failed: {reason}"),
                );
            }
            if let Some(reached) = counter.count(attempt.is_ok())
                && decide(reached)
            {
                return reached;
            }
        }
    }
}
