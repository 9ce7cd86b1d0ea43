//! Forwarded ports, Ingresses and ports of the host.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    process::Stdio,
};

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::{
    pods::web,
    suite::{Failure, Place, Suite, expect, expect_eq},
};

pub(crate) fn port_forward(suite: &Suite) -> Result<(), Failure> {
    let place = suite.place("forward")?;
    web(&place, "web")?;
    for (target, environment) in [
        ("pod/web", None),
        ("service/web", None),
        ("pod/web", Some(("KUBECTL_PORT_FORWARD_WEBSOCKETS", "false"))),
    ] {
        let port = if target.starts_with("pod") { ":8080" } else { ":80" };
        let mut command = place.command(&["port-forward", target, port]);
        let mut child = command.envs(environment).stdout(Stdio::piped()).spawn()?;
        let answer = forwarded(&mut child);
        child.kill()?;
        child.wait()?;
        expect(answer?.ends_with("web\n"), || format!("{target} does not answer"))?;
    }
    Ok(())
}

/// What is behind the port that kubectl forwards, asked twice.
fn forwarded(child: &mut std::process::Child) -> Result<String, Failure> {
    // kubectl ends when it cannot tell of a connection: its output stays open
    let mut output = BufReader::new(child.stdout.take().ok_or("no output")?);
    let mut line = String::new();
    output.read_line(&mut line)?;
    // Forwarding from 127.0.0.1:PORT -> 8080
    let address = line.split_whitespace().nth(2).ok_or("no port")?;
    get(address)?;
    get(address)
}

fn get(address: &str) -> Result<String, Failure> {
    let mut connection = TcpStream::connect(address)?;
    connection.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer)?;
    Ok(answer)
}

pub(crate) fn port_forward_from_kube(suite: &Suite) -> Result<(), Failure> {
    let place = suite.place("forward-kube")?;
    web(&place, "web")?;
    suite.runtime.block_on(async {
        let mut forwarder = place.pods().portforward("web", &[8080, 9]).await?;
        let mut stream = forwarder.take_stream(8080).ok_or("no stream")?;
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n").await?;
        let mut answer = vec![0; 15];
        stream.read_exact(&mut answer).await?;
        expect_eq(answer, b"HTTP/1.0 200 OK".to_vec())?;
        // nothing listens there
        let error = forwarder.take_error(9).ok_or("no error")?.await;
        expect(
            error.is_some_and(|error| error.contains("onnection refused")),
            || "no reason".into(),
        )
    })
}

pub(crate) fn ingress(suite: &Suite) -> Result<(), Failure> {
    let place = suite.place("ingress")?;
    web(&place, "web")?;
    let path = |path: &str, service: &str| {
        let port = json!({"name": "web"});
        json!({"path": path, "pathType": "Prefix", "backend": {"service": {"name": service, "port": port}}})
    };
    place.apply(&[json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "web"},
        "spec": {"rules": [{"host": "web.test", "http": {"paths": [path("/", "web"), path("/gone", "gone")]}}]},
    })])?;
    let address = "jsonpath={.status.loadBalancer.ingress[0].ip}";
    place.eventually(|| {
        (place.kubectl(&["get", "ingress", "web", "-o", address]).ok()? == "10.244.0.1").then_some(())
    })?;
    expect_eq(
        ask(&place, "http://10.244.0.1/", "web.test")?.as_str(),
        "200 web\n\n",
    )?;
    expect_eq(
        ask(&place, "http://10.244.0.1/gone", "web.test")?.as_str(),
        "503\n",
    )?;
    expect_eq(ask(&place, "http://10.244.0.1/", "other.test")?.as_str(), "404\n")
}

/// Status and body of a URL as a pod sees them.
fn ask(place: &Place<'_>, url: &str, host: &str) -> Result<String, Failure> {
    let script = r#"
import sys, urllib.error, urllib.request as web
try:
    answer = web.urlopen(web.Request(sys.argv[1], headers={"Host": sys.argv[2]}))
    print(answer.status, answer.read().decode())
except urllib.error.HTTPError as error:
    print(error.code)
"#;
    place.kubectl(&["exec", "web", "--", "python3", "-c", script, url, host])
}

pub(crate) fn exposed(suite: &Suite) -> Result<(), Failure> {
    let place = suite.place("exposed")?;
    web(&place, "web")?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    std::thread::spawn(move || {
        for mut connection in listener.incoming().flatten() {
            let _ = connection.read(&mut [0; 1024]);
            let _ = connection.write_all(b"HTTP/1.0 200 OK\r\n\r\nthe host");
        }
    });
    let cluster = suite.cluster.lock().map_err(|_| "another check failed")?;
    let cluster = cluster.as_ref().ok_or("the cluster has ended")?;
    let address = suite.runtime.block_on(cluster.expose(port))?;
    expect_eq(suite.runtime.block_on(cluster.expose(port))?, address)?;
    expect_eq(
        ask(&place, &format!("http://{address}/"), "host")?.as_str(),
        "200 the host\n",
    )
}
