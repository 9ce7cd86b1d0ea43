//! How lists and maps merge: which lists are sets, which are told apart by keys, which are replaced
//! whole.
//!
//! Source: `x-kubernetes-list-type`, `x-kubernetes-list-map-keys`, `x-kubernetes-patch-merge-key` and
//! `x-kubernetes-map-type` of the OpenAPI document of Kubernetes 1.34, for the kinds that are served.

use serde_json::Value;

/// How a list merges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ListRule {
    /// Replaced whole.
    Atomic,
    /// A set of plain values.
    Set,
    /// Items are told apart by one field in strategic merge patches and by several in applies; an apply
    /// for which there are none replaces the list.
    Keyed {
        patch: &'static str,
        apply: &'static [&'static str],
    },
}

impl ListRule {
    /// The rule for the list `field` of the object or the items in the field `parent`; that of a whole
    /// object is empty.
    pub(crate) fn of(parent: &str, field: &str) -> Self {
        let keyed = |patch, apply| Self::Keyed { patch, apply };
        match (parent, field) {
            ("metadata", "finalizers") | ("spec", "podCIDRs") => Self::Set,
            ("metadata", "ownerReferences") => keyed("uid", &["uid"]),
            ("", "secrets")
            | (
                "spec",
                "containers"
                | "initContainers"
                | "ephemeralContainers"
                | "volumes"
                | "imagePullSecrets"
                | "schedulingGates"
                | "resourceClaims",
            ) => keyed("name", &["name"]),
            ("spec", "hostAliases") | ("status", "podIPs") => keyed("ip", &["ip"]),
            ("status", "hostIPs") => keyed("ip", &[]),
            ("spec", "topologySpreadConstraints") => {
                keyed("topologyKey", &["topologyKey", "whenUnsatisfiable"])
            }
            ("spec", "ports") => keyed("port", &["port", "protocol"]),
            ("status", "conditions" | "addresses") => keyed("type", &["type"]),
            ("containers" | "initContainers" | "ephemeralContainers", field) => match field {
                "env" => keyed("name", &["name"]),
                "ports" => keyed("containerPort", &["containerPort", "protocol"]),
                "volumeMounts" => keyed("mountPath", &["mountPath"]),
                "volumeDevices" => keyed("devicePath", &["devicePath"]),
                _ => Self::Atomic,
            },
            _ => Self::Atomic,
        }
    }

    /// The keys by which an apply tells items apart; none when the list is no keyed one.
    pub(crate) fn apply_keys(self) -> &'static [&'static str] {
        match self {
            Self::Keyed { apply, .. } => apply,
            Self::Atomic | Self::Set => &[],
        }
    }
}

/// Whether a server-side apply owns and replaces the map `field` as a whole.
pub(crate) fn is_atomic_map(parent: &str, field: &str) -> bool {
    match field {
        "selector" | "labelSelector" | "namespaceSelector" | "podSelector" | "nodeSelector"
        | "scopeSelector" | "configMapKeyRef" | "secretKeyRef" | "fieldRef" | "fileKeyRef"
        | "resourceFieldRef" | "roleRef" | "targetRef" | "involvedObject" | "related" | "dataSource"
        | "preference" | "required" => true,
        "requiredDuringSchedulingIgnoredDuringExecution" => parent == "nodeAffinity",
        "secretRef" => parent != "envFrom",
        "port" => parent == "service",
        "resource" => matches!(parent, "backend" | "defaultBackend"),
        _ => false,
    }
}

/// The value of a key of an item; a protocol that is left out is TCP.
pub(crate) fn key_value(item: &Value, key: &str) -> Value {
    match item.get(key) {
        None if key == "protocol" => "TCP".into(),
        None => Value::Null,
        Some(value) => value.clone(),
    }
}
