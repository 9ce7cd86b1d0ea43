//! The resources of a container as the downward API tells them: in whole multiples of a divisor.

use k8s_openapi::api::core::v1::{Container, ResourceFieldSelector};
use prefect_e2e_api_server::thousandths;

use crate::machine;

/// The value of `limits.cpu` and the like, rounded up; `None` when the selector names nothing known.
///
/// A limit that is not set is what the node has, a request that is not set is nothing, as the kubelet
/// tells it.
pub(crate) fn value(container: &Container, selector: &ResourceFieldSelector) -> Option<String> {
    let resources = container.resources.clone().unwrap_or_default();
    let (list, resource) = selector.resource.split_once('.')?;
    let given = match list {
        "limits" => resources
            .limits
            .unwrap_or_default()
            .get(resource)
            .cloned()
            .or_else(|| machine::capacity().get(resource).cloned()),
        "requests" => resources.requests.unwrap_or_default().get(resource).cloned(),
        _ => return None,
    };
    let amount = given.map_or(Some(0), |quantity| thousandths(&quantity.0))?;
    let divisor = selector
        .divisor
        .as_ref()
        .and_then(|divisor| thousandths(&divisor.0))
        .filter(|divisor| *divisor > 0)
        .unwrap_or(1000);
    Some(((amount + divisor - 1) / divisor).to_string())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case("limits.cpu", "0", "2")]
    #[case("limits.cpu", "1m", "1500")]
    #[case("limits.memory", "0", "67108864")]
    #[case("limits.memory", "1Mi", "64")]
    #[case("requests.cpu", "1m", "250")]
    #[case("requests.memory", "1Mi", "0")]
    fn resources_are_told_in_multiples(
        #[case] resource: &str,
        #[case] divisor: &str,
        #[case] expected: &str,
    ) {
        let container = serde_json::from_value(json!({"name": "c", "resources": {
            "limits": {"cpu": "1.5", "memory": "64Mi"}, "requests": {"cpu": "250m"},
        }}))
        .unwrap();
        let selector = serde_json::from_value(json!({"resource": resource, "divisor": divisor})).unwrap();
        assert_eq!(value(&container, &selector).unwrap(), expected);
    }

    #[test]
    fn other_resources_are_not_known() {
        let container = serde_json::from_value(json!({"name": "c"})).unwrap();
        let selector = serde_json::from_value(json!({"resource": "cpu"})).unwrap();
        assert_eq!(value(&container, &selector), None);
    }
}
