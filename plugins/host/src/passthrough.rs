//! Turns output into content when a plugin has failed: bytes in, text out, code points kept whole.

use toolglot_format::{Channel, Event, MalformedReason};

/// A streaming UTF-8 decoder that reports what is not UTF-8.
#[derive(Default)]
pub(crate) struct Passthrough {
    /// The start of a code point whose rest has not come yet: at most 3 bytes.
    partial: Vec<u8>,
}

impl Passthrough {
    /// Bytes that start at offset `at` of the output, less what is still held.
    pub(crate) fn feed(&mut self, bytes: &[u8], at: u64, out: &mut Vec<Event>) {
        let joined;
        let (mut rest, mut at) = if self.partial.is_empty() {
            (bytes, at)
        } else {
            let held = self.partial.len() as u64;
            joined = [std::mem::take(&mut self.partial).as_slice(), bytes].concat();
            (joined.as_slice(), at - held)
        };
        loop {
            match std::str::from_utf8(rest) {
                Ok(text) => return content(text, out),
                Err(error) => {
                    let (good, bad) = rest.split_at(error.valid_up_to());
                    content(&String::from_utf8_lossy(good), out);
                    at += good.len() as u64;
                    let Some(length) = error.error_len() else {
                        self.partial = bad.to_vec();
                        return;
                    };
                    not_utf8(&bad[..length], at, out);
                    at += length as u64;
                    rest = &bad[length..];
                }
            }
        }
    }

    /// The output ends at offset `at`.
    pub(crate) fn finish(&mut self, at: u64, out: &mut Vec<Event>) {
        let partial = std::mem::take(&mut self.partial);
        if !partial.is_empty() {
            not_utf8(&partial, at - partial.len() as u64, out);
        }
    }
}

fn content(text: &str, out: &mut Vec<Event>) {
    if !text.is_empty() {
        out.push(Event::Text { channel: Channel::Content, text: text.to_owned() });
    }
}

fn not_utf8(bytes: &[u8], at: u64, out: &mut Vec<Event>) {
    let raw = String::from_utf8_lossy(bytes).into_owned();
    content(&raw, out);
    out.push(Event::Malformed { span: at..at + bytes.len() as u64, reason: MalformedReason::NotUtf8, raw });
}

#[cfg(test)]
mod tests {
    use toolglot_format::Turn;

    use super::*;

    fn run(cuts: &[&[u8]]) -> Turn {
        let (mut pass, mut out, mut at) = (Passthrough::default(), Vec::new(), 0);
        for bytes in cuts {
            pass.feed(bytes, at, &mut out);
            at += bytes.len() as u64;
        }
        pass.finish(at, &mut out);
        out.into_iter().collect()
    }

    #[test]
    fn split_code_points_come_out_whole() {
        let euro = "a€b".as_bytes();
        for cut in 0..=euro.len() {
            assert_eq!(run(&[&euro[..cut], &euro[cut..]]), Turn { content: "a€b".into(), ..Turn::default() });
        }
        let single: Vec<&[u8]> = euro.chunks(1).collect();
        assert_eq!(run(&single).content, "a€b");
    }

    #[test]
    fn what_is_not_utf8_is_reported_where_it_stands() {
        let turn = run(&[b"a\xff", b"b\xe2\x82"]);
        assert_eq!(turn.content, "a\u{fffd}b\u{fffd}");
        let spans: Vec<_> = turn.malformed.iter().map(|m| m.span.clone()).collect();
        assert_eq!(spans, [1..2, 3..5]);
    }
}
