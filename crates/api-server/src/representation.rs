//! The forms in which an answer can be asked for: whole objects, their metadata alone, or a table.

use http::{HeaderMap, header::ACCEPT};
use serde_json::{Value, json};

use crate::{registry::Kind, resource::Listing, status::{ApiError, ApiResult}};

/// What the `Accept` header asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Representation {
    /// Objects as they are.
    Objects,
    /// `PartialObjectMetadata`.
    Metadata,
}

impl Representation {
    /// The first form of the `Accept` header that is served.
    ///
    /// # Errors
    /// 406 when none is.
    pub(crate) fn asked_for(headers: &HeaderMap) -> ApiResult<Self> {
        let accepted = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("*/*");
        accepted.split(',').find_map(Self::from_media_type).ok_or_else(ApiError::not_acceptable)
    }

    fn from_media_type(media_type: &str) -> Option<Self> {
        let mut parts = media_type.split(';').map(str::trim);
        if !matches!(parts.next(), Some("application/json" | "application/*" | "*/*" | "")) {
            return None;
        }
        match parts.find_map(|parameter| parameter.strip_prefix("as=")) {
            None => Some(Self::Objects),
            Some("PartialObjectMetadata" | "PartialObjectMetadataList") => Some(Self::Metadata),
            Some(_) => None,
        }
    }

    pub(crate) fn of_object(self, kind: &Kind, object: Value) -> Value {
        match self {
            Self::Objects => object,
            Self::Metadata => metadata_of(kind, &object),
        }
    }

    pub(crate) fn of_list(self, kind: &Kind, listing: &Listing) -> Value {
        let (list_kind, api_version) = match self {
            Self::Objects => (format!("{}List", kind.kind), kind.api_version()),
            Self::Metadata => ("PartialObjectMetadataList".into(), "meta.k8s.io/v1".into()),
        };
        let items = listing.objects.iter().map(|object| self.of_object(kind, (**object).clone()));
        json!({
            "kind": list_kind,
            "apiVersion": api_version,
            "metadata": listing.metadata(),
            "items": items.collect::<Vec<_>>(),
        })
    }

    pub(crate) fn of_event(self, kind: &Kind, object: &Value) -> Value {
        self.of_object(kind, object.clone())
    }

    pub(crate) fn of_bookmark(self, kind: &Kind, object: &Value) -> Value {
        self.of_object(kind, object.clone())
    }
}

fn metadata_of(_kind: &Kind, object: &Value) -> Value {
    json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"]})
}
