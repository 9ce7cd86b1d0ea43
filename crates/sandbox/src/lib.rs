//! Processes in Linux namespaces: the containers and the pod network of the embedded node.
