//! The Ingress is accepted and leads to the server.

use k8s_openapi::api::networking::v1::{Ingress, IngressClass};
use kube::{Api, api::ListParams};
use serde_json::Value;

use super::{Broken, Seen, Verdict, neighbour::Neighbour};
use crate::{deploy::reference, deployment::Deployment};

/// Where the router of the embedded cluster listens.
const EMBEDDED_ROUTER: &str = "10.244.0.1";

/// The object names the server's Service, and a request with its host and path reaches the API where
/// the cluster routes Ingresses.
pub(crate) async fn routes(deployment: &Deployment, embedded: bool) -> Seen {
    let rendered = deployment
        .any("Ingress")
        .ok_or_else(|| Broken::new("ingress.enabled renders no Ingress"))?;
    let place = &deployment.place;
    let api: Api<Ingress> = Api::namespaced(place.client.clone(), &place.namespace);
    api.get(rendered.name())
        .await
        .map_err(|error| Broken::cluster(format!("reading {}", reference(rendered)), &error))?;
    backend_is_the_service(deployment, rendered.json())
        .map_err(|broken| broken.object(reference(rendered)))?;
    let Some(address) = router(deployment, embedded, rendered.name()).await? else {
        return Ok(Verdict::Skipped(
            "this cluster has no Ingress controller; the object is accepted".into(),
        ));
    };
    let host = deployment.text("/ingress/host/hostname");
    let path = deployment.text("/ingress/host/path").trim_end_matches('/');
    let neighbour = Neighbour::start(deployment).await?;
    let url = format!("http://{address}{path}/api/health");
    let answer = neighbour.ask(&url, host).await?;
    neighbour.remove().await?;
    match answer {
        Ok((200, _)) => Ok(Verdict::Holds(format!(
            "http://{host}{path}/api/health reaches the server"
        ))),
        Ok((status, body)) => Err(
            Broken::new(format!("the Ingress does not lead to the server: {status}"))
                .object(reference(rendered))
                .expected("200", body),
        ),
        Err(reason) => Err(Broken::new("the Ingress does not answer")
            .object(reference(rendered))
            .expected("200", reason)),
    }
}

fn backend_is_the_service(deployment: &Deployment, ingress: &Value) -> Result<(), Broken> {
    let service = deployment.service()?;
    let host = deployment.text("/ingress/host/hostname");
    let rules = ingress["spec"]["rules"].as_array();
    let rule = rules.into_iter().flatten().find(|rule| rule["host"] == host);
    let Some(rule) = rule else {
        return Err(Broken::new("the Ingress has no rule for ingress.host.hostname")
            .expected(host, ingress["spec"]["rules"].to_string()));
    };
    let backend = &rule["http"]["paths"][0]["backend"]["service"];
    let port = &backend["port"];
    let known = service.json()["spec"]["ports"].as_array();
    let leads = known
        .into_iter()
        .flatten()
        .any(|known| known["name"] == port["name"] || known["port"] == port["number"]);
    if backend["name"] == service.name() && leads {
        return Ok(());
    }
    let expected = format!("{} and one of its ports", reference(service));
    Err(Broken::new("the Ingress leads to another Service or port").expected(expected, backend.to_string()))
}

/// The address that routes Ingresses of this class; `None` when nothing does.
async fn router(deployment: &Deployment, embedded: bool, name: &str) -> Result<Option<String>, Broken> {
    if embedded {
        return Ok(Some(EMBEDDED_ROUTER.to_owned()));
    }
    let classes: Api<IngressClass> = Api::all(deployment.place.client.clone());
    // who may not list classes cannot tell whether there is a controller
    let classes = classes
        .list(&ListParams::default())
        .await
        .map(|list| list.items)
        .unwrap_or_default();
    if classes.is_empty() {
        return Ok(None);
    }
    let api: Api<Ingress> = Api::namespaced(deployment.place.client.clone(), &deployment.place.namespace);
    let ingress = api
        .get(name)
        .await
        .map_err(|error| Broken::cluster("reading the Ingress", &error))?;
    let entries = ingress
        .status
        .and_then(|status| status.load_balancer?.ingress)
        .unwrap_or_default();
    Ok(entries.into_iter().find_map(|entry| entry.ip.or(entry.hostname)))
}
