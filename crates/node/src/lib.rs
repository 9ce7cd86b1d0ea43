//! The node of the embedded cluster: pods, probes, volumes, DNS and Service addresses.
