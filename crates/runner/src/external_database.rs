//! The database outside the deployment: on this machine where pods can reach it, else in a pod of its own.

use std::{net::Ipv4Addr, time::Duration};

use k8s_openapi::api::core::v1::Pod;
use kube::{Api, runtime::wait::await_condition};
use prefect_e2e_external_postgres::{Backend, Certificates, ExternalPostgres, Options, Tls};
use prefect_e2e_images::ImageStore;
use prefect_e2e_renderer::Object;
use prefect_e2e_scenarios::{ExternalPostgres as Requirement, Placeholders, PostgresAccess};
use serde_json::json;

use crate::{
    check::{Broken, chain},
    deploy::Place,
    diagnosis::Diagnosis,
    exec,
    port_forward::is_ready,
    secrecy::Secrets,
    target::{Target, cluster_program},
};

/// Name of everything that the pod's database is made of.
const NAME: &str = "prefect-e2e-postgres";
const IMAGE: &str = "postgres:15";
const PORT: u16 = 5432;

/// How long the pod may take to become ready.
const PATIENCE: Duration = Duration::from_secs(120);

const USER: &str = "prefect";
const DATABASE: &str = "orchestration";

/// Where pods of the embedded cluster see this machine.
const HOST_GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 244, 0, 1);

/// A running PostgreSQL for one scenario.
pub(crate) struct ExternalDatabase {
    server: Server,
    access: PostgresAccess,
}

enum Server {
    Machine(Box<ExternalPostgres>),
    Pod(Place),
}

impl ExternalDatabase {
    /// Starts what the scenario requires, where pods of the target reach it.
    pub(crate) async fn start(
        requirement: &Requirement,
        target: &dyn Target,
        place: &Place,
        secrets: &Secrets,
        made: &mut Vec<Object>,
    ) -> Result<Self, Broken> {
        let password = uuid::Uuid::new_v4().simple().to_string();
        secrets.learn(&password);
        let other = Certificates::generate(&Tls::default()).map_err(|error| Broken::new(chain(&error)))?;
        let tls = requirement.tls.then(|| Tls {
            dns_names: vec![NAME.to_owned()],
            addresses: vec![HOST_GATEWAY.into()],
            required: true,
        });
        let outside = target.reaches_host() || target.docker_network().is_some();
        let mut database = if outside {
            outside_the_cluster(target, tls, password).await?
        } else {
            in_a_pod(place, tls, password, made).await?
        };
        database.access.other_ca = other.ca_pem;
        Ok(database)
    }

    /// What it is, for people.
    pub(crate) fn about(&self) -> String {
        match &self.server {
            Server::Machine(server) => server.about().to_owned(),
            Server::Pod(_) => format!("{IMAGE} as pod/{NAME}"),
        }
    }

    /// What `${postgres.…}` stands for.
    pub(crate) fn placeholders(&self) -> Placeholders {
        Placeholders::of_postgres(&self.access)
    }

    /// Whether it is on this machine rather than in the scenario's namespace.
    pub(crate) fn is_outside(&self) -> bool {
        matches!(self.server, Server::Machine(_))
    }

    /// The rows of a query, as texts.
    pub(crate) async fn query(&self, sql: &str) -> Result<Vec<Vec<String>>, Broken> {
        match &self.server {
            Server::Machine(server) => server.query(sql).await.map_err(|error| {
                Broken::new(format!(
                    "the external database cannot be asked: {}",
                    chain(&error)
                ))
            }),
            Server::Pod(place) => {
                // where the server's socket is differs from image to image
                let script = r#"PGPASSWORD=$POSTGRES_PASSWORD exec psql -h 127.0.0.1 "$@""#;
                let arguments = ["-U", USER, "-d", DATABASE, "-AtF", "\t", "-c", sql];
                let command = [&["sh", "-c", script, "psql"], &arguments[..]].concat();
                let output = exec::run(place, NAME, "postgres", &command).await?;
                if !output.success {
                    let cause = format!("the external database cannot be asked: {}", output.stderr.trim());
                    return Err(Broken::new(cause));
                }
                Ok(output
                    .stdout
                    .lines()
                    .map(|line| line.split('\t').map(str::to_owned).collect())
                    .collect())
            }
        }
    }

    /// Ends it; nothing of it remains.
    pub(crate) async fn stop(self) -> Result<(), Broken> {
        match self.server {
            Server::Machine(server) => server.stop().await.map_err(|error| Broken::new(chain(&error))),
            // removed with all other objects
            Server::Pod(_) => Ok(()),
        }
    }
}

/// A database of this machine: reached by its loopback, or in the network of its containers.
async fn outside_the_cluster(
    target: &dyn Target,
    tls: Option<Tls>,
    password: String,
) -> Result<ExternalDatabase, Broken> {
    let failed = |error: &dyn std::error::Error| Broken::new(chain(error));
    let program = cluster_program().map_err(|error| failed(&error))?;
    let images = ImageStore::open(None)
        .map_err(|error| failed(&error))?
        .guarded_by(program);
    let network = target.docker_network();
    let options = Options {
        tls,
        backend: match network {
            Some(_) => Backend::Container,
            None => Backend::Auto,
        },
        network,
        ..Options::new(USER, &password, DATABASE, images)
    };
    let server = ExternalPostgres::start(options)
        .await
        .map_err(|error| failed(&error).of_the_environment())?;
    let address = match server.network_address() {
        Some(address) => Some(address),
        None => target
            .expose(server.address().port())
            .await
            .map_err(|error| failed(&error))?,
    };
    let address = address.ok_or_else(|| Broken::new("pods of this target cannot reach this machine"))?;
    Ok(ExternalDatabase {
        access: reached_at(
            address.ip().to_string(),
            address.port(),
            password,
            server.ca_pem().unwrap_or_default(),
        ),
        server: Server::Machine(Box::new(server)),
    })
}

/// A database in a pod of the scenario's namespace; what it is made of joins `made`.
async fn in_a_pod(
    place: &Place,
    tls: Option<Tls>,
    password: String,
    made: &mut Vec<Object>,
) -> Result<ExternalDatabase, Broken> {
    let certificates = tls.as_ref().map(Certificates::generate).transpose();
    let certificates = certificates.map_err(|error| Broken::new(chain(&error)))?;
    let objects = objects_of_pod(&password, certificates.as_ref());
    made.extend(objects.iter().cloned());
    place.apply(&objects, &[]).await?;
    until_ready(place).await?;
    let ca_pem = certificates.map(|made| made.ca_pem).unwrap_or_default();
    Ok(ExternalDatabase {
        server: Server::Pod(place.clone()),
        access: reached_at(NAME.to_owned(), PORT, password, &ca_pem),
    })
}

/// The Secret, the Service and the pod of the database.
fn objects_of_pod(password: &str, certificates: Option<&Certificates>) -> Vec<Object> {
    let metadata = json!({"name": NAME, "labels": {"app": NAME}});
    let access = if certificates.is_some() { "hostssl" } else { "host" };
    let mut files = json!({
        "password": password,
        "pg_hba.conf": format!("local all all trust\n{access} all all all scram-sha-256\n"),
    });
    if let Some(made) = certificates {
        files["server.crt"] = made.certificate_pem.clone().into();
        files["server.key"] = made.key_pem.clone().into();
    }
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": files});
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": metadata,
        "spec": {"selector": {"app": NAME}, "ports": [{"port": PORT}]},
    });
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": metadata,
        "spec": pod_spec(certificates.is_some()),
    });
    [secret, service, pod].map(Object::new).into()
}

async fn until_ready(place: &Place) -> Result<(), Broken> {
    let pods: Api<Pod> = Api::namespaced(place.client.clone(), &place.namespace);
    let ready = await_condition(pods, NAME, |pod: Option<&Pod>| pod.is_some_and(is_ready));
    if matches!(tokio::time::timeout(PATIENCE, ready).await, Ok(Ok(_))) {
        return Ok(());
    }
    let diagnosis = Diagnosis::of(place).await;
    let cause = diagnosis.cause().map(|cause| cause.message);
    let cause = cause.unwrap_or_else(|| "the external database's pod does not get ready".into());
    Err(Broken::new(cause)
        .object(format!("pod/{NAME}"))
        .details(diagnosis.details()))
}

fn reached_at(host: String, port: u16, password: String, ca: &str) -> PostgresAccess {
    PostgresAccess {
        host,
        port,
        user: USER.to_owned(),
        password,
        database: DATABASE.to_owned(),
        ca: ca.to_owned(),
        other_ca: String::new(),
    }
}

fn pod_spec(tls: bool) -> serde_json::Value {
    let mut arguments = vec!["postgres", "-c", "hba_file=/files/pg_hba.conf"];
    if tls {
        let more = [
            "-c",
            "ssl=on",
            "-c",
            "ssl_cert_file=/files/server.crt",
            "-c",
            "ssl_key_file=/files/server.key",
        ];
        arguments.extend(more);
    }
    let ready = ["pg_isready", "-h", "127.0.0.1", "-U", USER, "-d", DATABASE];
    json!({
            "automountServiceAccountToken": false,
            "enableServiceLinks": false,
            "terminationGracePeriodSeconds": 0,
            // the group of the image's user, so that it can read the key
            "securityContext": {"runAsUser": 999, "runAsGroup": 999, "fsGroup": 999, "runAsNonRoot": true},
            "containers": [{
                "name": "postgres",
                "image": IMAGE,
                "args": arguments,
                "env": [
                    {"name": "POSTGRES_USER", "value": USER},
                    {"name": "POSTGRES_DB", "value": DATABASE},
                    {"name": "POSTGRES_PASSWORD", "valueFrom": {"secretKeyRef": {"name": NAME, "key": "password"}}},
                    {"name": "PGDATA", "value": "/var/lib/postgresql/data/pgdata"},
                ],
                "readinessProbe": {"exec": {"command": ready}, "periodSeconds": 1, "failureThreshold": 60},
                "resources": {"requests": {"cpu": "25m", "memory": "64Mi"}},
                "securityContext": {
                    "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]},
                    "seccompProfile": {"type": "RuntimeDefault"},
                },
                "volumeMounts": [
                    {"name": "files", "mountPath": "/files", "readOnly": true},
                    {"name": "data", "mountPath": "/var/lib/postgresql/data"},
                ],
            }],
            "volumes": [
                {"name": "files", "secret": {"secretName": NAME, "defaultMode": 0o640}},
                {"name": "data", "emptyDir": {}},
            ],
    })
}
