//! What is wrong in a namespace: the cause in a line, and what was seen around it.

use k8s_openapi::{
    api::core::v1::{ContainerStatus, Event, Pod, Service},
    jiff::Timestamp,
};
use kube::{
    Api, ResourceExt as _,
    api::{ListParams, LogParams},
};

use crate::{deploy::Place, event::Detail, port_forward::is_ready};

/// How many lines of a log are told.
const LOG_LINES: i64 = 25;

/// How many events are told.
const EVENTS: usize = 15;

/// A container that waits for one of these reasons will not start by waiting longer.
const HOPELESS: [&str; 6] = [
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "ErrImageNeverPull",
    "CreateContainerConfigError",
    "CreateContainerError",
];

/// The state of a namespace at one moment.
pub(crate) struct Diagnosis {
    pods: Vec<PodView>,
    events: Vec<Event>,
    services: Vec<Service>,
}

struct PodView {
    pod: Pod,
    logs: Vec<ContainerLog>,
}

struct ContainerLog {
    container: String,
    previous: bool,
    text: String,
}

/// Why a deployment is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cause {
    /// In a line.
    pub(crate) message: String,
    /// As `kind/name`.
    pub(crate) object: String,
}

impl Diagnosis {
    /// Looks at pods, their logs, events and Services. What cannot be read is left out.
    pub(crate) async fn of(place: &Place) -> Self {
        let client = || place.client.clone();
        let pods: Api<Pod> = Api::namespaced(client(), &place.namespace);
        let events: Api<Event> = Api::namespaced(client(), &place.namespace);
        let services: Api<Service> = Api::namespaced(client(), &place.namespace);
        let all = ListParams::default();
        let (listed, events, services) =
            tokio::join!(pods.list(&all), events.list(&all), services.list(&all));
        let mut views = Vec::new();
        for pod in listed.map(|list| list.items).unwrap_or_default() {
            let logs = read_logs(&pods, &pod).await;
            views.push(PodView { pod, logs });
        }
        let mut events = events.map(|list| list.items).unwrap_or_default();
        events.sort_by_key(|event| (event.last_timestamp.clone(), event.event_time.clone()));
        Self {
            pods: views,
            events,
            services: services.map(|list| list.items).unwrap_or_default(),
        }
    }

    /// The first thing that is wrong, in the order in which one thing leads to another.
    pub(crate) fn cause(&self) -> Option<Cause> {
        self.refused_pods()
            .or_else(|| self.first_pod(unschedulable))
            .or_else(|| self.first_pod(hopeless))
            .or_else(|| self.failed_mount())
            .or_else(|| self.service_without_pods())
            .or_else(|| self.first_view(crashed))
            .or_else(|| self.failed_probe())
            .or_else(|| self.first_view(last_words))
    }

    /// A cause that no waiting mends: an image that is not there, a Secret without the key.
    pub(crate) fn hopeless(&self) -> Option<Cause> {
        self.refused_pods().or_else(|| self.first_pod(hopeless))
    }

    /// A container that has ended `restarts` times, the last time of a start at which every other pod was
    /// ready already: what ended for want of its database is not lost once the database is back.
    pub(crate) fn crash_loop(&self, restarts: i32) -> Option<Cause> {
        let (loops, others): (Vec<&PodView>, Vec<&PodView>) = self
            .pods
            .iter()
            .partition(|view| last_start_of_loop(&view.pod, restarts).is_some());
        let last_start = loops
            .iter()
            .filter_map(|view| last_start_of_loop(&view.pod, restarts))
            .min()?;
        if others
            .iter()
            .any(|view| ready_since(&view.pod).is_none_or(|since| since >= last_start))
        {
            return None;
        }
        // what cannot reach its database ends, too
        self.service_without_pods().or_else(|| self.first_view(crashed))
    }

    /// Everything that was seen, as text, to look for a reason in.
    pub(crate) fn text(&self) -> String {
        let details = self.details();
        details
            .iter()
            .map(|detail| format!("{}\n{}\n", detail.title, detail.text))
            .collect()
    }

    /// What was seen, for people.
    pub(crate) fn details(&self) -> Vec<Detail> {
        let mut details = Vec::new();
        for view in self.pods.iter().filter(|view| !is_ready(&view.pod)) {
            details.push(Detail {
                title: format!("state of pod/{}", view.pod.name_any()),
                text: describe(&view.pod),
            });
        }
        if let Some(events) = self.event_lines() {
            details.push(Detail {
                title: "events".into(),
                text: events,
            });
        }
        for view in &self.pods {
            for log in &view.logs {
                let which = if log.previous { "previous container " } else { "" };
                let title = format!(
                    "last log lines of {which}{} in pod/{}",
                    log.container,
                    view.pod.name_any()
                );
                details.push(Detail {
                    title,
                    text: log.text.clone(),
                });
            }
        }
        details
    }

    fn event_lines(&self) -> Option<String> {
        let told: Vec<String> = self
            .events
            .iter()
            .rev()
            .take(EVENTS)
            .map(|event| {
                let object = &event.involved_object;
                let times = event
                    .count
                    .filter(|count| *count > 1)
                    .map(|count| format!(" (x{count})"));
                format!(
                    "{} {} {}/{}: {}{}",
                    event.type_.as_deref().unwrap_or_default(),
                    event.reason.as_deref().unwrap_or_default(),
                    object.kind.as_deref().unwrap_or_default().to_lowercase(),
                    object.name.as_deref().unwrap_or_default(),
                    event.message.as_deref().unwrap_or_default().trim(),
                    times.unwrap_or_default(),
                )
            })
            .collect();
        (!told.is_empty()).then(|| told.into_iter().rev().collect::<Vec<_>>().join("\n"))
    }

    fn first_pod(&self, look: impl Fn(&Pod) -> Option<String>) -> Option<Cause> {
        self.pods.iter().find_map(|view| {
            look(&view.pod).map(|message| Cause {
                message,
                object: format!("pod/{}", view.pod.name_any()),
            })
        })
    }

    fn first_view(&self, look: impl Fn(&PodView) -> Option<String>) -> Option<Cause> {
        self.pods.iter().find_map(|view| {
            look(view).map(|message| Cause {
                message,
                object: format!("pod/{}", view.pod.name_any()),
            })
        })
    }

    /// A controller that may not create its pods.
    fn refused_pods(&self) -> Option<Cause> {
        let event = self.events.iter().rev().find(|event| {
            event.reason.as_deref() == Some("FailedCreate")
                && matches!(
                    event.involved_object.kind.as_deref(),
                    Some("ReplicaSet" | "StatefulSet" | "Job")
                )
        })?;
        // an earlier refusal does not matter once there are pods
        let owner = event.involved_object.name.clone().unwrap_or_default();
        let has_pods = self
            .pods
            .iter()
            .any(|view| view.pod.owner_references().iter().any(|one| one.name == owner));
        (!has_pods).then(|| Cause {
            message: event.message.clone().unwrap_or_default(),
            object: format!(
                "{}/{owner}",
                event
                    .involved_object
                    .kind
                    .as_deref()
                    .unwrap_or_default()
                    .to_lowercase()
            ),
        })
    }

    fn failed_mount(&self) -> Option<Cause> {
        self.last_event("FailedMount", |pod| phase(pod) == "Pending")
    }

    /// A probe that keeps a pod from being ready.
    pub(crate) fn failed_probe(&self) -> Option<Cause> {
        self.last_event("Unhealthy", |pod| !is_ready(pod))
    }

    /// The last event of this reason about a pod that `concerns` takes.
    fn last_event(&self, reason: &str, concerns: impl Fn(&Pod) -> bool) -> Option<Cause> {
        let pods = self.pods.iter().filter(|view| concerns(&view.pod));
        let names: Vec<String> = pods.map(|view| view.pod.name_any()).collect();
        let event = self.events.iter().rev().find(|event| {
            let about = event.involved_object.name.as_ref();
            event.reason.as_deref() == Some(reason) && about.is_some_and(|name| names.contains(name))
        })?;
        Some(Cause {
            message: event.message.clone().unwrap_or_default(),
            object: format!(
                "pod/{}",
                event.involved_object.name.as_deref().unwrap_or_default()
            ),
        })
    }

    /// A Service whose selector fits no pod.
    pub(crate) fn service_without_pods(&self) -> Option<Cause> {
        self.services.iter().find_map(|service| {
            let selector = service
                .spec
                .as_ref()?
                .selector
                .as_ref()
                .filter(|selector| !selector.is_empty())?;
            let fits = |pod: &Pod| {
                selector
                    .iter()
                    .all(|(key, value)| pod.labels().get(key) == Some(value))
            };
            if self.pods.is_empty() || self.pods.iter().any(|view| fits(&view.pod)) {
                return None;
            }
            let text: Vec<String> = selector
                .iter()
                .map(|(key, value)| format!("{key}={value}"))
                .collect();
            let wrong: Vec<&String> = text
                .iter()
                .filter(|pair| !self.pods.iter().any(|view| has_label(&view.pod, pair)))
                .collect();
            let wrong = wrong
                .iter()
                .map(|pair| pair.as_str())
                .collect::<Vec<_>>()
                .join(", ");
            let hint = if wrong.is_empty() {
                String::new()
            } else {
                format!(": no pod has {wrong}")
            };
            Some(Cause {
                message: format!("the selector of the Service fits no pod{hint}"),
                object: format!("service/{}", service.name_any()),
            })
        })
    }
}

fn has_label(pod: &Pod, pair: &str) -> bool {
    pair.split_once('=')
        .is_some_and(|(key, value)| pod.labels().get(key).is_some_and(|found| found == value))
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

fn statuses(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    let status = pod.status.iter();
    status.flat_map(|status| {
        let init = status.init_container_statuses.iter().flatten();
        init.chain(status.container_statuses.iter().flatten())
    })
}

fn phase(pod: &Pod) -> &str {
    pod.status
        .as_ref()
        .and_then(|status| status.phase.as_deref())
        .unwrap_or("Pending")
}

/// When the run that ended last began, of a container that ended `restarts` times and is not ready.
fn last_start_of_loop(pod: &Pod, restarts: i32) -> Option<Timestamp> {
    let looping = statuses(pod).filter(|status| !status.ready && status.restart_count >= restarts);
    let ended = looping.filter_map(|status| {
        let states = [status.state.as_ref(), status.last_state.as_ref()];
        states
            .into_iter()
            .flatten()
            .find_map(|state| state.terminated.as_ref())
    });
    ended
        .filter_map(|ended| ended.started_at.as_ref().map(|time| time.0))
        .min()
}

fn ready_since(pod: &Pod) -> Option<Timestamp> {
    let conditions = pod
        .status
        .iter()
        .flat_map(|status| status.conditions.iter().flatten());
    let mut ready = conditions.filter(|condition| condition.type_ == "Ready" && condition.status == "True");
    ready.next()?.last_transition_time.as_ref().map(|time| time.0)
}

fn unschedulable(pod: &Pod) -> Option<String> {
    let conditions = pod
        .status
        .iter()
        .flat_map(|status| status.conditions.iter().flatten());
    let scheduled = conditions
        .into_iter()
        .find(|condition| condition.type_ == "PodScheduled")?;
    (scheduled.status == "False").then(|| {
        format!(
            "the pod cannot be scheduled: {}",
            scheduled.message.as_deref().unwrap_or_default()
        )
    })
}

fn hopeless(pod: &Pod) -> Option<String> {
    statuses(pod).find_map(|status| {
        let waiting = status.state.as_ref()?.waiting.as_ref()?;
        let reason = waiting.reason.as_deref()?;
        HOPELESS.contains(&reason).then(|| {
            let message = waiting.message.as_deref().unwrap_or_default();
            format!("container {} cannot start: {reason}: {message}", status.name)
        })
    })
}

/// A container that ended with an error and has not come back for good.
fn crashed(view: &PodView) -> Option<String> {
    statuses(&view.pod)
        .find(|status| !status.ready || status.restart_count > 0)
        .and_then(|status| {
            let state = status.state.as_ref();
            let last = status.last_state.as_ref();
            let ended = state.and_then(|state| state.terminated.as_ref());
            let ended = ended.or_else(|| last.and_then(|state| state.terminated.as_ref()))?;
            let killed_by_probe = ended.exit_code == 137 || ended.exit_code == 143;
            if ended.exit_code == 0 || killed_by_probe && view.logs.is_empty() {
                return None;
            }
            let why = view
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
fn last_words(view: &PodView) -> Option<String> {
    let container = &view.logs.first()?.container;
    let line = if is_ready(&view.pod) {
        view.exception(container)
    } else {
        view.error_line(container)
    };
    line.map(|line| format!("container {container} says: {line}"))
}

impl PodView {
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

/// Phase, conditions and container states of a pod.
fn describe(pod: &Pod) -> String {
    let mut lines = vec![format!("phase {}", phase(pod))];
    let conditions = pod
        .status
        .iter()
        .flat_map(|status| status.conditions.iter().flatten());
    for condition in conditions
        .into_iter()
        .filter(|condition| condition.status != "True")
    {
        let because = [condition.reason.as_deref(), condition.message.as_deref()];
        let because = because.into_iter().flatten().collect::<Vec<_>>().join(": ");
        lines.push(
            format!("{} is {} {because}", condition.type_, condition.status)
                .trim_end()
                .to_owned(),
        );
    }
    for status in statuses(pod) {
        lines.push(format!("container {}: {}", status.name, describe_state(status)));
    }
    lines.join("\n")
}

fn describe_state(status: &ContainerStatus) -> String {
    let state = status.state.clone().unwrap_or_default();
    let mut text = if let Some(waiting) = state.waiting {
        let parts = [waiting.reason, waiting.message]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>();
        format!("waiting ({})", parts.join(": "))
    } else if let Some(ended) = state.terminated {
        format!(
            "ended with {} ({})",
            ended.exit_code,
            ended.reason.unwrap_or_default()
        )
    } else if state.running.is_some() {
        if status.ready {
            "running, ready".into()
        } else {
            "running, not ready".into()
        }
    } else {
        "unknown".to_owned()
    };
    if status.restart_count > 0 {
        text.push_str(&format!(", {} restarts", status.restart_count));
    }
    if let Some(ended) = status.last_state.clone().and_then(|state| state.terminated) {
        text.push_str(&format!(
            ", before that ended with {} ({})",
            ended.exit_code,
            ended.reason.unwrap_or_default()
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn diagnosis(pods: serde_json::Value, events: serde_json::Value, log: &str) -> Diagnosis {
        let pods: Vec<Pod> = serde_json::from_value(pods).unwrap();
        let view = |pod: Pod| {
            let logs = statuses(&pod)
                .map(|status| ContainerLog {
                    container: status.name.clone(),
                    previous: false,
                    text: log.into(),
                })
                .collect();
            PodView { pod, logs }
        };
        let service =
            json!([{"metadata": {"name": "web"}, "spec": {"selector": {"app": "web", "tier": "front"}}}]);
        Diagnosis {
            pods: pods.into_iter().map(view).collect(),
            events: serde_json::from_value(events).unwrap(),
            services: serde_json::from_value(service).unwrap(),
        }
    }

    fn pod(status: &serde_json::Value) -> serde_json::Value {
        json!([{"metadata": {"name": "p", "labels": {"app": "web", "tier": "front"}}, "status": status}])
    }

    fn container(state: &serde_json::Value) -> serde_json::Value {
        json!({"phase": "Running", "containerStatuses": [{
            "name": "c", "ready": false, "restartCount": 2, "image": "i", "imageID": "", "state": state,
            "lastState": {"terminated": {"exitCode": 1, "reason": "Error"}}}]})
    }

    #[rstest]
    #[case::unschedulable(
        pod(&json!({"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False",
            "message": "0/1 nodes are available: 1 Insufficient cpu."}]})),
        "", "the pod cannot be scheduled: 0/1 nodes are available: 1 Insufficient cpu."
    )]
    #[case::no_image(
        pod(&container(&json!({"waiting": {"reason": "ErrImagePull", "message": "no recipe"}}))),
        "", "container c cannot start: ErrImagePull: no recipe"
    )]
    #[case::crashed(
        pod(&container(&json!({"waiting": {"reason": "CrashLoopBackOff"}}))),
        "Traceback\n  File x\nOSError: [Errno 30] Read-only file system: '/tmp/x'\n",
        "container c ended with exit code 1, restarted 2 times: OSError: [Errno 30] Read-only file system: '/tmp/x'"
    )]
    fn the_cause_is_told(#[case] pods: serde_json::Value, #[case] log: &str, #[case] expected: &str) {
        let cause = diagnosis(pods, json!([]), log).cause().unwrap();
        assert_eq!(
            (cause.message.as_str(), cause.object.as_str()),
            (expected, "pod/p")
        );
    }

    #[test]
    fn a_service_that_selects_nothing_is_the_cause_when_all_pods_run() {
        let mut pods = pod(&json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}));
        pods[0]["metadata"]["labels"]["tier"] = "back".into();
        let cause = diagnosis(pods, json!([]), "").cause().unwrap();
        assert_eq!(
            cause.message,
            "the selector of the Service fits no pod: no pod has tier=front"
        );
        assert_eq!(cause.object, "service/web");
    }

    #[test]
    fn a_controller_that_may_not_create_pods_is_the_cause() {
        let events = json!([{"metadata": {}, "reason": "FailedCreate", "message": "serviceaccount \"x\" not found",
            "involvedObject": {"kind": "ReplicaSet", "name": "web-1"}}]);
        let cause = diagnosis(json!([]), events, "").cause().unwrap();
        assert_eq!(cause.message, "serviceaccount \"x\" not found");
        assert_eq!(cause.object, "replicaset/web-1");
    }

    #[rstest]
    #[case::the_database_was_ready_before("2026-01-01T00:00:09Z", true)]
    #[case::the_database_came_back_since("2026-01-01T00:00:10Z", false)]
    fn a_crash_loop_is_hopeless_only_with_all_others_ready(#[case] ready: &str, #[case] hopeless: bool) {
        let mut server = container(&json!({"waiting": {"reason": "CrashLoopBackOff"}}));
        server["containerStatuses"][0]["lastState"]["terminated"]["startedAt"] =
            "2026-01-01T00:00:10Z".into();
        let mut pods = pod(&server);
        let database = json!({"metadata": {"name": "database"}, "status": {"phase": "Running", "conditions": [
            {"type": "Ready", "status": "True", "lastTransitionTime": ready}]}});
        pods.as_array_mut().unwrap().push(database);
        let diagnosis = diagnosis(pods, json!([]), "");
        assert_eq!(diagnosis.crash_loop(2).is_some(), hopeless);
        assert_eq!(diagnosis.crash_loop(3), None);
    }

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
