//! Quantities such as `500m` and `1Gi`, and the one form in which Kubernetes keeps each.
//!
//! Source: `k8s.io/apimachinery/pkg/api/resource`.

/// What a text that is no quantity is told.
pub(crate) const RULE: &str =
    "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";

const NANO: i128 = 1_000_000_000;

/// The suffixes of powers of a thousand, from 10^-9 on.
const DECIMAL: [&str; 10] = ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"];

/// The suffixes of powers of 1024, from 1024^1 on.
const BINARY: [&str; 6] = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];

/// A quantity that has been read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Quantity {
    nanos: i128,
    form: Form,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Decimal,
    Binary,
    Exponent,
}

impl Quantity {
    /// Reads a quantity; `None` when `text` is none.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let split = text
            .find(|c: char| !(c.is_ascii_digit() || "+-.".contains(c)))
            .unwrap_or(text.len());
        let (number, suffix) = text.split_at(split);
        if let Some(power) = BINARY.iter().position(|one| *one == suffix) {
            let factor = 1024_i128.checked_pow(u32::try_from(power).ok()? + 1)?;
            let nanos = nanos(number, factor)?;
            return Some(Self {
                nanos,
                form: Form::Binary,
            });
        }
        if let Some(power) = DECIMAL.iter().position(|one| *one == suffix) {
            let exponent = i32::try_from(power).ok()? * 3 - 9;
            let nanos = scaled(number, exponent)?;
            return Some(Self {
                nanos,
                form: Form::Decimal,
            });
        }
        let exponent = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
        let nanos = scaled(number, exponent)?;
        Some(Self {
            nanos,
            form: Form::Exponent,
        })
    }

    pub(crate) fn is_negative(self) -> bool {
        self.nanos < 0
    }

    pub(crate) fn is_above(self, other: Self) -> bool {
        self.nanos > other.nanos
    }

    /// In thousandths, rounded up.
    fn thousandths(self) -> i128 {
        let rest = i128::from(self.nanos.rem_euclid(NANO / 1000) != 0);
        self.nanos.div_euclid(NANO / 1000) + rest
    }

    fn binary(self) -> Option<String> {
        let whole = self.nanos / NANO;
        if self.nanos % NANO != 0 || whole.abs() < 1024 {
            return None;
        }
        let (mut number, mut suffix) = (whole, "");
        for next in BINARY {
            if number % 1024 != 0 {
                break;
            }
            (number, suffix) = (number / 1024, next);
        }
        Some(format!("{number}{suffix}"))
    }

    fn decimal(self) -> String {
        let (mut number, mut exponent) = (self.nanos, -9);
        while number != 0 && number % 1000 == 0 && exponent < 18 {
            (number, exponent) = (number / 1000, exponent + 3);
        }
        match (number, exponent, self.form) {
            (0, ..) => "0".to_owned(),
            (_, 0, Form::Exponent) => number.to_string(),
            (_, _, Form::Exponent) => format!("{number}e{exponent}"),
            // the exponent is one of -9, -6 … 18
            _ => format!(
                "{number}{}",
                DECIMAL[usize::try_from(exponent / 3 + 3).unwrap_or(3)]
            ),
        }
    }
}

impl std::fmt::Display for Quantity {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let binary = if self.form == Form::Binary {
            self.binary()
        } else {
            None
        };
        formatter.write_str(&binary.unwrap_or_else(|| self.decimal()))
    }
}

/// The amount of a quantity in thousandths, rounded up; `None` for what is no quantity.
#[must_use]
pub fn thousandths(text: &str) -> Option<i128> {
    Quantity::parse(text).map(Quantity::thousandths)
}

/// `number` times ten to the power of `exponent`, in billionths.
fn scaled(number: &str, exponent: i32) -> Option<i128> {
    let power = 10_i128.checked_pow(exponent.unsigned_abs())?;
    if exponent >= 0 {
        return nanos(number, power);
    }
    let nanos = nanos(number, 1)?;
    Some(rounded_away(nanos, power))
}

/// `number` times `factor`, in billionths.
fn nanos(number: &str, factor: i128) -> Option<i128> {
    let (sign, digits) = match number.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, number.strip_prefix('+').unwrap_or(number)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let is_number = |text: &str| text.chars().all(|c| c.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !is_number(whole) || !is_number(fraction) {
        return None;
    }
    let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
    let scale = 10_i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let total = digits.checked_mul(factor)?.checked_mul(NANO)?;
    Some(sign * rounded_away(total, scale))
}

/// What is finer than a billionth counts as one.
fn rounded_away(number: i128, divisor: i128) -> i128 {
    let rest = if number % divisor == 0 { 0 } else { number.signum() };
    number / divisor + rest
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("1", "1")]
    #[case("0.5", "500m")]
    #[case("1000m", "1")]
    #[case("1024Mi", "1Gi")]
    #[case("1.5Gi", "1536Mi")]
    #[case("1500Ki", "1500Ki")]
    #[case("0.5Ki", "512")]
    #[case("10000", "10k")]
    #[case("123456789", "123456789")]
    #[case("+5", "5")]
    #[case("-1Mi", "-1Mi")]
    #[case("1e3", "1e3")]
    #[case("1.5e0", "1500e-3")]
    #[case("0Mi", "0")]
    #[case("1n", "1n")]
    #[case("0.1n", "1n")]
    fn a_quantity_has_one_form(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(Quantity::parse(text).unwrap().to_string(), expected);
    }

    #[rstest]
    #[case("")]
    #[case("x")]
    #[case("1Q")]
    #[case("1.2.3")]
    #[case("--1")]
    #[case("1e")]
    #[case(".")]
    fn what_is_no_quantity_is_refused(#[case] text: &str) {
        assert_eq!(Quantity::parse(text), None);
    }

    #[test]
    fn quantities_are_compared_by_their_amount() {
        let parse = |text| Quantity::parse(text).unwrap();
        assert!(parse("1500m").is_above(parse("1")));
        assert!(!parse("1024Mi").is_above(parse("1Gi")));
        assert!(parse("-1").is_negative());
    }

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

    proptest! {
        #[test]
        fn the_form_of_a_form_is_itself(text in "[0-9]{1,6}(\\.[0-9]{1,3})?(m|k|M|Ki|Mi|Gi|e3)?") {
            let quantity = Quantity::parse(&text).unwrap();
            let again = Quantity::parse(&quantity.to_string()).unwrap();
            prop_assert_eq!(again.nanos, quantity.nanos);
            prop_assert_eq!(again.to_string(), quantity.to_string());
        }
    }
}
