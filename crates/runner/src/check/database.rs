//! Where the rows of a flow run are, and over which connections they came.

use prefect_e2e_scenarios::Component;

use super::{Broken, Seen, Verdict};
use crate::{deployment::Deployment, exec, external_database::ExternalDatabase, prefect::Prefect};

/// A flow run written over the API is a row of the bundled database.
pub(crate) async fn rows(deployment: &Deployment) -> Seen {
    let run = Prefect::connect(deployment)
        .await?
        .write_flow_run("prefect-e2e-row")
        .await?;
    let pod = deployment.ready_pod(Component::Database).await?;
    let container = deployment.container(Component::Database)?["name"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let query = format!("SELECT name FROM flow_run WHERE id = '{}'", run.id);
    let script = "PGPASSWORD=\"${POSTGRES_PASSWORD:-$(cat \"${POSTGRES_PASSWORD_FILE:-/dev/null}\")}\" \
                  exec psql -h 127.0.0.1 -p \"$POSTGRESQL_PORT_NUMBER\" -U \"$POSTGRES_USER\" \
                  -d \"$POSTGRES_DATABASE\" -Atc \"$1\"";
    let command = ["sh", "-c", script, "sh", query.as_str()];
    let output = exec::run(&deployment.place, &pod, &container, &command).await?;
    if output.stdout.trim() == run.name {
        return Ok(Verdict::Holds(
            "a flow run written over the API is a row of the bundled database".into(),
        ));
    }
    let found = format!("{} {}", output.stdout.trim(), output.stderr.trim());
    Err(Broken::new("the flow run is not in the bundled database")
        .object(format!("pod/{pod}"))
        .expected(&run.name, found.trim()))
}

/// All sessions of the server at the external database are encrypted.
pub(crate) async fn sessions_are_encrypted(deployment: &Deployment, database: &ExternalDatabase) -> Seen {
    // a session is there only once something was asked of the database
    Prefect::connect(deployment)
        .await?
        .write_flow_run("prefect-e2e-encrypted")
        .await?;
    let query = "SELECT ssl, version, count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
                 WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() GROUP BY ssl, version";
    let rows = database.query(query).await?;
    let told: Vec<String> = rows.iter().map(|row| row.join(" ")).collect();
    let encrypted = !rows.is_empty()
        && rows
            .iter()
            .all(|row| row.first().is_some_and(|ssl| ssl == "t" || ssl == "true"));
    if encrypted {
        return Ok(Verdict::Holds(format!("pg_stat_ssl: {}", told.join(", "))));
    }
    let found = if told.is_empty() {
        "no session of the server".to_owned()
    } else {
        told.join(", ")
    };
    Err(Broken::new("the server's sessions at the database are not all encrypted").expected("ssl t", found))
}
