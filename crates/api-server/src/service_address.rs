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

/// Gives a new Service its address and its node ports.
///
/// # Errors
/// 422 when an address or a port that it asks for is taken or out of range.
pub(crate) fn allocate(store: &Store, service: &mut Value) -> ApiResult<()> {
    let (others, _) = store.list(named("Service"), "");
    allocate_address(
        service,
        &others
            .iter()
            .map(|other| meta::text(other, "/spec/clusterIP"))
            .collect(),
    )?;
    let taken = others.iter().flat_map(|other| node_ports(other)).collect();
    allocate_node_ports(service, taken)
}

fn allocate_address(service: &mut Value, taken: &HashSet<&str>) -> ApiResult<()> {
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
            Err(_) => Some("must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"),
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
