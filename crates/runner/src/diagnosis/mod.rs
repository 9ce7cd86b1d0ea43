//! What is wrong in a namespace: the cause in a line, and what was seen around it.

mod cause;
mod log;
mod pod;

use k8s_openapi::api::core::v1::{Event, Pod, Service};
use kube::{Api, ResourceExt as _, api::ListParams};

use self::log::PodView;
use crate::{deploy::Place, event::Detail, port_forward::is_ready};

/// How many events are told.
const EVENTS: usize = 15;

/// The state of a namespace at one moment.
pub(crate) struct Diagnosis {
    pods: Vec<PodView>,
    events: Vec<Event>,
    services: Vec<Service>,
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
            views.push(PodView::read(&pods, pod).await);
        }
        let mut events = events.map(|list| list.items).unwrap_or_default();
        events.sort_by_key(|event| (event.last_timestamp.clone(), event.event_time.clone()));
        Self {
            pods: views,
            events,
            services: services.map(|list| list.items).unwrap_or_default(),
        }
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
                text: pod::describe(&view.pod),
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
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::{log::ContainerLog, pod::statuses, *};

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
}
