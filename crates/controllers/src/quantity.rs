//! Amounts of resources, such as `500m` or `1Gi`.
//!
//! Source of the form: `k8s.io/apimachinery/pkg/api/resource`, `Quantity`.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

/// The amount in thousandths, rounded up; 0 for what is no quantity, which the API does not let in.
pub(crate) fn milli(quantity: &Quantity) -> i128 {
    thousandths(&quantity.0).unwrap_or(0)
}

/// The amount in thousandths, rounded up; `None` for what is no quantity.
#[must_use]
pub fn thousandths(text: &str) -> Option<i128> {
    let end = text
        .find(|c: char| !c.is_ascii_digit() && !"+-.".contains(c))
        .unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
    let (factor, divisor) = scale(suffix)?;
    let divisor = divisor.checked_mul(10_i128.checked_pow(u32::try_from(fraction.len()).ok()?)?)?;
    let thousandths = digits.checked_mul(factor)?.checked_mul(1000)?;
    let rounded_up = i128::from(thousandths.rem_euclid(divisor) != 0);
    Some(thousandths.div_euclid(divisor) + rounded_up)
}

/// What a suffix multiplies with, and divides by.
fn scale(suffix: &str) -> Option<(i128, i128)> {
    const DECIMAL: [&str; 7] = ["", "k", "M", "G", "T", "P", "E"];
    const BINARY: [&str; 7] = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
    let power = |names: &[&str; 7]| {
        names
            .iter()
            .position(|name| *name == suffix)
            .and_then(|at| u32::try_from(at).ok())
    };
    if let Some(power) = power(&DECIMAL) {
        return Some((1000_i128.pow(power), 1));
    }
    if let Some(power) = power(&BINARY) {
        return Some((1024_i128.pow(power), 1));
    }
    match suffix {
        "m" => Some((1, 1000)),
        "u" => Some((1, 1_000_000)),
        "n" => Some((1, 1_000_000_000)),
        _ => {
            let exponent: i32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
            let power = 10_i128.checked_pow(exponent.unsigned_abs())?;
            Some(if exponent < 0 { (1, power) } else { (power, 1) })
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("1", Some(1000))]
    #[case("500m", Some(500))]
    #[case("0.1", Some(100))]
    #[case("1.5Gi", Some(1_610_612_736_000))]
    #[case("2k", Some(2_000_000))]
    #[case("1e3", Some(1_000_000))]
    #[case("1E3", Some(1_000_000))]
    #[case("2E", Some(2_000_000_000_000_000_000_000))]
    #[case("15e-1", Some(1500))]
    #[case("1u", Some(1))]
    #[case("-1", Some(-1000))]
    #[case("1x", None)]
    #[case("", None)]
    fn quantities_are_read(#[case] text: &str, #[case] expected: Option<i128>) {
        assert_eq!(thousandths(text), expected);
    }
}
