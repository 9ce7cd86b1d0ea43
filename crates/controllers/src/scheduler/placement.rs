//! Whether a node takes a pod: schedulable, labels, taints, room.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Node, NodeSelectorRequirement, NodeSelectorTerm, Pod, PodSpec, Taint, Toleration,
};
use kube::ResourceExt as _;

use super::request::{self, Amounts};

/// A node and what the pods on it ask for.
pub(super) struct Room {
    pub(super) node: Node,
    free: Amounts,
}

impl Room {
    pub(super) fn new(node: Node) -> Self {
        let free = request::amounts(
            node.status
                .as_ref()
                .and_then(|status| status.allocatable.as_ref()),
        );
        Self { node, free }
    }

    /// Takes from the room what a pod asks for.
    pub(super) fn fill(&mut self, pod: &Pod) {
        for (resource, amount) in request::of_pod(pod) {
            *self.free.entry(resource).or_default() -= amount;
        }
    }

    /// Why the node does not take the pod; empty when it does.
    pub(super) fn objections(&self, pod: &Pod) -> Vec<String> {
        let spec = pod.spec.clone().unwrap_or_default();
        let node = self.node.spec.clone().unwrap_or_default();
        let taints = node.taints.unwrap_or_default();
        let tolerations = spec.tolerations.clone().unwrap_or_default();
        if node.unschedulable == Some(true) {
            let cordon = Taint {
                key: "node.kubernetes.io/unschedulable".to_owned(),
                effect: "NoSchedule".to_owned(),
                ..Taint::default()
            };
            if !tolerations
                .iter()
                .any(|toleration| tolerates(toleration, &cordon))
            {
                return vec!["node(s) were unschedulable".to_owned()];
            }
        }
        let repelling = taints
            .iter()
            .filter(|taint| matches!(taint.effect.as_str(), "NoSchedule" | "NoExecute"));
        for taint in repelling {
            if !tolerations.iter().any(|toleration| tolerates(toleration, taint)) {
                let value = taint.value.as_deref().unwrap_or_default();
                return vec![format!(
                    "node(s) had untolerated taint {{{}: {value}}}",
                    taint.key
                )];
            }
        }
        if !selects(&spec, &self.node) {
            return vec!["node(s) didn't match Pod's node affinity/selector".to_owned()];
        }
        self.lacking(pod)
    }

    fn lacking(&self, pod: &Pod) -> Vec<String> {
        let needed = request::of_pod(pod);
        let lacks = |(resource, amount): &(&String, &i128)| {
            **amount > 0 && **amount > self.free.get(*resource).copied().unwrap_or(0)
        };
        let lacking = needed
            .iter()
            .filter(lacks)
            .map(|(resource, _)| match resource.as_str() {
                "pods" => "Too many pods".to_owned(),
                resource => format!("Insufficient {resource}"),
            });
        lacking.collect()
    }
}

fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    let effect = toleration.effect.as_deref().unwrap_or_default();
    let key = toleration.key.as_deref().unwrap_or_default();
    let exists = toleration.operator.as_deref() == Some("Exists");
    (effect.is_empty() || effect == taint.effect)
        && (key == taint.key || (key.is_empty() && exists))
        && (exists
            || toleration.value.as_deref().unwrap_or_default() == taint.value.as_deref().unwrap_or_default())
}

fn selects(spec: &PodSpec, node: &Node) -> bool {
    let labels = node.labels();
    let selector = spec.node_selector.iter().flatten();
    let required = spec
        .affinity
        .as_ref()
        .and_then(|affinity| affinity.node_affinity.as_ref())
        .and_then(|affinity| {
            affinity
                .required_during_scheduling_ignored_during_execution
                .as_ref()
        });
    selector
        .into_iter()
        .all(|(key, value)| labels.get(key) == Some(value))
        && required.is_none_or(|required| {
            required
                .node_selector_terms
                .iter()
                .any(|term| matches_term(term, labels, &node.name_any()))
        })
}

/// A term without requirements matches no node.
fn matches_term(term: &NodeSelectorTerm, labels: &BTreeMap<String, String>, name: &str) -> bool {
    let expressions = term.match_expressions.as_deref().unwrap_or_default();
    let fields = term.match_fields.as_deref().unwrap_or_default();
    let of_fields = |requirement: &NodeSelectorRequirement| {
        requirement.key == "metadata.name" && matches(requirement, Some(name))
    };
    (!expressions.is_empty() || !fields.is_empty())
        && expressions
            .iter()
            .all(|one| matches(one, labels.get(&one.key).map(String::as_str)))
        && fields.iter().all(of_fields)
}

fn matches(requirement: &NodeSelectorRequirement, value: Option<&str>) -> bool {
    let values = requirement.values.as_deref().unwrap_or_default();
    let among = |value: &str| values.iter().any(|one| one == value);
    let compared = |holds: fn(i64, i64) -> bool| {
        let limit = values.first().and_then(|limit| limit.parse().ok());
        value
            .and_then(|value| value.parse().ok())
            .zip(limit)
            .is_some_and(|(value, limit)| holds(value, limit))
    };
    match requirement.operator.as_str() {
        "In" => value.is_some_and(among),
        "NotIn" => !value.is_some_and(among),
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        "Gt" => compared(|value, limit| value > limit),
        "Lt" => compared(|value, limit| value < limit),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    fn room(spec: &Value) -> Room {
        let node = json!({
            "metadata": {"name": "node", "labels": {"disk": "fast", "cores": "2"}},
            "spec": spec,
            "status": {"allocatable": {"cpu": "2", "memory": "1Gi", "pods": "2"}},
        });
        Room::new(serde_json::from_value(node).unwrap())
    }

    fn pod(mut spec: Value) -> Pod {
        if spec["containers"].is_null() {
            spec["containers"] = json!([]);
        }
        serde_json::from_value(json!({"spec": spec})).unwrap()
    }

    fn term(operator: &str, values: &Value) -> Value {
        let terms = json!([{"matchExpressions": [{"key": "cores", "operator": operator, "values": values}]}]);
        json!({"affinity": {"nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms},
        }}})
    }

    const MISMATCH: &[&str] = &["node(s) didn't match Pod's node affinity/selector"];

    #[rstest]
    #[case(json!({"nodeSelector": {"disk": "fast"}}), &[])]
    #[case(json!({"nodeSelector": {"disk": "slow"}}), MISMATCH)]
    #[case(term("In", &json!(["2"])), &[])]
    #[case(term("In", &json!(["3"])), MISMATCH)]
    #[case(term("NotIn", &json!(["2"])), MISMATCH)]
    #[case(term("Exists", &json!(null)), &[])]
    #[case(term("DoesNotExist", &json!(null)), MISMATCH)]
    #[case(term("Gt", &json!(["1"])), &[])]
    #[case(term("Lt", &json!(["2"])), MISMATCH)]
    fn labels_are_matched(#[case] spec: Value, #[case] expected: &[&str]) {
        assert_eq!(room(&json!({})).objections(&pod(spec)), expected);
    }

    #[rstest]
    #[case(json!([]), &["node(s) had untolerated taint {k: v}"])]
    #[case(json!([{"key": "k", "value": "v", "effect": "NoSchedule"}]), &[])]
    #[case(json!([{"key": "k", "value": "w", "effect": "NoSchedule"}]), &["node(s) had untolerated taint {k: v}"])]
    #[case(json!([{"key": "k", "operator": "Exists"}]), &[])]
    #[case(json!([{"operator": "Exists"}]), &[])]
    fn taints_are_tolerated(#[case] tolerations: Value, #[case] expected: &[&str]) {
        let tainted = room(&json!({"taints": [{"key": "k", "value": "v", "effect": "NoSchedule"}]}));
        assert_eq!(
            tainted.objections(&pod(json!({"tolerations": tolerations}))),
            expected
        );
    }

    #[test]
    fn pods_fill_the_room() {
        let asks =
            |cpu: &str| pod(json!({"containers": [{"name": "c", "resources": {"requests": {"cpu": cpu}}}]}));
        let mut room = room(&json!({}));
        room.fill(&asks("1500m"));
        assert!(room.objections(&asks("500m")).is_empty());
        assert_eq!(room.objections(&asks("501m")), ["Insufficient cpu"]);
        room.fill(&asks("0"));
        assert_eq!(room.objections(&asks("1")), ["Insufficient cpu", "Too many pods"]);
    }
}
