//! The charts' named templates that values may include.

use super::{
    datum::Datum,
    evaluate::{Evaluator, field},
};
use crate::{
    chart::{fullname, name, truncate},
    check::nearest,
    error::suggestion,
    go_yaml,
};

/// The names that `include` knows.
const NAMES: [&str; 13] = [
    "backgroundServices.serviceAccountName",
    "common.capabilities.kubeVersion",
    "common.labels.matchLabels",
    "common.labels.standard",
    "common.names.chart",
    "common.names.fullname",
    "common.names.fullname.namespace",
    "common.names.name",
    "common.names.namespace",
    "common.tplvalues.render",
    "postgresql.v1.primary.fullname",
    "server.postgres-string-secret-name",
    "server.serviceAccountName",
];

/// Evaluates a named template of the charts.
pub(super) fn evaluate(evaluator: &mut Evaluator, wanted: &str, context: &Datum) -> Result<String, String> {
    let view = View(context);
    Ok(match wanted {
        "common.names.name" => name(&view.text("Chart.Name")?, &view.text("Values.nameOverride")?),
        "common.names.chart" => view.chart()?,
        "common.names.fullname" | "postgresql.v1.primary.fullname" => view.fullname()?,
        "common.names.namespace" => view.namespace()?,
        "common.names.fullname.namespace" => truncate(&format!("{}-{}", view.fullname()?, view.namespace()?)),
        "common.capabilities.kubeVersion" => view.text("Capabilities.KubeVersion.Version")?,
        "common.labels.matchLabels" => view.match_labels()?,
        "common.labels.standard" => view.standard_labels()?,
        "common.tplvalues.render" => {
            let value = field(context, "value")?;
            let text = match &value {
                Datum::Text(text) => text.to_string(),
                other => go_yaml::to_yaml(&other.to_json()),
            };
            if !text.contains("{{") {
                return Ok(text);
            }
            evaluator.nested(&text, &field(context, "context")?)?
        }
        "server.serviceAccountName" => view.server_account()?,
        "backgroundServices.serviceAccountName" => view.background_account()?,
        "server.postgres-string-secret-name" => view.connection_secret()?,
        other => {
            let known = NAMES.map(str::to_owned);
            let hint = suggestion(nearest(other, &known).as_deref(), &known);
            return Err(format!("unknown template `{other}`{hint}"));
        }
    })
}

/// What a named template is given.
struct View<'a>(&'a Datum);

impl View<'_> {
    /// The value at a path, nil where a part of it is missing.
    fn get(&self, path: &str) -> Result<Datum, String> {
        path.split('.')
            .try_fold(self.0.clone(), |value, name| match value {
                Datum::Map(_) => field(&value, name),
                nil if nil.is_nil() => Ok(Datum::Nil),
                other => field(&other, name),
            })
    }

    fn text(&self, path: &str) -> Result<String, String> {
        Ok(match self.get(path)? {
            nil if nil.is_nil() => String::new(),
            value => value.print(),
        })
    }

    fn chart(&self) -> Result<String, String> {
        let chart = format!("{}-{}", self.text("Chart.Name")?, self.text("Chart.Version")?);
        Ok(truncate(&chart.replace('+', "_")))
    }

    fn fullname(&self) -> Result<String, String> {
        Ok(fullname(
            &self.text("Chart.Name")?,
            &self.text("Values.nameOverride")?,
            &self.text("Values.fullnameOverride")?,
            &self.text("Release.Name")?,
        ))
    }

    fn namespace(&self) -> Result<String, String> {
        let namespace = match self.text("Values.namespaceOverride")?.as_str() {
            "" => self.text("Release.Namespace")?,
            namespace => namespace.to_owned(),
        };
        Ok(truncate(&namespace))
    }

    fn match_labels(&self) -> Result<String, String> {
        let name = name(&self.text("Chart.Name")?, &self.text("Values.nameOverride")?);
        let release = self.text("Release.Name")?;
        Ok(format!(
            "app.kubernetes.io/name: {name}\napp.kubernetes.io/instance: {release}"
        ))
    }

    fn standard_labels(&self) -> Result<String, String> {
        let name = name(&self.text("Chart.Name")?, &self.text("Values.nameOverride")?);
        Ok(format!(
            "app.kubernetes.io/name: {name}\nhelm.sh/chart: {}\napp.kubernetes.io/instance: {}\n\
             app.kubernetes.io/managed-by: {}\napp.kubernetes.io/version: \"{}\"",
            self.chart()?,
            self.text("Release.Name")?,
            self.text("Release.Service")?,
            self.text("Chart.AppVersion")?
        ))
    }

    fn server_account(&self) -> Result<String, String> {
        let name = self.text("Values.serviceAccount.name")?;
        Ok(match name.as_str() {
            "" if self.get("Values.serviceAccount.create")?.is_true() => self.fullname()?,
            "" => "default".to_owned(),
            name => name.to_owned(),
        })
    }

    fn background_account(&self) -> Result<String, String> {
        let create = self
            .get("Values.backgroundServices.serviceAccount.create")?
            .is_true()
            && self
                .get("Values.backgroundServices.runAsSeparateDeployment")?
                .is_true();
        let name = self.text("Values.backgroundServices.serviceAccount.name")?;
        Ok(match name.as_str() {
            "" if create => format!("{}-background-services", self.fullname()?),
            "" => "default".to_owned(),
            name => name.to_owned(),
        })
    }

    fn connection_secret(&self) -> Result<String, String> {
        for path in ["Values.postgresql.auth.existingSecret", "Values.secret.name"] {
            let name = self.text(path)?;
            if !name.is_empty() {
                return Ok(name);
            }
        }
        Ok(format!("{}-postgresql-connection", self.fullname()?))
    }
}
