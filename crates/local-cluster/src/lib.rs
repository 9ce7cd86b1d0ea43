//! An embedded single-node Kubernetes: API server, controllers and node in one process.
