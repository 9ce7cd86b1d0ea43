//! Objects as text.

use std::fmt::Write as _;

use crate::object::Object;

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
