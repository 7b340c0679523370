//! Methods of Python's `str`, `list` and `dict` that templates call.

use minijinja::formatting::{FormatStyle, format};
use minijinja::value::{Kwargs, Rest, Tuple, Value, ValueKind, from_args};
use minijinja::{Error, ErrorKind, State};

use super::print;
use super::values::{MutableList, MutableMap, check_storable};

/// Bytes handled for one unit of fuel, as the engine itself charges.
const BYTES_PER_FUEL: usize = 64;

/// Called by the engine for methods that a value does not have itself.
pub(super) fn call(state: &mut State, value: &Value, method: &str, args: &[Value]) -> Result<Value, Error> {
    match value.kind() {
        ValueKind::String => string(state, value, method, args),
        ValueKind::Map => dict(state, value, method, args),
        ValueKind::Seq | ValueKind::Iterable => list(state, value, method, args),
        _ => Err(Error::from(ErrorKind::UnknownMethod)),
    }
}

/// Positional arguments followed by keyword arguments, by the names of the Python signature.
struct Arguments(Vec<Option<Value>>);

impl Arguments {
    fn read(args: &[Value], names: &[&str]) -> Result<Self, Error> {
        let (positional, kwargs): (Rest<Value>, Kwargs) = from_args(args)?;
        if positional.len() > names.len() {
            return Err(Error::from(ErrorKind::TooManyArguments));
        }
        let mut out = Vec::with_capacity(names.len());
        for (i, name) in names.iter().enumerate() {
            out.push(match positional.get(i) {
                Some(value) => Some(value.clone()),
                None => kwargs.get::<Option<Value>>(name)?,
            });
        }
        kwargs.assert_all_used()?;
        Ok(Self(out))
    }

    /// The argument, with None taken as absent.
    fn get(&self, i: usize) -> Option<&Value> {
        self.0.get(i)?.as_ref().filter(|v| !v.is_none() && !v.is_undefined())
    }

    fn text(&self, i: usize) -> Result<Option<&str>, Error> {
        match self.get(i) {
            None => Ok(None),
            Some(v) => v.as_str().map(Some).ok_or_else(|| {
                Error::new(ErrorKind::InvalidOperation, format!("expected a string, not a {}", v.kind()))
            }),
        }
    }

    fn required(&self, i: usize) -> Result<&str, Error> {
        self.text(i)?.ok_or_else(|| Error::from(ErrorKind::MissingArgument))
    }

    fn integer(&self, i: usize) -> Result<Option<i64>, Error> {
        self.get(i).map(|v| i64::try_from(v.clone())).transpose()
    }
}

/// Whitespace as `str.strip` and `str.split` see it.
pub(super) fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

/// `str.strip`, `lstrip` or `rstrip`.
pub(super) fn strip<'s>(text: &'s str, chars: Option<&str>, left: bool, right: bool) -> &'s str {
    let matches = |c: char| chars.map_or_else(|| is_space(c), |set| set.contains(c));
    let text = if left { text.trim_start_matches(matches) } else { text };
    if right { text.trim_end_matches(matches) } else { text }
}

fn string(state: &State, value: &Value, method: &str, args: &[Value]) -> Result<Value, Error> {
    let s = value.as_str().unwrap_or_default();
    state.consume_fuel((s.len() / BYTES_PER_FUEL) as u64)?;
    let none = || Arguments::read(args, &[]).map(drop);
    let all = |test: fn(char) -> bool| !s.is_empty() && s.chars().all(test);
    Ok(match method {
        "upper" => none().map(|()| Value::from(s.to_uppercase()))?,
        "lower" | "casefold" => none().map(|()| Value::from(s.to_lowercase()))?,
        "capitalize" => none().map(|()| Value::from(capitalized(s)))?,
        "title" => none().map(|()| Value::from(title(s)))?,
        "swapcase" => none().map(|()| Value::from(swapcase(s)))?,
        "strip" | "lstrip" | "rstrip" => {
            let args = Arguments::read(args, &["chars"])?;
            Value::from(strip(s, args.text(0)?, method != "rstrip", method != "lstrip"))
        }
        "removeprefix" => {
            let args = Arguments::read(args, &["prefix"])?;
            Value::from(s.strip_prefix(args.required(0)?).unwrap_or(s))
        }
        "removesuffix" => {
            let args = Arguments::read(args, &["suffix"])?;
            Value::from(s.strip_suffix(args.required(0)?).unwrap_or(s))
        }
        "replace" => {
            let args = Arguments::read(args, &["old", "new", "count"])?;
            let (old, new) = (args.required(0)?, args.required(1)?);
            let most = match args.integer(2)? {
                Some(count) if count >= 0 => usize::try_from(count).unwrap_or(usize::MAX),
                _ => usize::MAX,
            };
            let found = s.matches(old).take(most).count();
            state.consume_fuel((found.saturating_mul(new.len()) / BYTES_PER_FUEL) as u64)?;
            Value::from(s.replacen(old, new, most))
        }
        "split" | "rsplit" => {
            let args = Arguments::read(args, &["sep", "maxsplit"])?;
            let limit = args.integer(1)?.and_then(|n| usize::try_from(n).ok());
            split(s, args.text(0)?, limit, method == "rsplit")?.into_iter().map(Value::from).collect()
        }
        "splitlines" => {
            let args = Arguments::read(args, &["keepends"])?;
            split_lines(s, args.get(0).is_some_and(Value::is_true)).into_iter().map(Value::from).collect()
        }
        "partition" | "rpartition" => {
            let args = Arguments::read(args, &["sep"])?;
            let sep = args.required(0)?;
            if sep.is_empty() {
                return Err(empty_separator());
            }
            let parts = if method == "partition" {
                s.split_once(sep).map_or([s, "", ""], |(a, b)| [a, sep, b])
            } else {
                s.rsplit_once(sep).map_or(["", "", s], |(a, b)| [a, sep, b])
            };
            Value::from(Tuple::from(parts.map(Value::from)))
        }
        "startswith" | "endswith" => {
            let args = Arguments::read(args, &["prefix"])?;
            let test = |p: &str| if method == "startswith" { s.starts_with(p) } else { s.ends_with(p) };
            match args.get(0) {
                Some(v) if matches!(v.kind(), ValueKind::Seq | ValueKind::Iterable) => {
                    let mut found = false;
                    for item in v.try_iter()?.checked() {
                        found |= item?.as_str().is_some_and(test);
                    }
                    Value::from(found)
                }
                _ => Value::from(test(args.required(0)?)),
            }
        }
        "find" | "index" | "rfind" | "rindex" => {
            let args = Arguments::read(args, &["sub"])?;
            let sub = args.required(0)?;
            let found = if method.starts_with('r') { s.rfind(sub) } else { s.find(sub) };
            match found {
                Some(at) => Value::from(s[..at].chars().count()),
                None if method.ends_with("find") => Value::from(-1),
                None => return Err(Error::new(ErrorKind::InvalidOperation, "substring not found")),
            }
        }
        "count" => {
            let args = Arguments::read(args, &["sub"])?;
            let sub = args.required(0)?;
            Value::from(if sub.is_empty() { s.chars().count() + 1 } else { s.matches(sub).count() })
        }
        "join" => {
            let args = Arguments::read(args, &["iterable"])?;
            let items = args.get(0).ok_or_else(|| Error::from(ErrorKind::MissingArgument))?;
            let mut out = String::new();
            for (i, item) in items.try_iter()?.checked().enumerate() {
                if i > 0 {
                    out.push_str(s);
                }
                let item = item?;
                let text = item.as_str().ok_or_else(|| {
                    Error::new(ErrorKind::InvalidOperation, format!("join: item {i} is a {}", item.kind()))
                })?;
                state.consume_fuel(((text.len() + s.len()) / BYTES_PER_FUEL + 1) as u64)?;
                out.push_str(text);
            }
            Value::from(out)
        }
        "format" => {
            check_widths(s)?;
            Value::from(format(FormatStyle::StrFormat, s, args)?)
        }
        "center" | "ljust" | "rjust" | "zfill" => {
            let args = Arguments::read(args, &["width", "fillchar"])?;
            let width = usize::try_from(args.integer(0)?.unwrap_or(0)).unwrap_or(0);
            state.consume_fuel((width / 16) as u64)?;
            Value::from(pad(s, width, args.text(1)?.and_then(|f| f.chars().next()), method))
        }
        "isspace" => none().map(|()| Value::from(all(is_space)))?,
        "isdigit" | "isnumeric" | "isdecimal" => none().map(|()| Value::from(all(char::is_numeric)))?,
        "isalnum" => none().map(|()| Value::from(all(char::is_alphanumeric)))?,
        "isalpha" => none().map(|()| Value::from(all(char::is_alphabetic)))?,
        "isascii" => none().map(|()| Value::from(s.is_ascii()))?,
        "islower" => none()
            .map(|()| Value::from(s.chars().any(char::is_lowercase) && !s.chars().any(char::is_uppercase)))?,
        "isupper" => none()
            .map(|()| Value::from(s.chars().any(char::is_uppercase) && !s.chars().any(char::is_lowercase)))?,
        _ => return Err(Error::from(ErrorKind::UnknownMethod)),
    })
}

/// Fails for `str.format` widths that a prompt cannot mean: five digits or more, or taken from an argument.
fn check_widths(format: &str) -> Result<(), Error> {
    let mut depth = 0usize;
    let mut digits = 0;
    for c in format.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        digits = if depth > 0 && c.is_ascii_digit() { digits + 1 } else { 0 };
        if digits > 4 {
            return Err(Error::new(
                ErrorKind::InvalidOperation,
                "format: the width or precision is too large",
            ));
        }
    }
    if format.replace("{{", "").split('{').skip(1).any(|field| !field.contains('}')) {
        return Err(Error::new(
            ErrorKind::InvalidOperation,
            "format: a width from an argument is not supported",
        ));
    }
    Ok(())
}

fn capitalized(s: &str) -> String {
    let mut chars = s.chars();
    chars.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(chars.as_str().to_lowercase().chars()).collect()
    })
}

/// `str.title`: a letter is upper case unless it follows a letter.
fn title(s: &str) -> String {
    let mut out = String::with_capacity(s.len());
    let mut inside = false;
    for c in s.chars() {
        if inside {
            out.extend(c.to_lowercase());
        } else {
            out.extend(c.to_uppercase());
        }
        inside = c.is_alphabetic();
    }
    out
}

fn swapcase(s: &str) -> String {
    let mut out = String::with_capacity(s.len());
    for c in s.chars() {
        if c.is_uppercase() {
            out.extend(c.to_lowercase());
        } else {
            out.extend(c.to_uppercase());
        }
    }
    out
}

fn empty_separator() -> Error {
    Error::new(ErrorKind::InvalidOperation, "empty separator")
}

fn split<'s>(
    s: &'s str,
    sep: Option<&str>,
    limit: Option<usize>,
    from_right: bool,
) -> Result<Vec<&'s str>, Error> {
    let pieces = limit.unwrap_or(usize::MAX - 1).saturating_add(1);
    match (sep, from_right) {
        (Some(""), _) => Err(empty_separator()),
        (Some(sep), false) => Ok(s.splitn(pieces, sep).collect()),
        (Some(sep), true) => {
            let mut out: Vec<_> = s.rsplitn(pieces, sep).collect();
            out.reverse();
            Ok(out)
        }
        // Runs of whitespace separate; what is left at the limit keeps its far end.
        (None, false) => {
            let mut out = Vec::new();
            let mut rest = s.trim_start_matches(is_space);
            while !rest.is_empty() {
                if out.len() + 1 == pieces {
                    out.push(rest);
                    break;
                }
                let end = rest.find(is_space).unwrap_or(rest.len());
                out.push(&rest[..end]);
                rest = rest[end..].trim_start_matches(is_space);
            }
            Ok(out)
        }
        (None, true) => {
            let mut out = Vec::new();
            let mut rest = s.trim_end_matches(is_space);
            while !rest.is_empty() {
                if out.len() + 1 == pieces {
                    out.push(rest);
                    break;
                }
                let start = rest
                    .char_indices()
                    .rev()
                    .find(|(_, c)| is_space(*c))
                    .map_or(0, |(i, c)| i + c.len_utf8());
                out.push(&rest[start..]);
                rest = rest[..start].trim_end_matches(is_space);
            }
            out.reverse();
            Ok(out)
        }
    }
}

fn split_lines(s: &str, keep_ends: bool) -> Vec<&str> {
    let breaks =
        |c: char| matches!(c, '\n'..='\r' | '\u{1c}'..='\u{1e}' | '\u{85}' | '\u{2028}' | '\u{2029}');
    let mut out = Vec::new();
    let mut rest = s;
    while let Some((at, c)) = rest.char_indices().find(|(_, c)| breaks(*c)) {
        let end = if rest[at..].starts_with("\r\n") { at + 2 } else { at + c.len_utf8() };
        out.push(&rest[..if keep_ends { end } else { at }]);
        rest = &rest[end..];
    }
    if !rest.is_empty() {
        out.push(rest);
    }
    out
}

fn pad(s: &str, width: usize, fill: Option<char>, method: &str) -> String {
    let missing = width.saturating_sub(s.chars().count());
    let fill = fill.unwrap_or(if method == "zfill" { '0' } else { ' ' });
    let run = |n: usize| std::iter::repeat_n(fill, n).collect::<String>();
    match method {
        "ljust" => format!("{s}{}", run(missing)),
        "rjust" => format!("{}{s}", run(missing)),
        "zfill" => {
            let (sign, digits) = s.split_at(usize::from(s.starts_with(['+', '-'])));
            format!("{sign}{}{digits}", run(missing))
        }
        // CPython puts the odd fill character on the left when the width is odd.
        _ => {
            let left = missing / 2 + (missing & width & 1);
            format!("{}{s}{}", run(left), run(missing - left))
        }
    }
}

fn dict(state: &State, value: &Value, method: &str, args: &[Value]) -> Result<Value, Error> {
    let Some(object) = value.as_object() else { return Err(Error::from(ErrorKind::UnknownMethod)) };
    let pairs = || object.try_iter_pairs().into_iter().flatten();
    let none = || Arguments::read(args, &[]).map(drop);
    let missing = || Error::from(ErrorKind::MissingArgument);
    let changeable = || {
        value.downcast_object_ref::<MutableMap>().ok_or_else(|| {
            Error::new(
                ErrorKind::InvalidOperation,
                format!("{method}: a dict that was given to the template cannot be changed; copy it first"),
            )
        })
    };
    Ok(match method {
        "get" => {
            let args = Arguments::read(args, &["key", "default"])?;
            let key = args.0[0].as_ref().ok_or_else(missing)?;
            object.get_value(key).or_else(|| args.0[1].clone()).unwrap_or_else(|| Value::from(()))
        }
        "keys" => none().map(|()| pairs().map(|(key, _)| key).collect())?,
        "values" => none().map(|()| pairs().map(|(_, item)| item).collect())?,
        "items" => {
            none().map(|()| pairs().map(|(key, item)| Value::from(Tuple::from([key, item]))).collect())?
        }
        "copy" => none().and_then(|()| MutableMap::value(pairs()))?,
        "update" => {
            let map = changeable()?;
            let (given, kwargs): (Option<Value>, Kwargs) = from_args(args)?;
            let mut new = Vec::new();
            if let Some(given) = given {
                new.extend(given.as_object().and_then(|o| o.try_iter_pairs()).into_iter().flatten());
            }
            for name in kwargs.args() {
                new.push((Value::from(name), kwargs.get(name)?));
            }
            for (key, item) in &new {
                check_storable(state, value, key)?;
                check_storable(state, value, item)?;
            }
            map.items().extend(new);
            Value::from(())
        }
        "pop" => {
            let map = changeable()?;
            let args = Arguments::read(args, &["key", "default"])?;
            let key = args.0[0].as_ref().ok_or_else(missing)?;
            let removed = map.items().shift_remove(key);
            removed
                .or_else(|| args.0[1].clone())
                .ok_or_else(|| Error::new(ErrorKind::InvalidOperation, format!("pop: no key {key:?}")))?
        }
        "setdefault" => {
            let map = changeable()?;
            let args = Arguments::read(args, &["key", "default"])?;
            let key = args.0[0].clone().ok_or_else(missing)?;
            let default = args.0[1].clone().unwrap_or_else(|| Value::from(()));
            check_storable(state, value, &key)?;
            check_storable(state, value, &default)?;
            map.items().entry(key).or_insert(default).clone()
        }
        "clear" => {
            none()?;
            changeable()?.items().clear();
            Value::from(())
        }
        _ => return Err(Error::from(ErrorKind::UnknownMethod)),
    })
}

fn list(state: &State, value: &Value, method: &str, args: &[Value]) -> Result<Value, Error> {
    let items = || value.try_iter().map(|iter| iter.checked());
    let changeable = || {
        value.downcast_object_ref::<MutableList>().ok_or_else(|| {
            Error::new(
                ErrorKind::InvalidOperation,
                format!("{method}: a list that was given to the template cannot be changed; copy it first"),
            )
        })
    };
    let one = || -> Result<Value, Error> { from_args::<(Value,)>(args).map(|(v,)| v) };
    Ok(match method {
        "count" => {
            let what = one()?;
            let mut count = 0;
            for item in items()? {
                count += usize::from(item? == what);
            }
            Value::from(count)
        }
        "index" => {
            let what = one()?;
            for (i, item) in items()?.enumerate() {
                if item? == what {
                    return Ok(Value::from(i));
                }
            }
            let text = print::to_str(state, &what)?;
            return Err(Error::new(ErrorKind::InvalidOperation, format!("index: {text} is not in the list")));
        }
        "copy" => MutableList::value(items()?.collect::<Result<_, _>>()?)?,
        "append" => {
            let list = changeable()?;
            let item = one()?;
            check_storable(state, value, &item)?;
            list.items().push(item);
            Value::from(())
        }
        "extend" => {
            let list = changeable()?;
            let new = one()?.try_iter()?.checked().collect::<Result<Vec<_>, _>>()?;
            for item in &new {
                check_storable(state, value, item)?;
            }
            list.items().extend(new);
            Value::from(())
        }
        "insert" => {
            let list = changeable()?;
            let (at, item): (i64, Value) = from_args(args)?;
            check_storable(state, value, &item)?;
            let mut items = list.items();
            let len = items.len() as i64;
            let at = if at < 0 { at + len } else { at }.clamp(0, len);
            items.insert(usize::try_from(at).unwrap_or(0), item);
            Value::from(())
        }
        "pop" => {
            let list = changeable()?;
            let (at,): (Option<i64>,) = from_args(args)?;
            let mut items = list.items();
            let len = items.len() as i64;
            let at = at.unwrap_or(-1);
            match usize::try_from(if at < 0 { at + len } else { at }) {
                Ok(at) if at < items.len() => items.remove(at),
                _ => return Err(Error::new(ErrorKind::InvalidOperation, "pop: no such item")),
            }
        }
        "remove" => {
            let list = changeable()?;
            let what = one()?;
            // Compared on a copy: comparing may look into this very list.
            let found = list.items().clone().iter().position(|item| *item == what);
            match found {
                Some(at) => drop(list.items().remove(at)),
                None => return Err(Error::new(ErrorKind::InvalidOperation, "remove: no such item")),
            }
            Value::from(())
        }
        "reverse" => {
            changeable()?.items().reverse();
            Value::from(())
        }
        "sort" => {
            let list = changeable()?;
            let mut sorted = list.items().clone();
            sorted.sort();
            *list.items() = sorted;
            Value::from(())
        }
        "clear" => {
            changeable()?.items().clear();
            Value::from(())
        }
        _ => return Err(Error::from(ErrorKind::UnknownMethod)),
    })
}
