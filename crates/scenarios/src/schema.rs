//! The JSON schema of scenario files, for editors.

use serde_json::Value;

use crate::format::ScenarioFile;

/// The schema of [`ScenarioFile`]; its descriptions are the types' own.
#[must_use]
pub fn json_schema() -> Value {
    let mut schema = schemars::schema_for!(ScenarioFile);
    schema.insert("required".into(), serde_json::json!(["description"]));
    schema.to_value()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_names_what_a_file_may_hold() {
        let schema = json_schema();
        let properties = schema["properties"].as_object().unwrap();
        for key in [
            "description",
            "values",
            "requires",
            "expect",
            "proves",
            "upgrades",
            "labels",
            "release",
        ] {
            assert!(properties.contains_key(key), "{key}");
        }
        assert_eq!(schema["additionalProperties"], false);
    }
}
