//! Token masks: packed sets of token ids, `u32` words, least significant bit first.

/// Number of words that hold `ids` ids.
pub const fn words(ids: usize) -> usize {
    ids.div_ceil(32)
}

/// True when `id` is in the set. Ids beyond the mask are not.
pub fn contains(mask: &[u32], id: u32) -> bool {
    mask.get(id as usize / 32).is_some_and(|word| word >> (id % 32) & 1 == 1)
}

/// Adds `id`. An id beyond the mask is ignored and `false` is returned.
pub fn insert(mask: &mut [u32], id: u32) -> bool {
    match mask.get_mut(id as usize / 32) {
        Some(word) => {
            *word |= 1 << (id % 32);
            true
        }
        None => false,
    }
}

/// Removes `id`.
pub fn remove(mask: &mut [u32], id: u32) {
    if let Some(word) = mask.get_mut(id as usize / 32) {
        *word &= !(1 << (id % 32));
    }
}

/// Number of ids below `width` in the set.
pub fn count(mask: &[u32], width: usize) -> u32 {
    (0..words(width)).map(|w| word(Some(mask), w, width).count_ones()).sum()
}

/// The ids in the set, ascending.
pub fn ids(mask: &[u32]) -> impl Iterator<Item = u32> + '_ {
    mask.iter().enumerate().flat_map(|(w, &word)| Bits(word).map(move |bit| w as u32 * 32 + bit))
}

/// The `w`-th word of a mask over `width` ids; no mask allows all of them. Ids at or above
/// `width`, and ids that the mask does not reach, are never in it.
#[inline]
pub(crate) fn word(mask: Option<&[u32]>, w: usize, width: usize) -> u32 {
    let all = match width.saturating_sub(w * 32) {
        0 => 0,
        left @ 1..32 => (1 << left) - 1,
        _ => !0,
    };
    all & mask.map_or(!0, |mask| mask.get(w).copied().unwrap_or(0))
}

/// The set bits of a word, ascending.
pub(crate) struct Bits(pub(crate) u32);

impl Iterator for Bits {
    type Item = u32;

    #[inline]
    fn next(&mut self) -> Option<u32> {
        if self.0 == 0 {
            return None;
        }
        let bit = self.0.trailing_zeros();
        self.0 &= self.0 - 1;
        Some(bit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn set_operations_agree_with_ids() {
        let mut mask = vec![0; words(70)];
        assert_eq!(mask.len(), 3);
        for id in [0, 31, 32, 69] {
            assert!(insert(&mut mask, id));
        }
        assert!(!insert(&mut mask, 96));
        assert_eq!(ids(&mask).collect::<Vec<_>>(), [0, 31, 32, 69]);
        assert_eq!((count(&mask, 70), count(&mask, 69), count(&mask, 32)), (4, 3, 2));
        remove(&mut mask, 31);
        assert!(!contains(&mask, 31) && contains(&mask, 32) && !contains(&mask, 1000));
    }

    #[test]
    fn words_end_at_the_width_and_at_the_mask() {
        assert_eq!(word(None, 0, 32), !0);
        assert_eq!(word(None, 1, 33), 1);
        assert_eq!(word(None, 2, 33), 0);
        assert_eq!(word(Some(&[!0]), 0, 5), 0b11111);
        assert_eq!(word(Some(&[!0]), 1, 64), 0, "the mask does not reach these ids");
    }
}
