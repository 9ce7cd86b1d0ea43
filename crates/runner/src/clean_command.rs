//! `prefect-e2e clean`: removes what killed runs left.

use clap::Args;
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, ListParams},
    config::Kubeconfig,
};
use miette::IntoDiagnostic as _;

use crate::{
    deploy::{RUN_LABEL, SCENARIO_LABEL},
    target::{Remote, Target as _, delete_left_kind_clusters, remove_left_run_directories},
};

/// Where to clean up.
#[derive(Debug, Args)]
pub(crate) struct CleanCommand {
    /// The context of the kubeconfig [default: the current one, if there is one]
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
    /// Of namespaces, only what this run left, as its first line named it
    #[arg(long, value_name = "ID")]
    run: Option<String>,
    /// Only say what would be removed
    #[arg(long)]
    dry_run: bool,
}

impl CleanCommand {
    /// Deletes the kind clusters, containers and kubeconfigs of runs that are no more, and the namespaces
    /// that runs made at a cluster of the kubeconfig, known by their labels: nothing else.
    pub(crate) async fn run(self) -> miette::Result<()> {
        let clusters = delete_left_kind_clusters(self.dry_run).await.into_diagnostic()?;
        for name in &clusters {
            println!("{} kind cluster {name}", self.done());
        }
        if clusters.is_empty() {
            println!("no run has left a kind cluster");
        }
        if !self.dry_run {
            remove_left_run_directories().into_diagnostic()?;
            // without an engine there are none
            let _ = prefect_e2e_external_postgres::remove_leftovers().await;
        }
        let context = Kubeconfig::read()
            .ok()
            .and_then(|kubeconfig| kubeconfig.current_context);
        if self.context.is_none() && context.is_none_or(|name| name.is_empty()) {
            println!("no kubeconfig has a current context: no other cluster was looked at");
            return Ok(());
        }
        self.clean_namespaces().await
    }

    async fn clean_namespaces(&self) -> miette::Result<()> {
        let target = Remote::connect(self.context.as_deref()).await.into_diagnostic()?;
        let api: Api<Namespace> = Api::all(target.client());
        let made = ListParams::default().labels(&format!("{RUN_LABEL},{SCENARIO_LABEL}"));
        let mut namespaces = api.list(&made).await.into_diagnostic()?.items;
        if let Some(run) = &self.run {
            namespaces.retain(|namespace| namespace.labels().get(RUN_LABEL) == Some(run));
        }
        for namespace in &namespaces {
            let name = namespace.name_any();
            if !self.dry_run {
                api.delete(&name, &DeleteParams::background())
                    .await
                    .into_diagnostic()?;
            }
            println!("{} namespace/{name}", self.done());
        }
        if namespaces.is_empty() {
            println!("no run has left a namespace at {}", target.about());
        }
        Ok(())
    }

    fn done(&self) -> &'static str {
        if self.dry_run { "would delete" } else { "deleted" }
    }
}
