//! The addresses of Services: 10.96.0.0/16, and node ports 30000–32767.

use std::{collections::HashSet, net::Ipv4Addr};

use serde_json::{Value, json};

use crate::{
    meta,
    registry::named,
    status::{ApiError, ApiResult, Cause},
    store::Store,
};

const NODE_PORTS: std::ops::RangeInclusive<i64> = 30000..=32767;

/// Whether `address` lies in the range of Services.
fn in_range(address: Ipv4Addr) -> bool {
    matches!(address.octets(), [10, 96, ..])
}

/// The addresses and node ports that Services have.
pub(crate) struct Taken {
    addresses: HashSet<String>,
    ports: HashSet<i64>,
}

impl Taken {
    /// What is taken by the Services of the store.
    pub(crate) fn in_store(store: &Store) -> Self {
        let (services, _) = store.list(named("Service"), "");
        let addresses = services
            .iter()
            .map(|service| meta::text(service, "/spec/clusterIP").to_owned());
        Self {
            addresses: addresses.collect(),
            ports: services.iter().flat_map(|service| node_ports(service)).collect(),
        }
    }

    /// Gives a Service the address and the node ports that it lacks; `live` is what it was before, if it was.
    ///
    /// # Errors
    /// 422 when an address or a port that it asks for is taken or out of range.
    pub(crate) fn allocate(mut self, service: &mut Value, live: Option<&Value>) -> ApiResult<()> {
        if let Some(live) = live {
            self.addresses.remove(meta::text(live, "/spec/clusterIP"));
            node_ports(live).iter().for_each(|port| {
                self.ports.remove(port);
            });
        }
        allocate_address(service, &self.addresses)?;
        allocate_node_ports(service, self.ports)
    }
}

/// Drops from an update what the type of before had and the new one has not, unless the client set it.
///
/// Source: `dropTypeDependentFields` of `pkg/registry/core/service`.
pub(crate) fn drop_dependent(live: &Value, service: &mut Value) {
    let has_node_ports =
        |service: &Value| matches!(meta::text(service, "/spec/type"), "NodePort" | "LoadBalancer");
    if has_node_ports(live) && !has_node_ports(service) {
        let own = node_ports(live);
        for port in service["spec"]["ports"].as_array_mut().into_iter().flatten() {
            let is_own = port["nodePort"].as_i64().is_some_and(|port| own.contains(&port));
            if let (Some(port), true) = (port.as_object_mut(), is_own) {
                port.shift_remove("nodePort");
            }
        }
        for field in ["externalTrafficPolicy", "allocateLoadBalancerNodePorts"] {
            if service["spec"][field] == live["spec"][field] {
                meta::child(service, "spec").shift_remove(field);
            }
        }
    }
    let is_external = |service: &Value| meta::text(service, "/spec/type") == "ExternalName";
    if is_external(service) && !is_external(live) {
        for field in ["clusterIP", "clusterIPs"] {
            meta::child(service, "spec").shift_remove(field);
        }
    }
}

fn allocate_address(service: &mut Value, taken: &HashSet<String>) -> ApiResult<()> {
    let asked = meta::text(service, "/spec/clusterIP").to_owned();
    let external = meta::text(service, "/spec/type") == "ExternalName";
    if external || asked == "None" {
        if !external {
            service["spec"]["clusterIPs"] = json!(["None"]);
        }
        return Ok(());
    }
    let address = if asked.is_empty() {
        // the first addresses are left to those who ask for them by number, as upstream does
        let mut free = (16..=u16::MAX - 1).map(|low| {
            let [high, low] = low.to_be_bytes();
            Ipv4Addr::new(10, 96, high, low).to_string()
        });
        free.find(|address| !taken.contains(address.as_str()))
            .ok_or_else(|| ApiError::internal("no Service address is free"))?
    } else {
        let why = match asked.parse::<Ipv4Addr>() {
            Err(_) => {
                let why = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
                let cause = Cause::invalid("spec.clusterIPs[0]", &json!(asked), why);
                return Err(ApiError::invalid(named("Service"), meta::name(service), &[cause]));
            }
            Ok(address) if !in_range(address) => {
                Some("failed to allocate IP: the provided IP is not in the valid range 10.96.0.0/16")
            }
            Ok(_) if taken.contains(asked.as_str()) => {
                Some("failed to allocate IP: provided IP is already allocated")
            }
            Ok(_) => None,
        };
        if let Some(why) = why {
            let cause = Cause::invalid("spec.clusterIPs", &json!([asked]), why);
            return Err(ApiError::invalid(named("Service"), meta::name(service), &[cause]));
        }
        asked
    };
    service["spec"]["clusterIP"] = address.clone().into();
    service["spec"]["clusterIPs"] = json!([address]);
    Ok(())
}

fn node_ports(service: &Value) -> Vec<i64> {
    let ports = service["spec"]["ports"].as_array().into_iter().flatten();
    ports.filter_map(|port| port["nodePort"].as_i64()).collect()
}

fn allocate_node_ports(service: &mut Value, mut taken: HashSet<i64>) -> ApiResult<()> {
    if !matches!(meta::text(service, "/spec/type"), "NodePort" | "LoadBalancer") {
        return Ok(());
    }
    let name = meta::name(service).to_owned();
    let ports = service["spec"]["ports"].as_array_mut().into_iter().flatten();
    for (index, port) in ports.enumerate() {
        let why = match port["nodePort"].as_i64() {
            Some(asked) if !NODE_PORTS.contains(&asked) => {
                Some("provided port is not in the valid range. The range of valid ports is 30000-32767")
            }
            Some(asked) if !taken.insert(asked) => Some("provided port is already allocated"),
            _ => None,
        };
        if let Some(why) = why {
            let cause = Cause::invalid(format!("spec.ports[{index}].nodePort"), &port["nodePort"], why);
            return Err(ApiError::invalid(named("Service"), &name, &[cause]));
        }
        if port["nodePort"].is_null() {
            let free = NODE_PORTS.clone().find(|candidate| taken.insert(*candidate));
            port["nodePort"] = free
                .ok_or_else(|| ApiError::internal("no node port is free"))?
                .into();
        }
    }
    Ok(())
}
