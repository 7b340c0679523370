//! UTF-8, byte by byte (RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF).

/// Between characters.
pub(crate) const BOUNDARY: u32 = 0;
/// Number of states.
pub(crate) const STATES: u32 = 8;

/// The state after `byte`, `None` if the text is not UTF-8.
#[inline]
pub(crate) fn step(state: u32, byte: u8) -> Option<u32> {
    Some(match (state, byte) {
        (0, 0x00..=0x7f) => 0,
        (0, 0xc2..=0xdf) => 1,
        (0, 0xe0) => 2,
        (0, 0xe1..=0xec | 0xee..=0xef) => 3,
        (0, 0xed) => 4,
        (0, 0xf0) => 5,
        (0, 0xf1..=0xf3) => 6,
        (0, 0xf4) => 7,
        (1, 0x80..=0xbf) => 0,
        (2, 0xa0..=0xbf) | (3, 0x80..=0xbf) | (4, 0x80..=0x9f) => 1,
        (5, 0x90..=0xbf) | (6, 0x80..=0xbf) | (7, 0x80..=0x8f) => 3,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_standard_library() {
        let accepts =
            |bytes: &[u8]| bytes.iter().try_fold(BOUNDARY, |s, &b| step(s, b)).is_some_and(|s| s == BOUNDARY);
        for a in 0..=255u8 {
            for b in 0..=255u8 {
                assert_eq!(accepts(&[a, b]), std::str::from_utf8(&[a, b]).is_ok());
                for c in [0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0] {
                    let text = [a, b, c];
                    assert_eq!(accepts(&text), std::str::from_utf8(&text).is_ok(), "{text:x?}");
                    let text = [a, b, c, 0x80];
                    assert_eq!(accepts(&text), std::str::from_utf8(&text).is_ok(), "{text:x?}");
                }
            }
        }
    }
}
