//! Objects as text, and texts as objects.

use std::fmt::Write as _;

use serde_json::Value;

use crate::{
    object::Object,
    yaml::{self, YamlError},
};

/// The objects as a YAML stream that `kubectl` and helm read back the same: texts that look like
/// numbers or booleans are quoted.
#[must_use]
pub fn to_yaml(objects: &[Object]) -> String {
    let mut stream = String::new();
    for object in objects {
        stream.push_str("---\n");
        let options = serde_saphyr::ser_options! { folded_wrap_chars: 1_000_000 };
        let written = serde_saphyr::to_fmt_writer_with_options(&mut stream, object.json(), options);
        if let Err(error) = written {
            // a text cannot refuse to be written to, and JSON has no value without a YAML form
            let _ = write!(stream, "# {error}");
        }
    }
    stream
}

/// A stream that is not YAML.
#[derive(Debug, thiserror::Error)]
#[error("the stream of objects is not valid YAML")]
pub struct StreamError(#[source] YamlError);

/// The objects of a YAML stream, as `helm template` prints it. Empty documents are passed over.
///
/// # Errors
/// When the text is not YAML.
pub fn from_yaml(stream: &str) -> Result<Vec<Object>, StreamError> {
    let documents = yaml::read_stream(stream).map_err(StreamError)?;
    Ok(documents
        .into_iter()
        .filter(|document| *document != Value::Null)
        .map(Object::new)
        .collect())
}
