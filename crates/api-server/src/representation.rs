//! The forms in which an answer can be asked for: whole objects, their metadata alone, or a table.

use http::{HeaderMap, header::ACCEPT};
use serde_json::{Value, json};

use crate::{
    query::Query,
    registry::Kind,
    resource::Listing,
    status::{ApiError, ApiResult},
    table::{self, Include},
};

/// What the `Accept` header asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Representation {
    /// Objects as they are.
    Objects,
    /// `PartialObjectMetadata`.
    Metadata,
    /// `Table`, with so much of each object in its row.
    Table(Include),
}

impl Representation {
    /// The first form of the `Accept` header that is served.
    ///
    /// # Errors
    /// 406 when none is.
    pub(crate) fn asked_for(headers: &HeaderMap, query: &Query) -> ApiResult<Self> {
        let accepted = headers
            .get(ACCEPT)
            .and_then(|value| value.to_str().ok())
            .unwrap_or("*/*");
        let include = Include::parse(query.get("includeObject"));
        let mut media_types = accepted.split(',');
        media_types
            .find_map(|media_type| Self::from_media_type(media_type, include))
            .ok_or_else(ApiError::not_acceptable)
    }

    fn from_media_type(media_type: &str, include: Include) -> Option<Self> {
        let mut parts = media_type.split(';').map(str::trim);
        if !matches!(
            parts.next(),
            Some("application/json" | "application/*" | "*/*" | "")
        ) {
            return None;
        }
        match parts.find_map(|parameter| parameter.strip_prefix("as=")) {
            None => Some(Self::Objects),
            Some("PartialObjectMetadata" | "PartialObjectMetadataList") => Some(Self::Metadata),
            Some("Table") => Some(Self::Table(include)),
            Some(_) => None,
        }
    }

    pub(crate) fn of_object(self, kind: &Kind, object: &Value) -> Value {
        match self {
            Self::Objects => object.clone(),
            Self::Metadata => table::partial(object),
            Self::Table(include) => {
                let metadata = json!({"resourceVersion": object["metadata"]["resourceVersion"]});
                table::table(kind, &[object], &metadata, include)
            }
        }
    }

    pub(crate) fn of_list(self, kind: &Kind, listing: &Listing) -> Value {
        let objects = || listing.objects.iter().map(|object| &**object);
        let list = |kind: String, api_version: String, items: Vec<Value>| json!({"kind": kind, "apiVersion": api_version, "metadata": listing.metadata(), "items": items});
        match self {
            Self::Objects => list(
                kind.list_kind(),
                kind.api_version(),
                objects().map(item).collect(),
            ),
            Self::Metadata => list(
                "PartialObjectMetadataList".into(),
                "meta.k8s.io/v1".into(),
                objects().map(table::partial).collect(),
            ),
            Self::Table(include) => {
                table::table(kind, &objects().collect::<Vec<_>>(), &listing.metadata(), include)
            }
        }
    }
}

/// An object in a list, whose kind the list tells.
fn item(object: &Value) -> Value {
    let fields = object.as_object().into_iter().flatten();
    let own = fields.filter(|(key, _)| !matches!(key.as_str(), "kind" | "apiVersion"));
    Value::Object(own.map(|(key, value)| (key.clone(), value.clone())).collect())
}
