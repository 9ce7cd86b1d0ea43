//! What a request is about, read from its path.
//!
//! Source of the scheme: "Kubernetes API Concepts", resource URIs.

use percent_encoding::percent_decode_str;

use crate::{
    registry::{Kind, by_resource},
    status::{ApiError, ApiResult},
};

/// The object or collection that a path names.
#[derive(Debug)]
pub(crate) struct ResourcePath {
    pub(crate) kind: &'static Kind,
    /// Empty for cluster-scoped kinds and for collections over all namespaces.
    pub(crate) namespace: String,
    pub(crate) name: Option<String>,
    pub(crate) subresource: Option<String>,
    /// What follows the subresource, as in `proxy/api/health`, still percent-encoded.
    pub(crate) rest: String,
}

impl ResourcePath {
    /// Reads `/api/v1/…` and `/apis/GROUP/VERSION/…`.
    ///
    /// # Errors
    /// A 404 for everything else.
    pub(crate) fn parse(path: &str) -> ApiResult<Self> {
        let mut parts = path.trim_start_matches('/').splitn(3, '/');
        let (group, version, rest) = match (parts.next(), parts.next(), parts.next()) {
            (Some("api"), Some(version), Some(rest)) => ("", version, rest),
            (Some("apis"), Some(group), Some(rest)) => match rest.split_once('/') {
                Some((version, rest)) => (group, version, rest),
                None => return Err(ApiError::no_such_path()),
            },
            _ => return Err(ApiError::no_such_path()),
        };
        Self::within(group, version, rest)
    }

    fn within(group: &str, version: &str, rest: &str) -> ApiResult<Self> {
        let kind = |plural: &str| by_resource(group, version, plural).ok_or_else(ApiError::no_such_path);
        let mut parts = rest.splitn(6, '/');
        let first = parts.next().unwrap_or_default();
        // `namespaces/NAME/PLURAL…` is about what lies in a namespace, unless PLURAL is a part of the namespace
        let inside = first == "namespaces"
            && rest
                .split('/')
                .nth(2)
                .is_some_and(|third| !matches!(third, "" | "status" | "finalize"));
        let namespace = if inside {
            decode(parts.next().unwrap_or_default())?
        } else {
            String::new()
        };
        let plural = if inside {
            parts.next().unwrap_or_default()
        } else {
            first
        };
        let kind = kind(plural)?;
        if inside && !kind.namespaced {
            return Err(ApiError::no_such_path());
        }
        let name = parts
            .next()
            .filter(|name| !name.is_empty())
            .map(decode)
            .transpose()?;
        let subresource = parts
            .next()
            .filter(|part| !part.is_empty())
            .map(decode)
            .transpose()?;
        let rest = parts.collect::<Vec<_>>().join("/");
        Ok(Self {
            kind,
            namespace,
            name,
            subresource,
            rest,
        })
    }
}

impl ResourcePath {
    /// The name in the path; empty for a collection.
    pub(crate) fn object_name(&self) -> &str {
        self.name.as_deref().unwrap_or_default()
    }

    pub(crate) fn is_scale(&self) -> bool {
        self.subresource.as_deref() == Some("scale")
    }
}

fn decode(part: &str) -> ApiResult<String> {
    let decoded = percent_decode_str(part).decode_utf8();
    decoded
        .map(std::borrow::Cow::into_owned)
        .map_err(|_| ApiError::bad_request("the path is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("/api/v1/pods", "Pod", "", None, None)]
    #[case("/api/v1/namespaces", "Namespace", "", None, None)]
    #[case("/api/v1/namespaces/a", "Namespace", "", Some("a"), None)]
    #[case("/api/v1/namespaces/a/finalize", "Namespace", "", Some("a"), Some("finalize"))]
    #[case("/api/v1/namespaces/a/pods", "Pod", "a", None, None)]
    #[case("/api/v1/namespaces/a/pods/b/log", "Pod", "a", Some("b"), Some("log"))]
    #[case(
        "/apis/apps/v1/namespaces/a/deployments/b/scale",
        "Deployment",
        "a",
        Some("b"),
        Some("scale")
    )]
    #[case("/apis/apps/v1/deployments", "Deployment", "", None, None)]
    fn paths_name_objects(
        #[case] path: &str,
        #[case] kind: &str,
        #[case] namespace: &str,
        #[case] name: Option<&str>,
        #[case] subresource: Option<&str>,
    ) {
        let parsed = ResourcePath::parse(path).unwrap();
        assert_eq!(parsed.kind.kind, kind);
        assert_eq!(parsed.namespace, namespace);
        assert_eq!(parsed.name.as_deref(), name);
        assert_eq!(parsed.subresource.as_deref(), subresource);
    }

    #[test]
    fn what_follows_a_proxy_is_kept() {
        let parsed =
            ResourcePath::parse("/api/v1/namespaces/a/services/http:web:80/proxy/api/x/y%20z").unwrap();
        assert_eq!(parsed.name.as_deref(), Some("http:web:80"));
        assert_eq!(parsed.rest, "api/x/y%20z");
    }

    #[rstest]
    #[case("/")]
    #[case("/apis/apps/v1")]
    #[case("/apis/none/v1/things")]
    #[case("/api/v1/namespaces/a/nodes")]
    fn other_paths_are_not_found(#[case] path: &str) {
        assert_eq!(
            ResourcePath::parse(path).unwrap_err().code(),
            http::StatusCode::NOT_FOUND
        );
    }
}
