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
    suite::{Failure, Place, Suite, expect, expect_eq, pod},
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
    // the endpoint may reach the router a moment after the rule
    place.eventually(|| {
        let answer = ask(&place, "http://10.244.0.1/", "web.test").ok()?;
        (answer == "200 web\n\n").then_some(())
    })?;
    expect_eq(
        ask(&place, "http://10.244.0.1/gone", "web.test")?.as_str(),
        "503\n",
    )?;
    expect_eq(ask(&place, "http://10.244.0.1/", "other.test")?.as_str(), "404\n")
}

pub(crate) fn ingress_upgrade(suite: &Suite) -> Result<(), Failure> {
    let place = suite.place("upgrade")?;
    // answers any request by an upgrade, and then says everything twice
    let server = r#"exec python3 -c '
import socket
server = socket.create_server(("0.0.0.0", 8080))
while True:
    client, _ = server.accept()
    if client.recv(4096):
        client.sendall(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
        client.sendall(client.recv(4096) * 2)
    client.close()
'"#;
    let container = json!({"readinessProbe": {"tcpSocket": {"port": 8080}, "periodSeconds": 1}});
    let port = json!({"name": "upgrade", "port": 80, "targetPort": 8080});
    let backend = json!({"service": {"name": "web", "port": {"number": 80}}});
    place.apply(&[
        pod("web", server, &container, &json!({})),
        json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
            "spec": {"selector": {"app": "web"}, "ports": [port]},
        }),
        json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "web"},
            "spec": {"rules": [{"host": "upgrade.test", "http": {"paths": [
                {"path": "/", "pathType": "Prefix", "backend": backend},
            ]}}]},
        }),
    ])?;
    place.until_ready("web")?;
    let script = r#"
import socket
client = socket.create_connection(("10.244.0.1", 80))
client.sendall(b"GET / HTTP/1.1\r\nHost: upgrade.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
head = b""
while b"\r\n\r\n" not in head:
    head += client.recv(1)
client.sendall(b"ab")
print(head.split(b"\r\n")[0].decode(), client.recv(4, socket.MSG_WAITALL).decode())
"#;
    // the rule and the endpoint may reach the router a moment later
    let answer = place.eventually(|| {
        let answer = place
            .kubectl(&["exec", "web", "--", "timeout", "5", "python3", "-c", script])
            .ok()?;
        answer.contains("101").then_some(answer)
    })?;
    expect_eq(answer.as_str(), "HTTP/1.1 101 Switching Protocols abab\n")
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

/// What a pod knows of the node and of its neighbours stays true as pods come and go.
pub(crate) fn hardware_addresses(suite: &Suite) -> Result<(), Failure> {
    let place = suite.place("hardware")?;
    for name in ["asked", "asking"] {
        place.apply(&[pod(name, "sleep 1000", &json!({}), &json!({}))])?;
    }
    place.until_ready("asking")?;
    let asked = place.until_ready("asked")?;
    let neighbour = asked["status"]["podIP"].as_str().ok_or("no address")?;
    for ip in [neighbour, "10.244.0.1"] {
        let ask = format!("import socket; socket.socket().connect_ex(('{ip}', 9))");
        place.kubectl(&["exec", "asking", "--", "python3", "-c", &ask])?;
        let known = place.kubectl(&["exec", "asking", "--", "cat", "/proc/net/arp"])?;
        let expected = hardware_address(ip)?;
        expect(known.contains(&expected), || {
            format!("{ip} is not at {expected}: {known}")
        })?;
    }
    Ok(())
}

/// As the CNI's bridge plugin gives them.
fn hardware_address(ip: &str) -> Result<String, Failure> {
    let parts: Result<Vec<u8>, _> = ip.split('.').map(str::parse).collect();
    let parts: Vec<String> = parts?.iter().map(|part| format!("{part:02x}")).collect();
    Ok(format!("0a:58:{}", parts.join(":")))
}
