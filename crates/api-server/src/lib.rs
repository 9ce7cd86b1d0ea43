//! The Kubernetes API of the embedded cluster: storage, watch, patches, defaults, validation, tables
//! and streams, in memory, for the kinds that an application chart uses.
//!
//! Real `kubectl`, `helm` and `kube` are its clients and the judges of whether it is right. Inside the
//! process, [`ApiServer::client`] gives a [`kube::Client`] that calls it without TCP or TLS.

mod admission;
mod apply;
mod body;
mod bootstrap;
mod decode;
mod defaults;
mod deletion;
mod discovery;
mod kubelet;
mod merge;
mod meta;
mod path;
mod plugins;
mod protobuf;
mod quantity;
mod query;
mod registry;
mod representation;
mod resource;
mod review;
mod routes;
mod scale;
mod selector;
mod server;
mod service_account;
mod service_address;
mod status;
mod store;
mod stream;
mod table;
mod tls;
mod validation;
mod watch;

pub use kubelet::{Duplex, ExecOptions, ExecSession, Kubelet, KubeletError, LogOptions, LogStream};
pub use quantity::thousandths;
pub use server::{ApiOptions, ApiServer};
pub use tls::{ServeError, Tls};
