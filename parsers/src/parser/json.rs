//! Follows one JSON value byte by byte: where it ends, whether it is valid, what is inside a string.
//!
//! Nothing is built and nothing is decoded; the bytes themselves are the output. A value that is not valid
//! is followed by its brackets and quotes alone.

use super::keys::Keys;

/// A place inside a JSON value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Value,
    /// Behind `[`.
    ValueOrEnd,
    /// Behind a comma in an array.
    Item,
    /// Behind `{`.
    KeyOrEnd,
    /// Behind a comma in an object.
    Key,
    Colon,
    /// Behind a value inside an array or object.
    After,
    Text,
    Escape,
    /// Hex digits that are still due.
    Hex(u8),
    Number(Number),
    /// Inside `true`, `false` or `null`: which, and how many bytes of it were seen.
    Word(u8, u8),
    Done,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Number {
    Minus,
    Zero,
    Whole,
    Dot,
    Fraction,
    Exp,
    ExpSign,
    ExpDigits,
}

impl Number {
    fn may_end(self) -> bool {
        matches!(self, Number::Zero | Number::Whole | Number::Fraction | Number::ExpDigits)
    }

    fn next(self, byte: u8) -> Option<Number> {
        Some(match (self, byte) {
            (Number::Minus, b'0') => Number::Zero,
            (Number::Minus, b'1'..=b'9') | (Number::Whole, b'0'..=b'9') => Number::Whole,
            (Number::Zero | Number::Whole, b'.') => Number::Dot,
            (Number::Dot | Number::Fraction, b'0'..=b'9') => Number::Fraction,
            (Number::Zero | Number::Whole | Number::Fraction, b'e' | b'E') => Number::Exp,
            (Number::Exp, b'+' | b'-') => Number::ExpSign,
            (Number::Exp | Number::ExpSign | Number::ExpDigits, b'0'..=b'9') => Number::ExpDigits,
            _ => return None,
        })
    }
}

const WORDS: [&[u8]; 3] = [b"true", b"false", b"null"];

/// What the scanner met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Met {
    /// The chunk is used up.
    More,
    /// The value ended with the last byte that was taken.
    End,
    /// The value ended in front of the next byte (numbers and words at the top).
    EndBefore,
    /// The next byte is a raw control character inside a string; it was not taken. Pass it by.
    Control,
    /// The value is not valid; the next byte was not taken. Outside strings such a value goes on with
    /// [`Json::broken`].
    Invalid,
}

/// A scanner for one value.
#[derive(Debug, Clone)]
pub(crate) struct Json {
    at: At,
    /// One bit per open bracket, 1 for an object.
    stack: Vec<u64>,
    depth: usize,
    /// Whether the string in progress is a key.
    key: bool,
    pub(crate) valid: bool,
    /// Whether the first byte was `{`.
    pub(crate) object: bool,
    /// The byte that fits no JSON may begin a key or a value that other notations have.
    foreign: bool,
    /// The byte that fits no JSON closes a bracket behind a comma.
    trailing: bool,
    /// The byte that fits no JSON may begin a comment.
    comment: bool,
    /// Such commas or comments were passed over, or an object has a key twice.
    pub(crate) mended: bool,
    keys: Keys,
    /// Quotes begin strings in a value that is not valid.
    quotes: bool,
}

impl Json {
    pub(crate) fn new() -> Self {
        Json {
            at: At::Value,
            stack: Vec::new(),
            depth: 0,
            key: false,
            valid: true,
            object: false,
            foreign: false,
            trailing: false,
            comment: false,
            mended: false,
            keys: Keys::default(),
            quotes: true,
        }
    }

    pub(crate) fn reset(&mut self) {
        self.at = At::Value;
        self.stack.clear();
        self.depth = 0;
        self.key = false;
        self.valid = true;
        self.object = false;
        self.foreign = false;
        self.trailing = false;
        self.comment = false;
        self.mended = false;
        self.keys.clear();
        self.quotes = true;
    }

    /// Whether the byte that was not taken may begin a key (then true) or a value of another notation; asked
    /// once, at the byte.
    pub(crate) fn take_foreign(&mut self) -> Option<bool> {
        let foreign = std::mem::take(&mut self.foreign);
        foreign.then_some(matches!(self.at, At::KeyOrEnd | At::Key))
    }

    /// Whether nothing is wrong but a comma in front of the closing bracket that was not taken. The value goes on
    /// as if the comma were not there. Asked once, at the bracket.
    pub(crate) fn take_trailing(&mut self) -> bool {
        let trailing = std::mem::take(&mut self.trailing);
        if trailing {
            self.at = At::After;
            self.valid = true;
            self.mended = true;
        }
        trailing
    }

    /// Whether nothing is wrong but that a comment may begin with the byte that was not taken. The value goes on behind
    /// it. Asked once, at the byte.
    pub(crate) fn take_comment(&mut self) -> bool {
        let comment = std::mem::take(&mut self.comment);
        self.valid |= comment;
        comment
    }

    /// Whether a comma came last, or white space behind one.
    #[inline]
    pub(crate) fn behind_comma(&self) -> bool {
        matches!(self.at, At::Key | At::Item)
    }

    /// The open brackets, the outermost first; true for an object.
    pub(crate) fn brackets(&self) -> impl Iterator<Item = bool> {
        (0..self.depth).map(|at| self.stack[at / 64] >> (at % 64) & 1 == 1)
    }

    /// What was read in another notation is broken inside so many brackets. `quotes`: they begin strings.
    pub(crate) fn break_off(&mut self, depth: usize, quotes: bool) {
        self.reset();
        self.at = At::After;
        self.depth = depth;
        self.valid = false;
        self.quotes = quotes;
    }

    /// Whether anything but white space has come, valid or not.
    pub(crate) fn begun(&self) -> bool {
        self.at != At::Value || self.depth > 0 || !self.valid
    }

    /// Inside a string, and no escape has begun.
    #[inline(always)]
    pub(crate) fn in_plain_text(&self) -> bool {
        self.at == At::Text
    }

    /// Takes bytes of the string in hand that are all plain; whether the string is a key.
    #[inline(always)]
    pub(crate) fn take_plain(&mut self, bytes: &[u8]) -> bool {
        if self.key {
            self.keys.bytes(bytes);
        }
        self.key
    }

    pub(crate) fn in_text(&self) -> bool {
        matches!(self.at, At::Text | At::Escape | At::Hex(_))
    }

    pub(crate) fn done(&self) -> bool {
        self.at == At::Done
    }

    /// Whether the value may end here: it has, or it is a number that could.
    pub(crate) fn complete(&self) -> bool {
        self.valid && self.depth == 0 && matches!(self.at, At::Done)
            || matches!(self.at, At::Number(number) if self.depth == 0 && number.may_end())
    }

    fn push_object(&mut self) {
        let (word, bit) = (self.depth / 64, self.depth % 64);
        if word == self.stack.len() {
            self.stack.push(0);
        }
        self.stack[word] |= 1 << bit;
        self.depth += 1;
        self.keys.open();
    }

    /// Arrays, one in the other; at least one.
    fn push_arrays(&mut self, count: usize) {
        let (word, bit) = (self.depth / 64, self.depth % 64);
        // What stood above is forgotten.
        self.stack.truncate(word + 1);
        if let Some(word) = self.stack.get_mut(word) {
            *word &= (1 << bit) - 1;
        }
        self.depth += count;
        self.stack.resize(self.depth.div_ceil(64), 0);
    }

    fn top_is_object(&self) -> bool {
        let at = self.depth - 1;
        self.stack[at / 64] >> (at % 64) & 1 == 1
    }

    fn value_ended(&mut self) {
        // A broken value without brackets ends only where a marker ends it.
        self.at = if self.depth == 0 && self.valid { At::Done } else { At::After };
    }

    /// Takes bytes up to whatever is met; gives back how many.
    pub(crate) fn run(&mut self, bytes: &[u8]) -> (usize, Met) {
        let mut i = 0;
        while i < bytes.len() {
            if self.at == At::Text {
                let from = i;
                i += plain_run(&bytes[i..]);
                let escapes = i;
                while let [b'\\', b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', ..] = bytes[i..] {
                    i += 2;
                }
                if self.key {
                    self.keys.bytes(&bytes[from..i]);
                }
                if i > escapes {
                    continue;
                }
                let Some(&byte) = bytes.get(i) else { break };
                match byte {
                    b'"' if self.key => {
                        self.key = false;
                        self.at = At::Colon;
                        self.mended |= self.keys.end();
                    }
                    b'"' => {
                        self.value_ended();
                        if self.at == At::Done {
                            return (i + 1, Met::End);
                        }
                    }
                    _ => {
                        if self.key {
                            self.keys.bytes(&[byte]);
                        }
                        if byte != b'\\' {
                            return (i, Met::Control);
                        }
                        self.at = At::Escape;
                    }
                }
                i += 1;
                continue;
            }
            let byte = bytes[i];
            if self.key {
                // Inside an escape.
                self.keys.bytes(&[byte]);
            }
            if !self.valid && !self.in_text() {
                return (i, Met::Invalid);
            }
            if byte == b'[' && matches!(self.at, At::Value | At::ValueOrEnd | At::Item) {
                let arrays = bytes[i..].iter().take_while(|&&byte| byte == b'[').count();
                self.push_arrays(arrays);
                self.at = At::ValueOrEnd;
                i += arrays;
                continue;
            }
            match self.step(byte) {
                Stepped::Taken => i += 1,
                Stepped::Again => {
                    if self.at == At::Done {
                        return (i, Met::EndBefore);
                    }
                }
                Stepped::Bad => {
                    self.foreign = match self.at {
                        At::KeyOrEnd | At::Key => byte == b'\'' || byte == b'_' || byte.is_ascii_alphabetic(),
                        At::Value | At::ValueOrEnd | At::Item => b"'TFN".contains(&byte),
                        _ => false,
                    };
                    self.trailing = matches!((self.at, byte), (At::Key, b'}') | (At::Item, b']'));
                    let between = matches!(self.at, At::Value | At::ValueOrEnd | At::Item)
                        || matches!(self.at, At::KeyOrEnd | At::Key | At::Colon | At::After);
                    self.comment = between && byte == b'/' && self.valid;
                    self.valid = false;
                    if !self.in_text() {
                        return (i, Met::Invalid);
                    }
                }
            }
            if self.at == At::Done {
                return (i, Met::End);
            }
        }
        (bytes.len(), Met::More)
    }

    fn step(&mut self, byte: u8) -> Stepped {
        let space = matches!(byte, b' ' | b'\n' | b'\r' | b'\t');
        match self.at {
            At::Value | At::ValueOrEnd | At::Item | At::KeyOrEnd | At::Key | At::Colon | At::After
                if space => {}
            At::ValueOrEnd if byte == b']' => self.pop(),
            At::Value | At::ValueOrEnd | At::Item => match byte {
                b'{' => {
                    self.object |= self.depth == 0;
                    self.push_object();
                    self.at = At::KeyOrEnd;
                }
                b'"' => self.at = At::Text,
                b'-' => self.at = At::Number(Number::Minus),
                b'0' => self.at = At::Number(Number::Zero),
                b'1'..=b'9' => self.at = At::Number(Number::Whole),
                b't' => self.at = At::Word(0, 1),
                b'f' => self.at = At::Word(1, 1),
                b'n' => self.at = At::Word(2, 1),
                _ => return Stepped::Bad,
            },
            At::KeyOrEnd if byte == b'}' => self.pop(),
            At::KeyOrEnd | At::Key if byte == b'"' => {
                self.key = true;
                self.at = At::Text;
            }
            At::Colon if byte == b':' => self.at = At::Value,
            At::After => match (byte, self.top_is_object()) {
                (b',', true) => self.at = At::Key,
                (b',', false) => self.at = At::Item,
                (b'}', true) | (b']', false) => self.pop(),
                _ => return Stepped::Bad,
            },
            At::Escape => match byte {
                b'u' => self.at = At::Hex(4),
                b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => self.at = At::Text,
                _ => {
                    // Followed as text, so that the string's end is still found.
                    self.at = At::Text;
                    self.valid = false;
                }
            },
            At::Hex(due) if byte.is_ascii_hexdigit() => {
                self.at = if due == 1 { At::Text } else { At::Hex(due - 1) };
            }
            At::Hex(_) => {
                self.at = At::Text;
                return Stepped::Bad;
            }
            At::Number(number) => match number.next(byte) {
                Some(next) => self.at = At::Number(next),
                None if number.may_end() => {
                    self.value_ended();
                    return Stepped::Again;
                }
                None => return Stepped::Bad,
            },
            At::Word(which, seen) => {
                let word = WORDS[usize::from(which)];
                if word.get(usize::from(seen)) != Some(&byte) {
                    return Stepped::Bad;
                }
                self.at = At::Word(which, seen + 1);
                if usize::from(seen) + 1 == word.len() {
                    self.value_ended();
                }
            }
            _ => return Stepped::Bad,
        }
        Stepped::Taken
    }

    fn pop(&mut self) {
        if self.valid && self.top_is_object() {
            self.keys.close();
        }
        self.depth -= 1;
        self.at = if self.depth == 0 { At::Done } else { At::After };
    }

    /// Whether the byte means anything in a value that is not valid.
    #[inline(always)]
    pub(crate) fn is_structure(byte: u8) -> bool {
        matches!(byte, b'"' | b'{' | b'}' | b'[' | b']')
    }

    /// Where the string that just began, in a value that is not valid, ends in these bytes and holds no escapes: how many
    /// of them are its own. 0 otherwise.
    #[inline]
    pub(crate) fn short_text(&mut self, bytes: &[u8]) -> usize {
        let plain = plain_run(bytes);
        if self.at != At::Text || bytes.get(plain) != Some(&b'"') {
            return 0;
        }
        self.value_ended();
        plain + 1
    }

    /// One byte of a value that is not valid, outside strings; whether a string began or the value ended.
    #[inline]
    pub(crate) fn broken(&mut self, byte: u8) -> bool {
        self.at = At::After;
        self.key = false;
        match byte {
            b'"' if self.quotes => self.at = At::Text,
            // Which bracket it was no longer matters.
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' if self.depth > 0 => self.pop(),
            _ => {}
        }
        self.at != At::After
    }
}

enum Stepped {
    Taken,
    /// The state moved without the byte.
    Again,
    Bad,
}

/// Whether the byte stands as an escape in a JSON string.
#[inline(always)]
pub(crate) fn is_escaped(byte: u8) -> bool {
    byte == b'"' || byte == b'\\' || byte < 0x20
}

/// How many bytes at the front are empty strings, one behind the other.
#[inline]
pub(crate) fn empty_strings(bytes: &[u8]) -> usize {
    let (eights, rest) = bytes.as_chunks();
    let whole = eights.iter().take_while(|eight| **eight == [b'"'; 8]).count();
    let rest = eights.get(whole).map_or(rest, |eight| eight);
    (8 * whole + rest.iter().take_while(|&&byte| byte == b'"').count()) & !1
}

/// How many bytes at the front are neither `"` nor `\` nor control characters.
#[inline]
pub(crate) fn plain_run(bytes: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let zero = |word: u64| word.wrapping_sub(ONES) & !word & HIGH;
    let mut at = 0;
    let mut words = bytes.chunks_exact(8);
    for word in &mut words {
        let word =
            u64::from_le_bytes([word[0], word[1], word[2], word[3], word[4], word[5], word[6], word[7]]);
        let control = word.wrapping_sub(ONES * 0x20) & !word & HIGH;
        let hits = zero(word ^ (ONES * u64::from(b'"'))) | zero(word ^ (ONES * u64::from(b'\\'))) | control;
        if hits != 0 {
            // A borrow can mark only bytes above the first true hit, so the lowest mark is right.
            return at + (hits.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    let rest = words.remainder();
    at + rest.iter().position(|&byte| is_escaped(byte)).unwrap_or(rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(text: &str, chunk: usize) -> (usize, Met, bool) {
        let mut json = Json::new();
        let mut total = 0;
        let mut saw_invalid = false;
        for piece in text.as_bytes().chunks(chunk) {
            let mut at = 0;
            while at < piece.len() {
                let (used, met) = json.run(&piece[at..]);
                at += used;
                match met {
                    Met::More => {}
                    Met::End | Met::EndBefore => return (total + at, met, json.valid),
                    Met::Control => at += 1,
                    Met::Invalid => {
                        saw_invalid = true;
                        while at < piece.len() && !json.broken(piece[at]) {
                            at += 1;
                        }
                        at = piece.len().min(at + 1);
                        if json.done() {
                            return (total + at, Met::End, false);
                        }
                    }
                }
            }
            total += piece.len();
        }
        (total, if saw_invalid { Met::Invalid } else { Met::More }, json.valid)
    }

    #[test]
    fn finds_the_end_in_any_cut() {
        let text = r#" {"a": [1, -2.5e+3, true, null, "x\"}\u00e9\\"], "b": {}} rest"#;
        for chunk in 1..20 {
            assert_eq!(run(text, chunk), (text.len() - 5, Met::End, true), "{chunk}");
            assert_eq!(run("12,", chunk), (2, Met::EndBefore, true));
            assert_eq!(run("{\"a\": tru}", chunk), (10, Met::End, false));
            assert!(!run("{'a': '}'}", chunk).2);
            assert_eq!(run("{\"a\": \"x\ny\"}", chunk), (12, Met::End, true));
            assert_eq!(run("{\"a\": \"\\x\"}z", chunk), (11, Met::End, false));
        }
    }

    #[test]
    fn counts_empty_strings() {
        for len in 0..40 {
            let text = [&vec![b'"'; len][..], b"a\"\"\"\"\"\"\"\"\"\""].concat();
            assert_eq!(empty_strings(&text), len / 2 * 2);
            assert_eq!(empty_strings(&text[..len]), len / 2 * 2);
        }
    }

    #[test]
    fn finds_the_first_special_byte() {
        for len in 0..40 {
            for special in [b'"', b'\\', b'\n', 0u8, 0x1f] {
                let mut text = vec![b'a'; 40];
                text[len] = special;
                assert_eq!(plain_run(&text), len);
                text[..len].fill(0xff);
                assert_eq!(plain_run(&text), len);
                text[..len].fill(b' ');
                assert_eq!(plain_run(&text), len);
            }
        }
    }
}
