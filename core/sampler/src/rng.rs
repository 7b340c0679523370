//! The random numbers: a pure function of seed and step, with no state to save or roll back.
//!
//! Not for cryptography.

/// A number in `[0, 1)` that depends on `seed` and `step` only, so that a draw survives rollback,
/// batching and resumption. 53 random bits.
///
/// Source: the SplitMix64 output function (Steele, Lea, Flood, "Fast splittable pseudorandom
/// number generators", 2014), read at position `step` of the stream that starts at the mixed seed.
pub fn uniform(seed: u64, step: u64) -> f64 {
    const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;
    let start = mix(seed ^ 0x746f_6f6c_676c_6f74);
    let bits = mix(start.wrapping_add(step.wrapping_add(1).wrapping_mul(GAMMA)));
    (bits >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_uniform_and_differ_by_seed_and_step() {
        let mut buckets = [0usize; 16];
        for seed in 0..64 {
            for step in 0..512 {
                let u = uniform(seed, step);
                assert!((0.0..1.0).contains(&u));
                buckets[(u * 16.0) as usize] += 1;
            }
        }
        // 32,768 draws: 2,048 each, standard deviation 44.
        assert!(buckets.iter().all(|&n| n.abs_diff(2048) < 220), "{buckets:?}");
        assert_ne!(uniform(0, 0), uniform(0, 1));
        assert_ne!(uniform(0, 0), uniform(1, 0));
        assert_eq!(uniform(7, 9), uniform(7, 9));
    }
}
