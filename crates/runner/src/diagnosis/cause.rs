//! What looks like the cause, in the order in which one thing leads to another.

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;

use super::{
    Cause, Diagnosis,
    log::PodView,
    pod::{hopeless, last_start_of_loop, phase, ready_since, unschedulable},
};
use crate::port_forward::is_ready;

impl Diagnosis {
    /// The first thing that is wrong, in the order in which one thing leads to another.
    pub(crate) fn cause(&self) -> Option<Cause> {
        self.refused_pods()
            .or_else(|| self.first_pod(unschedulable))
            .or_else(|| self.first_pod(hopeless))
            .or_else(|| self.failed_mount())
            .or_else(|| self.service_without_pods())
            .or_else(|| self.first_view(PodView::crash))
            .or_else(|| self.failed_probe())
            .or_else(|| self.first_view(PodView::last_words))
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
        self.service_without_pods()
            .or_else(|| self.first_view(PodView::crash))
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
