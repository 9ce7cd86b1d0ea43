//! The network of a pod, and the files of `/etc` that tell the pod of it.

use std::{fs, io, net::Ipv4Addr, path::Path};

use k8s_openapi::api::core::v1::Pod;
use prefect_e2e_sandbox::network::{self, PodNetwork};

use crate::{container::whole_message, event::Severity, node::Shared};

/// Makes the network of `pod` at `ip`, again and again until the kernel lets it.
pub(crate) async fn make_network(node: &Shared, pod: &Pod, ip: Ipv4Addr, directory: &Path) -> PodNetwork {
    loop {
        let error = match connect(pod, ip, directory) {
            Ok(network) => return network,
            Err(error) => error,
        };
        let message = format!("Failed to create pod sandbox: {}", whole_message(&*error));
        node.events
            .record(pod, None, Severity::Warning, "FailedCreatePodSandBox", message);
        tokio::time::sleep(node.restart_pause).await;
    }
}

type AnyError = Box<dyn std::error::Error + Send + Sync>;

fn connect(pod: &Pod, ip: Ipv4Addr, directory: &Path) -> Result<PodNetwork, AnyError> {
    let spec = pod.spec.as_ref();
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let hostname = spec.and_then(|spec| spec.hostname.as_deref()).unwrap_or(name);
    // the kernel takes 63 characters
    let hostname: String = hostname.chars().take(63).collect();
    write_etc(pod, ip, &hostname, directory)?;
    Ok(network::create_pod(ip, &hostname)?)
}

fn write_etc(pod: &Pod, ip: Ipv4Addr, hostname: &str, directory: &Path) -> io::Result<()> {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let spec = pod.spec.clone().unwrap_or_default();
    let full_name = match &spec.subdomain {
        Some(subdomain) => format!("{hostname}.{subdomain}.{namespace}.svc.cluster.local\t{hostname}"),
        None => hostname.to_owned(),
    };
    let mut hosts = format!("# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n{ip}\t{full_name}\n");
    for alias in spec.host_aliases.iter().flatten() {
        let names = alias.hostnames.clone().unwrap_or_default().join("\t");
        hosts.push_str(&format!("{}\t{names}\n", alias.ip));
    }
    let resolv = format!(
        "search {namespace}.svc.cluster.local svc.cluster.local cluster.local\nnameserver {}\noptions ndots:5\n",
        crate::dns::ADDRESS
    );
    fs::create_dir_all(directory)?;
    fs::write(directory.join("hosts"), hosts)?;
    fs::write(directory.join("resolv.conf"), resolv)?;
    fs::write(directory.join("hostname"), format!("{hostname}\n"))
}
