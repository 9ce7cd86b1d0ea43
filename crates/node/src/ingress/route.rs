//! Which backend a request is for.
//!
//! Source of the rules: "Ingress" in the Kubernetes documentation, path types and hostname wildcards.

use std::sync::Arc;

use k8s_openapi::api::networking::v1::{HTTPIngressPath, Ingress, IngressRule, IngressServiceBackend};

/// The namespace and backend for a request to `path` of `host`; `None` when no rule is for it.
///
/// The most specific host decides alone, then an exact path goes before a prefix and a longer prefix
/// before a shorter one; what no path is for goes to a default backend, if there is one.
pub(super) fn find(
    ingresses: &[Arc<Ingress>],
    host: &str,
    path: &str,
) -> Option<(String, IngressServiceBackend)> {
    let rules: Vec<(&Ingress, &IngressRule, HostMatch)> = ingresses
        .iter()
        .flat_map(|ingress| rules_of(ingress).map(move |rule| (&**ingress, rule)))
        .filter_map(|(ingress, rule)| Some((ingress, rule, match_host(rule.host.as_deref(), host)?)))
        .collect();
    let best_host = rules.iter().map(|(_, _, fit)| *fit).max();
    let paths = rules
        .iter()
        .filter(|(_, _, fit)| Some(*fit) == best_host)
        .flat_map(|(ingress, rule, _)| paths_of(rule).map(move |one| (*ingress, one)))
        .filter_map(|(ingress, one)| Some((ingress, one, match_path(one, path)?)));
    let best = paths.max_by_key(|(_, _, fit)| *fit);
    let chosen = best.map(|(ingress, one, _)| (ingress, &one.backend));
    let default = || {
        let mut defaults = ingresses
            .iter()
            .filter_map(|ingress| Some((&**ingress, ingress.spec.as_ref()?.default_backend.as_ref()?)));
        defaults.next()
    };
    let (ingress, backend) = chosen.or_else(default)?;
    Some((
        ingress.metadata.namespace.clone().unwrap_or_default(),
        backend.service.clone()?,
    ))
}

fn rules_of(ingress: &Ingress) -> impl Iterator<Item = &IngressRule> {
    ingress.spec.iter().flat_map(|spec| spec.rules.iter().flatten())
}

fn paths_of(rule: &IngressRule) -> impl Iterator<Item = &HTTPIngressPath> {
    rule.http.iter().flat_map(|http| &http.paths)
}

/// How well a rule's host fits, the best last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum HostMatch {
    Any,
    Wildcard,
    Exact,
}

fn match_host(pattern: Option<&str>, host: &str) -> Option<HostMatch> {
    match pattern {
        None | Some("") => Some(HostMatch::Any),
        Some(pattern) => match pattern.strip_prefix("*.") {
            // the wildcard stands for one label
            Some(parent) => {
                let (first, rest) = host.split_once('.')?;
                (!first.is_empty() && rest.eq_ignore_ascii_case(parent)).then_some(HostMatch::Wildcard)
            }
            None => pattern.eq_ignore_ascii_case(host).then_some(HostMatch::Exact),
        },
    }
}

/// How well a path fits: exact ones before all, then by length.
fn match_path(rule: &HTTPIngressPath, path: &str) -> Option<(bool, usize)> {
    let wanted = rule.path.as_deref().unwrap_or("/");
    if rule.path_type == "Exact" {
        return (wanted == path).then_some((true, wanted.len()));
    }
    let prefix = wanted.trim_end_matches('/');
    let rest = path.strip_prefix(prefix)?;
    (rest.is_empty() || rest.starts_with('/')).then_some((false, prefix.len()))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    fn ingresses(default: bool) -> Vec<Arc<Ingress>> {
        let path = |path: &str, kind: &str, name: &str| json!({"path": path, "pathType": kind, "backend": {"service": {"name": name, "port": {"number": 1}}}});
        let rule = |host: &str, paths: Value| json!({"host": host, "http": {"paths": paths}});
        let mut first = json!({"metadata": {"name": "a", "namespace": "n"}, "spec": {"rules": [
            rule("web.test", json!([
                path("/", "Prefix", "root"),
                path("/api", "Prefix", "api"),
                path("/api/v1/", "ImplementationSpecific", "v1"),
                path("/api", "Exact", "exact"),
            ])),
            rule("*.test", json!([path("/", "Prefix", "wild")])),
        ]}});
        if default {
            first["spec"]["defaultBackend"] = json!({"service": {"name": "default", "port": {"number": 1}}});
        }
        let second = json!({"metadata": {"name": "b", "namespace": "n"}, "spec": {"rules": [
            {"http": {"paths": [path("/any", "Prefix", "any")]}},
        ]}});
        [first, second]
            .map(|one| Arc::new(serde_json::from_value(one).unwrap()))
            .into()
    }

    #[rstest]
    #[case("web.test", "/", Some("root"))]
    #[case("WEB.test", "/apis", Some("root"))]
    #[case("web.test", "/api", Some("exact"))]
    #[case("web.test", "/api/", Some("api"))]
    #[case("web.test", "/api/x", Some("api"))]
    #[case("web.test", "/api/v1", Some("v1"))]
    #[case("web.test", "/api/v1/x", Some("v1"))]
    #[case("other.test", "/api", Some("wild"))]
    #[case("a.b.test", "/api", None)]
    #[case("a.b.test", "/any/x", Some("any"))]
    #[case("web.test", "/any", Some("root"))]
    #[case("example.com", "/other", None)]
    fn the_most_specific_rule_decides(
        #[case] host: &str,
        #[case] path: &str,
        #[case] expected: Option<&str>,
    ) {
        let found = find(&ingresses(false), host, path);
        assert_eq!(found.map(|(_, backend)| backend.name).as_deref(), expected);
    }

    #[test]
    fn what_no_rule_is_for_goes_to_the_default_backend() {
        let (namespace, backend) = find(&ingresses(true), "example.com", "/other").unwrap();
        assert_eq!((namespace.as_str(), backend.name.as_str()), ("n", "default"));
    }
}
