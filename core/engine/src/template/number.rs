//! Numbers as Python writes them, and integers wider than the engine's 128 bits.

use std::fmt::{self, Write};
use std::sync::Arc;

use minijinja::value::{Object, ObjectRepr, Value};

/// An integer outside the engine's range, kept as its decimal digits: it prints, compares with itself and
/// serialises exactly; arithmetic on it is an error.
#[derive(Debug)]
pub(super) struct BigInt(pub(super) String);

impl Object for BigInt {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The value of a JSON number's text: an integer without `.`, `e` or `E`, otherwise a float, as Python's `json`
/// reads it.
pub(super) fn from_json_text(text: &str) -> Value {
    if text.contains(['.', 'e', 'E']) {
        // JSON's float grammar is a subset of Rust's, so this cannot fail; too large becomes infinity, as in Python.
        return Value::from(text.parse::<f64>().unwrap_or(f64::NAN));
    }
    if let Ok(small) = text.parse::<i64>() {
        return Value::from(small);
    }
    if let Ok(wide) = text.parse::<i128>() {
        return Value::from(wide);
    }
    match text.parse::<u128>() {
        Ok(wide) => Value::from(wide),
        Err(_) => Value::from_object(BigInt(text.to_owned())),
    }
}

/// Appends `repr(float)` of Python: the shortest digits that read back, fixed notation for exponents from -4 to 15,
/// otherwise scientific with at least two exponent digits.
pub(super) fn push_float(out: &mut String, value: f64, names: FloatNames) {
    if value.is_nan() {
        out.push_str(names.nan);
        return;
    }
    if value.is_infinite() {
        if value < 0.0 {
            out.push('-');
        }
        out.push_str(names.infinity);
        return;
    }
    // Rust's `{:e}` also gives the shortest digits that read back: `d.ddde±x`.
    let mut scientific = String::with_capacity(24);
    let _ = write!(scientific, "{value:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..16).contains(&exponent) {
        let start = out.len();
        let _ = write!(out, "{value}");
        if !out[start..].contains('.') {
            out.push_str(".0");
        }
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        let _ = write!(out, "{mantissa}e{sign}{:02}", exponent.unsigned_abs());
    }
}

/// How the two non-finite floats are spelled: differently by `repr` and by `json.dumps`.
#[derive(Clone, Copy)]
pub(super) struct FloatNames {
    nan: &'static str,
    infinity: &'static str,
}

/// `repr(float)`.
pub(super) const PYTHON: FloatNames = FloatNames { nan: "nan", infinity: "inf" };
/// `json.dumps(float)`.
pub(super) const JSON: FloatNames = FloatNames { nan: "NaN", infinity: "Infinity" };

#[cfg(test)]
mod tests {
    use super::*;

    fn repr(value: f64) -> String {
        let mut out = String::new();
        push_float(&mut out, value, PYTHON);
        out
    }

    #[test]
    fn floats_print_as_python_prints_them() {
        for (value, expected) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (0.1, "0.1"),
            (1e-4, "0.0001"),
            (1e-5, "1e-05"),
            (1e-7, "1e-07"),
            (1.5e-7, "1.5e-07"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (1e20, "1e+20"),
            (1.25e300, "1.25e+300"),
            (5e-324, "5e-324"),
            (123456789.125, "123456789.125"),
            (f64::NEG_INFINITY, "-inf"),
        ] {
            assert_eq!(repr(value), expected);
        }
    }

    #[test]
    fn integers_of_any_width_survive() {
        for text in [
            "0",
            "-1",
            "9007199254740993",
            "18446744073709551616",
            "-170141183460469231731687303715884105728",
        ] {
            assert_eq!(from_json_text(text).to_string(), text);
        }
        let huge = "123456789012345678901234567890123456789012345678901234567890";
        assert_eq!(from_json_text(huge).to_string(), huge);
    }
}
