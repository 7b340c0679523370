//! The patterns that response templates open regions with: literals, white space, a choice of literals, and named
//! groups. A run of arbitrary attributes, as in `<invoke\b[^>]*?\bname="`, is read as the one space that models write.

/// A part of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    /// One of these texts, the first preferred.
    Texts(Vec<String>),
    /// Any white space.
    Ws,
    /// A named group, whatever it matches.
    Group(String),
}

/// Attributes between a tag's name and the one that counts, and behind it.
const ATTRIBUTES: [(&str, &str); 3] = [("\\b[^>]*?\\b", " "), ("[^>]*?", ""), ("[^>]*", "")];

/// Reads a pattern; what it cannot read it names with the offset.
pub(super) fn read(source: &str) -> Result<Vec<Part>, String> {
    let mut parts: Vec<Part> = Vec::new();
    let mut at = 0;
    while at < source.len() {
        let rest = &source[at..];
        if let Some((run, text)) = ATTRIBUTES.iter().find(|(run, _)| rest.starts_with(run)) {
            add(&mut parts, text);
            at += run.len();
        } else if let Some(run) = ["\\s*", "\\s+", "\\n*"].iter().find(|run| rest.starts_with(**run)) {
            parts.push(Part::Ws);
            at += run.len();
        } else if rest.starts_with("(?P<") {
            let end = closing(rest).ok_or_else(|| format!("the group at {at} has no end"))?;
            let name = rest[4..end].split('>').next().unwrap_or_default();
            parts.push(Part::Group(name.to_owned()));
            at += end + 1;
        } else if rest.starts_with("(?:") {
            let end = closing(rest).ok_or_else(|| format!("the group at {at} has no end"))?;
            let texts =
                rest[3..end].split('|').map(|text| plain(text, at + 3)).collect::<Result<Vec<_>, _>>()?;
            // What stands before and behind belongs to every spelling.
            match parts.last_mut() {
                Some(Part::Texts(before)) => {
                    let all = before
                        .iter()
                        .flat_map(|start| texts.iter().map(move |text| format!("{start}{text}")));
                    *before = all.collect();
                }
                _ => parts.push(Part::Texts(texts)),
            }
            at += end + 1;
        } else {
            let (text, used) = character(rest).map_err(|why| format!("{why} at {at}"))?;
            add(&mut parts, &text);
            at += used;
        }
    }
    Ok(parts)
}

/// Adds literal text.
fn add(parts: &mut Vec<Part>, text: &str) {
    if text.is_empty() {
        return;
    }
    match parts.last_mut() {
        Some(Part::Texts(texts)) => texts.iter_mut().for_each(|before| before.push_str(text)),
        _ => parts.push(Part::Texts(vec![text.to_owned()])),
    }
}

/// The offset of the bracket that closes the one at the start.
fn closing(source: &str) -> Option<usize> {
    let (mut depth, mut escaped, mut class) = (0, false, false);
    for (at, c) in source.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '[' => class = true,
            ']' => class = false,
            '(' if !class => depth += 1,
            ')' if !class => {
                depth -= 1;
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
    }
    None
}

/// One character of literal text, and how many bytes it took.
fn character(source: &str) -> Result<(String, usize), String> {
    let mut chars = source.chars();
    match (chars.next(), chars.next()) {
        (Some('\\'), Some('n')) => Ok(("\n".into(), 2)),
        (Some('\\'), Some('t')) => Ok(("\t".into(), 2)),
        (Some('\\'), Some(c)) if !c.is_alphanumeric() => Ok((c.to_string(), 1 + c.len_utf8())),
        (Some('\\'), c) => Err(format!("`\\{}` has no reading here", c.unwrap_or_default())),
        (Some(c), next) => {
            if "()[]{}|*+?.^$".contains(c) || next.is_some_and(|next| "*+?{".contains(next)) {
                return Err(format!(
                    "`{c}{}` has no reading here: a pattern is literals, white space and named groups",
                    next.unwrap_or_default()
                ));
            }
            Ok((c.to_string(), c.len_utf8()))
        }
        (None, _) => Ok((String::new(), 0)),
    }
}

fn plain(source: &str, from: usize) -> Result<String, String> {
    let (mut out, mut at) = (String::new(), 0);
    while at < source.len() {
        let (text, used) = character(&source[at..]).map_err(|why| format!("{why} at {}", from + at))?;
        out.push_str(&text);
        at += used;
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(all: &[&str]) -> Part {
        Part::Texts(all.iter().map(|text| (*text).to_owned()).collect())
    }

    #[test]
    fn literals_groups_and_attributes() {
        let group = |name: &str| Part::Group(name.into());
        assert_eq!(
            read("to=(?:user|note)<\\|msg\\|>"),
            Ok(vec![texts(&["to=user<|msg|>", "to=note<|msg|>"])])
        );
        let invoke = read("<invoke\\b[^>]*?\\bname=\"(?P<name>[^\"]+)\">");
        assert_eq!(invoke, Ok(vec![texts(&["<invoke name=\""]), group("name"), texts(&["\">"])]));
        let call = read("<c>\\s*<f=(?P<name>\\w+)>\\n");
        assert_eq!(
            call,
            Ok(vec![texts(&["<c>"]), Part::Ws, texts(&["<f="]), group("name"), texts(&[">\n"])])
        );
        assert!(read("a.b").unwrap_err().contains("at 1"));
        assert!(read("ab+").unwrap_err().contains("`b+`"));
        assert!(read("\\d").is_err() && read("(?P<name>x").is_err() && read("a|b").is_err());
    }
}
