//! Whether an object of a JSON text has a key twice, by hashes of the keys as they are written.

use std::collections::HashSet;

/// So many keys of one object are looked through; more are looked up.
const FEW: usize = 32;

/// The keys of the objects that are open.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    /// The key in the making.
    hash: u64,
    /// Of each open object: where its keys begin in `hashes`, and its number in the text.
    open: Vec<(usize, u64)>,
    hashes: Vec<u64>,
    objects: u64,
    /// The keys of objects with many of them, by the object's number.
    many: HashSet<(u64, u64)>,
}

/// FNV-1a, in which equal bytes are all that matters.
const START: u64 = 0xcbf2_9ce4_8422_2325;
const FACTOR: u64 = 0x0100_0000_01b3;

impl Default for Keys {
    fn default() -> Self {
        Keys { hash: START, open: Vec::new(), hashes: Vec::new(), objects: 0, many: HashSet::new() }
    }
}

impl Keys {
    pub(super) fn clear(&mut self) {
        self.hash = START;
        self.open.clear();
        self.hashes.clear();
        self.objects = 0;
        self.many.clear();
    }

    pub(super) fn open(&mut self) {
        self.objects += 1;
        self.open.push((self.hashes.len(), self.objects));
    }

    pub(super) fn close(&mut self) {
        if let Some((from, _)) = self.open.pop() {
            self.hashes.truncate(from);
        }
    }

    /// More of the key that comes.
    #[inline]
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.hash = bytes.iter().fold(self.hash, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(FACTOR));
    }

    /// The key has come: whether its object has it already.
    pub(super) fn end(&mut self) -> bool {
        let hash = std::mem::replace(&mut self.hash, START);
        let Some(&(from, object)) = self.open.last() else { return false };
        let own = &self.hashes[from..];
        let repeats = if own.len() < FEW {
            own.contains(&hash)
        } else {
            if own.len() == FEW {
                self.many.extend(own.iter().map(|&hash| (object, hash)));
            }
            !self.many.insert((object, hash))
        };
        self.hashes.push(hash);
        repeats
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(keys: &mut Keys, text: &str) -> bool {
        let (first, rest) = text.as_bytes().split_at(text.len() / 2);
        keys.bytes(first);
        keys.bytes(rest);
        keys.end()
    }

    #[test]
    fn each_object_has_keys_of_its_own() {
        let mut keys = Keys::default();
        keys.open();
        assert!(!key(&mut keys, "a") && !key(&mut keys, "") && key(&mut keys, "a"));
        keys.open();
        assert!(!key(&mut keys, "a"));
        keys.close();
        keys.open();
        assert!(!key(&mut keys, "a") && !key(&mut keys, "b") && key(&mut keys, "b"));
        keys.close();
        assert!(key(&mut keys, "") && !key(&mut keys, "b"));
    }

    #[test]
    fn many_keys_are_told_apart_too() {
        let mut keys = Keys::default();
        for _ in 0..2 {
            keys.open();
            assert!((0..200).all(|n| !key(&mut keys, &n.to_string())));
            assert!([0, FEW - 1, FEW, FEW + 1, 199].iter().all(|n| key(&mut keys, &n.to_string())));
            keys.close();
        }
    }
}
