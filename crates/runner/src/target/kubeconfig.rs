//! Any cluster of a kubeconfig.

use std::net::SocketAddr;

use async_trait::async_trait;
use kube::config::Kubeconfig;

use super::{Target, TargetError, api};

/// A cluster that a kubeconfig leads to. Nothing of it is touched but what the run makes.
pub struct Remote {
    client: kube::Client,
    context: String,
    server: String,
}

impl Remote {
    /// Connects to `context`, or to the current one, which must not look like production.
    ///
    /// # Errors
    /// When there is no kubeconfig or no such context, or the cluster does not answer.
    pub async fn connect(context: Option<&str>) -> Result<Self, TargetError> {
        let kubeconfig = Kubeconfig::read()?;
        let name = choose(&kubeconfig, context)?;
        let about = |server: &str| format!("context {name} at {server}");
        let (client, server) = api::connect(kubeconfig, Some(name.clone()), about).await?;
        Ok(Self {
            client,
            context: name,
            server,
        })
    }
}

fn choose(kubeconfig: &Kubeconfig, context: Option<&str>) -> Result<String, TargetError> {
    let known: Vec<String> = kubeconfig
        .contexts
        .iter()
        .map(|context| context.name.clone())
        .collect();
    if let Some(name) = context {
        if !known.iter().any(|known| known == name) {
            return Err(TargetError::UnknownContext {
                name: name.to_owned(),
                known,
            });
        }
        return Ok(name.to_owned());
    }
    let Some(current) = kubeconfig.current_context.clone().filter(|name| !name.is_empty()) else {
        return Err(TargetError::NoContext { known });
    };
    if looks_like_production(&current) {
        return Err(TargetError::Production { name: current });
    }
    Ok(current)
}

/// Whether a part of the context's name says production.
fn looks_like_production(context: &str) -> bool {
    let words = context.split(|letter: char| !letter.is_ascii_alphanumeric());
    words
        .map(str::to_ascii_lowercase)
        .any(|word| matches!(word.as_str(), "prod" | "prd" | "production" | "live"))
}

#[async_trait]
impl Target for Remote {
    fn kind(&self) -> &'static str {
        "kubeconfig"
    }

    fn about(&self) -> String {
        format!("context {} at {}", self.context, self.server)
    }

    fn client(&self) -> kube::Client {
        self.client.clone()
    }

    fn kubectl(&self) -> String {
        format!("--context {}", self.context)
    }

    async fn expose(&self, _: u16) -> Result<Option<SocketAddr>, TargetError> {
        Ok(None)
    }

    async fn tear_down(self: Box<Self>) -> Result<(), TargetError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn kubeconfig(current: &str) -> Kubeconfig {
        serde_json::from_value(json!({
            "contexts": [{"name": "kind-dev", "context": {"cluster": "c"}}, {"name": "eks-prod", "context": {"cluster": "c"}}],
            "current-context": current,
        }))
        .unwrap()
    }

    #[rstest]
    #[case("kind-dev", None, "kind-dev")]
    #[case("kind-dev", Some("eks-prod"), "eks-prod")]
    #[case("", Some("kind-dev"), "kind-dev")]
    fn a_context_is_chosen(#[case] current: &str, #[case] named: Option<&str>, #[case] chosen: &str) {
        assert_eq!(choose(&kubeconfig(current), named).unwrap(), chosen);
    }

    #[rstest]
    #[case(
        "eks-prod",
        None,
        "looks like production; to use it all the same name it: --context eks-prod"
    )]
    #[case(
        "kind-dev",
        Some("kind-dve"),
        r#"no context "kind-dve"; it has kind-dev, eks-prod"#
    )]
    #[case("", None, "no current context")]
    fn a_doubtful_context_is_refused(
        #[case] current: &str,
        #[case] named: Option<&str>,
        #[case] message: &str,
    ) {
        let error = choose(&kubeconfig(current), named).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }

    #[rstest]
    #[case("arn:aws:eks:eu:1:cluster/prod", true)]
    #[case("production", true)]
    #[case("products-dev", false)]
    #[case("kind-prefect-e2e", false)]
    fn production_is_known_by_its_name(#[case] context: &str, #[case] expected: bool) {
        assert_eq!(looks_like_production(context), expected);
    }
}
