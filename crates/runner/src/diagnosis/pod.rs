//! What a pod's own status says.

use k8s_openapi::{
    api::core::v1::{ContainerStatus, Pod},
    jiff::Timestamp,
};

/// A container that waits for one of these reasons will not start by waiting longer.
const HOPELESS: [&str; 6] = [
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "ErrImageNeverPull",
    "CreateContainerConfigError",
    "CreateContainerError",
];

pub(super) fn statuses(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    let status = pod.status.iter();
    status.flat_map(|status| {
        let init = status.init_container_statuses.iter().flatten();
        init.chain(status.container_statuses.iter().flatten())
    })
}

pub(super) fn phase(pod: &Pod) -> &str {
    pod.status
        .as_ref()
        .and_then(|status| status.phase.as_deref())
        .unwrap_or("Pending")
}

/// When the run that ended last began, of a container that ended `restarts` times and is not ready.
pub(super) fn last_start_of_loop(pod: &Pod, restarts: i32) -> Option<Timestamp> {
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

pub(super) fn ready_since(pod: &Pod) -> Option<Timestamp> {
    let conditions = pod
        .status
        .iter()
        .flat_map(|status| status.conditions.iter().flatten());
    let mut ready = conditions.filter(|condition| condition.type_ == "Ready" && condition.status == "True");
    ready.next()?.last_transition_time.as_ref().map(|time| time.0)
}

pub(super) fn unschedulable(pod: &Pod) -> Option<String> {
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

pub(super) fn hopeless(pod: &Pod) -> Option<String> {
    statuses(pod).find_map(|status| {
        let waiting = status.state.as_ref()?.waiting.as_ref()?;
        let reason = waiting.reason.as_deref()?;
        HOPELESS.contains(&reason).then(|| {
            let message = waiting.message.as_deref().unwrap_or_default();
            format!("container {} cannot start: {reason}: {message}", status.name)
        })
    })
}

/// Phase, conditions and container states of a pod.
pub(super) fn describe(pod: &Pod) -> String {
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
