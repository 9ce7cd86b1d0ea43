//! The parameters of a request.

use std::collections::HashMap;

use crate::{
    decode::FieldValidation,
    path::ResourcePath,
    selector::Selection,
    status::{ApiError, ApiResult, Cause},
};

/// The parameters of a request's query, and who sent it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Query {
    parameters: HashMap<String, String>,
    agent: String,
}

impl Query {
    /// Reads the part of a URI behind its `?`. `user_agent` is who writes when the query does not say.
    pub(crate) fn parse(query: Option<&str>, user_agent: &str) -> Self {
        let pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
        let agent = user_agent.split('/').next().unwrap_or_default();
        Self {
            parameters: pairs.into_owned().collect(),
            agent: agent.to_owned(),
        }
    }

    /// The value of a parameter that is given and not empty.
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        let value = self.parameters.get(key).map(String::as_str);
        value.filter(|value| !value.is_empty())
    }

    /// Whether a flag is given and not false; alone, without a value, it is given.
    pub(crate) fn is_set(&self, key: &str) -> bool {
        let value = self.parameters.get(key).map(String::as_str);
        value.is_some_and(|value| !matches!(value, "false" | "0"))
    }

    /// Whether nothing is to be stored.
    pub(crate) fn is_dry_run(&self) -> bool {
        self.get("dryRun") == Some("All")
    }

    /// In whose name fields are written.
    pub(crate) fn field_manager(&self) -> &str {
        match (self.get("fieldManager"), self.agent.as_str()) {
            (Some(manager), _) => manager,
            (None, "") => "unknown",
            (None, agent) => agent,
        }
    }

    pub(crate) fn field_validation(&self) -> ApiResult<FieldValidation> {
        FieldValidation::parse(self.get("fieldValidation"))
    }

    /// What the selectors of a request to `path` select.
    pub(crate) fn selection(&self, path: &ResourcePath) -> ApiResult<Selection> {
        let labels = self.get("labelSelector").unwrap_or_default();
        Selection::parse(path.kind, labels, self.get("fieldSelector").unwrap_or_default())
    }

    /// Refuses values that no request may have.
    pub(crate) fn check(&self) -> ApiResult<()> {
        if let Some(mode) = self.get("dryRun").filter(|mode| *mode != "All") {
            let cause = Cause::unsupported("dryRun", &mode.into(), &["All"]);
            return Err(ApiError::invalid_option("CreateOptions", cause));
        }
        let manager = self.get("fieldManager").unwrap_or_default();
        if manager.chars().any(char::is_control) {
            let cause = Cause::invalid(
                "fieldManager",
                &manager.into(),
                "should only contain printable characters",
            );
            return Err(ApiError::invalid_option("CreateOptions", cause));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_writer_is_who_says_so_or_else_the_program() {
        assert_eq!(
            Query::parse(None, "kubectl/v1.32 (linux)").field_manager(),
            "kubectl"
        );
        assert_eq!(
            Query::parse(Some("fieldManager=me"), "kubectl/v1").field_manager(),
            "me"
        );
        assert_eq!(Query::default().field_manager(), "unknown");
    }

    #[test]
    fn a_flag_without_a_value_is_set() {
        let query = Query::parse(Some("watch&follow=false&force=true"), "");
        assert!(query.is_set("watch") && query.is_set("force"));
        assert!(!query.is_set("follow") && !query.is_set("other"));
    }

    #[test]
    fn a_dry_run_is_of_all_stages_or_refused() {
        assert!(Query::parse(Some("dryRun=All"), "").check().is_ok());
        assert!(Query::parse(Some("dryRun=Some"), "").check().is_err());
    }
}
