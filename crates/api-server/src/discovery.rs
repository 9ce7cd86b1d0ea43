//! What the server serves: discovery, version and the OpenAPI documents that `kubectl` asks for.

use axum::{body::Body, response::Response};
use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{ACCEPT, CONTENT_TYPE},
};
use serde_json::{Value, json};

use crate::{
    registry::{KINDS, Kind, groups},
    review::REVIEWS,
    routes,
};

/// The Kubernetes version whose API is served; the build says that it is not that Kubernetes.
const VERSION: &str = "v1.34.4+prefect-e2e";

const VERBS: [&str; 8] = [
    "create",
    "delete",
    "deletecollection",
    "get",
    "list",
    "patch",
    "update",
    "watch",
];

/// What kubectl reads before it applies a `List`: a document without schemas, against which anything is
/// valid. The server checks the items itself when they come.
const OPEN_API_2: &[u8] = b"\x0a\x032.0";
/// As upstream answers: clients ask for the type with an `@`, which is none that they could read.
const OPEN_API_2_TYPE: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";

fn version() -> Value {
    json!({
        "major": "1", "minor": "34", "gitVersion": VERSION, "gitCommit": "", "gitTreeState": "clean",
        "buildDate": "2026-01-01T00:00:00Z", "goVersion": "none: an embedded cluster in Rust",
        "compiler": "rustc", "platform": format!("linux/{}", std::env::consts::ARCH),
    })
}

/// The answer to a path that is about the server rather than about objects.
pub(crate) fn answer(path: &str, headers: &HeaderMap) -> Option<Response> {
    let accept = headers
        .get(ACCEPT)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    if path == "/openapi/v2" && accept.contains("spec.v2@v1.0+protobuf") {
        let mut response = Response::new(Body::from(OPEN_API_2));
        let media_type = HeaderValue::from_static(OPEN_API_2_TYPE);
        response.headers_mut().insert(CONTENT_TYPE, media_type);
        return Some(response);
    }
    let aggregated = accept.contains("as=APIGroupDiscoveryList") && accept.contains("v=v2");
    let document = document(path, aggregated)?;
    let mut response = routes::json(StatusCode::OK, &document);
    if document["kind"] == "APIGroupDiscoveryList" {
        let media_type = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
        response
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    }
    Some(response)
}

fn document(path: &str, aggregated: bool) -> Option<Value> {
    let mut parts = path.trim_matches('/').split('/');
    match (parts.next()?, parts.next(), parts.next(), parts.next()) {
        ("api", None, ..) if aggregated => Some(aggregated_list(|group| group.is_empty())),
        ("api", None, ..) => Some(json!({"kind": "APIVersions", "versions": ["v1"]})),
        ("apis", None, ..) if aggregated => Some(aggregated_list(|group| !group.is_empty())),
        ("apis", None, ..) => {
            let named = all_groups().filter(|(group, _)| !group.is_empty());
            let list: Vec<Value> = named.map(|(group, version)| group_json(group, version)).collect();
            Some(json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": list}))
        }
        ("api", Some("v1"), None, _) => Some(resource_list("", "v1")),
        ("apis", Some(group), None, _) => {
            let (group, version) = all_groups().find(|(name, _)| *name == group)?;
            let mut one = group_json(group, version);
            one["kind"] = "APIGroup".into();
            one["apiVersion"] = "v1".into();
            Some(one)
        }
        ("apis", Some(group), Some(version), None) => {
            let known = all_groups().any(|one| one == (group, version));
            known.then(|| resource_list(group, version))
        }
        ("version", None, ..) => Some(version()),
        ("openapi", Some("v2"), None, _) => Some(json!({
            "swagger": "2.0", "info": {"title": "Kubernetes", "version": VERSION}, "paths": {},
        })),
        ("openapi", Some("v3"), rest, _) => Some(open_api(path, rest.is_some())),
        _ => None,
    }
}

/// The groups of kept objects and those of reviews.
fn all_groups() -> impl Iterator<Item = (&'static str, &'static str)> {
    groups()
        .into_iter()
        .chain(REVIEWS.iter().map(|(group, _)| (*group, "v1")))
}

fn group_json(group: &str, version: &str) -> Value {
    let version = json!({"groupVersion": format!("{group}/{version}"), "version": version});
    json!({"name": group, "versions": [version], "preferredVersion": version})
}

fn reviews(group: &str) -> &'static [(&'static str, &'static str)] {
    REVIEWS
        .iter()
        .find(|(name, _)| *name == group)
        .map_or(&[], |(_, kinds)| *kinds)
}

fn resource_list(group: &str, version: &str) -> Value {
    let mut resources = Vec::new();
    for kind in KINDS
        .iter()
        .filter(|kind| kind.group == group && kind.version == version)
    {
        let mut entry = json!({
            "name": kind.plural, "singularName": kind.singular(), "namespaced": kind.namespaced,
            "kind": kind.kind, "verbs": VERBS, "shortNames": kind.short_names,
        });
        if kind.in_all {
            entry["categories"] = json!(["all"]);
        }
        resources.push(entry);
        for (name, of_kind, verbs) in subresources(kind) {
            let mut entry = json!({
                "name": format!("{}/{name}", kind.plural), "singularName": "",
                "namespaced": kind.namespaced, "kind": of_kind, "verbs": verbs,
            });
            if let Some(group) = group_of(of_kind) {
                entry["group"] = group.into();
                entry["version"] = "v1".into();
            }
            resources.push(entry);
        }
    }
    for (plural, kind) in reviews(group) {
        resources.push(json!({
            "name": plural, "singularName": kind.to_lowercase(), "namespaced": false, "kind": kind,
            "verbs": ["create"],
        }));
    }
    let group_version = if group.is_empty() {
        version.to_owned()
    } else {
        format!("{group}/{version}")
    };
    json!({
        "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": resources,
    })
}

/// The group of a kind that belongs to another one than the object that it is a part of; its version is v1.
fn group_of(kind: &str) -> Option<&'static str> {
    match kind {
        "Scale" => Some("autoscaling"),
        "Eviction" => Some("policy"),
        "TokenRequest" => Some("authentication.k8s.io"),
        _ => None,
    }
}

fn subresources(kind: &Kind) -> Vec<(&'static str, &'static str, &'static [&'static str])> {
    const CHANGE: &[&str] = &["get", "patch", "update"];
    const STREAM: &[&str] = &["create", "get"];
    let mut list = Vec::new();
    if kind.has_status {
        list.push(("status", kind.kind, CHANGE));
    }
    if kind.has_scale {
        list.push(("scale", "Scale", CHANGE));
    }
    match kind.kind {
        "Pod" => {
            list.extend([
                ("attach", "PodAttachOptions", STREAM),
                ("exec", "PodExecOptions", STREAM),
                ("portforward", "PodPortForwardOptions", STREAM),
                ("proxy", "PodProxyOptions", VERBS.as_slice()),
                ("log", "Pod", &["get"]),
                ("eviction", "Eviction", &["create"]),
                ("binding", "Binding", &["create"]),
            ]);
        }
        "Service" => list.push(("proxy", "ServiceProxyOptions", VERBS.as_slice())),
        "ServiceAccount" => list.push(("token", "TokenRequest", &["create"])),
        "Namespace" => list.push(("finalize", "Namespace", &["update"])),
        _ => {}
    }
    list
}

/// All groups at once, as newer clients ask: `APIGroupDiscoveryList` of `apidiscovery.k8s.io/v2`.
fn aggregated_list(wanted: fn(&str) -> bool) -> Value {
    let items: Vec<Value> = all_groups()
        .filter(|(group, _)| wanted(group))
        .map(|(group, version)| {
            let resources: Vec<Value> = KINDS
                .iter()
                .filter(|kind| kind.group == group && kind.version == version)
                .map(aggregated_resource)
                .chain(
                    reviews(group)
                        .iter()
                        .map(|(plural, kind)| aggregated_review(plural, kind)),
                )
                .collect();
            json!({
                "metadata": {"name": group, "creationTimestamp": null},
                "versions": [{"version": version, "resources": resources, "freshness": "Current"}],
            })
        })
        .collect();
    json!({
        "kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items,
    })
}

fn aggregated_resource(kind: &Kind) -> Value {
    // an empty group and version are those of the list
    let response = |of: &str| {
        let group = group_of(of);
        json!({"group": group.unwrap_or_default(), "version": group.map_or("", |_| "v1"), "kind": of})
    };
    let parts: Vec<Value> = subresources(kind)
        .into_iter()
        .map(|(name, of, verbs)| json!({"subresource": name, "responseKind": response(of), "verbs": verbs}))
        .collect();
    let mut resource = json!({
        "resource": kind.plural, "responseKind": response(kind.kind),
        "scope": if kind.namespaced { "Namespaced" } else { "Cluster" },
        "singularResource": kind.singular(), "verbs": VERBS, "shortNames": kind.short_names,
        "subresources": parts,
    });
    if kind.in_all {
        resource["categories"] = json!(["all"]);
    }
    resource
}

fn aggregated_review(plural: &str, kind: &str) -> Value {
    json!({
        "resource": plural, "responseKind": {"group": "", "version": "", "kind": kind},
        "scope": "Cluster", "singularResource": kind.to_lowercase(), "verbs": ["create"],
    })
}

/// The least that `kubectl` needs to know: that writes take `fieldValidation`.
fn open_api(path: &str, of_group: bool) -> Value {
    if !of_group {
        let all = groups().into_iter().map(|(group, version)| {
            let path = if group.is_empty() {
                format!("api/{version}")
            } else {
                format!("apis/{group}/{version}")
            };
            let place = json!({"serverRelativeURL": format!("/openapi/v3/{path}?hash=0")});
            (path, place)
        });
        return json!({"paths": all.collect::<serde_json::Map<_, _>>()});
    }
    let group_path = path.trim_matches('/').trim_start_matches("openapi/v3/");
    let mut paths = serde_json::Map::new();
    for kind in KINDS {
        let own = if kind.group.is_empty() {
            "api/v1".to_owned()
        } else {
            format!("apis/{}", kind.api_version())
        };
        if own != group_path {
            continue;
        }
        let scope = if kind.namespaced {
            "namespaces/{namespace}/"
        } else {
            ""
        };
        let operation = operation(kind.group, kind.version, kind.kind);
        paths.insert(
            format!("/{own}/{scope}{}/{{name}}", kind.plural),
            json!({"patch": operation, "put": operation}),
        );
        paths.insert(
            format!("/{own}/{scope}{}", kind.plural),
            json!({"post": operation}),
        );
    }
    json!({
        "openapi": "3.0.0", "info": {"title": "Kubernetes", "version": VERSION}, "paths": paths,
        "components": {"schemas": {}},
    })
}

/// A write of a kind.
fn operation(group: &str, version: &str, kind: &str) -> Value {
    let parameter = |name: &str| json!({"name": name, "in": "query", "schema": {"type": "string"}});
    let parameters = ["dryRun", "fieldManager", "fieldValidation"].map(parameter);
    json!({
        "parameters": parameters,
        "x-kubernetes-group-version-kind": {"group": group, "version": version, "kind": kind},
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_found_in_both_forms() {
        let core = document("/api/v1", false).unwrap();
        assert!(
            core["resources"]
                .as_array()
                .unwrap()
                .iter()
                .any(|one| one["name"] == "pods/exec")
        );
        let apps = document("/apis/apps/v1", false).unwrap();
        assert!(
            apps["resources"]
                .as_array()
                .unwrap()
                .iter()
                .any(|one| one["name"] == "deployments/scale")
        );
        let aggregated = document("/apis", true).unwrap();
        let groups = aggregated["items"].as_array().unwrap();
        assert!(
            groups
                .iter()
                .any(|one| one["metadata"]["name"] == "discovery.k8s.io")
        );
    }

    #[test]
    fn paths_about_objects_are_not_discovery() {
        assert!(document("/api/v1/pods", false).is_none());
        assert!(document("/apis/none/v1", false).is_none());
    }
}
