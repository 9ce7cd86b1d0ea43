//! Probes: whether a container has started, lives, and is ready.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper_util::rt::TokioIo;
use k8s_openapi::{
    api::core::v1::{Container, HTTPGetAction, Probe},
    apimachinery::pkg::util::intstr::IntOrString,
};
use tokio::{net::TcpStream, time::timeout};

/// Runs commands in a container for its probes.
#[async_trait::async_trait]
pub(crate) trait RunsCommands: Send + Sync {
    /// The exit code and the output of a command.
    async fn run(&self, command: &[String]) -> std::io::Result<(i32, String)>;
}

/// How a probe's attempt ended: the error says what users of `kubectl describe` read.
pub(crate) type Attempt = Result<(), String>;

/// Tries `probe` once against the container at `pod_ip`.
pub(crate) async fn attempt(
    probe: &Probe,
    container: &Container,
    pod_ip: &str,
    commands: &dyn RunsCommands,
) -> Attempt {
    let limit = seconds(probe.timeout_seconds, 1);
    if let Some(get) = &probe.http_get {
        if get.scheme.as_deref() == Some("HTTPS") {
            return Err("probes over HTTPS are not served by the embedded node".into());
        }
        let address = address(pod_ip, get.host.as_deref(), &get.port, container)?;
        return timeout(limit, http(get, address)).await.unwrap_or_else(|_| {
            let path = get.path.as_deref().unwrap_or("/");
            Err(format!(
                "Get \"http://{address}{path}\": context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
            ))
        });
    }
    if let Some(socket) = &probe.tcp_socket {
        let address = address(pod_ip, socket.host.as_deref(), &socket.port, container)?;
        let connected = timeout(limit, TcpStream::connect(address)).await;
        return match connected {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(format!("dial tcp {address}: connect: {}", cause(&error))),
            Err(_) => Err(format!("dial tcp {address}: i/o timeout")),
        };
    }
    if let Some(exec) = &probe.exec {
        let command = exec.command.clone().unwrap_or_default();
        return match timeout(limit, commands.run(&command)).await {
            Ok(Ok((0, _))) => Ok(()),
            Ok(Ok((_, output))) => Err(output),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!(
                "command timed out: {command:?} timed out after {}s",
                limit.as_secs()
            )),
        };
    }
    Err("probes of this type are not served by the embedded node".into())
}

/// The time between attempts.
pub(crate) fn period(probe: &Probe) -> Duration {
    seconds(probe.period_seconds, 10)
}

/// The time before the first attempt.
pub(crate) fn initial_delay(probe: &Probe) -> Duration {
    Duration::from_secs(
        probe
            .initial_delay_seconds
            .and_then(|delay| u64::try_from(delay).ok())
            .unwrap_or(0),
    )
}

/// Counts attempts and tells when a threshold is reached.
pub(crate) struct Counter {
    failure_threshold: i32,
    success_threshold: i32,
    successes: i32,
    failures: i32,
}

impl Counter {
    pub(crate) fn new(probe: &Probe) -> Self {
        Self {
            failure_threshold: probe.failure_threshold.unwrap_or(3),
            success_threshold: probe.success_threshold.unwrap_or(1),
            successes: 0,
            failures: 0,
        }
    }

    /// `Some(true)` once enough attempts in a row succeeded, `Some(false)` once enough failed.
    pub(crate) fn count(&mut self, succeeded: bool) -> Option<bool> {
        if succeeded {
            self.failures = 0;
            self.successes += 1;
            (self.successes >= self.success_threshold).then_some(true)
        } else {
            self.successes = 0;
            self.failures += 1;
            (self.failures >= self.failure_threshold).then_some(false)
        }
    }
}

fn seconds(value: Option<i32>, default: u64) -> Duration {
    let given = value
        .and_then(|value| u64::try_from(value).ok())
        .filter(|value| *value > 0);
    Duration::from_secs(given.unwrap_or(default))
}

fn address(
    pod_ip: &str,
    host: Option<&str>,
    port: &IntOrString,
    container: &Container,
) -> Result<SocketAddr, String> {
    let host = host.filter(|host| !host.is_empty()).unwrap_or(pod_ip);
    let port = match port {
        IntOrString::Int(port) => u16::try_from(*port).ok(),
        IntOrString::String(name) => port_named(container, name).or_else(|| name.parse().ok()),
    };
    let port = port.ok_or("the probe's port is not a port of the container")?;
    format!("{host}:{port}")
        .parse()
        .map_err(|_| format!("{host} is not an address"))
}

fn port_named(container: &Container, name: &str) -> Option<u16> {
    let mut ports = container.ports.iter().flatten();
    let port = ports.find(|port| port.name.as_deref() == Some(name))?;
    u16::try_from(port.container_port).ok()
}

fn cause(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::ConnectionRefused => "connection refused".into(),
        _ => error.to_string(),
    }
}

/// A request with the answer's head only; any status from 200 to 399 is a success.
pub(crate) async fn http(get: &HTTPGetAction, address: SocketAddr) -> Attempt {
    let path = get.path.as_deref().unwrap_or("/");
    let failed = |error: &dyn std::fmt::Display| format!("Get \"http://{address}{path}\": {error}");
    let connection = TcpStream::connect(address)
        .await
        .map_err(|error| failed(&format!("dial tcp {address}: connect: {}", cause(&error))))?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(connection))
        .await
        .map_err(|error| failed(&error))?;
    tokio::spawn(connection);
    let mut request = http::Request::get(path)
        .header(http::header::HOST, address.to_string())
        .header(http::header::USER_AGENT, "kube-probe/1.34")
        .header(http::header::CONNECTION, "close");
    for header in get.http_headers.iter().flatten() {
        request = request.header(&header.name, &header.value);
    }
    let request = request
        .body(Empty::<Bytes>::new())
        .map_err(|error| failed(&error))?;
    let answer = sender
        .send_request(request)
        .await
        .map_err(|error| failed(&error))?;
    let status = answer.status().as_u16();
    // the server may need its answer to be read
    let _ = answer.into_body().collect().await;
    if (200..400).contains(&status) {
        return Ok(());
    }
    Err(format!("HTTP probe failed with statuscode: {status}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_count_in_a_row() {
        let probe = Probe {
            failure_threshold: Some(2),
            success_threshold: Some(2),
            ..Probe::default()
        };
        let mut counter = Counter::new(&probe);
        assert_eq!(counter.count(false), None);
        assert_eq!(counter.count(true), None);
        assert_eq!(counter.count(false), None, "the failure before was not in a row");
        assert_eq!(counter.count(false), Some(false));
        assert_eq!(counter.count(true), None);
        assert_eq!(counter.count(true), Some(true));
    }

    #[tokio::test]
    async fn a_refused_connection_is_told_as_kubernetes_does() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let get = HTTPGetAction {
            path: Some("/x".into()),
            ..HTTPGetAction::default()
        };
        let error = http(&get, address).await.unwrap_err();
        let expected = format!("Get \"http://{address}/x\": dial tcp {address}: connect: connection refused");
        assert_eq!(error, expected);
    }
}
