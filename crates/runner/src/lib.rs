//! Deploys the prefect-server chart's values and proves that the deployment does what they promise.
