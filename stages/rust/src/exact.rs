//! The arithmetic and the text of numbers that every language shares.

use num_bigint::BigInt;
use num_rational::Ratio;
use num_traits::{ToPrimitive, Zero};

/// Returns a finite double as results write it: with the fewest digits that read back as the same
/// double, and always as a float.
///
/// `ryu` finds the digits, since the standard library does not round ties to even. How it
/// places the point differs.
pub fn text(value: f64) -> String {
    let mut buffer = ryu::Buffer::new();
    let shortest = buffer.format_finite(value.abs());
    let (mantissa, exponent) = shortest.split_once('e').unwrap_or((shortest, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = format!("{whole}{fraction}");
    let digits = all.trim_start_matches('0');
    // Where the point is, counted from the first digit.
    let point = exponent.parse::<i32>().expect("is a number") + whole.len() as i32
        - (all.len() - digits.len()) as i32;
    let digits = digits.trim_end_matches('0');
    let sign = if value.is_sign_negative() { "-" } else { "" };
    if digits.is_empty() {
        return format!("{sign}0.0");
    }
    if !(-3..=16).contains(&point) {
        let (first, rest) = digits.split_at(1);
        let dot = if rest.is_empty() { "" } else { "." };
        let exponent_sign = if point > 0 { '+' } else { '-' };
        return format!(
            "{sign}{first}{dot}{rest}e{exponent_sign}{:02}",
            (point - 1).abs()
        );
    }
    let count = usize::try_from(point).unwrap_or(0);
    let whole = format!("{:0<count$}", &digits[..count.min(digits.len())]);
    let whole = if whole.is_empty() { "0" } else { &whole };
    let zeros = "0".repeat(usize::try_from(-point).unwrap_or(0));
    let rest = digits
        .get(count..)
        .filter(|rest| !rest.is_empty())
        .unwrap_or("0");
    format!("{sign}{whole}.{zeros}{rest}")
}

/// Returns an integer as two's complement, big-endian, in the fewest bytes.
pub fn bytes(integer: &BigInt) -> Vec<u8> {
    integer.to_signed_bytes_be()
}

/// Returns the integer that `bytes` encoded; no bytes are 0.
pub fn integer(encoded: &[u8]) -> BigInt {
    BigInt::from_signed_bytes_be(encoded)
}

/// Returns numerator / denominator, rounded once; `None` if that is no double.
pub fn quotient(numerator: &BigInt, denominator: &BigInt) -> Option<f64> {
    if denominator.is_zero() {
        return None;
    }
    Ratio::new(numerator.clone(), denominator.clone())
        .to_f64()
        .filter(|quotient| quotient.is_finite())
}
