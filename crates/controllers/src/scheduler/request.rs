//! What pods ask of a node.
//!
//! Source of the rule about init containers: "Sidecar Containers", resource sharing within containers.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{Container, Pod},
    apimachinery::pkg::api::resource::Quantity,
};

use crate::quantity::milli;

/// Amounts by resource, in thousandths.
pub(super) type Amounts = BTreeMap<String, i128>;

pub(super) fn amounts(quantities: Option<&BTreeMap<String, Quantity>>) -> Amounts {
    let pairs = quantities.into_iter().flatten();
    pairs
        .map(|(resource, quantity)| (resource.clone(), milli(quantity)))
        .collect()
}

pub(super) fn add(total: &mut Amounts, more: &Amounts) {
    for (resource, amount) in more {
        *total.entry(resource.clone()).or_default() += amount;
    }
}

fn raise(total: &mut Amounts, other: &Amounts) {
    for (resource, amount) in other {
        let known = total.entry(resource.clone()).or_default();
        *known = (*known).max(*amount);
    }
}

fn of_container(container: &Container) -> Amounts {
    amounts(
        container
            .resources
            .as_ref()
            .and_then(|resources| resources.requests.as_ref()),
    )
}

/// The requests of a pod: those of its containers together, or of an init container that needs more
/// than they do, and one pod.
pub(super) fn of_pod(pod: &Pod) -> Amounts {
    let spec = pod.spec.clone().unwrap_or_default();
    let (mut sidecars, mut peak) = (Amounts::new(), Amounts::new());
    for container in spec.init_containers.iter().flatten() {
        let mut needed = of_container(container);
        if container.restart_policy.as_deref() == Some("Always") {
            add(&mut sidecars, &needed);
        } else {
            add(&mut needed, &sidecars);
            raise(&mut peak, &needed);
        }
    }
    let mut total = sidecars;
    spec.containers
        .iter()
        .for_each(|container| add(&mut total, &of_container(container)));
    raise(&mut total, &peak);
    add(&mut total, &amounts(spec.overhead.as_ref()));
    total.insert("pods".to_owned(), 1000);
    total
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_init_container_counts_as_far_as_it_needs_more() {
        let container = |cpu: &str, memory: &str| json!({"name": "c", "resources": {"requests": {"cpu": cpu, "memory": memory}}});
        let mut sidecar = container("50m", "0");
        sidecar["restartPolicy"] = "Always".into();
        let pod: Pod = serde_json::from_value(json!({"spec": {
            "initContainers": [sidecar, container("400m", "5")],
            "containers": [container("100m", "10"), container("200m", "10")],
        }}))
        .unwrap();
        let expected = [("cpu", 450), ("memory", 20_000), ("pods", 1000)];
        let expected: Amounts = expected
            .map(|(resource, amount)| (resource.to_owned(), amount))
            .into();
        assert_eq!(of_pod(&pod), expected);
    }
}
