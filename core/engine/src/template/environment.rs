//! The engine, set up as Hugging Face sets up Jinja: filters, tests, functions and printing that differ from
//! minijinja's own. One base environment is built once; each template adds its clock and its limits.

use std::sync::OnceLock;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Rest, Tuple, Value, ValueKind, ValueOrKwargs};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Output, State, filters, functions};

use super::error::Raised;
use super::methods;
use super::print::{self, Dumps};
use super::source::{DICT, KEEP, LIST, TUPLE};
use super::strftime::Clock;
use super::values::{self, MutableList, MutableMap};

/// Nesting of macros, calls and loops that a template may reach.
const RECURSION: usize = 200;

/// An environment for one template.
pub(super) fn environment(clock: Clock) -> Environment<'static> {
    static BASE: OnceLock<Environment<'static>> = OnceLock::new();
    let mut env = BASE.get_or_init(base).clone();
    env.add_function("strftime_now", move |format: &str| {
        clock.format(format).map_err(|detail| Error::new(ErrorKind::InvalidOperation, detail))
    });
    env
}

fn base() -> Environment<'static> {
    let mut env = Environment::new();
    // Cannot fail: the delimiters are the default ones.
    if let Ok(syntax) = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build() {
        env.set_syntax(syntax);
    }
    env.set_auto_escape_callback(|_| AutoEscape::None);
    env.set_recursion_limit(RECURSION);
    env.set_formatter(print_value);
    // Lets errors name the undefined variable.
    env.set_debug(true);
    env.set_unknown_method_callback(methods::call);

    env.add_filter("tojson", tojson);
    env.add_filter("string", string);
    env.add_filter("join", join);
    env.add_filter("indent", indent);
    env.add_filter("items", items);
    env.add_filter("trim", trim);
    env.add_filter("center", center);
    env.add_filter("wordcount", |state: &State, value: &Value| -> Result<usize, Error> {
        Ok(print::to_str(state, value)?.split_whitespace().count())
    });
    env.add_filter("from_json", from_json);
    env.add_filter("fromjson", from_json);

    env.add_test("iterable", is_iterable);
    env.add_test("sequence", is_sequence);
    env.add_test("number", |value: &Value| {
        matches!(value.kind(), ValueKind::Number | ValueKind::Bool) || print::is_big_integer(value)
    });
    env.add_test("integer", |value: &Value| value.is_integer() || print::is_big_integer(value));
    env.add_test("callable", |value: &Value| value.kind() == ValueKind::Plain);

    env.add_function("raise_exception", raise_exception);
    env.add_function(LIST, |value: &Value| list_of(value));
    env.add_function(DICT, |value: &Value| MutableMap::value(pairs(value)));
    env.add_function(TUPLE, |value: &Value| values::check_tuple(value).map(|()| value.clone()));
    env.add_function(KEEP, |value: &Value| -> Result<Value, Error> {
        values::check_not_namespace(value)?;
        if value.is_tuple() {
            values::check_tuple(value)?;
        }
        Ok(value.clone())
    });
    env.add_function("dict", |value: Option<Value>, kwargs: Kwargs| -> Result<Value, Error> {
        let made = functions::dict(value, kwargs)?;
        MutableMap::value(pairs(&made))
    });
    env.add_function("namespace", |defaults: Option<ValueOrKwargs>| -> Result<Value, Error> {
        let made = functions::namespace(defaults)?;
        pairs(&made).try_for_each(|(_, value)| values::check_not_namespace(&value))?;
        Ok(made)
    });
    // These nest values, so their results become lists that are walked within the budget.
    env.add_filter("batch", |state: &State, value: Value, count: usize, fill: Option<Value>| {
        lists_of_lists(&filters::batch(state, value, count, fill)?)
    });
    env.add_filter("slice", |state: &State, value: Value, count: usize, fill: Option<Value>| {
        lists_of_lists(&filters::slice(state, value, count, fill)?)
    });
    // Not Jinja's, and they nest values; `pprint` and `groupby` walk without a budget, and no template needs them.
    for name in ["zip", "chain", "pprint", "groupby"] {
        env.remove_filter(name);
    }
    env
}

fn pairs(value: &Value) -> impl Iterator<Item = (Value, Value)> {
    value.as_object().and_then(|o| o.try_iter_pairs()).into_iter().flatten()
}

fn list_of(value: &Value) -> Result<Value, Error> {
    MutableList::value(value.try_iter()?.checked().collect::<Result<_, _>>()?)
}

fn lists_of_lists(value: &Value) -> Result<Value, Error> {
    let inner = value.try_iter()?.checked().map(|item| list_of(&item?)).collect::<Result<_, _>>()?;
    MutableList::value(inner)
}

/// Prints a value of `{{ … }}`. Only tags that [`super::source`] marked for it see auto escaping.
fn print_value(out: &mut Output<'_>, state: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    if let Some(text) = value.as_str()
        && (value.is_safe() || *state.auto_escape() == AutoEscape::None)
    {
        return Ok(out.write_str(text)?);
    }
    let text = print::to_str(state, value)?;
    if *state.auto_escape() == AutoEscape::None {
        return Ok(out.write_str(&text)?);
    }
    // As markupsafe escapes.
    for c in text.chars() {
        match c {
            '&' => out.write_str("&amp;")?,
            '<' => out.write_str("&lt;")?,
            '>' => out.write_str("&gt;")?,
            '\'' => out.write_str("&#39;")?,
            '"' => out.write_str("&#34;")?,
            c => out.write_str(c.encode_utf8(&mut [0; 4]))?,
        }
    }
    Ok(())
}

fn tojson(state: &State, value: &Value, args: Rest<Value>, kwargs: Kwargs) -> Result<Value, Error> {
    let dumps = Dumps::from_args(&args, &kwargs)?;
    kwargs.assert_all_used()?;
    Ok(Value::from(dumps.dump(state, value)?))
}

fn string(state: &State, value: &Value) -> Result<Value, Error> {
    match value.kind() {
        ValueKind::String => Ok(value.clone()),
        _ => Ok(Value::from(print::to_str(state, value)?)),
    }
}

fn join(state: &State, value: &Value, separator: Option<Value>, kwargs: Kwargs) -> Result<String, Error> {
    let attribute: Option<Value> = kwargs.get("attribute")?;
    let separator = match separator.filter(|v| !v.is_none() && !v.is_undefined()) {
        Some(v) => print::to_str(state, &v)?,
        None => match kwargs.get::<Option<Value>>("d")? {
            Some(v) => print::to_str(state, &v)?,
            None => String::new(),
        },
    };
    kwargs.assert_all_used()?;
    let mut out = String::new();
    for (i, item) in value.try_iter()?.checked().enumerate() {
        if i > 0 {
            out.push_str(&separator);
        }
        let mut item = item?;
        if let Some(attribute) = &attribute {
            item = item.get_item(attribute)?;
        }
        let before = out.len();
        print::push_str(state, &mut out, &item)?;
        state.consume_fuel(((out.len() - before + separator.len()) / 64 + 1) as u64)?;
    }
    Ok(out)
}

/// Jinja's `indent(width=4, first=False, blank=False)`; `width` may be the indentation itself.
fn indent(state: &State, value: &Value, args: Rest<Value>, kwargs: Kwargs) -> Result<String, Error> {
    let argument = |i: usize, name: &str| match args.get(i) {
        Some(value) => Ok(Some(value.clone())),
        None => kwargs.get::<Option<Value>>(name),
    };
    let width = argument(0, "width")?;
    let first = argument(1, "first")?.is_some_and(|v| v.is_true());
    let blank = argument(2, "blank")?.is_some_and(|v| v.is_true());
    kwargs.assert_all_used()?;
    let pad = match &width {
        None => " ".repeat(4),
        Some(v) => match v.as_str() {
            Some(text) => text.to_owned(),
            None => match usize::try_from(v.clone())? {
                width @ 0..=1024 => " ".repeat(width),
                width => {
                    let detail = format!("indent: a width of {width} is more than 1024");
                    return Err(Error::new(ErrorKind::InvalidOperation, detail));
                }
            },
        },
    };
    let text = print::to_str(state, value)?;
    let mut out = String::with_capacity(text.len());
    let lines = text.split('\n');
    for (i, line) in lines.enumerate() {
        state.consume_fuel(1 + (pad.len() / 64) as u64)?;
        if i > 0 {
            out.push('\n');
        }
        if if i == 0 { first } else { blank || !line.is_empty() } {
            out.push_str(&pad);
        }
        out.push_str(line);
    }
    Ok(out)
}

/// Jinja's `items`: a plain list of pairs, without attributes; undefined has none.
fn items(value: &Value) -> Result<Value, Error> {
    match value.kind() {
        ValueKind::Undefined => Ok(Value::from(Vec::<Value>::new())),
        ValueKind::Map => Ok(pairs(value).map(|(key, item)| Value::from(Tuple::from([key, item]))).collect()),
        kind => Err(Error::new(ErrorKind::InvalidOperation, format!("items: needs a dict, not a {kind}"))),
    }
}

fn trim(state: &State, value: &Value, chars: Option<&str>) -> Result<Value, Error> {
    match value.as_str() {
        Some(text) => Ok(Value::from(methods::strip(text, chars, true, true))),
        None => Ok(Value::from(methods::strip(&print::to_str(state, value)?, chars, true, true))),
    }
}

fn center(state: &mut State, value: &Value, width: Option<u32>) -> Result<Value, Error> {
    let text = Value::from(print::to_str(state, value)?);
    methods::call(state, &text, "center", &[Value::from(width.unwrap_or(80))])
}

/// Not Jinja's, but some published templates use it: the value of a JSON text; other values pass through.
fn from_json(value: &Value) -> Result<Value, Error> {
    let Some(text) = value.as_str() else { return Ok(value.clone()) };
    let json = serde_json::from_str(text)
        .map_err(|e| Error::new(ErrorKind::InvalidOperation, format!("from_json: not JSON: {e}")))?;
    values::from_json(&json)
}

/// Python can iterate over strings and undefined, and not over None.
fn is_iterable(value: &Value) -> bool {
    matches!(
        value.kind(),
        ValueKind::String | ValueKind::Seq | ValueKind::Map | ValueKind::Iterable | ValueKind::Undefined
    )
}

/// Jinja calls everything with a length and an index a sequence.
fn is_sequence(value: &Value) -> bool {
    matches!(value.kind(), ValueKind::String | ValueKind::Seq | ValueKind::Map | ValueKind::Undefined)
        || (value.kind() == ValueKind::Iterable && value.len().is_some())
}

fn raise_exception(state: &State, message: Option<&Value>) -> Result<Value, Error> {
    let message = message.map_or_else(|| Ok(String::new()), |m| print::to_str(state, m))?;
    Err(Error::new(ErrorKind::InvalidOperation, message.clone()).with_source(Raised(message)))
}
