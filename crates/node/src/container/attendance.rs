//! A running container is attended: its hooks are run, its probes watched, its end brought about.

use std::{io, time::Duration};

use k8s_openapi::api::core::v1::{LifecycleHandler, Probe};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::{process::Child, time::Instant};

use super::{KILLED, Keeper};
use crate::{
    event::Severity,
    probe::{self, RunsCommands as _},
};

/// What a container gets to end even if its hook used up all the time.
///
/// Source: `minimumGracePeriodInSeconds` of the kubelet.
const AT_LEAST: Duration = Duration::from_secs(2);

impl Keeper {
    /// Waits for the container's end, and brings it about when it is to end or a probe wants it restarted.
    pub(super) async fn attend(&self, child: &mut Child, pid: i32) -> io::Result<i32> {
        let name = self.name();
        let life = async {
            if let Err(error) = self.post_start().await {
                self.event(
                    Severity::Warning,
                    "FailedPostStartHook",
                    format!("PostStartHook failed: {error}"),
                );
                return (
                    format!("Container {name} failed post-start hook, will be restarted"),
                    None,
                );
            }
            let failed = self.watch_probes().await;
            (
                format!(
                    "Container {name} failed {} probe, will be restarted",
                    failed.title
                ),
                failed.grace,
            )
        };
        let (why, grace) = tokio::select! {
            exited = child.wait() => return exited.map(|status| status.code().unwrap_or(KILLED)),
            () = self.stop.cancelled() => (format!("Stopping container {name}"), None),
            failed = life => failed,
        };
        self.event(Severity::Normal, "Killing", why);
        self.end_in_order(child, pid, grace).await
    }

    /// Runs the container's last hook, asks it to end, and ends it when its time is over.
    async fn end_in_order(&self, child: &mut Child, pid: i32, grace: Option<Duration>) -> io::Result<i32> {
        let mut ending = self.pod.ending(grace);
        let hook = self
            .container
            .lifecycle
            .as_ref()
            .and_then(|lifecycle| lifecycle.pre_stop.as_ref());
        if let Some(hook) = hook {
            tokio::select! {
                outcome = self.run_hook(hook) => if let Err(error) = outcome {
                    self.event(Severity::Warning, "FailedPreStopHook", format!("PreStopHook failed: {error}"));
                },
                () = ending.over(Instant::now()) => {}
                exited = child.wait() => return exited.map(|status| status.code().unwrap_or(KILLED)),
            }
        }
        if let Some(helper) = child.id().and_then(|helper| i32::try_from(helper).ok()) {
            // one that has ended in the meantime needs no signal
            let _ = kill(Pid::from_raw(helper), Signal::SIGTERM);
        }
        let at_least = Instant::now() + if hook.is_some() { AT_LEAST } else { Duration::ZERO };
        let exited = tokio::select! {
            exited = child.wait() => exited,
            () = ending.over(at_least) => {
                // the end of its first process takes all processes of the container with it
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
                child.wait().await
            }
        };
        exited.map(|status| status.code().unwrap_or(KILLED))
    }

    async fn post_start(&self) -> Result<(), String> {
        let Some(hook) = self
            .container
            .lifecycle
            .as_ref()
            .and_then(|lifecycle| lifecycle.post_start.as_ref())
        else {
            return Ok(());
        };
        self.run_hook(hook).await?;
        let container = &self.container;
        self.pod.change(self.name(), |progress| {
            progress.started = container.startup_probe.is_none();
            progress.ready = progress.started && container.readiness_probe.is_none();
        });
        Ok(())
    }

    async fn run_hook(&self, hook: &LifecycleHandler) -> Result<(), String> {
        let commands = self.pod.commands(self.name());
        if let Some(exec) = &hook.exec {
            let command = exec.command.clone().unwrap_or_default();
            return match commands.run(&command).await {
                Ok((0, _)) => Ok(()),
                Ok((code, output)) => Err(format!("command {command:?} exited with {code}: {output}")),
                Err(error) => Err(error.to_string()),
            };
        }
        if let Some(get) = &hook.http_get {
            let probe = Probe {
                http_get: Some(get.clone()),
                ..Probe::default()
            };
            return probe::attempt(&probe, &self.container, &self.pod.ip.to_string(), &commands).await;
        }
        if let Some(sleep) = &hook.sleep {
            tokio::time::sleep(Duration::from_secs(u64::try_from(sleep.seconds).unwrap_or(0))).await;
        }
        Ok(())
    }
}
