//! What every namespace has: the ServiceAccount `default`, and the certificate of the API.

use k8s_openapi::api::core::v1::{ConfigMap, Namespace, ServiceAccount};
use kube::{Api, Resource, api::ObjectMeta};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    cluster::{Cluster, writing},
    error::{ReconcileError, has_code},
    informer::{Informer, Key},
    queue::{Next, Queue, Reconciler},
};

const ACCOUNT: &str = "default";
const CERTIFICATE: &str = "kube-root-ca.crt";

pub(crate) struct NamespaceDefaults {
    pub(crate) cluster: Cluster,
    pub(crate) root_ca_pem: Option<String>,
}

/// Looks at a namespace when it comes, and when one of the objects of this name in it changes.
pub(crate) fn look_at_namespace_of<K>(informer: &Informer<K>, queue: &Queue<String>)
where
    K: Resource + Clone + std::fmt::Debug + DeserializeOwned + Send + Sync + 'static,
{
    let queue = queue.clone();
    informer.listen(move |change| {
        for object in change.states() {
            let key = Key::of(object);
            match key.name.as_str() {
                ACCOUNT | CERTIFICATE if !key.namespace.is_empty() => queue.add(key.namespace),
                name if key.namespace.is_empty() => queue.add(name.to_owned()),
                _ => {}
            }
        }
    });
}

impl Reconciler for NamespaceDefaults {
    type Key = String;
    const NAME: &'static str = "serviceaccount-controller";

    async fn reconcile(&self, name: &String) -> Result<Next, ReconcileError> {
        let namespace = self.cluster.all::<Namespace>().get_opt(name).await?;
        let phase = namespace.and_then(|namespace| namespace.status?.phase);
        if phase.as_deref() != Some("Active") {
            return Ok(None);
        }
        let account = ServiceAccount {
            metadata: named(ACCOUNT),
            ..ServiceAccount::default()
        };
        create_if_missing(&self.cluster.api(name), &account).await?;
        if let Some(pem) = &self.root_ca_pem {
            self.publish(name, pem).await?;
        }
        Ok(None)
    }
}

impl NamespaceDefaults {
    async fn publish(&self, namespace: &str, pem: &str) -> Result<(), kube::Error> {
        let api: Api<ConfigMap> = self.cluster.api(namespace);
        let data = Some([("ca.crt".to_owned(), pem.to_owned())].into());
        match api.get_opt(CERTIFICATE).await? {
            Some(present) if present.data == data => Ok(()),
            Some(mut present) => {
                present.data = data;
                api.replace(CERTIFICATE, &writing(), &present).await.map(drop)
            }
            None => {
                let map = ConfigMap {
                    metadata: named(CERTIFICATE),
                    data,
                    ..ConfigMap::default()
                };
                create_if_missing(&api, &map).await
            }
        }
    }
}

fn named(name: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        ..ObjectMeta::default()
    }
}

async fn create_if_missing<K>(api: &Api<K>, object: &K) -> Result<(), kube::Error>
where
    K: Clone + std::fmt::Debug + Serialize + DeserializeOwned,
{
    match api.create(&writing(), object).await {
        Err(error) if !has_code(&error, 409) => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use kube::api::DeleteParams;

    use super::*;
    use crate::testing::TestCluster;

    #[tokio::test(start_paused = true)]
    async fn a_namespace_has_its_account_and_the_certificate() {
        let cluster = TestCluster::start().await;
        cluster.until_one(ACCOUNT, |_: &ServiceAccount| true).await;
        let map = cluster.until_one(CERTIFICATE, |_: &ConfigMap| true).await;
        assert_eq!(map.data.unwrap()["ca.crt"], "PEM");
        cluster
            .api::<ServiceAccount>()
            .delete(ACCOUNT, &DeleteParams::default())
            .await
            .unwrap();
        cluster.until_one(ACCOUNT, |_: &ServiceAccount| true).await;
        cluster
            .patch::<ConfigMap>(CERTIFICATE, serde_json::json!({"data": {"ca.crt": "other"}}))
            .await;
        let is_back = |map: &ConfigMap| map.data.as_ref().unwrap()["ca.crt"] == "PEM";
        cluster.until_one(CERTIFICATE, is_back).await;
    }
}
