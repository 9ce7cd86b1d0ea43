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
    fn the_schema_that_scenario_files_name_is_current() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../schemas/scenario.json");
        let text = std::fs::read_to_string(path).unwrap();
        let written: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            written,
            json_schema(),
            "`prefect-e2e schema scenario > schemas/scenario.json` writes it anew"
        );
    }

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
