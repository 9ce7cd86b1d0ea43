//! Amounts of resources, such as `500m` or `1Gi`.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use prefect_e2e_api_server::thousandths;

/// The amount in thousandths, rounded up; 0 for what is no quantity, which the API does not let in.
pub(crate) fn milli(quantity: &Quantity) -> i128 {
    thousandths(&quantity.0).unwrap_or(0)
}
