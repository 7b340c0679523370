//! Reads tiktoken rank files: one `base64 rank` per line, rank = token id.

use super::Token;
use crate::VocabularyError;

pub(super) fn tokens(ranks: &str, specials: &[(&str, u32)]) -> Result<Vec<Token>, VocabularyError> {
    let mut out: Vec<Token> = Vec::new();
    for (number, line) in ranks.lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let malformed = |reason: &str| VocabularyError::Malformed {
            what: "tiktoken ranks",
            reason: format!("line {}: {reason}", number + 1),
        };
        let (text, rank) = line.trim().split_once(' ').ok_or_else(|| malformed("expected `base64 rank`"))?;
        let rank: u32 = rank.trim().parse().map_err(|_| malformed("the rank is not a number"))?;
        let bytes = base64(text).ok_or_else(|| malformed("not base64"))?;
        put(&mut out, rank, Token::text(bytes))?;
    }
    for &(name, id) in specials {
        put(&mut out, id, Token::special(name))?;
    }
    Ok(out)
}

/// Stores a token under its id, filling the ids before it with holes.
pub(super) fn put(out: &mut Vec<Token>, id: u32, token: Token) -> Result<(), VocabularyError> {
    let at = id as usize;
    if at >= super::MAX_IDS {
        return Err(VocabularyError::TooLarge {
            what: "token ids",
            got: at as u64 + 1,
            limit: super::MAX_IDS as u64,
        });
    }
    if out.len() <= at {
        out.resize_with(at + 1, Token::hole);
    }
    out[at] = token;
    Ok(())
}

fn base64(text: &str) -> Option<Vec<u8>> {
    let text = text.trim_end_matches('=').as_bytes();
    if text.len() % 4 == 1 {
        return None;
    }
    let mut out = Vec::with_capacity(text.len() * 3 / 4);
    let (mut value, mut bits) = (0u32, 0);
    for &c in text {
        let digit = match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        value = value << 6 | u32::from(digit);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            out.push((value >> bits) as u8);
            value &= (1 << bits) - 1;
        }
    }
    (value == 0).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_and_specials_with_a_gap() {
        let tokens = tokens("IQ== 0\nIiM= 1\n", &[("<|end|>", 4)]).expect("reads");
        assert_eq!(tokens[0], Token::text(*b"!"));
        assert_eq!(tokens[1], Token::text(*b"\"#"));
        assert_eq!(tokens[2], Token::hole());
        assert_eq!(tokens[4], Token::special("<|end|>"));
    }

    #[test]
    fn bad_lines_name_their_number() {
        for text in ["IQ== 0\nnonsense", "IQ== 0\n!!! 1", "IQ== 0\nIQ== x"] {
            let error = tokens(text, &[]).expect_err("refused").to_string();
            assert!(error.contains("line 2"), "{error}");
        }
    }
}
