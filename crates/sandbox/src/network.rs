//! The networks of the node and of its pods: a bridge, a pair of virtual interfaces a pod, and
//! addresses of Services that are the node's own.

use std::{
    fs::File,
    io,
    net::{IpAddr, Ipv4Addr},
    os::fd::{AsFd as _, AsRawFd as _, RawFd},
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering},
    thread,
};

use futures::TryStreamExt as _;
use nix::sched::{CloneFlags, unshare};
use rtnetlink::{
    Handle, LinkBridge, LinkUnspec, LinkVeth, RouteMessageBuilder,
    packet_route::route::{RouteScope, RouteType},
};

use crate::{
    error::{Context as _, SandboxError},
    spec::Namespaces,
};

const BRIDGE: &str = "cni0";
/// The route table of the kernel's own addresses.
const LOCAL_TABLE: u32 = 255;

/// The node's address in the pod network, and the pods' way out.
pub const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 244, 0, 1);
/// Length of the pod network's prefix.
pub const POD_PREFIX: u8 = 24;
/// The network of Services.
pub const SERVICE_NETWORK: (Ipv4Addr, u8) = (Ipv4Addr::new(10, 96, 0, 0), 16);

/// The namespaces of a pod; they end with this value and with the processes in them.
pub struct PodNetwork {
    files: [File; 3],
}

impl PodNetwork {
    /// The namespaces as paths that processes of this node can enter.
    #[must_use]
    pub fn namespaces(&self) -> Namespaces {
        let path = |file: &File| -> PathBuf {
            format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd()).into()
        };
        let [network, ipc, uts] = &self.files;
        Namespaces {
            network: path(network),
            ipc: path(ipc),
            uts: path(uts),
        }
    }

    /// Runs `work` in the pod's network, on a thread of its own.
    ///
    /// # Errors
    /// When the namespace cannot be entered, or `work` fails.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
        let network = &self.files[0];
        thread::scope(|scope| {
            let inside = scope.spawn(|| {
                nix::sched::setns(network.as_fd(), CloneFlags::CLONE_NEWNET)?;
                work()
            });
            inside
                .join()
                .unwrap_or_else(|_| Err(io::Error::other("the thread in the pod's network failed")))
        })
    }
}

/// Makes the node's network: loopback, the bridge of the pods, the addresses of Services.
///
/// # Errors
/// When the kernel refuses.
pub async fn prepare_node() -> Result<(), SandboxError> {
    let handle = connect()?;
    let loopback = index_of(&handle, "lo").await?;
    up(&handle, loopback).await?;
    let failed = |action| move |error| network_error(action, error);
    handle
        .link()
        .add(LinkBridge::new(BRIDGE).address(hardware_address(GATEWAY)).build())
        .execute()
        .await
        .map_err(failed("add the bridge"))?;
    let bridge = index_of(&handle, BRIDGE).await?;
    handle
        .address()
        .add(bridge, IpAddr::V4(GATEWAY), POD_PREFIX)
        .execute()
        .await
        .map_err(failed("give the bridge its address"))?;
    up(&handle, bridge).await?;
    // every address of a Service is this node's own, so that a proxy can listen there
    let (network, prefix) = SERVICE_NETWORK;
    let route = RouteMessageBuilder::<Ipv4Addr>::new()
        .destination_prefix(network, prefix)
        .output_interface(loopback)
        .kind(RouteType::Local)
        .scope(RouteScope::Host)
        .table_id(LOCAL_TABLE)
        .build();
    handle
        .route()
        .add(route)
        .execute()
        .await
        .map_err(failed("take the addresses of Services"))
}

/// Makes the namespaces of a pod with address `address` and host name `hostname`, connected to the
/// bridge. Blocks for some milliseconds.
///
/// # Errors
/// When the kernel refuses.
pub fn create_pod(address: Ipv4Addr, hostname: &str) -> Result<PodNetwork, SandboxError> {
    // a thread may enter namespaces alone, and ends with them
    thread::scope(|scope| {
        let inside = scope.spawn(|| make_pod(address, hostname));
        inside.join().unwrap_or_else(|_| {
            Err(SandboxError::system(
                "cannot make a pod's network",
                io::Error::other("its thread failed"),
            ))
        })
    })
}

static PODS: AtomicU32 = AtomicU32::new(0);

fn make_pod(address: Ipv4Addr, hostname: &str) -> Result<PodNetwork, SandboxError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .trying(|| "cannot start a runtime".into())?;
    runtime.block_on(async {
        let node = connect()?;
        // the interfaces of a pod that ended may be there for a moment still, under its address
        let number = PODS.fetch_add(1, Ordering::Relaxed);
        let (outer, inner) = (format!("veth{number}"), format!("pod{number}"));
        let failed = |action| move |error| network_error(action, error);
        let pair = LinkVeth::new(&outer, &inner).build();
        node.link()
            .add(pair)
            .execute()
            .await
            .map_err(failed("add a pair of interfaces"))?;
        let bridge = index_of(&node, BRIDGE).await?;
        let outer = index_of(&node, &outer).await?;
        let attach = LinkUnspec::new_with_index(outer).controller(bridge).up().build();
        node.link()
            .set(attach)
            .execute()
            .await
            .map_err(failed("attach a pod to the bridge"))?;

        let files = enter_new_namespaces(hostname)?;
        let index = index_of(&node, &inner).await?;
        let descriptor: RawFd = files[0].as_raw_fd();
        let hand_over = LinkUnspec::new_with_index(index).setns_by_fd(descriptor).build();
        node.link()
            .set(hand_over)
            .execute()
            .await
            .map_err(failed("hand an interface to a pod"))?;
        configure_pod(&connect()?, &inner, address).await?;
        Ok(PodNetwork { files })
    })
}

fn enter_new_namespaces(hostname: &str) -> Result<[File; 3], SandboxError> {
    unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWIPC | CloneFlags::CLONE_NEWUTS)
        .trying(|| "cannot make a pod's namespaces".into())?;
    nix::unistd::sethostname(hostname).trying(|| "cannot name the pod's host".into())?;
    let open = |name: &str| {
        File::open(format!("/proc/thread-self/ns/{name}")).trying(|| "cannot hold a pod's namespace".into())
    };
    Ok([open("net")?, open("ipc")?, open("uts")?])
}

async fn configure_pod(pod: &Handle, interface: &str, address: Ipv4Addr) -> Result<(), SandboxError> {
    let failed = |action| move |error| network_error(action, error);
    up(pod, index_of(pod, "lo").await?).await?;
    let index = index_of(pod, interface).await?;
    let identify = LinkUnspec::new_with_index(index)
        .name("eth0".to_owned())
        .address(hardware_address(address))
        .build();
    pod.link()
        .set(identify)
        .execute()
        .await
        .map_err(failed("name a pod's interface"))?;
    pod.address()
        .add(index, IpAddr::V4(address), POD_PREFIX)
        .execute()
        .await
        .map_err(failed("give a pod its address"))?;
    up(pod, index).await?;
    let way_out = RouteMessageBuilder::<Ipv4Addr>::new().gateway(GATEWAY).build();
    pod.route()
        .add(way_out)
        .execute()
        .await
        .map_err(failed("give a pod its route"))
}

/// The hardware address of an interface with this address, as the CNI's bridge plugin gives them.
///
/// A bridge without an own one takes the lowest of its interfaces', which changes as pods come and go:
/// others then send to a node that is no more until they ask again. The same holds of a pod that gets the
/// address of an earlier one.
fn hardware_address(address: Ipv4Addr) -> Vec<u8> {
    [&[0x0a, 0x58], &address.octets()[..]].concat()
}

fn connect() -> Result<Handle, SandboxError> {
    let (connection, handle, _) =
        rtnetlink::new_connection().trying(|| "cannot speak to the kernel's network".into())?;
    tokio::spawn(connection);
    Ok(handle)
}

async fn index_of(handle: &Handle, name: &str) -> Result<u32, SandboxError> {
    let mut links = handle.link().get().match_name(name.to_owned()).execute();
    let found = links
        .try_next()
        .await
        .map_err(|error| network_error("find an interface", error))?;
    found.map(|link| link.header.index).ok_or_else(|| {
        SandboxError::system(
            format!("cannot find the interface {name}"),
            io::Error::from(io::ErrorKind::NotFound),
        )
    })
}

async fn up(handle: &Handle, index: u32) -> Result<(), SandboxError> {
    let up = LinkUnspec::new_with_index(index).up().build();
    handle
        .link()
        .set(up)
        .execute()
        .await
        .map_err(|error| network_error("bring an interface up", error))
}

fn network_error(action: &'static str, source: rtnetlink::Error) -> SandboxError {
    SandboxError::Network {
        action,
        source: Box::new(source),
    }
}
