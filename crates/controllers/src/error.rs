//! Why a controller could not do its work on an object; it is tried again.

use kube::core::ParseExpressionError;

#[derive(Debug, thiserror::Error)]
pub(crate) enum ReconcileError {
    #[error("the API refused a request")]
    Api(#[from] kube::Error),
    #[error("the label selector cannot be read")]
    Selector(#[from] ParseExpressionError),
    #[error("an object of the API cannot be written as JSON")]
    Json(#[from] serde_json::Error),
}

impl ReconcileError {
    /// Whether it is nothing to complain about: somebody else changed the object first, or its
    /// namespace is ending.
    pub(crate) fn is_expected(&self) -> bool {
        matches!(self, Self::Api(error) if has_code(error, 409) || has_code(error, 403))
    }
}

/// Whether the API answered with this HTTP status.
pub(crate) fn has_code(error: &kube::Error, code: u16) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == code)
}

/// What the API said, as events and conditions quote it.
pub(crate) fn message(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        other => other.to_string(),
    }
}

/// Nothing, when the object is gone already.
///
/// # Errors
/// Any other than that the object is not found.
pub(crate) fn gone_is_fine<T>(result: Result<T, kube::Error>) -> Result<Option<T>, kube::Error> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if has_code(&error, 404) => Ok(None),
        Err(error) => Err(error),
    }
}
