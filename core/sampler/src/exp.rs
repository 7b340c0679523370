//! `exp` over whole rows: written so that the compiler can vectorise it.
//!
//! Only for arguments at or below zero, which is all that a softmax needs once the maximum is
//! subtracted.

/// `e^x` for `x <= 0`, within 2e-7 relative; 0 below -87 (where `f32` leaves its normal range).
#[inline]
#[allow(clippy::excessive_precision)]
pub(crate) fn exp_neg(x: f32) -> f32 {
    // Adding 1.5 * 2^23 rounds to the nearest integer, which then stands in the lowest bits.
    const ROUND: f32 = 12_582_912.0;
    let clamped = if x < -87.0 { -87.0 } else { x };
    let rounded = clamped * std::f32::consts::LOG2_E + ROUND;
    let whole = rounded - ROUND;
    // ln 2 in two parts keeps the reduced argument exact.
    let r = (clamped - whole * 0.693_359_375) + whole * 2.121_944_4e-4;
    // Taylor series of e^r for |r| <= 0.35.
    let p = 1.0
        + r * (1.0
            + r * (0.5
                + r * (1.0 / 6.0 + r * (1.0 / 24.0 + r * (1.0 / 120.0 + r * (1.0 / 720.0 + r / 5040.0))))));
    // 2^whole: the shift leaves of the integer just what an exponent takes.
    let scale = f32::from_bits(rounded.to_bits().wrapping_add(127) << 23);
    if x < -87.0 { 0.0 } else { p * scale }
}

#[cfg(test)]
mod tests {
    use super::exp_neg;

    #[test]
    fn agrees_with_f64() {
        let mut worst = 0.0f64;
        for i in 0..=87_000 {
            let x = -(i as f32) / 1000.0;
            let exact = f64::from(x).exp();
            worst = worst.max((f64::from(exp_neg(x)) - exact).abs() / exact);
        }
        assert!(worst < 2e-7, "relative error {worst:e}");
        assert_eq!(exp_neg(0.0), 1.0);
        assert_eq!(exp_neg(-88.0), 0.0);
        assert_eq!(exp_neg(f32::NEG_INFINITY), 0.0);
    }
}
