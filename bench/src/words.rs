//! A made-up vocabulary with the shape of a byte-level BPE vocabulary: bytes, numbers, runs of white space, clusters
//! of punctuation, words in several spellings, pieces of other scripts, halves of characters. Deterministic.

use toolglot_grammar::Token;

/// Name of the one special token, which ends the output; it is the last id.
pub const EOS_NAME: &str = "<|eos|>";

struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        // Knuth's MMIX generator.
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        ((self.0 >> 33) as usize) % n
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }
}

/// About `count` tokens (at least a few thousand), and the end token as the last.
pub fn made_up_tokens(count: usize) -> Vec<Token> {
    let mut seen = std::collections::HashSet::new();
    let mut tokens = Vec::new();
    let mut add = |bytes: Vec<u8>, tokens: &mut Vec<Token>| {
        if seen.insert(bytes.clone()) {
            tokens.push(Token::text(bytes));
        }
    };
    for byte in 0..=255u8 {
        add(vec![byte], &mut tokens);
    }
    for n in 0..1000 {
        for text in [format!("{n}"), format!("{n:02}"), format!("{n:03}")] {
            add(text.into_bytes(), &mut tokens);
        }
    }
    for n in 1..=128 {
        add(vec![b' '; n], &mut tokens);
        if n <= 32 {
            add([b"\n".as_slice(), &vec![b' '; n]].concat(), &mut tokens);
            add(vec![b'\n'; n], &mut tokens);
            add(vec![b'\t'; n], &mut tokens);
        }
    }
    let clusters = [
        "\"", "\":", "\": ", "\": \"", "\":\"", "\",", "\", \"", "\",\"", "{\"", "{", "}", "}}", "}]", "]}",
        "},", "}, {", "[{", "[\"", "\"]", "\"}", "\"}}", "\"],", "[]", "{}", "()", "();", "</", "/>", "><",
        "\\n", "\\\"", "\\u", "\\", "\"\n", ",\n", "{\n", ":\n", "//", "://", "...", "--", "->", "=>", "==",
        "!=", "&&", "||", "'s", "'t", " \"", " {", " [", " (", " -", " =", " \\", " '", " }", " ]", " :",
        "}\n", "]\n", ".\n", "_", "__", "@", "#", "$", "%",
    ];
    for a in clusters {
        add(a.into(), &mut tokens);
    }
    if count > 10_000 {
        for a in clusters {
            for b in clusters {
                add(format!("{a}{b}").into_bytes(), &mut tokens);
            }
        }
    }
    let mut random = Random(7);
    let starts = [
        "b", "c", "d", "f", "g", "h", "l", "m", "n", "p", "r", "s", "t", "v", "w", "st", "tr", "pr", "ch",
        "sh", "th", "", "", "",
    ];
    let cores = ["a", "e", "i", "o", "u", "ea", "ou", "ai", "io", "er", "in", "on", "al", "en", "or", "an"];
    let ends = ["", "", "", "n", "r", "s", "t", "l", "m", "ck", "ng", "nd", "ly", "ed", "es"];
    let cyrillic = ["а", "е", "и", "о", "в", "н", "р", "с", "т", "л", "к", "м", "по", "ст", "на", "ни", "ра"];
    while tokens.len() < count.saturating_sub(1) {
        match random.below(100) {
            0..=76 => {
                let mut word = String::new();
                for _ in 0..=random.below(4) {
                    word.push_str(random.pick(&starts));
                    word.push_str(random.pick(&cores));
                    word.push_str(random.pick(&ends));
                }
                let capital = word[..1].to_uppercase() + &word[1..];
                for text in [format!(" {word}"), word.clone(), format!(" {capital}"), capital] {
                    if random.below(3) > 0 {
                        add(text.into_bytes(), &mut tokens);
                    }
                }
                if random.below(12) == 0 {
                    let tail = random.pick(&clusters);
                    add(format!("{word}{tail}").into_bytes(), &mut tokens);
                    add(format!("_{word}").into_bytes(), &mut tokens);
                    add(word.to_uppercase().into_bytes(), &mut tokens);
                }
            }
            77..=88 => {
                let mut text = String::new();
                for _ in 0..=random.below(2) {
                    text.extend(char::from_u32(0x4e00 + random.below(6000) as u32));
                }
                add(text.into_bytes(), &mut tokens);
            }
            89..=96 => {
                let mut text = if random.below(2) == 0 { String::from(" ") } else { String::new() };
                for _ in 0..=random.below(4) {
                    text.push_str(random.pick(&cyrillic));
                }
                add(text.into_bytes(), &mut tokens);
            }
            97 => {
                let text = String::from_iter(char::from_u32(0x1f300 + random.below(700) as u32));
                add(text.as_bytes()[..2 + random.below(3)].to_vec(), &mut tokens);
            }
            98 => {
                let text = String::from_iter(char::from_u32(0x3041 + random.below(180) as u32));
                add(text.as_bytes()[..2 + random.below(2)].to_vec(), &mut tokens);
            }
            _ => {
                let (a, b) = (random.below(95) as u8 + 32, random.below(95) as u8 + 32);
                add(vec![a, b, random.below(95) as u8 + 32][..2 + random.below(2)].to_vec(), &mut tokens);
            }
        }
    }
    tokens.push(Token::special(EOS_NAME));
    tokens
}
