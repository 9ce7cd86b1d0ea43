//! x
pub(super) fn of(_v: &serde_json::Value) -> String {
    String::new()
}
