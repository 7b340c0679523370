//! Prepares template source for the engine, line for line.
//!
//! - Line breaks become `\n`, as Jinja does when it reads a source.
//! - `{% generation %}` blocks become plain blocks that print two marker characters (see [`Prepared::marks`]); the
//!   whitespace signs of the tags are kept.
//! - A raw block keeps the line break behind its first tag, as in Jinja.
//! - List, dict and tuple literals are wrapped in [`LIST`], [`DICT`] and [`TUPLE`]: the results are walked within a
//!   budget, and lists and dicts can be changed. Hugging Face's sandbox refuses `append` and the like, and some published
//!   templates call them.
//! - What is kept in a namespace goes through [`KEEP`], which checks it.
//! - In Python a string from `|safe` escapes what is added to it with `+`, even without auto escaping: such tags get an
//!   auto escaping block.
//!
//! It does not check syntax: what it does not understand it copies, and the engine reports it.

/// Function that makes a changeable list.
pub(super) const LIST: &str = "__toolglot_list";
/// Function that makes a changeable dict.
pub(super) const DICT: &str = "__toolglot_dict";
/// Function that checks a tuple.
pub(super) const TUPLE: &str = "__toolglot_tuple";
/// Function that checks what a namespace is to keep.
pub(super) const KEEP: &str = "__toolglot_keep";
/// Variable printed where a generation block begins.
pub(super) const OPEN: &str = "__toolglot_open";
/// Variable printed where a generation block ends.
pub(super) const CLOSE: &str = "__toolglot_close";

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
                    ["raw"] => {
                        let (left, right) = signs(&tag[..end]);
                        let sign = if right.is_empty() { "+" } else { right };
                        out.push_str(&format!("{{%{left} raw {sign}%}}"));
                        copy(&mut out, &tag[end..], raw_end(tag, end) - end)
                    }
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
                    _ => wrap_literals(&mut out, tag, end),
                }
            }
            Some(b'{') => {
                let end = tag_end(tag, "}}");
                if adds_to_safe(&tag[..end]) {
                    escape_added(&mut out, tag, end)
                } else {
                    wrap_literals(&mut out, tag, end)
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

/// Copies the tag that ends at `end`, with the literals in it wrapped, and what a `set` keeps in a namespace.
fn wrap_literals<'s>(out: &mut String, tag: &'s str, end: usize) -> &'s str {
    let (tag, rest) = tag.split_at(end);
    let closed = tag.len() >= 4 && (tag.ends_with("%}") || tag.ends_with("}}"));
    let (mut from, mut to) = (2.min(end), if closed { end - 2 } else { end });
    let (left, right) = if closed { signs(tag) } else { ("", "") };
    from += left.len();
    to = to.saturating_sub(right.len()).max(from);
    let body = &tag[from..to];
    let trimmed = body.trim_start();
    out.push_str(&tag[..from]);
    // The names that `for` and `set` bind are no literals.
    let binder =
        |word: &str| trimmed.strip_prefix(word).is_some_and(|r| r.starts_with([' ', '\n', '\t', '(']));
    if tag.starts_with("{%")
        && binder("set")
        && let Some(equals) = top_level(body, "=")
    {
        let (target, value) = body.split_at(equals + 1);
        out.push_str(target);
        if target.contains('.') || top_level(value, ",").is_some() {
            out.push_str(&format!(" {KEEP}(("));
            wrap(out, value.trim());
            out.push_str(")) ");
        } else {
            wrap(out, value);
        }
    } else if tag.starts_with("{%")
        && binder("for")
        && let Some(within) = top_level(body, " in ")
    {
        let (target, value) = body.split_at(within + 4);
        out.push_str(target);
        wrap(out, value);
    } else {
        wrap(out, body);
    }
    out.push_str(&tag[to..]);
    rest
}

/// Offset of `what` in an expression, outside of brackets and strings.
fn top_level(text: &str, what: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut depth = 0usize;
    let mut i = 0;
    while i < bytes.len() {
        match bytes[i] {
            _ if depth == 0 && bytes[i..].starts_with(what.as_bytes()) => return Some(i),
            quote @ (b'"' | b'\'') => {
                i = string_end(bytes, i, quote);
                continue;
            }
            b'{' | b'[' | b'(' => depth += 1,
            b'}' | b']' | b')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        i += 1;
    }
    None
}

/// A bracket that is still open in [`wrap`].
struct Open {
    /// Where it stands in the output.
    at: usize,
    /// The function that its literal is wrapped in; for a parenthesis, only if it turns out to hold a tuple.
    wrapper: Option<&'static str>,
    tuple: bool,
}

/// Copies an expression with its literals wrapped.
fn wrap(out: &mut String, text: &str) {
    const WORDS: [&str; 9] = ["in", "if", "else", "elif", "not", "and", "or", "is", "do"];
    let bytes = text.as_bytes();
    // Whether a value stands before the cursor, so that a bracket indexes or calls it.
    let mut after_value = false;
    let mut open: Vec<Open> = Vec::new();
    let mut i = 0;
    while i < bytes.len() {
        let start = i;
        match bytes[i] {
            quote @ (b'"' | b'\'') => {
                i = string_end(bytes, i, quote).min(bytes.len());
                after_value = true;
            }
            b if b.is_ascii_alphanumeric() || b == b'_' => {
                while i < bytes.len() && (bytes[i].is_ascii_alphanumeric() || bytes[i] == b'_') {
                    i += 1;
                }
                after_value = !WORDS.contains(&&text[start..i]);
            }
            b @ (b'[' | b'{' | b'(') => {
                i += 1;
                let wrapper = match b {
                    b'[' => LIST,
                    b'{' => DICT,
                    _ => TUPLE,
                };
                let wrapper = Some(wrapper).filter(|_| !after_value);
                open.push(Open { at: out.len(), wrapper, tuple: b != b'(' });
                after_value = false;
            }
            b']' | b'}' | b')' => {
                i += 1;
                after_value = true;
                if let Some(Open { at, wrapper: Some(wrapper), tuple: true }) = open.pop() {
                    out.insert_str(at, &format!("{wrapper}("));
                    out.push(bytes[start] as char);
                    out.push(')');
                    continue;
                }
            }
            b if b.is_ascii_whitespace() => i += 1,
            b => {
                i += text[i..].chars().next().map_or(1, char::len_utf8);
                after_value = false;
                if b == b','
                    && let Some(open) = open.last_mut()
                {
                    open.tuple = true;
                }
            }
        }
        out.push_str(&text[start..i]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(source: &str) -> String {
        prepare(source).text
    }

    #[test]
    fn plain_sources_are_untouched_but_for_line_breaks() {
        assert_eq!(text("a\r\n{{ x['x'](1, 2) }}\rb{{"), "a\n{{ x['x'](1, 2) }}\nb{{");
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
            ["{# {% generation %} #}", "{% raw +%}{% generation %}{% endraw %}", "{{ '{% generation %}' }}"]
        {
            assert_eq!(text(kept), kept);
        }
    }

    #[test]
    fn literals_are_wrapped() {
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

    #[test]
    fn tuples_and_what_namespaces_keep_are_wrapped() {
        assert_eq!(
            text("{{ (1, 'a)') }}{{ f(1, (2,)) }}{{ (1 + 2) * 3 }}"),
            "{{ __toolglot_tuple((1, 'a)')) }}{{ f(1, __toolglot_tuple((2,))) }}{{ (1 + 2) * 3 }}"
        );
        assert_eq!(text("{%- set ns.a = x == 1 -%}"), "{%- set ns.a = __toolglot_keep((x == 1)) -%}");
        assert_eq!(text("{% set a = 1, [] %}"), "{% set a = __toolglot_keep((1, __toolglot_list([]))) %}");
        for kept in [
            "{% set (a, b) = x %}",
            "{% for (a, b) in x %}",
            "{% for a, b in x.items() %}",
            "{% macro m(a, b) %}",
            "{% call(a, b) m() %}",
        ] {
            assert_eq!(text(kept), kept);
        }
        assert_eq!(text("{% for x in (1, 2) %}"), "{% for x in __toolglot_tuple((1, 2)) %}");
    }
}
