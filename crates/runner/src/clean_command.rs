//! `prefect-e2e clean`: removes what killed runs left on a cluster of a kubeconfig.

use clap::Args;
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, ListParams},
};
use miette::IntoDiagnostic as _;

use crate::{
    deploy::{RUN_LABEL, SCENARIO_LABEL},
    target::{Remote, Target as _},
};

/// Where to clean up.
#[derive(Debug, Args)]
pub(crate) struct CleanCommand {
    /// The context of the kubeconfig [default: the current one]
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
    /// Only what this run left, as its first line named it
    #[arg(long, value_name = "ID")]
    run: Option<String>,
    /// Only say what would be removed
    #[arg(long)]
    dry_run: bool,
}

impl CleanCommand {
    /// Deletes the namespaces that runs made, known by their labels, and nothing else.
    pub(crate) async fn run(self) -> miette::Result<()> {
        let target = Remote::connect(self.context.as_deref()).await.into_diagnostic()?;
        let api: Api<Namespace> = Api::all(target.client());
        let made = ListParams::default().labels(&format!("{RUN_LABEL},{SCENARIO_LABEL}"));
        let mut namespaces = api.list(&made).await.into_diagnostic()?.items;
        if let Some(run) = &self.run {
            namespaces.retain(|namespace| namespace.labels().get(RUN_LABEL) == Some(run));
        }
        for namespace in &namespaces {
            let name = namespace.name_any();
            if self.dry_run {
                println!("would delete namespace/{name}");
                continue;
            }
            api.delete(&name, &DeleteParams::background())
                .await
                .into_diagnostic()?;
            println!("deleted namespace/{name}");
        }
        if namespaces.is_empty() {
            println!("no run has left a namespace at {}", target.about());
        }
        Ok(())
    }
}
