//! Renders the values of the prefect-server chart into Kubernetes objects.
