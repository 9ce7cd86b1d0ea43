//! What the API tells of a pod: its phase, conditions and the states of its containers.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{
        Container, ContainerState, ContainerStateRunning, ContainerStateTerminated, ContainerStateWaiting,
        ContainerStatus, HostIP, Pod, PodCondition, PodIP, PodReadinessGate, PodStatus,
    },
    apimachinery::pkg::apis::meta::v1::Time,
    jiff::Timestamp,
};

/// Why a container waits that has not been begun.
const CREATING: &str = "ContainerCreating";

/// Why a pod failed that has run for longer than it may.
pub(crate) const OVERDUE: &str = "DeadlineExceeded";
pub(crate) const OVERDUE_MESSAGE: &str = "Pod was active on the node longer than the specified deadline";

/// Where a container is in its life.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct ContainerProgress {
    pub(crate) state: State,
    pub(crate) last: Option<ContainerStateTerminated>,
    pub(crate) restarts: i32,
    pub(crate) ready: bool,
    pub(crate) started: bool,
    pub(crate) image_id: String,
    pub(crate) container_id: String,
}

/// The state of a container.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum State {
    Waiting {
        reason: &'static str,
        message: Option<String>,
    },
    Running {
        since: Timestamp,
    },
    Terminated(ContainerStateTerminated),
}

impl Default for State {
    fn default() -> Self {
        Self::Waiting {
            reason: CREATING,
            message: None,
        }
    }
}

/// All that is known of a pod on this node.
#[derive(Debug, Clone, Default)]
pub(crate) struct PodProgress {
    pub(crate) pod_ip: Option<String>,
    pub(crate) start_time: Option<Timestamp>,
    pub(crate) containers: BTreeMap<String, ContainerProgress>,
    /// The pod has run for longer than it may.
    pub(crate) is_overdue: bool,
}

impl PodProgress {
    pub(crate) fn of(&self, name: &str) -> ContainerProgress {
        self.containers.get(name).cloned().unwrap_or_default()
    }
}

/// The conditions that this node tells; others are somebody else's.
const OWN_CONDITIONS: [&str; 5] = [
    "PodReadyToStartContainers",
    "Initialized",
    "Ready",
    "ContainersReady",
    "PodScheduled",
];

/// The conditions of a pod that others have set, such as those of readiness gates.
pub(crate) fn foreign_conditions(pod: &Pod) -> Vec<PodCondition> {
    let conditions = pod
        .status
        .iter()
        .flat_map(|status| status.conditions.iter().flatten());
    conditions
        .filter(|one| !OWN_CONDITIONS.contains(&one.type_.as_str()))
        .cloned()
        .collect()
}

/// Why the readiness gates of a pod keep it from being ready, if they do.
fn closed_gate(gates: &[PodReadinessGate], foreign: &[PodCondition]) -> Option<(&'static str, String)> {
    let why = gates.iter().find_map(|gate| {
        let kind = &gate.condition_type;
        match foreign.iter().find(|one| one.type_ == *kind) {
            None => Some(format!(
                "corresponding condition of pod readiness gate {kind:?} does not exist."
            )),
            Some(one) if one.status != "True" => Some(format!(
                "the status of pod readiness gate {kind:?} is not \"True\", but {}",
                one.status
            )),
            Some(_) => None,
        }
    });
    why.map(|message| ("ReadinessGatesNotReady", message))
}

/// The status of `pod` with `progress` and the conditions that others have set, at `host_ip`.
pub(crate) fn status(
    pod: &Pod,
    foreign: &[PodCondition],
    progress: &PodProgress,
    host_ip: &str,
) -> PodStatus {
    let spec = pod.spec.clone().unwrap_or_default();
    let init = spec.init_containers.unwrap_or_default();
    // a sidecar that has ended does not undo it
    let init_done = spec
        .containers
        .iter()
        .any(|container| has_begun(&progress.of(&container.name)))
        || init
            .iter()
            .all(|container| is_past(container, &progress.of(&container.name)));
    let lasting: Vec<Container> = spec
        .containers
        .iter()
        .chain(init.iter().filter(is_sidecar))
        .cloned()
        .collect();
    let all_ready = lasting.iter().all(|container| progress.of(&container.name).ready);
    let before = pod.status.clone().unwrap_or_default();
    let policy = spec.restart_policy.as_deref();
    let init_failed = policy == Some("Never") && init.iter().any(|container| has_failed(container, progress));
    let phase = if init_failed || progress.is_overdue {
        "Failed"
    } else {
        phase(&spec.containers, progress, policy)
    };
    let finished = phase == "Succeeded";
    let gate = closed_gate(&spec.readiness_gates.unwrap_or_default(), foreign);
    let conditions = [
        ("PodReadyToStartContainers", progress.pod_ip.is_some(), None),
        (
            "Initialized",
            init_done,
            Some((
                "ContainersNotInitialized",
                names_of(&init, "incomplete", |container| {
                    !is_past(container, &progress.of(&container.name))
                }),
            )),
        ),
        (
            "Ready",
            all_ready && init_done && gate.is_none(),
            gate.filter(|_| all_ready && init_done)
                .or_else(|| not_ready(finished, &lasting, progress)),
        ),
        (
            "ContainersReady",
            all_ready && init_done,
            not_ready(finished, &lasting, progress),
        ),
        ("PodScheduled", true, None),
    ];
    PodStatus {
        phase: Some(phase.into()),
        conditions: Some(
            conditions
                .into_iter()
                .map(|(kind, holds, why)| condition(&before, kind, holds, why))
                .chain(foreign.iter().cloned())
                .collect(),
        ),
        container_statuses: Some(statuses(&spec.containers, progress, init_done)),
        init_container_statuses: (!init.is_empty()).then(|| init_statuses(&init, progress)),
        host_ip: Some(host_ip.to_owned()),
        host_ips: Some(vec![HostIP {
            ip: host_ip.to_owned(),
        }]),
        pod_ip: progress.pod_ip.clone(),
        pod_ips: progress.pod_ip.clone().map(|ip| vec![PodIP { ip }]),
        qos_class: before.qos_class,
        reason: progress.is_overdue.then(|| OVERDUE.to_owned()),
        message: progress.is_overdue.then(|| OVERDUE_MESSAGE.to_owned()),
        start_time: progress.start_time.map(Time),
        ..PodStatus::default()
    }
}

fn phase(containers: &[Container], progress: &PodProgress, policy: Option<&str>) -> &'static str {
    let states: Vec<State> = containers
        .iter()
        .map(|container| progress.of(&container.name).state)
        .collect();
    let exit = |state: &State| match state {
        State::Terminated(terminated) => Some(terminated.exit_code),
        _ => None,
    };
    let all_ended = !states.is_empty() && states.iter().all(|state| exit(state).is_some());
    let failed = states.iter().filter_map(exit).any(|code| code != 0);
    match (all_ended, failed, policy) {
        (true, false, Some("Never" | "OnFailure")) => "Succeeded",
        (true, true, Some("Never")) => "Failed",
        _ => {
            let begun = |container: &Container| has_begun(&progress.of(&container.name));
            if containers.iter().all(begun) {
                "Running"
            } else {
                "Pending"
            }
        }
    }
}

/// Whether an init container keeps running beside the others.
pub(crate) fn is_sidecar(container: &&Container) -> bool {
    container.restart_policy.as_deref() == Some("Always")
}

/// Whether an init container, which is not tried again, has failed.
fn has_failed(container: &Container, progress: &PodProgress) -> bool {
    let state = progress.of(&container.name).state;
    !is_sidecar(&container) && matches!(state, State::Terminated(terminated) if terminated.exit_code != 0)
}

/// Whether a container has run, or runs.
fn has_begun(progress: &ContainerProgress) -> bool {
    progress.last.is_some() || !matches!(progress.state, State::Waiting { .. })
}

/// Whether the pod may go on behind this init container.
fn is_past(container: &Container, progress: &ContainerProgress) -> bool {
    if is_sidecar(&container) {
        return progress.started;
    }
    matches!(&progress.state, State::Terminated(terminated) if terminated.exit_code == 0)
}

fn names_of(containers: &[Container], word: &str, selected: impl Fn(&Container) -> bool) -> String {
    let names: Vec<&str> = containers
        .iter()
        .filter(|one| selected(one))
        .map(|one| one.name.as_str())
        .collect();
    format!("containers with {word} status: [{}]", names.join(" "))
}

fn not_ready(
    finished: bool,
    containers: &[Container],
    progress: &PodProgress,
) -> Option<(&'static str, String)> {
    if finished {
        return Some(("PodCompleted", String::new()));
    }
    let unready = names_of(containers, "unready", |container| {
        !progress.of(&container.name).ready
    });
    Some(("ContainersNotReady", unready))
}

fn condition(
    before: &PodStatus,
    kind: &str,
    holds: bool,
    why_not: Option<(&'static str, String)>,
) -> PodCondition {
    let status = if holds { "True" } else { "False" };
    let earlier = before
        .conditions
        .iter()
        .flatten()
        .find(|one| one.type_ == kind && one.status == status);
    let (reason, message) = match why_not.filter(|_| !holds) {
        Some((reason, message)) => (
            Some(reason.to_owned()),
            Some(message).filter(|text| !text.is_empty()),
        ),
        None => (None, None),
    };
    PodCondition {
        type_: kind.into(),
        status: status.into(),
        last_transition_time: earlier
            .and_then(|one| one.last_transition_time.clone())
            .or_else(|| Some(Time(Timestamp::now()))),
        reason,
        message,
        ..PodCondition::default()
    }
}

/// As other containers', but one that has done its work counts as ready.
fn init_statuses(containers: &[Container], progress: &PodProgress) -> Vec<ContainerStatus> {
    let mut all = statuses(containers, progress, false);
    for status in &mut all {
        let ended = status.state.as_ref().and_then(|state| state.terminated.as_ref());
        status.ready |= ended.is_some_and(|ended| ended.exit_code == 0);
    }
    all
}

fn statuses(containers: &[Container], progress: &PodProgress, initialized: bool) -> Vec<ContainerStatus> {
    let status = |container: &Container| {
        let progress = progress.of(&container.name);
        let state = match progress.state {
            State::Waiting { reason: CREATING, .. } if !initialized => waiting("PodInitializing", None),
            State::Waiting { reason, message } => waiting(reason, message),
            State::Running { since } => ContainerState {
                running: Some(ContainerStateRunning {
                    started_at: Some(Time(since)),
                }),
                ..ContainerState::default()
            },
            State::Terminated(terminated) => ContainerState {
                terminated: Some(terminated),
                ..ContainerState::default()
            },
        };
        ContainerStatus {
            name: container.name.clone(),
            image: container.image.clone().unwrap_or_default(),
            image_id: progress.image_id,
            container_id: Some(progress.container_id).filter(|id| !id.is_empty()),
            ready: progress.ready,
            started: Some(progress.started),
            restart_count: progress.restarts,
            state: Some(state),
            last_state: Some(ContainerState {
                terminated: progress.last,
                ..ContainerState::default()
            }),
            ..ContainerStatus::default()
        }
    };
    containers.iter().map(status).collect()
}

fn waiting(reason: &str, message: Option<String>) -> ContainerState {
    ContainerState {
        waiting: Some(ContainerStateWaiting {
            reason: Some(reason.into()),
            message,
        }),
        ..ContainerState::default()
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn pod(policy: &str) -> Pod {
        serde_json::from_value(json!({"spec": {
            "restartPolicy": policy, "initContainers": [{"name": "init"}], "containers": [{"name": "c"}],
        }}))
        .unwrap()
    }

    fn ended(code: i32) -> State {
        State::Terminated(ContainerStateTerminated {
            exit_code: code,
            ..ContainerStateTerminated::default()
        })
    }

    #[rstest]
    #[case(State::default(), "Always", "Pending")]
    #[case(State::Running { since: Timestamp::UNIX_EPOCH }, "Always", "Running")]
    #[case(ended(0), "Never", "Succeeded")]
    #[case(ended(1), "Never", "Failed")]
    #[case(ended(1), "OnFailure", "Running")]
    #[case(ended(0), "Always", "Running")]
    fn the_phase_follows_the_containers(#[case] state: State, #[case] policy: &str, #[case] expected: &str) {
        let mut progress = PodProgress::default();
        progress.containers.insert(
            "c".into(),
            ContainerProgress {
                state,
                ..ContainerProgress::default()
            },
        );
        assert_eq!(
            status(&pod(policy), &[], &progress, "10.0.0.1").phase.unwrap(),
            expected
        );
    }

    #[rstest]
    #[case("Never", "Failed")]
    #[case("OnFailure", "Pending")]
    fn a_failed_init_container_fails_a_pod_that_does_not_try_again(
        #[case] policy: &str,
        #[case] expected: &str,
    ) {
        let mut progress = PodProgress::default();
        progress.containers.insert(
            "init".into(),
            ContainerProgress {
                state: ended(1),
                ..Default::default()
            },
        );
        assert_eq!(
            status(&pod(policy), &[], &progress, "10.0.0.1").phase.unwrap(),
            expected
        );
    }

    #[test]
    fn a_pod_is_ready_when_all_its_containers_are() {
        let mut progress = PodProgress::default();
        progress.containers.insert(
            "init".into(),
            ContainerProgress {
                state: ended(0),
                ..Default::default()
            },
        );
        let ready = |progress: &PodProgress| {
            let conditions = status(&pod("Always"), &[], progress, "10.0.0.1")
                .conditions
                .unwrap();
            conditions.into_iter().find(|one| one.type_ == "Ready").unwrap()
        };
        let not_yet = ready(&progress);
        assert_eq!(not_yet.reason.as_deref(), Some("ContainersNotReady"));
        assert_eq!(
            not_yet.message.as_deref(),
            Some("containers with unready status: [c]")
        );
        progress.containers.insert(
            "c".into(),
            ContainerProgress {
                ready: true,
                ..Default::default()
            },
        );
        assert_eq!(ready(&progress).status, "True");
    }

    #[test]
    fn a_gate_holds_readiness_until_its_condition_is_true() {
        let gates: Vec<PodReadinessGate> = vec![PodReadinessGate {
            condition_type: "open".into(),
        }];
        let condition = |status: &str| PodCondition {
            type_: "open".into(),
            status: status.into(),
            ..PodCondition::default()
        };
        assert!(closed_gate(&gates, &[]).is_some());
        assert!(closed_gate(&gates, &[condition("False")]).is_some());
        assert_eq!(closed_gate(&gates, &[condition("True")]), None);
        assert_eq!(closed_gate(&[], &[]), None);
    }
}
