//! What the containers of a pod said.

use k8s_openapi::api::core::v1::Pod;
use kube::{Api, ResourceExt as _, api::LogParams};

use super::pod::statuses;
use crate::port_forward::is_ready;

/// How many lines of a log are told.
const LOG_LINES: i64 = 25;

/// A pod and the end of its logs.
pub(super) struct PodView {
    pub(super) pod: Pod,
    pub(super) logs: Vec<ContainerLog>,
}

pub(super) struct ContainerLog {
    pub(super) container: String,
    pub(super) previous: bool,
    pub(super) text: String,
}

impl PodView {
    /// Reads the logs of `pod`; what cannot be read is left out.
    pub(super) async fn read(api: &Api<Pod>, pod: Pod) -> Self {
        let logs = read_logs(api, &pod).await;
        Self { pod, logs }
    }

    /// A container that ended with an error and has not come back for good.
    pub(super) fn crash(&self) -> Option<String> {
        statuses(&self.pod)
            .find(|status| !status.ready || status.restart_count > 0)
            .and_then(|status| {
                let state = status.state.as_ref();
                let last = status.last_state.as_ref();
                let ended = state.and_then(|state| state.terminated.as_ref());
                let ended = ended.or_else(|| last.and_then(|state| state.terminated.as_ref()))?;
                let killed_by_probe = ended.exit_code == 137 || ended.exit_code == 143;
                if ended.exit_code == 0 || killed_by_probe && self.logs.is_empty() {
                    return None;
                }
                let why = self
                    .error_line(&status.name)
                    .map(|line| format!(": {line}"))
                    .unwrap_or_default();
                let message = ended
                    .message
                    .as_deref()
                    .filter(|message| !message.trim().is_empty());
                let message = message
                    .map(|message| format!(" ({})", message.trim()))
                    .unwrap_or_default();
                let restarts = match status.restart_count {
                    0 => String::new(),
                    1 => ", restarted once".into(),
                    count => format!(", restarted {count} times"),
                };
                Some(format!(
                    "container {} ended with exit code {}{restarts}{message}{why}",
                    status.name, ended.exit_code
                ))
            })
    }

    /// What a pod said that runs, but does not do what it should: without a probe it counts as ready all the
    /// same, so only the end of a traceback is taken from such a pod.
    pub(super) fn last_words(&self) -> Option<String> {
        let container = &self.logs.first()?.container;
        let line = if is_ready(&self.pod) {
            self.exception(container)
        } else {
            self.error_line(container)
        };
        line.map(|line| format!("container {container} says: {line}"))
    }

    /// The line of the container's logs that most looks like the reason of its end.
    fn error_line(&self, container: &str) -> Option<String> {
        self.exception(container)
            .or_else(|| self.last_line(container, looks_like_error))
    }

    /// The last line that ends a traceback.
    fn exception(&self, container: &str) -> Option<String> {
        self.last_line(container, is_exception)
    }

    fn last_line(&self, container: &str, fits: impl Fn(&str) -> bool) -> Option<String> {
        let logs = self.logs.iter().rev().filter(|log| log.container == container);
        let mut lines = logs.flat_map(|log| log.text.lines().rev()).map(str::trim);
        lines
            .find(|line| fits(line))
            .map(|line| line.chars().take(300).collect())
    }
}

async fn read_logs(api: &Api<Pod>, pod: &Pod) -> Vec<ContainerLog> {
    let mut logs = Vec::new();
    for status in statuses(pod) {
        for previous in [false, true] {
            if previous && status.restart_count == 0 {
                continue;
            }
            let parameters = LogParams {
                container: Some(status.name.clone()),
                tail_lines: Some(LOG_LINES),
                previous,
                ..LogParams::default()
            };
            let Ok(text) = api.logs(&pod.name_any(), &parameters).await else {
                continue;
            };
            if !text.trim().is_empty() {
                logs.push(ContainerLog {
                    container: status.name.clone(),
                    previous,
                    text,
                });
            }
        }
    }
    logs
}

/// Whether a line is the last of a Python traceback, such as `OSError: [Errno 30] Read-only file system`.
fn is_exception(line: &str) -> bool {
    let Some((name, rest)) = line.split_once(": ") else {
        return line.ends_with("Error") && !line.contains(' ');
    };
    let last = name.rsplit('.').next().unwrap_or_default();
    !rest.is_empty() && !name.contains(' ') && (last.ends_with("Error") || last.ends_with("Exception"))
}

fn looks_like_error(line: &str) -> bool {
    let words = [
        "error",
        "fatal",
        "failed",
        "refused",
        "denied",
        "cannot",
        "no such",
        "not found",
        "read-only",
    ];
    let lower = line.to_lowercase();
    words.iter().any(|word| lower.contains(word))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(
        "sqlalchemy.exc.OperationalError: (sqlite3.OperationalError) unable to open",
        true
    )]
    #[case("ssl.SSLCertVerificationError: certificate verify failed", true)]
    #[case("INFO: the Error: of something", false)]
    fn the_end_of_a_traceback_is_known(#[case] line: &str, #[case] expected: bool) {
        assert_eq!(is_exception(line), expected);
    }
}
