//! Numbers as Python writes them.

use std::borrow::Cow;

/// A number as JSON has it; its digits are kept. `None` for other text.
pub(super) fn number(word: &[u8]) -> Option<Cow<'_, str>> {
    if !word.iter().any(u8::is_ascii_digit) {
        return None;
    }
    let text = std::str::from_utf8(word).ok()?;
    if is_json_number(word) {
        return Some(Cow::Borrowed(text));
    }
    let text: String = text.chars().filter(|&c| c != '_').collect();
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", text.strip_prefix('+').unwrap_or(&text)),
    };
    for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] {
        if let Some(digits) = digits.strip_prefix(prefix) {
            return u128::from_str_radix(digits, radix).ok().map(|n| format!("{sign}{n}").into());
        }
    }
    let (mantissa, exponent) = match digits.find(['e', 'E']) {
        Some(at) => (&digits[..at], &digits[at..]),
        None => (digits, ""),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let exponent_digits = exponent.get(1..).unwrap_or_default();
    let exponent_digits = exponent_digits.strip_prefix(['+', '-']).unwrap_or(exponent_digits);
    let empty = whole.is_empty() && fraction.is_none_or(str::is_empty);
    if empty || !all_digits(whole) || !fraction.is_none_or(all_digits) {
        return None;
    }
    if !exponent.is_empty() && (exponent_digits.is_empty() || !all_digits(exponent_digits)) {
        return None;
    }
    let whole = whole.trim_start_matches('0');
    let whole = if whole.is_empty() { "0" } else { whole };
    let fraction = match fraction {
        None => String::new(),
        Some("") => ".0".into(),
        Some(digits) => format!(".{digits}"),
    };
    Some(format!("{sign}{whole}{fraction}{exponent}").into())
}

fn is_json_number(word: &[u8]) -> bool {
    let mut json = super::Json::new();
    json.run(word) == (word.len(), super::Met::More) && json.complete()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_kept() {
        for (python, json) in [
            ("1e3", Some("1e3")),
            ("-2.50", Some("-2.50")),
            ("12345678901234567890123", Some("12345678901234567890123")),
            ("+1_000.", Some("1000.0")),
            ("-007", Some("-7")),
            ("0x1F", Some("31")),
            ("1e", None),
            ("1e+-2", None),
            ("1.2.3", None),
            ("-", None),
            (".", None),
            ("true", None),
            ("\"1\"", None),
        ] {
            assert_eq!(number(python.as_bytes()).as_deref(), json, "{python}");
        }
    }
}
