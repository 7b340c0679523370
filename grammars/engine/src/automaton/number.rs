//! JSON numbers within bounds, as automata over their decimal digits (RFC 8259, section 6).
//!
//! A bound is compared digit by digit while the number is written, so no expansion into alternatives is needed.
//! Digits are limited, so that a number cannot go on for ever: see [`MAX_INTEGER_DIGITS`] and its neighbours.
//! Exponents are allowed only where neither bound nor divisor is given.

use super::Explicit;
use crate::GrammarError;
use rustc_hash::FxHashMap;

/// Digits before the point.
pub(crate) const MAX_INTEGER_DIGITS: u32 = 32;
/// Digits behind the point.
pub(crate) const MAX_FRACTION_DIGITS: u32 = 32;
/// Digits of an exponent.
pub(crate) const MAX_EXPONENT_DIGITS: u32 = 3;
const MAX_STATES: usize = 1 << 14;
const MAX_SCALE: u32 = 24;

/// A decimal number: `±digits / 10^scale`, no leading zero digits, no trailing zeros behind the point.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Decimal {
    negative: bool,
    /// Digits before the point, most significant first.
    integer: Vec<u8>,
    /// Digits behind the point.
    fraction: Vec<u8>,
}

impl Decimal {
    /// Reads a JSON number; `None` if it is none or its exponent is beyond all use.
    pub(crate) fn parse(text: &str) -> Option<Decimal> {
        let (negative, text) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
            None => (text, 0),
        };
        let (integer, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        if integer.is_empty() || exponent.abs() > 400 {
            return None;
        }
        let mut digits = Vec::new();
        for c in integer.bytes().chain(fraction.bytes()) {
            digits.push(c.is_ascii_digit().then(|| c - b'0')?);
        }
        let point = integer.len() as i32 + exponent;
        if point < 0 {
            digits.splice(0..0, vec![0; point.unsigned_abs() as usize]);
        }
        let point = point.max(0) as usize;
        if digits.len() < point {
            digits.resize(point, 0);
        }
        let mut fraction = digits.split_off(point);
        while fraction.last() == Some(&0) {
            fraction.pop();
        }
        let zeros = digits.iter().take_while(|&&d| d == 0).count();
        let integer = digits.split_off(zeros);
        let negative = negative && !(integer.is_empty() && fraction.is_empty());
        Some(Decimal { negative, integer, fraction })
    }

    fn is_zero(&self) -> bool {
        self.integer.is_empty() && self.fraction.is_empty()
    }
}

/// One end of a range.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Bound {
    pub(crate) value: Decimal,
    pub(crate) exclusive: bool,
}

/// Which numbers are allowed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Number {
    pub(crate) integer: bool,
    pub(crate) min: Option<Bound>,
    pub(crate) max: Option<Bound>,
    pub(crate) multiple_of: Option<Decimal>,
    /// It is a multiple of none of these.
    pub(crate) not_multiple_of: Vec<Decimal>,
}

impl Number {
    /// The most characters that a number can have.
    pub(crate) fn longest(&self) -> u64 {
        let bounds = || self.min.iter().chain(&self.max).map(|bound| &bound.value);
        let integer = bounds().map(|value| value.integer.len() as u64 + 1).max().unwrap_or(0);
        let fraction = bounds().map(|value| value.fraction.len() as u64 + 1).max().unwrap_or(0);
        // A sign, a point, an exponent with its sign.
        integer.max(u64::from(MAX_INTEGER_DIGITS))
            + fraction.max(u64::from(MAX_FRACTION_DIGITS))
            + u64::from(MAX_EXPONENT_DIGITS)
            + 4
    }
}

/// How the digits so far compare with those of a bound's absolute value, at equal length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Order {
    Less,
    Equal,
    Greater,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Phase {
    Start,
    Minus,
    /// A single leading zero.
    Zero,
    /// This many digits before the point.
    Integer(u32),
    Point,
    Fraction(u32),
    Exponent,
    ExponentSign,
    ExponentDigits(u32),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct State {
    phase: Phase,
    negative: bool,
    /// The digits so far against the first as many digits of each bound, most significant first.
    min: Order,
    max: Order,
    /// Value of the digits so far modulo the divisor.
    remainder: u64,
    /// A digit beyond the divisor's last place: no multiple.
    beyond: bool,
    nonzero: bool,
}

/// Builds the automaton of a number.
pub(crate) fn number_dfa(rules: &Number) -> Result<Explicit, GrammarError> {
    let rules = Builder::new(rules)?;
    let mut ids: FxHashMap<State, u32> = FxHashMap::default();
    let mut states = vec![State {
        phase: Phase::Start,
        negative: false,
        min: Order::Equal,
        max: Order::Equal,
        remainder: 0,
        beyond: false,
        nonzero: false,
    }];
    ids.insert(states[0], 0);
    let mut table = Vec::new();
    let mut accepts = Vec::new();
    while table.len() < states.len() {
        let state = states[table.len()];
        let mut row = [u32::MAX; 256];
        for &byte in b"-+.eE0123456789" {
            if let Some(next) = rules.step(state, byte) {
                row[byte as usize] = *ids.entry(next).or_insert_with(|| {
                    states.push(next);
                    states.len() as u32 - 1
                });
            }
        }
        if states.len() > MAX_STATES {
            return Err(GrammarError::Limit { what: "states of a number", limit: MAX_STATES as u64 });
        }
        accepts.push(rules.accepts(state));
        table.push(row);
    }
    Explicit::from_table(table, accepts, None)
}

struct Builder {
    rules: Number,
    integer_digits: u32,
    fraction_digits: u32,
    exponents: bool,
    /// All divisors divide `modulus / 10^scale`.
    modulus: u64,
    scale: u32,
    /// In the same unit, each divisor, and whether it has to divide the number or must not.
    divisors: Vec<(u64, bool)>,
}

/// Largest common multiple of divisors that a remainder is kept of.
const MAX_MODULUS: u64 = 1_000_000;

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

impl Builder {
    fn new(rules: &Number) -> Result<Builder, GrammarError> {
        let rules = rules.clone();
        let mut integer_digits = MAX_INTEGER_DIGITS;
        let mut fraction_digits = if rules.integer { 0 } else { MAX_FRACTION_DIGITS };
        for bound in rules.min.iter().chain(&rules.max) {
            integer_digits = integer_digits.max(bound.value.integer.len() as u32 + 1);
            if !rules.integer {
                fraction_digits = fraction_digits.max(bound.value.fraction.len() as u32 + 1);
            }
        }
        // With a bound on a side, no more digits than it has are of use on that side.
        if let (Some(min), Some(max)) = (&rules.min, &rules.max) {
            integer_digits = (min.value.integer.len().max(max.value.integer.len()) as u32).max(1);
        }
        let all = || {
            let divides = rules.multiple_of.iter().map(|divisor| (divisor, true));
            divides.chain(rules.not_multiple_of.iter().map(|divisor| (divisor, false)))
        };
        let scale = all().map(|(divisor, _)| divisor.fraction.len() as u32).max().unwrap_or(0);
        let refuse = |why: &str| Err(GrammarError::unsupported("", "multipleOf", why));
        if scale > MAX_SCALE {
            return refuse("too many decimal places");
        }
        let (mut modulus, mut divisors) = (1, Vec::new());
        for (divisor, divides) in all() {
            if divisor.is_zero() || divisor.negative {
                return refuse("it has to be greater than zero");
            }
            let zeros = scale as usize - divisor.fraction.len();
            let digits =
                divisor.integer.iter().chain(&divisor.fraction).chain(std::iter::repeat_n(&0, zeros));
            let mut value = 0;
            for &digit in digits {
                value = value * 10 + u64::from(digit);
                if value > MAX_MODULUS {
                    return refuse("the divisor has too many digits");
                }
            }
            modulus = modulus / gcd(modulus, value) * value;
            if modulus > MAX_MODULUS {
                return refuse("the divisors have too large a common multiple");
            }
            divisors.push((value, divides));
        }
        if !divisors.is_empty() {
            integer_digits = integer_digits.min(18);
        }
        if rules.multiple_of.is_some() {
            fraction_digits = fraction_digits.min(scale.max(1));
        }
        let exponents = !rules.integer && rules.min.is_none() && rules.max.is_none() && divisors.is_empty();
        Ok(Builder { rules, integer_digits, fraction_digits, exponents, modulus, scale, divisors })
    }

    fn step(&self, state: State, byte: u8) -> Option<State> {
        let mut next = state;
        let digit = byte.is_ascii_digit().then(|| byte - b'0');
        match (state.phase, byte, digit) {
            (Phase::Start, b'-', _) => {
                next.phase = Phase::Minus;
                next.negative = true;
            }
            (Phase::Start | Phase::Minus, _, Some(0)) => next.phase = Phase::Zero,
            (Phase::Start | Phase::Minus, _, Some(_)) => next.phase = Phase::Integer(1),
            (Phase::Integer(n), _, Some(_)) if n < self.integer_digits => next.phase = Phase::Integer(n + 1),
            (Phase::Integer(_) | Phase::Zero, b'.', _) if self.fraction_digits > 0 => {
                // The integer parts are now known to be of equal length or not.
                let digits = if let Phase::Integer(n) = state.phase { n } else { 0 };
                next.min = settle(state.min, digits, &self.rules.min);
                next.max = settle(state.max, digits, &self.rules.max);
                next.phase = Phase::Point;
            }
            (Phase::Point, _, Some(_)) => next.phase = Phase::Fraction(1),
            (Phase::Fraction(n), _, Some(_)) if n < self.fraction_digits => {
                next.phase = Phase::Fraction(n + 1)
            }
            (Phase::Integer(_) | Phase::Zero | Phase::Fraction(_), b'e' | b'E', _) if self.exponents => {
                next.phase = Phase::Exponent;
            }
            (Phase::Exponent, b'+' | b'-', _) => next.phase = Phase::ExponentSign,
            (Phase::Exponent | Phase::ExponentSign, _, Some(_)) => next.phase = Phase::ExponentDigits(1),
            (Phase::ExponentDigits(n), _, Some(_)) if n < MAX_EXPONENT_DIGITS => {
                next.phase = Phase::ExponentDigits(n + 1);
            }
            _ => return None,
        }
        if let Some(digit) = digit {
            match next.phase {
                Phase::Integer(n) => {
                    let at = n as usize - 1;
                    next.min =
                        compare(state.min, digit, &self.rules.min, |b| b.value.integer.get(at).copied());
                    next.max =
                        compare(state.max, digit, &self.rules.max, |b| b.value.integer.get(at).copied());
                }
                Phase::Fraction(n) => {
                    let at = n as usize - 1;
                    let of = |b: &Bound| Some(b.value.fraction.get(at).copied().unwrap_or(0));
                    next.min = compare(state.min, digit, &self.rules.min, of);
                    next.max = compare(state.max, digit, &self.rules.max, of);
                    if n > self.scale && !self.divisors.is_empty() && digit != 0 {
                        if self.rules.multiple_of.is_some() {
                            return None;
                        }
                        next.beyond = true;
                    }
                }
                _ => {}
            }
            if matches!(next.phase, Phase::Integer(_) | Phase::Zero)
                || matches!(next.phase, Phase::Fraction(n) if n <= self.scale)
            {
                next.remainder = modulus_step_by(state.remainder, digit, self.modulus);
            }
            next.nonzero |= digit != 0 && !matches!(next.phase, Phase::ExponentDigits(_));
        }
        Some(self.canonical(next))
    }

    /// Drops what can no longer make a difference, so that fewer states are needed.
    fn canonical(&self, mut state: State) -> State {
        if self.rules.min.is_none() && self.rules.max.is_none() {
            state.negative = false;
            state.nonzero = false;
        }
        if matches!(state.phase, Phase::ExponentSign | Phase::Exponent | Phase::ExponentDigits(_)) {
            state.negative = false;
            state.nonzero = false;
            state.remainder = 0;
        }
        state
    }

    fn accepts(&self, state: State) -> bool {
        let (digits, in_fraction, seen) = match state.phase {
            Phase::Zero => (0, false, 0),
            Phase::Integer(n) => (n, false, 0),
            Phase::Fraction(n) => (0, true, n),
            Phase::ExponentDigits(_) => return true,
            _ => return false,
        };
        if !self.divisors.is_empty() {
            let mut remainder = state.remainder;
            for _ in seen.min(self.scale)..self.scale {
                remainder = modulus_step_by(remainder, 0, self.modulus);
            }
            let is_multiple = |divisor: u64| !state.beyond && remainder.is_multiple_of(divisor);
            if self.divisors.iter().any(|&(divisor, divides)| is_multiple(divisor) != divides) {
                return false;
            }
        }
        let order = |order: Order, bound: &Bound| {
            let mut order = order;
            if !in_fraction {
                order = settle(order, digits, &Some(bound.clone()));
            }
            // Digits that the bound has beyond those written count as larger.
            if order == Order::Equal && bound.value.fraction.iter().skip(seen as usize).any(|&d| d != 0) {
                order = Order::Less;
            }
            order
        };
        let negative = state.negative && state.nonzero;
        let fits = |bound: &Option<Bound>, from_bound: Order, lower: bool| -> bool {
            let Some(bound) = bound else { return true };
            let absolute = order(from_bound, bound);
            // The written number against the bound, signs included.
            let signed = match (negative, bound.value.negative) {
                (false, true) => Order::Greater,
                (true, false) => Order::Less,
                (false, false) => absolute,
                (true, true) => match absolute {
                    Order::Less => Order::Greater,
                    Order::Equal => Order::Equal,
                    Order::Greater => Order::Less,
                },
            };
            match signed {
                Order::Equal => !bound.exclusive,
                Order::Greater => lower,
                Order::Less => !lower,
            }
        };
        fits(&self.rules.min, state.min, true) && fits(&self.rules.max, state.max, false)
    }
}

/// Takes one more digit into a comparison of equally long prefixes. A bound that has no such digit is shorter.
fn compare(order: Order, digit: u8, bound: &Option<Bound>, of: impl Fn(&Bound) -> Option<u8>) -> Order {
    match bound {
        None => Order::Equal,
        Some(bound) => match of(bound) {
            None => Order::Greater,
            Some(_) if order != Order::Equal => order,
            Some(theirs) if digit < theirs => Order::Less,
            Some(theirs) if digit > theirs => Order::Greater,
            Some(_) => Order::Equal,
        },
    }
}

/// The order of two integer parts, given the order of their common prefix and the number of digits written.
fn settle(order: Order, digits: u32, bound: &Option<Bound>) -> Order {
    match bound {
        None => Order::Equal,
        Some(bound) => match digits.cmp(&(bound.value.integer.len() as u32)) {
            std::cmp::Ordering::Less => Order::Less,
            std::cmp::Ordering::Greater => Order::Greater,
            std::cmp::Ordering::Equal => order,
        },
    }
}

fn modulus_step_by(remainder: u64, digit: u8, modulus: u64) -> u64 {
    (remainder * 10 + u64::from(digit)) % modulus
}

#[cfg(test)]
mod tests {
    use super::super::{Automaton, Step};
    use super::*;

    fn accepts(rules: &Number, text: &str) -> bool {
        run(&number_dfa(rules).expect("builds"), text)
    }

    fn run(dfa: &Explicit, text: &str) -> bool {
        let mut state = vec![0];
        let mut next = Vec::new();
        for &b in text.as_bytes() {
            if dfa.step(&state, b, &mut next) == Step::Dead {
                return false;
            }
            std::mem::swap(&mut state, &mut next);
        }
        dfa.accepts(&state)
    }

    fn bound(text: &str, exclusive: bool) -> Option<Bound> {
        Some(Bound { value: Decimal::parse(text).expect("a number"), exclusive })
    }

    #[test]
    fn grammar_of_numbers() {
        let number = Number::default();
        for text in ["0", "-0", "10", "1.5", "-0.25", "1e5", "1E-05", "2.5e+300"] {
            assert!(accepts(&number, text), "{text}");
        }
        for text in ["", "-", "01", "1.", ".5", "1e", "+1", "1e5.0", "--1", "0x1"] {
            assert!(!accepts(&number, text), "{text}");
        }
        let integer = Number { integer: true, ..Number::default() };
        assert!(accepts(&integer, "-120") && !accepts(&integer, "1.0") && !accepts(&integer, "1e3"));
    }

    #[test]
    fn every_integer_range_is_exact() {
        for (low, high) in [(-13, 7), (0, 0), (5, 120), (-120, -3), (99, 101), (-1, 1000)] {
            let rules = Number {
                integer: true,
                min: bound(&low.to_string(), false),
                max: bound(&high.to_string(), true),
                ..Number::default()
            };
            let dfa = number_dfa(&rules).expect("builds");
            for n in -1100..1100 {
                assert_eq!(run(&dfa, &n.to_string()), (low..high).contains(&n), "{low} {high} {n}");
            }
        }
    }

    #[test]
    fn one_sided_and_decimal_bounds() {
        let rules = Number { min: bound("0.5", true), max: bound("12.25", false), ..Number::default() };
        for text in ["0.51", "0.5000001", "1", "12.25", "12.2500", "9.99", "12.2"] {
            assert!(accepts(&rules, text), "{text}");
        }
        for text in ["0.5", "0.50", "0", "12.26", "12.250001", "13", "100", "-1", "1e0"] {
            assert!(!accepts(&rules, text), "{text}");
        }
        let rules = Number { min: bound("-2.5", false), ..Number::default() };
        assert!(accepts(&rules, "-2.5") && accepts(&rules, "-0.1") && accepts(&rules, "123456"));
        assert!(!accepts(&rules, "-2.51") && !accepts(&rules, "-3") && !accepts(&rules, "-10"));
        let rules = Number { max: bound("0", true), ..Number::default() };
        assert!(accepts(&rules, "-0.001") && !accepts(&rules, "-0") && !accepts(&rules, "-0.0"));
    }

    #[test]
    fn multiples() {
        let of =
            |text: &str, integer| Number { integer, multiple_of: Decimal::parse(text), ..Number::default() };
        for n in -60..60 {
            assert_eq!(accepts(&of("7", true), &n.to_string()), n % 7 == 0, "{n}");
        }
        let cents = of("0.05", false);
        for (text, fits) in [("1", true), ("1.05", true), ("1.1", true), ("1.01", false), ("0.15", true)] {
            assert_eq!(accepts(&cents, text), fits, "{text}");
        }
        let not = |divisors: &[&str]| divisors.iter().filter_map(|text| Decimal::parse(text)).collect();
        let fractional = Number { not_multiple_of: not(&["1"]), ..Number::default() };
        for (text, fits) in [("1", false), ("1.0", false), ("1.5", true), ("-0.25", true), ("10", false)] {
            assert_eq!(accepts(&fractional, text), fits, "{text}");
        }
        let several = Number { integer: true, multiple_of: Decimal::parse("4"), ..Number::default() };
        let several = Number { not_multiple_of: not(&["3", "2.5"]), ..several };
        let several = number_dfa(&several).expect("builds");
        for n in -90i32..90 {
            let fits = n % 4 == 0 && n % 3 != 0 && n % 5 != 0;
            assert_eq!(run(&several, &n.to_string()), fits, "{n}");
        }
        let odd = Number { not_multiple_of: not(&["0.2", "0.03"]), ..Number::default() };
        for (text, fits) in [("0.1", true), ("0.4", false), ("0.09", false), ("0.091", true), ("3", false)] {
            assert_eq!(accepts(&odd, text), fits, "{text}");
        }
        let quarters = of("2.5", false);
        assert!(accepts(&quarters, "7.5") && accepts(&quarters, "10") && !accepts(&quarters, "4"));
    }

    #[test]
    fn decimals_are_read_exactly() {
        let parse = |t| Decimal::parse(t).expect("a number");
        assert_eq!(parse("1.50"), parse("15e-1"));
        assert_eq!(parse("0.001e3"), parse("1"));
        assert_eq!(parse("-0"), parse("0"));
        assert_eq!(parse("1e2"), parse("100"));
        assert!(Decimal::parse("x").is_none() && Decimal::parse("1e999").is_none());
    }
}
