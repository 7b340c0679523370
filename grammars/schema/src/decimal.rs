//! Exact decimal numbers of any size: the values of `minimum`, `multipleOf` and of instances.
//!
//! Only what schemas need: parse, compare, round to an integer, divide with remainder. A number costs as much as its
//! digits, never as much as its exponent (`1e1000000` is one digit).

use std::cmp::Ordering;
use std::fmt;

use serde_json::Number;

/// `±digits × 10^exponent`, in lowest form: no leading or trailing zero digits, zero is unsigned and has no digits.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Decimal {
    negative: bool,
    digits: String,
    exponent: i64,
}

impl Decimal {
    /// Reads a JSON number. `None` if it is not one or its exponent is absurd (beyond ±10^15).
    pub fn parse(text: &str) -> Option<Decimal> {
        let (negative, rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let (mantissa, exponent) = match rest.find(['e', 'E']) {
            Some(at) => (&rest[..at], rest[at + 1..].parse::<i64>().ok()?),
            None => (rest, 0),
        };
        if exponent.unsigned_abs() > 1_000_000_000_000_000 {
            return None;
        }
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        if whole.is_empty() || !whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit()) {
            return None;
        }
        let mut digits = String::with_capacity(whole.len() + fraction.len());
        digits.push_str(whole);
        digits.push_str(fraction);
        let exponent = exponent - i64::try_from(fraction.len()).ok()?;
        Some(Decimal::normal(negative, digits, exponent))
    }

    /// The value of a JSON number.
    pub fn from_number(number: &Number) -> Option<Decimal> {
        Decimal::parse(number.as_str())
    }

    /// Whether this is below zero.
    pub fn is_negative(&self) -> bool {
        self.negative
    }

    /// Whether this is zero.
    pub fn is_zero(&self) -> bool {
        self.digits.is_empty()
    }

    /// The significant digits, most significant first; empty for zero.
    pub fn digits(&self) -> &str {
        &self.digits
    }

    /// The power of ten of the last digit.
    pub fn exponent(&self) -> i64 {
        self.exponent
    }

    /// Whether there is no fractional part.
    pub fn is_integer(&self) -> bool {
        self.exponent >= 0
    }

    /// The number written without exponent, unless that takes more than `max_len` bytes.
    pub fn to_plain(&self, max_len: usize) -> Option<String> {
        if self.is_zero() {
            return Some("0".into());
        }
        let len = self.digits.len() as i64;
        let point = len + self.exponent; // digits before the point
        let size = len.max(point).max(len - point + 1) + 3;
        if size > i64::try_from(max_len).unwrap_or(i64::MAX) {
            return None;
        }
        let mut out = String::with_capacity(size as usize);
        if self.negative {
            out.push('-');
        }
        if point <= 0 {
            out.push_str("0.");
            out.extend(std::iter::repeat_n('0', (-point) as usize));
            out.push_str(&self.digits);
        } else if self.exponent >= 0 {
            out.push_str(&self.digits);
            out.extend(std::iter::repeat_n('0', self.exponent as usize));
        } else {
            let (whole, fraction) = self.digits.split_at(point as usize);
            out.push_str(whole);
            out.push('.');
            out.push_str(fraction);
        }
        Some(out)
    }

    /// The value as an `i64`, if it is one.
    pub fn to_i64(&self) -> Option<i64> {
        if !self.is_integer() || self.digits.len() as i64 + self.exponent > 19 {
            return None;
        }
        self.to_plain(32)?.parse().ok()
    }

    /// Whether `self` is a whole multiple of `divisor`. `divisor` must be positive and its digits below 2^63.
    pub(crate) fn is_multiple_of(&self, divisor: &Decimal) -> bool {
        if self.is_zero() {
            return true;
        }
        // Digits end in no zero, so nothing but a multiple of 10^(exponent) can be reached from below.
        if self.exponent < divisor.exponent {
            return false;
        }
        let Some(modulus) = divisor.small_digits().filter(|m| *m != 0) else { return false };
        let modulus = u128::from(modulus);
        let mut rest = self.digits.bytes().fold(0u128, |r, d| (r * 10 + u128::from(d - b'0')) % modulus);
        let (mut base, mut power) = (10 % modulus, (self.exponent - divisor.exponent) as u64);
        while power > 0 {
            if power & 1 == 1 {
                rest = rest * base % modulus;
            }
            base = base * base % modulus;
            power >>= 1;
        }
        rest == 0
    }

    /// The least common multiple of two positive decimals, if its digits stay below 2^63.
    pub(crate) fn lcm(&self, other: &Decimal) -> Option<Decimal> {
        let exponent = self.exponent.min(other.exponent);
        let scaled = |d: &Decimal| {
            let power = u32::try_from(d.exponent - exponent).ok().filter(|p| *p < 38)?;
            u128::from(d.small_digits()?).checked_mul(10u128.checked_pow(power)?)
        };
        let (a, b) = (scaled(self)?, scaled(other)?);
        let (mut x, mut y) = (a, b);
        while y != 0 {
            (x, y) = (y, x % y);
        }
        let lcm = (a / x).checked_mul(b)?;
        let result = Decimal::normal(false, lcm.to_string(), exponent);
        result.small_digits()?;
        Some(result)
    }

    /// The digits as a number, if below 2^63.
    pub(crate) fn small_digits(&self) -> Option<u64> {
        if self.digits.is_empty() {
            return Some(0);
        }
        self.digits.parse::<u64>().ok().filter(|d| *d < 1 << 63)
    }

    /// The next integer at or above `self`, or with `up` false at or below.
    pub(crate) fn round(&self, up: bool) -> Decimal {
        if self.is_integer() {
            return self.clone();
        }
        let keep = usize::try_from(self.digits.len() as i64 + self.exponent).unwrap_or(0);
        let whole = &self.digits[..keep];
        let away = up != self.negative; // away from zero
        let digits = if away { increment(whole) } else { whole.to_owned() };
        Decimal::normal(self.negative, digits, 0)
    }

    /// The integer above (`up`) or below `self`, which must be an integer itself. `None` if it has an absurd size.
    pub(crate) fn neighbour(&self, up: bool) -> Option<Decimal> {
        if self.is_zero() {
            return Some(Decimal::normal(!up, "1".into(), 0));
        }
        if self.exponent > 4096 {
            return None;
        }
        let mut digits = self.digits.clone();
        digits.extend(std::iter::repeat_n('0', self.exponent as usize));
        let digits = if up != self.negative { increment(&digits) } else { decrement(&digits) };
        Some(Decimal::normal(self.negative, digits, 0))
    }

    fn normal(negative: bool, mut digits: String, mut exponent: i64) -> Decimal {
        let kept = digits.trim_end_matches('0').len();
        exponent += (digits.len() - kept) as i64;
        digits.truncate(kept);
        let leading = digits.len() - digits.trim_start_matches('0').len();
        if leading > 0 {
            digits.drain(..leading);
        }
        if digits.is_empty() {
            return Decimal::default();
        }
        Decimal { negative, digits, exponent }
    }

    fn magnitude(&self, other: &Decimal) -> Ordering {
        match (self.is_zero(), other.is_zero()) {
            (true, true) => return Ordering::Equal,
            (true, false) => return Ordering::Less,
            (false, true) => return Ordering::Greater,
            (false, false) => {}
        }
        let top = |d: &Decimal| d.digits.len() as i64 + d.exponent;
        top(self).cmp(&top(other)).then_with(|| self.digits.cmp(&other.digits))
    }
}

fn increment(digits: &str) -> String {
    let mut out: Vec<u8> = digits.bytes().collect();
    for digit in out.iter_mut().rev() {
        if *digit < b'9' {
            *digit += 1;
            return out.iter().map(|b| char::from(*b)).collect();
        }
        *digit = b'0';
    }
    std::iter::once('1').chain(out.iter().map(|b| char::from(*b))).collect()
}

fn decrement(digits: &str) -> String {
    let mut out: Vec<u8> = digits.bytes().collect();
    for digit in out.iter_mut().rev() {
        if *digit > b'0' {
            *digit -= 1;
            break;
        }
        *digit = b'9';
    }
    out.iter().map(|b| char::from(*b)).collect()
}

impl From<u64> for Decimal {
    fn from(value: u64) -> Decimal {
        Decimal::normal(false, value.to_string(), 0)
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Decimal) -> Ordering {
        match (self.negative, other.negative) {
            (false, true) => Ordering::Greater,
            (true, false) => Ordering::Less,
            (false, false) => self.magnitude(other),
            (true, true) => other.magnitude(self),
        }
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Decimal) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.to_plain(64) {
            Some(plain) => f.write_str(&plain),
            None => {
                write!(f, "{}{}e{}", if self.negative { "-" } else { "" }, self.digits, self.exponent)
            }
        }
    }
}

impl fmt::Debug for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn d(text: &str) -> Decimal {
        Decimal::parse(text).unwrap()
    }

    #[test]
    fn equal_values_have_one_form() {
        for (a, b) in [("1", "1.0"), ("100", "1e2"), ("-0.50", "-5E-1"), ("0", "-0.0e7"), ("0.001", "1e-3")] {
            assert_eq!(d(a), d(b), "{a} {b}");
        }
        assert_ne!(d("1"), d("-1"));
    }

    #[test]
    fn order_is_by_value() {
        let sorted = ["-1e30", "-10.5", "-10", "-0.1", "0", "1e-9", "0.1", "0.11", "9", "10", "1e1000000"];
        for pair in sorted.windows(2) {
            assert!(d(pair[0]) < d(pair[1]), "{pair:?}");
        }
    }

    #[test]
    fn multiples_are_exact() {
        assert!(d("0.0075").is_multiple_of(&d("0.0001")));
        assert!(!d("0.00751").is_multiple_of(&d("0.0001")));
        assert!(d("1e308").is_multiple_of(&d("0.5")));
        assert!(!d("1e308").is_multiple_of(&d("0.123456789")));
        assert!(d("4.5").is_multiple_of(&d("1.5")));
        assert!(!d("35").is_multiple_of(&d("1.5")));
        assert_eq!(d("0.6").lcm(&d("0.4")), Some(d("1.2")));
    }

    #[test]
    fn rounding_and_neighbours() {
        for (text, up, down) in [
            ("2.1", "3", "2"),
            ("-2.1", "-2", "-3"),
            ("0.5", "1", "0"),
            ("-0.5", "0", "-1"),
            ("9.99", "10", "9"),
        ] {
            assert_eq!(d(text).round(true), d(up));
            assert_eq!(d(text).round(false), d(down));
        }
        for (text, up, down) in
            [("0", "1", "-1"), ("-1", "0", "-2"), ("99", "100", "98"), ("100", "101", "99")]
        {
            assert_eq!(d(text).neighbour(true), Some(d(up)));
            assert_eq!(d(text).neighbour(false), Some(d(down)));
        }
    }

    #[test]
    fn plain_text() {
        for text in ["0", "-12.5", "0.003", "1200", "-7"] {
            assert_eq!(d(text).to_plain(64).as_deref(), Some(text));
        }
        assert_eq!(d("1e1000000").to_plain(64), None);
        assert_eq!(d("-9223372036854775808").to_i64(), Some(i64::MIN));
    }
}
