//! The prefect-server chart: which objects a release has.

mod background_services;
mod capabilities;
pub(crate) mod database;
mod ingress;
mod labels;
mod names;
pub(crate) mod notes;
mod scope;
mod server;
mod service;
mod workload;

pub(crate) use capabilities::Capabilities;
pub(crate) use labels::Labels;
pub(crate) use names::{fullname, name, truncate};
pub(crate) use scope::{ChartInfo, Scope, bare};

use serde_json::Value;

use crate::{
    error::RenderError,
    object::Object,
    postgresql::Database,
    release::Release,
    values::{Table, Values},
};

/// The chart's metadata. Its version and the application's are written when a package is made.
pub(crate) const INFO: ChartInfo = ChartInfo {
    name: "prefect-server",
    version: "0.0.0",
    app_version: "3-latest",
};

/// What the chart's templates share.
pub(crate) struct Chart<'a> {
    release: &'a Release,
    values: &'a Values,
    scope: Scope<'a>,
    capabilities: Capabilities,
    name: String,
    fullname: String,
    namespace: String,
    common_labels: Table,
    common_annotations: Table,
}

/// Renders the objects of a release, in the order in which helm installs them.
///
/// # Errors
/// When a value cannot be rendered: a template expression is wrong, a part of the database's
/// connection string is missing, or the chart refuses the combination.
///
/// ```
/// use prefect_e2e_renderer::{Release, Values, render};
///
/// let objects = render(&Release::new("prefect-server", "prefect"), &Values::default())?;
/// assert!(objects.iter().any(|object| object.kind() == "StatefulSet"));
/// # Ok::<(), prefect_e2e_renderer::RenderError>(())
/// ```
pub fn render(release: &Release, values: &Values) -> Result<Vec<Object>, RenderError> {
    check_release_name(&release.name)?;
    let chart = Chart::new(release, values)?;
    chart.check_prefect_version()?;
    let mut objects = Vec::with_capacity(10);
    chart.background_services(&mut objects)?;
    chart.server(&mut objects)?;
    chart.service(&mut objects)?;
    chart.ingress(&mut objects)?;
    let bundled = values
        .postgresql
        .enabled
        .then(|| Database::new(release, values))
        .transpose()?;
    chart.database(bundled.as_ref(), &mut objects)?;
    if let Some(bundled) = bundled {
        bundled.render(&mut objects)?;
    }
    objects.sort_by_key(|object| install_rank(object.kind()));
    Ok(objects)
}

/// Refuses what helm refuses as the name of a release.
pub(crate) fn check_release_name(name: &str) -> Result<(), RenderError> {
    let fits = |part: &str| {
        !part.is_empty()
            && part
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
            && !part.starts_with('-')
            && !part.ends_with('-')
    };
    if name.len() <= 53 && name.split('.').all(fits) {
        return Ok(());
    }
    Err(RenderError::ReleaseName {
        name: name.to_owned(),
    })
}

/// The place of a kind in helm's order of installation.
fn install_rank(kind: &str) -> usize {
    const ORDER: [&str; 9] = [
        "ServiceAccount",
        "Secret",
        "ConfigMap",
        "PersistentVolumeClaim",
        "Service",
        "Deployment",
        "HorizontalPodAutoscaler",
        "StatefulSet",
        "Ingress",
    ];
    ORDER
        .iter()
        .position(|known| *known == kind)
        .unwrap_or(ORDER.len())
}

impl<'a> Chart<'a> {
    fn new(release: &'a Release, values: &'a Values) -> Result<Self, RenderError> {
        let namespace = match values.namespace_override.as_str() {
            "" => &release.namespace,
            namespace => namespace,
        };
        let scope = Scope::of_chart(release, values);
        Ok(Self {
            common_labels: scope.table("commonLabels", &values.common_labels)?,
            common_annotations: scope.table("commonAnnotations", &values.common_annotations)?,
            release,
            values,
            scope,
            capabilities: Capabilities::of(release.kube_version),
            name: names::name(INFO.name, &values.name_override),
            fullname: fullname(
                INFO.name,
                &values.name_override,
                &values.fullname_override,
                &release.name,
            ),
            namespace: truncate(namespace),
        })
    }

    /// The metadata of an object: labels of the chart, of the component and of the user.
    fn metadata(
        &self,
        name: Value,
        component: Option<&str>,
        annotations: Table,
    ) -> Result<Table, RenderError> {
        let mut labels = self.labels(component);
        labels.extend(self.common_labels.clone());
        let mut metadata = Table::new();
        metadata.insert("name".to_owned(), name);
        metadata.insert("namespace".to_owned(), self.namespace.as_str().into());
        metadata.insert("labels".to_owned(), labels.into());
        if !annotations.is_empty() {
            metadata.insert("annotations".to_owned(), annotations.into());
        }
        Ok(metadata)
    }

    fn labels(&self, component: Option<&str>) -> Table {
        let mut labels = Labels {
            info: &INFO,
            name: &self.name,
            release: &self.release.name,
        }
        .standard();
        if let Some(component) = component {
            labels.insert("app.kubernetes.io/component".to_owned(), component.into());
        }
        labels.insert("prefect-version".to_owned(), bare(INFO.app_version));
        labels
    }

    fn selector(&self, component: &str) -> Table {
        let mut labels = Labels {
            info: &INFO,
            name: &self.name,
            release: &self.release.name,
        }
        .selector();
        labels.insert("app.kubernetes.io/component".to_owned(), component.into());
        labels
    }

    /// The chart refuses background services of a Prefect that has no command for them.
    fn check_prefect_version(&self) -> Result<(), RenderError> {
        if !self.values.background_services.run_as_separate_deployment {
            return Ok(());
        }
        let tag = &self.values.global.prefect.image.prefect_tag;
        let refuse = |need| {
            Err(RenderError::PrefectVersion {
                tag: tag.clone(),
                need,
            })
        };
        if !tag.starts_with(|c: char| c.is_ascii_digit()) {
            return refuse("a tag that starts with a version number");
        }
        match leading_version(tag) {
            None => refuse("a tag in the format X.Y.Z"),
            Some(version) if version < (3, 1, 13) => refuse("version 3.1.13 or higher"),
            Some(_) => Ok(()),
        }
    }
}

/// The three numbers with which a tag begins.
fn leading_version(tag: &str) -> Option<(u64, u64, u64)> {
    let (major, rest) = leading_number(tag)?;
    let (minor, rest) = leading_number(rest.strip_prefix('.')?)?;
    let (patch, _) = leading_number(rest.strip_prefix('.')?)?;
    Some((major, minor, patch))
}

fn leading_number(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    Some((digits.parse().ok()?, rest))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("prefect-server", true)]
    #[case("a.b-1", true)]
    #[case(&"r".repeat(53), true)]
    #[case(&"r".repeat(54), false)]
    #[case("", false)]
    #[case("-a", false)]
    #[case("a-.b", false)]
    #[case("A", false)]
    #[case("a..b", false)]
    fn release_names_are_those_of_helm(#[case] name: &str, #[case] accepted: bool) {
        assert_eq!(
            render(&Release::new(name, "n"), &Values::default()).is_ok(),
            accepted
        );
    }

    #[rstest]
    #[case("3.1.13", true)]
    #[case("3.2.7-python3.12", true)]
    #[case("10.0.0", true)]
    #[case("3.1.12", false)]
    #[case("3.0.99", false)]
    #[case("2.20.16-python3.11", false)]
    #[case("3.1", false)]
    #[case("3-latest", false)]
    #[case("latest", false)]
    #[case("v3.2.0", false)]
    fn background_services_need_a_tag_with_a_version(#[case] tag: &str, #[case] accepted: bool) {
        let mut values = Values::default();
        tag.clone_into(&mut values.global.prefect.image.prefect_tag);
        let release = Release::new("r", "n");
        assert!(render(&release, &values).is_ok());
        values.background_services.run_as_separate_deployment = true;
        assert_eq!(render(&release, &values).is_ok(), accepted);
    }
}
