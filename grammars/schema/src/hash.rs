//! Two hashes: a fast one for tables inside one compile, and a stable 128-bit one for structural hashes.
//!
//! The stable hash must never change meaning between runs or machines, because caches are keyed by it; it is not
//! meant to withstand an adversary who searches for collisions.

use std::hash::{BuildHasherDefault, Hasher};

pub(crate) type FastBuild = BuildHasherDefault<Fast>;
pub(crate) type FastMap<K, V> = std::collections::HashMap<K, V, FastBuild>;

/// A multiply-and-rotate hash over machine words.
#[derive(Default)]
pub(crate) struct Fast(u64);

impl Hasher for Fast {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, n: u8) {
        self.write_u64(u64::from(n));
    }

    fn write_u32(&mut self, n: u32) {
        self.write_u64(u64::from(n));
    }

    fn write_u64(&mut self, n: u64) {
        self.0 = (self.0.rotate_left(5) ^ n).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn write_usize(&mut self, n: usize) {
        self.write_u64(n as u64);
    }

    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 29)
    }
}

/// The stable hash: two lanes of 64 x 64 -> 128 bit multiplications folded together.
pub(crate) struct Stable {
    a: u64,
    b: u64,
}

fn fold(x: u64, y: u64) -> u64 {
    let product = u128::from(x) * u128::from(y);
    (product as u64) ^ ((product >> 64) as u64)
}

impl Stable {
    pub(crate) fn new(tag: u8) -> Stable {
        let mut hash = Stable { a: 0x243f_6a88_85a3_08d3, b: 0x1319_8a2e_0370_7344 };
        hash.word(u64::from(tag));
        hash
    }

    pub(crate) fn word(&mut self, word: u64) {
        self.a = fold(self.a ^ word, 0xa409_3822_299f_31d1).wrapping_add(0x082e_fa98_ec4e_6c89);
        self.b = fold(self.b.rotate_left(23) ^ word, 0x4528_21e6_38d0_1377).wrapping_add(self.a);
    }

    pub(crate) fn wide(&mut self, word: u128) {
        self.word(word as u64);
        self.word((word >> 64) as u64);
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.word(text.len() as u64);
        for chunk in text.as_bytes().chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.word(u64::from_le_bytes(word));
        }
    }

    pub(crate) fn option(&mut self, value: Option<u64>) {
        match value {
            Some(value) => {
                self.word(1);
                self.word(value);
            }
            None => self.word(0),
        }
    }

    pub(crate) fn finish(mut self) -> u128 {
        self.word(0x5bd1_e995);
        (u128::from(self.a) << 64) | u128::from(self.b)
    }
}
