//! Security contexts, as the programs in containers feel them.

use serde_json::{Value, json};

use crate::{
    behaviour::{Behaviour, Outcome, behaviours, contains, equal},
    objects::{IDLE, over, pod, pod_with},
    place::{Place, text},
};

pub(crate) fn behaviours() -> Vec<Behaviour> {
    behaviours![
        a_user_and_a_group_are_given,
        a_container_comes_before_its_pod,
        root_can_be_forbidden,
        the_root_can_be_read_only,
        privileges_are_not_gained,
        capabilities_are_dropped,
        files_belong_to_the_group,
    ]
}

async fn printed(at: &Place, script: &str, context: Value, of_pod: Value) -> Outcome<String> {
    let object = pod_with("a", script, &json!({"securityContext": context}));
    at.printed_by(&over(object, &json!({"spec": {"securityContext": of_pod}})))
        .await
}

async fn a_user_and_a_group_are_given(at: Place) -> Outcome {
    let context = json!({"runAsUser": 1001, "runAsGroup": 2002});
    equal(
        "user and group",
        printed(&at, "id -u; id -g", json!({}), context).await?,
        "1001\n2002\n",
    )
}

async fn a_container_comes_before_its_pod(at: Place) -> Outcome {
    let printed = printed(
        &at,
        "id -u",
        json!({"runAsUser": 1001}),
        json!({"runAsUser": 1002}),
    )
    .await?;
    equal("the user", printed, "1001\n")
}

async fn root_can_be_forbidden(at: Place) -> Outcome {
    let context = json!({"securityContext": {"runAsNonRoot": true, "runAsUser": 0}});
    at.create("pods", &pod_with("a", IDLE, &context)).await?;
    let waiting = "/status/containerStatuses/0/state/waiting/reason";
    let pod = at
        .until("pods/a", |pod| text(pod, waiting) == "CreateContainerConfigError")
        .await?;
    contains(
        "the message",
        text(&pod, "/status/containerStatuses/0/state/waiting/message"),
        "container's runAsUser breaks non-root policy",
    )
}

async fn the_root_can_be_read_only(at: Place) -> Outcome {
    let script = "touch /usr/x 2>&1 || true; touch /x 2>&1 || true";
    let printed = printed(&at, script, json!({"readOnlyRootFilesystem": true}), json!({})).await?;
    equal("the errors", printed.matches("Read-only file system").count(), 2)
}

async fn privileges_are_not_gained(at: Place) -> Outcome {
    let script = "grep NoNewPrivs /proc/self/status";
    let printed = printed(&at, script, json!({"allowPrivilegeEscalation": false}), json!({})).await?;
    equal("the state", printed, "NoNewPrivs:\t1\n")
}

async fn capabilities_are_dropped(at: Place) -> Outcome {
    let script = "grep -E 'Cap(Eff|Bnd)' /proc/self/status";
    let printed = printed(&at, script, json!({"capabilities": {"drop": ["ALL"]}}), json!({})).await?;
    equal(
        "the sets",
        printed,
        "CapEff:\t0000000000000000\nCapBnd:\t0000000000000000\n",
    )
}

async fn files_belong_to_the_group(at: Place) -> Outcome {
    let volume = json!({"spec": {
        "securityContext": {"runAsUser": 1001, "runAsGroup": 1001, "fsGroup": 3003},
        "volumes": [{"name": "v", "emptyDir": {}}], "containers": [{"volumeMounts": [{"name": "v", "mountPath": "/v"}]}],
    }});
    let script = "touch /v/f; stat -c %g /v /v/f; id -G";
    equal(
        "the groups",
        at.printed_by(&over(pod("a", script), &volume)).await?,
        "3003\n3003\n1001 3003\n",
    )
}
