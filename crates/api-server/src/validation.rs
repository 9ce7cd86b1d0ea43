//! The rules that an object must keep beyond the types of its fields.

use serde_json::Value;

use crate::{registry::Kind, status::Cause};

/// The rules that `object` breaks; `live` is what it was before, when it is updated.
pub(crate) fn check(_kind: &Kind, _object: &Value, _live: Option<&Value>) -> Vec<Cause> {
    Vec::new()
}
