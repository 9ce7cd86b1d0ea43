//! The labels that both charts put on objects.

use serde_json::Value;

use super::{
    names::truncate,
    scope::{ChartInfo, bare},
};
use crate::values::Table;

/// What labels are made of.
pub(crate) struct Labels<'a> {
    pub(crate) info: &'a ChartInfo,
    pub(crate) name: &'a str,
    pub(crate) release: &'a str,
}

impl Labels<'_> {
    /// The labels as the chart writes them, unquoted, so that a release named `1` has a number.
    pub(crate) fn standard(&self) -> Table {
        let mut labels = self.selector();
        labels.insert("helm.sh/chart".to_owned(), bare(&self.chart()));
        labels.insert("app.kubernetes.io/managed-by".to_owned(), "Helm".into());
        labels.insert(
            "app.kubernetes.io/version".to_owned(),
            self.info.app_version.into(),
        );
        labels
    }

    /// The labels that choose pods.
    pub(crate) fn selector(&self) -> Table {
        let mut labels = Table::new();
        labels.insert("app.kubernetes.io/name".to_owned(), bare(self.name));
        labels.insert("app.kubernetes.io/instance".to_owned(), bare(self.release));
        labels
    }

    /// The labels under those of the user, who may replace any. They are written quoted.
    pub(crate) fn under(&self, custom: &Table) -> Table {
        let mut labels = Table::new();
        labels.insert("app.kubernetes.io/name".to_owned(), self.name.into());
        labels.insert("helm.sh/chart".to_owned(), self.chart().into());
        labels.insert("app.kubernetes.io/instance".to_owned(), self.release.into());
        labels.insert("app.kubernetes.io/managed-by".to_owned(), "Helm".into());
        labels.insert(
            "app.kubernetes.io/version".to_owned(),
            self.info.app_version.into(),
        );
        labels.extend(custom.iter().map(|(key, value)| (key.clone(), value.clone())));
        labels
    }

    /// The labels that choose pods; of the user's labels only these two count.
    pub(crate) fn selector_under(&self, custom: &Table) -> Table {
        let pick =
            |key: &str, default: &str| custom.get(key).cloned().unwrap_or_else(|| Value::from(default));
        let mut labels = Table::new();
        labels.insert(
            "app.kubernetes.io/name".to_owned(),
            pick("app.kubernetes.io/name", self.name),
        );
        labels.insert(
            "app.kubernetes.io/instance".to_owned(),
            pick("app.kubernetes.io/instance", self.release),
        );
        labels
    }

    fn chart(&self) -> String {
        truncate(&format!("{}-{}", self.info.name, self.info.version).replace('+', "_"))
    }
}
