//! As whom a container runs: its security context, its pod's, and the image's.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{Container, Pod};
use prefect_e2e_images::Image;
use prefect_e2e_sandbox::Identity;

/// What container runtimes leave to a container that asks for nothing.
const DEFAULT_CAPABILITIES: [&str; 14] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "NET_RAW",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
    "AUDIT_WRITE",
];

/// A security context that the node does not accept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SecurityError {
    #[error(
        "container has runAsNonRoot and image will run as root (pod: \"{pod}({uid})\", container: {container})"
    )]
    RootForbidden {
        pod: String,
        uid: String,
        container: String,
    },
    #[error("container's runAsUser breaks non-root policy (pod: \"{pod}({uid})\", container: {container})")]
    RootAskedFor {
        pod: String,
        uid: String,
        container: String,
    },
    #[error(
        "privileged containers are not run by the embedded node; use a real cluster (--target kubeconfig)"
    )]
    Privileged,
    #[error("{field} {value} is no user or group number")]
    OutOfRange { field: &'static str, value: i64 },
}

/// The identity of `container` when it runs from `image`.
pub(crate) fn identity(pod: &Pod, container: &Container, image: &Image) -> Result<Identity, SecurityError> {
    let of_pod = pod
        .spec
        .as_ref()
        .and_then(|spec| spec.security_context.clone())
        .unwrap_or_default();
    let own = container.security_context.clone().unwrap_or_default();
    if own.privileged == Some(true) {
        return Err(SecurityError::Privileged);
    }
    let asked = number("runAsUser", own.run_as_user.or(of_pod.run_as_user))?;
    let user = asked.unwrap_or(image.user);
    let group = number("runAsGroup", own.run_as_group.or(of_pod.run_as_group))?;
    // without a group of its own a user that the image does not know has the root group
    let group = group.unwrap_or(if user == image.user { image.group } else { 0 });
    if own.run_as_non_root.or(of_pod.run_as_non_root) == Some(true) && user == 0 {
        return Err(root_forbidden(pod, container, asked.is_some()));
    }
    let mut groups = Vec::new();
    for extra in of_pod
        .supplemental_groups
        .iter()
        .flatten()
        .copied()
        .chain(of_pod.fs_group)
    {
        groups.extend(number("supplementalGroups", Some(extra))?);
    }
    Ok(Identity {
        user,
        group,
        groups,
        capabilities: capabilities(&own),
        may_gain_rights: own.allow_privilege_escalation.unwrap_or(true),
    })
}

fn root_forbidden(pod: &Pod, container: &Container, is_asked_for: bool) -> SecurityError {
    let metadata = &pod.metadata;
    let full_name = [metadata.name.as_deref(), metadata.namespace.as_deref()];
    let pod = full_name.map(Option::unwrap_or_default).join("_");
    let (uid, container) = (metadata.uid.clone().unwrap_or_default(), container.name.clone());
    if is_asked_for {
        SecurityError::RootAskedFor { pod, uid, container }
    } else {
        SecurityError::RootForbidden { pod, uid, container }
    }
}

fn capabilities(context: &k8s_openapi::api::core::v1::SecurityContext) -> BTreeSet<String> {
    let asked = context.capabilities.clone().unwrap_or_default();
    let dropped = asked.drop.unwrap_or_default();
    let mut kept: BTreeSet<String> = if dropped.iter().any(|name| name == "ALL") {
        BTreeSet::new()
    } else {
        DEFAULT_CAPABILITIES
            .iter()
            .map(|name| (*name).to_owned())
            .collect()
    };
    kept.retain(|name| !dropped.contains(name));
    kept.extend(asked.add.unwrap_or_default());
    kept
}

fn number(field: &'static str, value: Option<i64>) -> Result<Option<u32>, SecurityError> {
    let convert = |value| u32::try_from(value).map_err(|_| SecurityError::OutOfRange { field, value });
    value.map(convert).transpose()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    fn image(user: u32) -> Image {
        Image {
            reference: "x".into(),
            id: String::new(),
            root: "/".into(),
            layers: Vec::new(),
            env: Vec::new(),
            working_dir: "/".into(),
            user,
            group: user,
            entrypoint: Vec::new(),
            command: Vec::new(),
        }
    }

    fn identity_of(pod: &Value, container: &Value, user: u32) -> Result<Identity, SecurityError> {
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {"name": "p", "namespace": "n", "uid": "u"},
            "spec": {"containers": [], "securityContext": pod},
        }))
        .unwrap();
        let container = serde_json::from_value(json!({"name": "c", "securityContext": container})).unwrap();
        identity(&pod, &container, &image(user))
    }

    #[rstest]
    #[case(json!({}), json!({}), 1001, (1001, 1001))]
    #[case(json!({"runAsUser": 7}), json!({}), 1001, (7, 0))]
    #[case(json!({"runAsUser": 7, "runAsGroup": 8}), json!({"runAsUser": 9}), 0, (9, 8))]
    fn the_container_goes_before_the_pod_and_that_before_the_image(
        #[case] pod: Value,
        #[case] container: Value,
        #[case] image: u32,
        #[case] expected: (u32, u32),
    ) {
        let identity = identity_of(&pod, &container, image).unwrap();
        assert_eq!((identity.user, identity.group), expected);
    }

    #[test]
    fn root_is_refused_where_it_is_forbidden() {
        let error = identity_of(&json!({"runAsNonRoot": true}), &json!({}), 0).unwrap_err();
        assert_eq!(
            error.to_string(),
            "container has runAsNonRoot and image will run as root (pod: \"p_n(u)\", container: c)"
        );
        let asked_for = json!({"runAsNonRoot": true, "runAsUser": 0});
        assert_eq!(
            identity_of(&json!({}), &asked_for, 1).unwrap_err().to_string(),
            "container's runAsUser breaks non-root policy (pod: \"p_n(u)\", container: c)"
        );
        assert!(identity_of(&json!({"runAsNonRoot": true}), &json!({"runAsUser": 1}), 0).is_ok());
    }

    #[rstest]
    #[case(json!({}), 14)]
    #[case(json!({"capabilities": {"drop": ["ALL"]}}), 0)]
    #[case(json!({"capabilities": {"drop": ["ALL"], "add": ["CHOWN"]}}), 1)]
    #[case(json!({"capabilities": {"drop": ["MKNOD"], "add": ["SYS_TIME"]}}), 14)]
    fn capabilities_are_dropped_and_added(#[case] container: Value, #[case] count: usize) {
        let identity = identity_of(&json!({}), &container, 0).unwrap();
        assert_eq!(identity.capabilities.len(), count);
    }
}
