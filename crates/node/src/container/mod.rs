//! The containers of a pod: each kept running as its policy says, until its pod ends.

mod attendance;
mod configuration;
mod image;
mod probing;
mod run;

use std::{path::PathBuf, sync::Arc, time::Duration};

use k8s_openapi::api::core::v1::{Container, ContainerStateTerminated};
use prefect_e2e_sandbox::Identity;
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::{attach::ProgramStreams, event::Severity, log::ContainerLog, pod::RunningPod, status::State};

/// The longest pause between two starts of a container that fails.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// A container that ran this long is no longer thought to fail.
const STEADY: Duration = Duration::from_secs(600);

/// What the API tells of a container that was ended before it could tell itself.
const KILLED: i32 = 137;

/// A container while it runs, as commands executed in it need it.
#[derive(Clone)]
pub(crate) struct Running {
    /// Its first process.
    pub(crate) pid: i32,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) working_dir: PathBuf,
    pub(crate) identity: Identity,
    pub(crate) streams: ProgramStreams,
}

/// The logs of a container: of this run and of the one before.
#[derive(Clone)]
pub(crate) struct Logs {
    pub(crate) current: Arc<ContainerLog>,
    pub(crate) previous: Option<Arc<ContainerLog>>,
    pub(crate) ended: watch::Receiver<bool>,
}

/// When a container is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Restart {
    Always,
    OnFailure,
    Never,
}

impl Restart {
    pub(crate) fn parse(policy: Option<&str>) -> Self {
        match policy {
            Some("Never") => Self::Never,
            Some("OnFailure") => Self::OnFailure,
            _ => Self::Always,
        }
    }

    fn again(self, exit_code: i32) -> bool {
        match self {
            Self::Always => true,
            Self::OnFailure => exit_code != 0,
            Self::Never => false,
        }
    }
}

/// Keeps one container of a pod.
pub(crate) struct Keeper {
    pub(crate) pod: Arc<RunningPod>,
    pub(crate) container: Container,
    pub(crate) restart: Restart,
    /// Cancelled when the container is to end for good.
    pub(crate) stop: CancellationToken,
}

impl Keeper {
    /// Runs the container until its policy says that it is done, or it is to end. Gives the last exit code.
    pub(crate) async fn keep(self) -> i32 {
        let mut back_off = BackOff::new(self.pod.node.restart_pause);
        loop {
            let Some(image) = self.pull().await else {
                return KILLED;
            };
            let Some(prepared) = self.prepare(&image).await else {
                return KILLED;
            };
            let begun = Instant::now();
            let terminated = self.run(prepared).await;
            let code = terminated.exit_code;
            self.pod.change(self.name(), |progress| {
                progress.ready = false;
                progress.started = false;
                progress.state = State::Terminated(terminated.clone());
            });
            if self.stop.is_cancelled() || !self.restart.again(code) {
                return code;
            }
            self.wait(back_off.next(begun.elapsed()), terminated).await;
            if self.stop.is_cancelled() {
                return code;
            }
        }
    }

    fn name(&self) -> &str {
        &self.container.name
    }

    fn event(&self, severity: Severity, reason: &'static str, message: String) {
        self.pod.event(Some(self.name()), severity, reason, message);
    }

    /// Lets the pause before the next start pass.
    async fn wait(&self, pause: Duration, terminated: ContainerStateTerminated) {
        let (pod, name) = (&self.pod, self.name());
        if !pause.is_zero() {
            let whom = format!(
                "restarting failed container {name} in pod {}_{}({})",
                pod.name(),
                pod.namespace(),
                pod.uid()
            );
            self.event(Severity::Warning, "BackOff", format!("Back-off {whom}"));
            let message = format!(
                "back-off {} restarting failed container={name} pod={}_{}({})",
                human(pause),
                pod.name(),
                pod.namespace(),
                pod.uid()
            );
            pod.change(name, |progress| {
                progress.last = Some(terminated.clone());
                progress.state = State::Waiting {
                    reason: "CrashLoopBackOff",
                    message: Some(message),
                };
            });
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.stop.cancelled() => return,
            }
        }
        pod.change(name, |progress| {
            progress.last = Some(terminated);
            progress.restarts += 1;
        });
    }
}

/// The pauses between starts: none before the second start, then doubled each time.
struct BackOff {
    first: Duration,
    next: Duration,
}

impl BackOff {
    fn new(first: Duration) -> Self {
        Self {
            first,
            next: Duration::ZERO,
        }
    }

    /// The pause after a run that lasted `ran`.
    fn next(&mut self, ran: Duration) -> Duration {
        if ran > STEADY {
            self.next = Duration::ZERO;
        }
        let pause = self.next;
        self.next = if pause.is_zero() {
            self.first
        } else {
            (pause * 2).min(LONGEST_PAUSE)
        };
        pause
    }
}

/// A duration as Go prints it, in seconds and minutes.
fn human(duration: Duration) -> String {
    match (duration.as_secs() / 60, duration.as_secs() % 60) {
        (0, seconds) => format!("{seconds}s"),
        (minutes, seconds) => format!("{minutes}m{seconds}s"),
    }
}

/// The message of an error and of all that caused it.
pub(crate) fn whole_message(error: &dyn std::error::Error) -> String {
    let mut message = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        message.push_str(": ");
        message.push_str(&cause.to_string());
        source = cause.source();
    }
    message
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(Restart::Always, 0, true)]
    #[case(Restart::OnFailure, 0, false)]
    #[case(Restart::OnFailure, 1, true)]
    #[case(Restart::Never, 1, false)]
    fn the_policy_decides_on_another_start(#[case] policy: Restart, #[case] code: i32, #[case] again: bool) {
        assert_eq!(policy.again(code), again);
    }

    #[test]
    fn the_first_restart_is_at_once_and_the_next_ones_wait_longer_each_time() {
        let mut back_off = BackOff::new(Duration::from_secs(1));
        let mut seconds = |ran| back_off.next(ran).as_secs();
        assert_eq!([(); 4].map(|()| seconds(Duration::ZERO)), [0, 1, 2, 4]);
        assert_eq!((0..9).map(|_| seconds(Duration::ZERO)).last(), Some(300));
        assert_eq!(
            seconds(STEADY + Duration::from_secs(1)),
            0,
            "a steady container begins anew"
        );
    }

    #[test]
    fn pauses_read_as_in_kubernetes() {
        assert_eq!(human(Duration::from_secs(10)), "10s");
        assert_eq!(human(Duration::from_secs(160)), "2m40s");
    }
}
