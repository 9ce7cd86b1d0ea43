//! Patches: JSON patch (RFC 6902), merge patch (RFC 7386) and strategic merge patch, and what a
//! server-side apply sends in their place.

pub(crate) mod lists;
mod strategic;

use bytes::Bytes;
use serde_json::Value;

use crate::{
    body,
    status::{ApiError, ApiResult},
};

const MEDIA_TYPES: [&str; 4] = [
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
];

/// A patch as its media type names it.
#[derive(Debug)]
pub(crate) enum Patch {
    Json(json_patch::Patch),
    Merge(Value),
    Strategic(Value),
    /// The configuration of a server-side apply, which is no change by itself.
    Apply(Value),
}

impl Patch {
    /// Reads a patch.
    ///
    /// # Errors
    /// 415 for other media types, 400 when the body is not of its type.
    pub(crate) fn parse(content_type: &str, bytes: &Bytes) -> ApiResult<Self> {
        match body::media_type(content_type) {
            "application/json-patch+json" => serde_json::from_slice(bytes)
                .map(Self::Json)
                .map_err(|error| ApiError::bad_request(format!("error decoding patch: {error}"))),
            "application/merge-patch+json" => Ok(Self::Merge(body::json(bytes)?)),
            "application/strategic-merge-patch+json" => Ok(Self::Strategic(body::json(bytes)?)),
            "application/apply-patch+yaml" => Ok(Self::Apply(body::yaml(bytes)?)),
            other => Err(ApiError::unsupported_media_type(other, &MEDIA_TYPES)),
        }
    }

    /// The object that results from patching `live`.
    ///
    /// # Errors
    /// 422 when an operation does not fit the object.
    pub(crate) fn applied_to(&self, live: &Value) -> ApiResult<Value> {
        let mut object = live.clone();
        match self {
            Self::Json(patch) => json_patch::patch(&mut object, patch)
                .map_err(|error| ApiError::unprocessable(error.to_string()))?,
            Self::Merge(patch) => json_patch::merge(&mut object, patch),
            Self::Strategic(patch) => strategic::merge(&mut object, patch)?,
            Self::Apply(_) => {
                return Err(ApiError::unsupported_media_type(
                    MEDIA_TYPES[3],
                    &MEDIA_TYPES[..3],
                ));
            }
        }
        Ok(object)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case("application/json-patch+json", r#"[{"op": "add", "path": "/b", "value": 2}]"#, json!({"a": 1, "b": 2}))]
    #[case("application/merge-patch+json; charset=utf-8", r#"{"a": null, "b": 2}"#, json!({"b": 2}))]
    #[case("application/strategic-merge-patch+json", r#"{"b": 2}"#, json!({"a": 1, "b": 2}))]
    fn the_media_type_says_what_a_patch_is(
        #[case] media_type: &str,
        #[case] body: &'static str,
        #[case] expected: Value,
    ) {
        let patch = Patch::parse(media_type, &Bytes::from_static(body.as_bytes())).unwrap();
        assert_eq!(patch.applied_to(&json!({"a": 1})).unwrap(), expected);
    }

    #[test]
    fn what_is_no_patch_is_refused() {
        let body = Bytes::from_static(b"{}");
        let error = Patch::parse("application/json", &body).unwrap_err();
        assert_eq!(error.code(), http::StatusCode::UNSUPPORTED_MEDIA_TYPE);
        assert!(Patch::parse("application/json-patch+json", &body).is_err());
        let failing = Bytes::from_static(br#"[{"op": "test", "path": "/a", "value": 2}]"#);
        let patch = Patch::parse("application/json-patch+json", &failing).unwrap();
        assert_eq!(
            patch.applied_to(&json!({"a": 1})).unwrap_err().code(),
            http::StatusCode::UNPROCESSABLE_ENTITY
        );
    }

    fn maps() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<bool>().prop_map(Value::from),
            "[a-c]{1,2}".prop_map(Value::from)
        ];
        let value = leaf.prop_recursive(3, 16, 3, |inner| {
            prop::collection::btree_map("[a-d]", inner, 0..3)
                .prop_map(|map| Value::Object(map.into_iter().collect()))
        });
        prop::collection::btree_map("[a-d]", value, 0..3)
            .prop_map(|map| Value::Object(map.into_iter().collect()))
    }

    proptest! {
        #[test]
        fn without_lists_and_directives_strategic_is_merge(object in maps(), patch in maps()) {
            let strategic = Patch::Strategic(patch.clone()).applied_to(&object).unwrap();
            prop_assert_eq!(strategic, Patch::Merge(patch).applied_to(&object).unwrap());
        }

        #[test]
        fn a_patch_applied_twice_is_applied_once(object in maps(), patch in maps()) {
            for patch in [Patch::Merge(patch.clone()), Patch::Strategic(patch)] {
                let once = patch.applied_to(&object).unwrap();
                prop_assert_eq!(patch.applied_to(&once).unwrap(), once);
            }
        }
    }
}
