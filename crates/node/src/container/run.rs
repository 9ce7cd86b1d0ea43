//! One run of a container, from its start to its end.

use std::{fs, io, sync::Arc, time::Duration};

use k8s_openapi::{
    api::core::v1::ContainerStateTerminated, apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp,
};
use prefect_e2e_sandbox::{Report, container_command};
use tokio::{process::Child, sync::watch};

use super::{KILLED, Keeper, Logs, Running, configuration::Prepared};
use crate::{
    attach::{self, ProgramStreams},
    event::Severity,
    log::ContainerLog,
    status::State,
};

/// How many bytes of a termination message the API takes.
const MESSAGE_LIMIT: usize = 4096;

/// How long what a container told or wrote last may still be on its way when it has ended: at once on an
/// idle machine, but on a busy one seconds may pass before it is this program's turn.
const LAST_WORDS: Duration = Duration::from_secs(10);

/// How a run ended.
enum Ended {
    NotStarted(String),
    Exited(i32),
}

impl Keeper {
    /// Runs the container once.
    pub(super) async fn run(&self, mut prepared: Prepared) -> ContainerStateTerminated {
        let started_at = Timestamp::now();
        let id = format!("prefect-e2e://{}", uuid::Uuid::new_v4().simple());
        self.pod
            .change(self.name(), |progress| progress.container_id.clone_from(&id));
        let ended = self.start_and_wait(&mut prepared, started_at).await;
        self.pod.running().remove(self.name());
        // the container's own files; its log stays
        let _ = fs::remove_dir_all(&prepared.spec.directory);
        let ended = ended.unwrap_or_else(|error| Ended::NotStarted(error.to_string()));
        let (exit_code, reason, message) = match ended {
            Ended::Exited(code) => (
                code,
                if code == 0 { "Completed" } else { "Error" },
                self.termination_message(&prepared, code),
            ),
            Ended::NotStarted(reason) => {
                let message = format!("failed to start container {:?}: {reason}", self.name());
                self.event(Severity::Warning, "Failed", format!("Error: {message}"));
                (128, "StartError", Some(message))
            }
        };
        ContainerStateTerminated {
            exit_code,
            reason: Some(reason.into()),
            message,
            started_at: Some(Time(started_at)),
            finished_at: Some(Time(Timestamp::now())),
            container_id: Some(id),
            ..ContainerStateTerminated::default()
        }
    }

    fn termination_message(&self, prepared: &Prepared, code: i32) -> Option<String> {
        let written = fs::read(&prepared.termination_file).unwrap_or_default();
        if !written.is_empty() {
            return Some(String::from_utf8_lossy(&written[..written.len().min(MESSAGE_LIMIT)]).into_owned());
        }
        let falls_back =
            self.container.termination_message_policy.as_deref() == Some("FallbackToLogsOnError");
        let log = self.pod.logs().get(self.name()).map(|logs| logs.current.clone());
        log.filter(|_| falls_back && code != 0).map(|log| log.tail(80))
    }

    async fn start_and_wait(&self, prepared: &mut Prepared, started_at: Timestamp) -> io::Result<Ended> {
        let command = container_command(&self.pod.node.executable, &prepared.spec_file);
        let mut started = attach::start(command, &self.container)?;
        let (end, ended) = watch::channel(false);
        let log = self.begin_log(prepared, ended.clone())?;
        let outputs = std::mem::take(&mut started.outputs);
        let readers: Vec<_> = outputs
            .into_iter()
            .map(|(stream, name)| tokio::spawn(log.clone().keep(stream, name)))
            .collect();
        self.event(
            Severity::Normal,
            "Created",
            format!("Created container: {}", self.name()),
        );
        let outcome = match report(&mut started.child, prepared).await? {
            Report::Failed { reason } => {
                started.child.wait().await?;
                Ended::NotStarted(reason)
            }
            Report::Started { pid } => {
                self.tell_started(pid, prepared, started.streams(log, ended), started_at);
                Ended::Exited(self.attend(&mut started.child, pid).await?)
            }
        };
        for reader in readers {
            let _ = tokio::time::timeout(LAST_WORDS, reader).await;
        }
        end.send_replace(true);
        Ok(outcome)
    }

    fn begin_log(&self, prepared: &Prepared, ended: watch::Receiver<bool>) -> io::Result<Arc<ContainerLog>> {
        let log = ContainerLog::create(prepared.log.clone())?;
        let mut logs = self.pod.logs();
        let previous = logs.remove(self.name()).map(|logs| logs.current);
        logs.insert(
            self.name().to_owned(),
            Logs {
                current: log.clone(),
                previous,
                ended,
            },
        );
        Ok(log)
    }

    fn tell_started(&self, pid: i32, prepared: &Prepared, streams: ProgramStreams, started_at: Timestamp) {
        let running = Running {
            pid,
            env: prepared.spec.env.clone(),
            working_dir: prepared.spec.working_dir.clone(),
            identity: prepared.spec.identity.clone(),
            streams,
        };
        self.pod.running().insert(self.name().to_owned(), running);
        self.event(
            Severity::Normal,
            "Started",
            format!("Started container {}", self.name()),
        );
        let container = &self.container;
        let waits_for_hook = container
            .lifecycle
            .as_ref()
            .is_some_and(|lifecycle| lifecycle.post_start.is_some());
        self.pod.change(self.name(), |progress| {
            progress.state = State::Running { since: started_at };
            progress.started = container.startup_probe.is_none() && !waits_for_hook;
            progress.ready = progress.started && container.readiness_probe.is_none();
        });
    }
}

/// Whether the container started.
async fn report(child: &mut Child, prepared: &mut Prepared) -> io::Result<Report> {
    let exited = tokio::select! {
        biased;
        report = prepared.report.next() => return report,
        exited = child.wait() => exited?,
    };
    // the report of one that ended at once may come after its end
    match tokio::time::timeout(LAST_WORDS, prepared.report.next()).await {
        Ok(report) => report,
        Err(_) => Ok(Report::Failed {
            reason: format!(
                "its process ended with {} before it ran",
                exited.code().unwrap_or(KILLED)
            ),
        }),
    }
}
