//! Call ids for turns that nobody sampled: the plainest text that an id's pattern takes.

use regex_syntax::hir::{Class, Hir, HirKind};
use toolglot::Format;
use toolglot::format::{Member, MemberValue, Turn};

/// Gives each call of the parts an id where the format writes ids.
pub(crate) fn fill(format: &Format, parts: &mut [Turn]) {
    let Some(pattern) = pattern(format) else { return };
    let calls = parts.iter_mut().flat_map(|part| part.calls.iter_mut());
    for (index, call) in calls.enumerate() {
        if call.id.is_none() {
            call.id = plainest(&pattern, index);
        }
    }
}

/// The pattern of the ids that the strict reading writes.
fn pattern(node: &Format) -> Option<String> {
    fn of_members(members: &[Member]) -> Option<String> {
        members.iter().filter(|member| !member.optional).find_map(|member| match &member.is {
            MemberValue::Id(id) => Some(id.pattern.clone()),
            MemberValue::Object(inner) => of_members(inner),
            _ => None,
        })
    }
    match node {
        Format::Lenient(_) => None,
        Format::Id(id) => Some(id.pattern.clone()),
        Format::Object(object) => of_members(&object.members),
        _ => node.children().into_iter().find_map(pattern),
    }
}

/// A short text that the pattern takes; another one for each index, as far as the pattern allows.
fn plainest(pattern: &str, index: usize) -> Option<String> {
    let hir = regex_syntax::parse(pattern).ok()?;
    let mut out = String::new();
    write(&hir, index, &mut out);
    Some(out)
}

fn write(hir: &Hir, index: usize, out: &mut String) {
    match hir.kind() {
        HirKind::Literal(literal) => *out += &String::from_utf8_lossy(&literal.0),
        HirKind::Class(Class::Unicode(class)) => {
            let plain = class.iter().flat_map(|range| range.start()..=range.end());
            let plain: Vec<char> = plain.filter(char::is_ascii_alphanumeric).take(62).collect();
            let first = class.iter().next().map(|range| range.start());
            out.extend(if plain.is_empty() { first } else { plain.get(index % plain.len()).copied() });
        }
        HirKind::Class(Class::Bytes(class)) => {
            out.extend(class.iter().next().map(|range| char::from(range.start())));
        }
        HirKind::Repetition(repetition) => {
            for _ in 0..repetition.min.max(u32::from(repetition.max != Some(0))) {
                write(&repetition.sub, index, out);
            }
        }
        HirKind::Capture(capture) => write(&capture.sub, index, out),
        HirKind::Concat(parts) => parts.iter().for_each(|part| write(part, index, out)),
        HirKind::Alternation(branches) => {
            if let Some(first) = branches.first() {
                write(first, index, out);
            }
        }
        HirKind::Empty | HirKind::Look(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::plainest;

    #[test]
    fn writes_what_the_pattern_takes() {
        assert_eq!(plainest("[a-zA-Z0-9]{9}", 0).unwrap(), "000000000");
        assert_eq!(plainest("[a-zA-Z0-9]{9}", 11).unwrap(), "BBBBBBBBB");
        assert_eq!(plainest("call_[a-z]+", 1).unwrap(), "call_b");
        assert_eq!(plainest("(?:x|y)-\\d*", 2).unwrap(), "x-2");
    }
}
