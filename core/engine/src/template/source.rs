//! Prepares template source for the engine, line for line.
//!
//! - Line breaks become `\n`, as Jinja does when it reads a source.
//! - `{% generation %}` blocks become plain blocks that print two marker characters (see [`Prepared::marks`]); the
//!   whitespace signs of the tags are kept.
//! - In templates that call `append`, `update` and other changing methods, list and dict literals are wrapped in
//!   [`LIST`] and [`DICT`], whose results can be changed. Hugging Face's sandbox refuses such calls, and some published
//!   templates make them.
//! - In Python a string from `|safe` escapes what is added to it with `+`, even without auto escaping: such tags get an
//!   auto escaping block.
//!
//! It does not check syntax: what it does not understand it copies, and the engine reports it.

/// Function that makes a changeable list.
pub(super) const LIST: &str = "__toolglot_list";
/// Function that makes a changeable dict.
pub(super) const DICT: &str = "__toolglot_dict";
/// Variable printed where a generation block begins.
pub(super) const OPEN: &str = "__toolglot_open";
/// Variable printed where a generation block ends.
pub(super) const CLOSE: &str = "__toolglot_close";

const MUTATORS: [&str; 10] = [
    ".append(",
    ".extend(",
    ".insert(",
    ".pop(",
    ".remove(",
    ".update(",
    ".setdefault(",
    ".clear(",
    ".reverse(",
    ".sort(",
];

/// A source that the engine can compile.
pub(super) struct Prepared {
    pub(super) text: String,
    /// The template has `{% generation %}` blocks: the assistant's text stands between the values of [`OPEN`] and
    /// [`CLOSE`].
    pub(super) marks: bool,
}

/// Rewrites `source`.
pub(super) fn prepare(source: &str) -> Prepared {
    let source = if source.contains('\r') {
        source.replace("\r\n", "\n").replace('\r', "\n")
    } else {
        source.to_owned()
    };
    let mutable = MUTATORS.iter().any(|m| source.contains(m));
    let safe = source.contains("|safe") || source.contains("| safe");
    if !mutable && !safe && !source.contains("generation") {
        return Prepared { text: source, marks: false };
    }
    let mut out = String::with_capacity(source.len() + 256);
    let mut marks = false;
    let mut rest = source.as_str();
    while let Some(at) = rest.find('{') {
        let (text, tag) = rest.split_at(at);
        out.push_str(text);
        rest = match tag.as_bytes().get(1) {
            Some(b'#') => copy(&mut out, tag, tag.find("#}").map_or(tag.len(), |end| end + 2)),
            Some(b'%') => {
                let end = tag_end(tag, "%}");
                let words = tag_words(&tag[..end]);
                match words.as_slice() {
                    ["raw"] => copy(&mut out, tag, raw_end(tag, end)),
                    ["generation"] => {
                        marks = true;
                        let (left, right) = signs(&tag[..end]);
                        out.push_str(&format!(
                            "{{%{left} with %}}{{% if true %}}{{{{ {OPEN} }}}}{{% endif {right}%}}"
                        ));
                        &tag[end..]
                    }
                    ["endgeneration"] => {
                        let (left, right) = signs(&tag[..end]);
                        out.push_str(&format!(
                            "{{%{left} if true %}}{{{{ {CLOSE} }}}}{{% endif %}}{{% endwith {right}%}}"
                        ));
                        &tag[end..]
                    }
                    _ if mutable => wrap_literals(&mut out, tag, end),
                    _ => copy(&mut out, tag, end),
                }
            }
            Some(b'{') => {
                let end = tag_end(tag, "}}");
                if safe && adds_to_safe(&tag[..end]) {
                    escape_added(&mut out, tag, end)
                } else if mutable {
                    wrap_literals(&mut out, tag, end)
                } else {
                    copy(&mut out, tag, end)
                }
            }
            _ => copy(&mut out, tag, 1),
        };
    }
    out.push_str(rest);
    Prepared { text: out, marks }
}

/// Whether a printing tag may add to a string from `|safe`. `~` is excluded: it does not escape in Python.
fn adds_to_safe(tag: &str) -> bool {
    (tag.contains("|safe") || tag.contains("| safe")) && tag.contains('+') && !tag.contains('~')
}

/// Copies a printing tag inside an auto escaping block that keeps the whitespace around it.
fn escape_added<'s>(out: &mut String, tag: &'s str, end: usize) -> &'s str {
    let (left, right) = signs(&tag[..end]);
    let body_end = end.saturating_sub(2 + right.len()).max(2 + left.len());
    let left_sign = if left.is_empty() { "+" } else { left };
    let right_sign = if right.is_empty() { "+" } else { right };
    out.push_str(&format!("{{%{left_sign} autoescape true %}}{{{{"));
    out.push_str(&tag[2 + left.len()..body_end]);
    out.push_str(&format!("}}}}{{% endautoescape {right_sign}%}}"));
    &tag[end..]
}

fn copy<'s>(out: &mut String, text: &'s str, len: usize) -> &'s str {
    let (head, tail) = text.split_at(len);
    out.push_str(head);
    tail
}

/// Offset behind the end of a tag that begins at 0: strings and brackets inside are stepped over.
fn tag_end(tag: &str, close: &str) -> usize {
    let bytes = tag.as_bytes();
    let mut depth = 0usize;
    let mut i = 2;
    while i < bytes.len() {
        match bytes[i] {
            quote @ (b'"' | b'\'') => i = string_end(bytes, i, quote),
            _ if depth == 0 && tag[i..].starts_with(close) => return i + close.len(),
            b'{' | b'[' | b'(' => {
                depth += 1;
                i += 1;
            }
            b'}' | b']' | b')' => {
                depth = depth.saturating_sub(1);
                i += 1;
            }
            _ => i += tag[i..].chars().next().map_or(1, char::len_utf8),
        }
    }
    tag.len()
}

fn string_end(bytes: &[u8], start: usize, quote: u8) -> usize {
    let mut i = start + 1;
    while i < bytes.len() {
        match bytes[i] {
            b'\\' => i += 2,
            b if b == quote => return i + 1,
            _ => i += 1,
        }
    }
    bytes.len()
}

/// The words of a statement tag without its signs; only looked at for tags of one word.
fn tag_words(tag: &str) -> Vec<&str> {
    let inner = tag.trim_start_matches("{%").trim_end_matches("%}");
    inner.trim_start_matches(['-', '+']).trim_end_matches(['-', '+']).split_whitespace().take(2).collect()
}

fn signs(tag: &str) -> (&str, &str) {
    let left = tag.get(2..3).filter(|s| matches!(*s, "-" | "+")).unwrap_or_default();
    let right = tag.len().checked_sub(3).and_then(|at| tag.get(at..=at)).filter(|s| matches!(*s, "-" | "+"));
    (left, right.unwrap_or_default())
}

/// Offset behind `{% endraw %}`.
fn raw_end(tag: &str, body: usize) -> usize {
    let mut at = body;
    while let Some(found) = tag[at..].find("{%") {
        let start = at + found;
        let end = start + tag_end(&tag[start..], "%}");
        if tag_words(&tag[start..end]) == ["endraw"] {
            return end;
        }
        at = start + 2;
    }
    tag.len()
}

/// Copies the tag that ends at `end`, with each list and dict literal in it wrapped.
fn wrap_literals<'s>(out: &mut String, tag: &'s str, end: usize) -> &'s str {
    const WORDS: [&str; 13] =
        ["in", "if", "else", "elif", "not", "and", "or", "is", "for", "set", "return", "do", "with"];
    let (tag, rest) = tag.split_at(end);
    let bytes = tag.as_bytes();
    out.push_str(&tag[..2.min(end)]);
    let body_end = end.saturating_sub(2).max(2).min(end);
    // Whether a value stands before the cursor, so that a bracket indexes it; and for each open bracket, whether its
    // closing one also closes a wrapper.
    let mut after_value = false;
    let mut open = Vec::new();
    let mut i = 2.min(end);
    while i < body_end {
        let start = i;
        match bytes[i] {
            quote @ (b'"' | b'\'') => {
                i = string_end(bytes, i, quote).min(body_end);
                after_value = true;
            }
            b if b.is_ascii_alphanumeric() || b == b'_' => {
                while i < body_end && (bytes[i].is_ascii_alphanumeric() || bytes[i] == b'_') {
                    i += 1;
                }
                after_value = !WORDS.contains(&&tag[start..i]);
            }
            b @ (b'[' | b'{') => {
                i += 1;
                if !after_value {
                    out.push_str(if b == b'[' { LIST } else { DICT });
                    out.push('(');
                }
                open.push(!after_value);
                after_value = false;
            }
            b'(' => {
                i += 1;
                open.push(false);
                after_value = false;
            }
            b']' | b'}' | b')' => {
                i += 1;
                after_value = true;
                if open.pop() == Some(true) {
                    out.push(bytes[start] as char);
                    out.push(')');
                    continue;
                }
            }
            b if b.is_ascii_whitespace() => i += 1,
            _ => {
                i += tag[i..].chars().next().map_or(1, char::len_utf8);
                after_value = false;
            }
        }
        out.push_str(&tag[start..i]);
    }
    out.push_str(&tag[body_end.max(i.min(end))..]);
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(source: &str) -> String {
        prepare(source).text
    }

    #[test]
    fn plain_sources_are_untouched_but_for_line_breaks() {
        assert_eq!(text("a\r\n{{ [1]['x'] }}\rb"), "a\n{{ [1]['x'] }}\nb");
    }

    #[test]
    fn generation_tags_keep_their_signs() {
        let out = prepare("x {%- generation %}y{% endgeneration -%} z");
        assert!(out.marks);
        assert_eq!(
            out.text,
            "x {%- with %}{% if true %}{{ __toolglot_open }}{% endif %}y\
             {% if true %}{{ __toolglot_close }}{% endif %}{% endwith -%} z"
        );
        for kept in
            ["{# {% generation %} #}", "{% raw %}{% generation %}{% endraw %}", "{{ '{% generation %}' }}"]
        {
            assert_eq!(text(kept), kept);
        }
    }

    #[test]
    fn literals_are_wrapped_only_where_lists_change() {
        assert_eq!(
            text(
                "{% set x = [1, [2]] %}{{ x[0] }}{% for a in [] if a['[']() %}{% set _ = x.append({'k': x[1:]}) %}"
            ),
            "{% set x = __toolglot_list([1, __toolglot_list([2])]) %}{{ x[0] }}{% for a in __toolglot_list([]) if a['[']() %}\
             {% set _ = x.append(__toolglot_dict({'k': x[1:]})) %}"
        );
        assert_eq!(
            text("{{ x.pop(0) }} {{ {'a': {}} }}é{{"),
            "{{ x.pop(0) }} {{ __toolglot_dict({'a': __toolglot_dict({})}) }}é{{"
        );
    }
}
