//! Formats under plans: what a turn may be, and that every tokenisation of it is admitted.

#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};
use std::sync::Arc;
use toolglot_format::{Format, Plan, ToolChoice};
use toolglot_grammar::{
    CompiledGrammar, FormatOptions, Grammar, GrammarError, Matcher, Spacing, Token, Vocabulary,
};

const MARKERS: [&str; 5] = ["<tool_call>", "</tool_call>", "<think>", "</think>", "<|\"|>"];

fn vocabulary(markers_are_tokens: bool) -> Arc<Vocabulary> {
    let mut tokens: Vec<Token> = (0..=255u8).map(|b| Token::text(vec![b])).collect();
    tokens.push(Token::special("<eos>"));
    for text in [
        "<tool",
        "_call>",
        "\n{\"",
        "\", \"",
        "name\":",
        " \"a",
        "city",
        ">\n",
        "\n</",
        "{\"name\": \"",
        "}}\n",
    ] {
        tokens.push(Token::text(text));
    }
    if markers_are_tokens {
        tokens.extend(MARKERS.map(Token::special));
    }
    Arc::new(Vocabulary::new(tokens, &[256], None).unwrap())
}

fn format(value: Value) -> Format {
    serde_json::from_value(value).unwrap()
}

fn special(text: &str) -> Value {
    json!({"lit": {"text": text, "special": true}})
}

fn hermes() -> Format {
    let call = json!({"call": {"seq": [special("<tool_call>"), {"ws": "\n"}, {"object": {"members": [
        {"key": "name", "is": "name"}, {"key": "arguments", "is": "args"}]}}, {"ws": "\n"}, special("</tool_call>")]}});
    format(json!({"seq": [
        {"opt": {"seq": [special("<think>"), {"ws": "\n"}, {"text": {"channel": "reasoning"}}, {"ws": "\n"},
            special("</think>"), {"ws": "\n\n"}]}},
        {"rep": {"of": {"alt": [call, {"text": {"channel": "content", "excluding": ["</tool_call>"]}}]}, "sep": {"ws": "\n"}}},
    ]}))
}

fn coder() -> Format {
    format(json!({"rep": {"of": {"alt": [
        {"call": {"seq": [special("<tool_call>"), {"ws": "\n"}, {"lit": "<function="}, {"name": {}}, {"lit": ">"}, {"ws": "\n"},
            {"args": {"tagged": {"param": {"seq": [{"lit": "<parameter="}, {"key": {}}, {"lit": ">"}, {"ws": "\n"},
                {"value": {"excluding": ["<parameter=", "</function>"]}}, {"ws": "\n"}, {"lit": "</parameter>"}, {"ws": "\n"}]}}}},
            {"lit": "</function>"}, {"ws": "\n"}, special("</tool_call>")]}},
        {"text": {"channel": "content"}}]}}}))
}

fn plan(choice: ToolChoice, parallel: bool) -> Plan {
    let tools = json!([
        {"name": "get_weather", "parameters": {"type": "object", "properties": {
            "city": {"type": "string"}, "days": {"type": "integer", "minimum": 1, "maximum": 14},
            "unit": {"enum": ["C", "F"]}}, "required": ["city"]}},
        {"name": "get_time", "parameters": {"type": "object", "additionalProperties": true,
            "properties": {"zone": {"type": ["string", "null"]}}}},
    ]);
    Plan { choice, ..Plan::from_openai(&tools, &json!(null), parallel).unwrap() }
}

fn matcher(format: &Format, plan: &Plan, markers: bool) -> Matcher {
    spaced(format, plan, markers, Spacing::default())
}

fn spaced(format: &Format, plan: &Plan, markers: bool, spacing: Spacing) -> Matcher {
    let options = FormatOptions { spacing, ..FormatOptions::default() };
    let grammar = Grammar::from_format_with(format, plan, &options).unwrap();
    CompiledGrammar::new(Arc::new(grammar), vocabulary(markers)).unwrap().matcher().unwrap()
}

/// Feeds the text token by token, markers as their tokens where there are such; every token must be in the mask.
fn accepts(m: &mut Matcher, text: &str) -> bool {
    m.reset();
    let vocabulary = m.compiled().vocabulary().clone();
    let mut mask = vec![0; vocabulary.mask_words()];
    let mut rest = text.as_bytes();
    let mut turn = 0usize;
    while !rest.is_empty() {
        let marker = MARKERS
            .into_iter()
            .find_map(|name| vocabulary.named(name).filter(|_| rest.starts_with(name.as_bytes())));
        // Alternate between long and short tokens.
        turn += 1;
        // A tokenizer cuts the text at its markers first.
        let end = MARKERS
            .iter()
            .filter(|name| vocabulary.named(name).is_some())
            .filter_map(|name| rest.windows(name.len()).position(|w| w == name.as_bytes()))
            .min();
        let token =
            marker.unwrap_or_else(|| match vocabulary.greedy_tokens(&rest[..end.unwrap_or(rest.len())]) {
                Some(tokens) if !turn.is_multiple_of(3) => tokens[0],
                _ => u32::from(rest[0]),
            });
        m.mask(&mut mask).unwrap();
        let allowed = mask[token as usize / 32] >> (token % 32) & 1 == 1;
        assert_eq!(m.accept(token).is_ok(), allowed);
        if !allowed {
            return false;
        }
        rest = &rest[vocabulary.bytes(token).len()..];
    }
    m.is_accepting()
}

#[test]
fn hermes_turns() {
    let weather =
        "<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Oslo\"}}\n</tool_call>";
    let time =
        "<tool_call>\n{\"name\": \"get_time\", \"arguments\": {\"zone\": null, \"x\": [1]}}\n</tool_call>";
    for markers in [false, true] {
        let mut m = matcher(&hermes(), &plan(ToolChoice::Auto, true), markers);
        assert!(accepts(&mut m, "Hello <tool, {\"name\"}"));
        assert!(accepts(&mut m, weather));
        assert!(accepts(&mut m, &format!("<think>\nhm\n</think>\n\nLet me see.\n{weather}\n{time}")));
        assert!(!accepts(&mut m, "<tool_call>\n{\"name\": \"other\""));
        assert!(!accepts(&mut m, &weather.replace("Oslo\"", "Oslo\", \"days\": 15")));
        assert!(
            !accepts(&mut m, &weather.replace("Oslo\"", "Oslo\", \"x\": 1")),
            "closed unless it says otherwise"
        );
        assert!(accepts(&mut m, &weather.replace("\"city\"", "\"days\": 14, \"city\"")), "any order");
        assert!(!accepts(&mut m, "text </tool_call>"));

        let mut m = matcher(&hermes(), &plan(ToolChoice::Required, false), markers);
        assert!(accepts(&mut m, weather) && accepts(&mut m, time));
        assert!(
            !accepts(&mut m, "Hello")
                && !accepts(&mut m, "")
                && !accepts(&mut m, &format!("{weather}\n{time}"))
        );

        let mut m = matcher(&hermes(), &plan(ToolChoice::Named("get_time".into()), true), markers);
        assert!(accepts(&mut m, time) && !accepts(&mut m, weather));

        let mut m = matcher(&hermes(), &plan(ToolChoice::None, true), markers);
        assert!(accepts(&mut m, "No calls <tool_cal") && !accepts(&mut m, "<tool_call>"));
    }
}

#[test]
fn coder_turns() {
    let call = |body: &str| format!("<tool_call>\n<function=get_weather>\n{body}</function>\n</tool_call>");
    let param = |key: &str, value: &str| format!("<parameter={key}>\n{value}\n</parameter>\n");
    for markers in [false, true] {
        let mut m = matcher(&coder(), &plan(ToolChoice::Auto, true), markers);
        assert!(accepts(&mut m, &call(&param("city", "São\n<Paulo>"))));
        assert!(accepts(&mut m, &call(&(param("days", "3") + &param("city", "") + &param("unit", "F")))));
        assert!(!accepts(&mut m, &call("")), "city is required");
        assert!(!accepts(&mut m, &call(&(param("city", "a") + &param("city", "b")))));
        assert!(!accepts(&mut m, &call(&param("city", "a</parameter>"))));
        assert!(!accepts(&mut m, &call(&(param("city", "a") + &param("days", "0")))));
        assert!(!accepts(&mut m, &call(&(param("city", "a") + &param("other", "0")))));
        let time = |body: &str| call(body).replace("get_weather", "get_time");
        assert!(accepts(&mut m, &time("")) && accepts(&mut m, &time(&param("zone", "null"))));
        assert!(accepts(&mut m, &time(&(param("zone", "CET") + &param("extra", "{\"a\": 1}")))));
    }
}

/// Two neighbouring texts must not spell a marker together, whatever little may stand between them.
#[test]
fn no_marker_is_spelled_by_neighbouring_texts() {
    let call = json!({"call": {"seq": [special("<tool_call>"), {"name": {}}, {"args": {"json": {}}}, special("</tool_call>")]}});
    for sep in [
        json!(null),
        json!({"ws": ""}),
        json!({"alt": [{"ws": "\n"}, {"seq": []}]}),
        json!({"opt": {"ws": "\n"}}),
    ] {
        let mut rep = json!({"of": {"alt": [call, {"text": {"channel": "content"}}]}});
        if !sep.is_null() {
            rep["sep"] = sep;
        }
        let format = format(json!({"rep": rep}));
        let mut m = matcher(&format, &plan(ToolChoice::None, true), false);
        assert!(accepts(&mut m, "a\nb") && !accepts(&mut m, "<tool_call>"));
        let mut m = matcher(&format, &plan(ToolChoice::Auto, true), false);
        let call = "<tool_call>get_weather{\"city\": \"Oslo\"}</tool_call>";
        assert!(accepts(&mut m, &format!("a{call}{call}\nb\n{call}")));
        assert!(accepts(&mut m, "<tool"));
        assert!(!accepts(&mut m, "<tool_call>x"));
        assert!(!accepts(&mut m, "a\n<tool_call>\n"));
    }
}

/// A marker that another marker begins with does not hide the ends of values.
#[test]
fn terminators_that_begin_alike() {
    let format = format(json!({"call": {"seq": [{"lit": "<invoke "}, {"name": {}}, {"lit": ">"},
        {"args": {"tagged": {"param": {"seq": [{"lit": "<p name=\""}, {"key": {}}, {"lit": "\">"},
            {"value": {"excluding": ["<p name=", "</invoke>"]}}, {"lit": "</p>"}]}}}}, {"lit": "</invoke>"}]}}));
    let mut m = matcher(&format, &plan(ToolChoice::Auto, true), false);
    assert!(accepts(&mut m, "<invoke get_weather><p name=\"city\">a < b</p></invoke>"));
    assert!(accepts(&mut m, "<invoke get_weather><p name=\"city\"></p></invoke>"));
    assert!(!accepts(&mut m, "<invoke get_weather><p name=\"city\">a <p name=x</p></invoke>"));
}

#[test]
fn forced_text_runs_to_the_first_choice() {
    let plan = plan(ToolChoice::Named("get_weather".into()), false);
    for (spacing, forced) in [
        (Spacing::Family, "\n{\"name\": \"get_weather\", \"arguments\": {\""),
        (Spacing::Compact, "\n{\"name\":\"get_weather\",\"arguments\":{\""),
        (Spacing::Flexible, ""),
    ] {
        let mut m = spaced(&hermes(), &plan, true, spacing);
        m.accept(m.compiled().vocabulary().named("<tool_call>").unwrap()).unwrap();
        assert_eq!(String::from_utf8(m.forced_bytes().unwrap()).unwrap(), forced, "{spacing:?}");
    }
}

/// A call of the form `NAME(ARGUMENTS)`.
fn call(args: Value) -> Format {
    format(json!({"call": {"seq": [{"name": {}}, {"lit": "("}, {"args": args}, {"lit": ")"}]}}))
}

fn tool(parameters: Value) -> Plan {
    let tools = json!([{"name": "f", "parameters": parameters}]);
    Plan { choice: ToolChoice::Required, ..Plan::from_openai(&tools, &json!(null), false).unwrap() }
}

/// With the notation's own white space; what is accepted then is accepted with any.
#[track_caller]
fn check(args: &Value, parameters: Value, yes: &[&str], no: &[&str]) {
    for markers in [false, true] {
        let mut any = matcher(&call(args.clone()), &tool(parameters.clone()), markers);
        let mut m = spaced(&call(args.clone()), &tool(parameters.clone()), markers, Spacing::Family);
        for text in yes {
            assert!(accepts(&mut m, &format!("f({text})")), "{text} (markers as tokens: {markers})");
            assert!(accepts(&mut any, &format!("f({text})")), "{text} (any space; markers: {markers})");
        }
        for text in no {
            assert!(!accepts(&mut m, &format!("f({text})")), "{text} (markers as tokens: {markers})");
        }
    }
}

#[test]
fn keyword_arguments() {
    let python = json!({"pythonic": {}});
    let schema = json!({"type": "object", "properties": {
        "a": {"type": "string"}, "n": {"type": "integer"}, "t": {"type": ["boolean", "null"]},
        "l": {"type": "array", "items": {"type": ["integer", "string"]}},
        "d": {"type": "object", "properties": {"it's": {"type": "null"}}, "additionalProperties": false},
    }, "required": ["a"]});
    let yes = [
        r#"a="x", n=3, t=True, l=[1, 'b'], d={"it's": None}"#,
        r#"n=3, d={'it\'s': None}, a='it\'s "so" \\ \u00e9 é\n'"#,
        "t=None, a=''",
    ];
    let no = [
        "",
        "n=3",
        "a='x',n=3",
        "a=x",
        "a='x', a='y'",
        "a='x', n='3'",
        "a='x', t=true",
        "a='x\"",
        "a='\\/'",
        "a='x', d={'other': 1}",
        "a=\"\"\"x\"\"\"",
        "a='x', b=1",
        "a='\\ud83d'",
    ];
    check(&python, schema.clone(), &yes, &no);
    let words = json!({"pythonic": {"json_words": true}});
    check(&words, schema, &["a='x', t=true", "a='x', t=null"], &["a='x', t=True", "a='x', t=None"]);
}

#[test]
fn rules_of_strings_hold_in_either_kind_of_quotes() {
    let python = json!({"pythonic": {}});
    let schema = json!({"type": "object", "properties": {
        "unit": {"enum": ["C", "it's", 1, null, [true, "x"]]},
        "code": {"type": "string", "pattern": "^[A-Z]{2}$"}, "short": {"type": "string", "maxLength": 2},
        "set": {"type": "array", "items": {"enum": ["a", "b"]}, "uniqueItems": true},
    }, "additionalProperties": {"type": "integer"}});
    let yes = [
        "unit='C'",
        "unit=\"it's\"",
        "unit='it\\'s'",
        "unit=1",
        "unit=None",
        "unit=[True, 'x']",
        "code='AB'",
        "code=\"\\u0041B\"",
        "short='\\'\\''",
        "short=\"éé\"",
        "set=['a', \"b\"]",
        "x_1=3, größe=4",
        "",
    ];
    let no = [
        "unit='it's'",
        "unit=C",
        "unit=[True,'x']",
        "code='ab'",
        "code='ABC'",
        "short='abc'",
        "set=['a', \"a\"]",
        "unit=1, code=2",
        "x y=3",
        "unit=7",
        "=3",
    ];
    check(&python, schema, &yes, &no);
    // A name that no keyword can have.
    let plan = tool(json!({"type": "object", "properties": {"a b": {"type": "string"}}}));
    let error = Grammar::from_format(&call(python), &plan).unwrap_err();
    assert!(error.to_string().contains("`a b` cannot be a keyword argument"), "{error}");
    assert!(error.to_string().contains("tool `f`"), "{error}");
}

#[test]
fn text_spells_no_call_in_brackets() {
    let list = json!({"seq": [{"lit": "["}, {"rep": {"min": 1, "sep": {"lit": ", "}, "of": {"call": {"seq": [
        {"name": {}}, {"lit": "("}, {"args": {"pythonic": {}}}, {"lit": ")"}]}}}}, {"lit": "]"}]});
    let format = format(json!({"alt": [list, {"text": {"channel": "content"}}]}));
    for choice in [ToolChoice::Auto, ToolChoice::None] {
        let mut m = matcher(&format, &plan(choice.clone(), true), false);
        let fine = [
            "a [1, 2] and [x](y), get_time() [get_time] é [str(x) for x in y]",
            "[get_time",
            "get_time(zone=None)]",
        ];
        for text in fine {
            assert!(accepts(&mut m, text), "{text}");
        }
        for text in [
            "See [get_time(zone=None)]",
            "[\n  launch ( 1 )]",
            "[get_tim(",
            "x\n[ a-b.c(",
            "x[\tget_weather (",
        ] {
            assert!(!accepts(&mut m, text), "{text}");
        }
        assert_eq!(accepts(&mut m, "[get_time(zone=None)]"), choice == ToolChoice::Auto);
    }
}

#[test]
fn bare_keys_and_marked_strings() {
    let special = json!({"text": "<|\"|>", "special": true});
    let args = json!({"json": {"item": ",", "key": ":", "keys": "bare", "strings": {"marked": special}}});
    let schema = json!({"type": "object", "properties": {
        "first name": {"type": "string", "maxLength": 4}, "n": {"type": "number"},
        "o": {"type": "object", "additionalProperties": {"type": ["boolean", "string"]}},
        "unit": {"enum": ["C", "a<|\"|>", false]},
    }});
    let yes = [
        "{}",
        "{first name:<|\"|>a\"},<|\"|>,n:-1.5}",
        "{o:{k-1:true,ä b:<|\"|>\n<|\"|>},n:1}",
        "{unit:<|\"|>C<|\"|>}",
        "{unit:false}",
    ];
    let no = [
        "{first name:<|\"|>abcde<|\"|>}",
        "{n: 1}",
        "{\"n\":1}",
        "{first name:\"a\"}",
        "{o:{ k:true}}",
        "{o:{a:b:true}}",
        "{o:{:true}}",
        "{unit:<|\"|>a<|\"|><|\"|>}",
        "{n:1,n:2}",
    ];
    check(&args, schema, &yes, &no);
    let plan = tool(json!({"type": "object", "properties": {"a:b": {"type": "string"}}}));
    let error = Grammar::from_format(&call(args), &plan).unwrap_err();
    assert!(error.to_string().contains("without quotes, and `a:b` needs them"), "{error}");
    // The marker as text: nothing in the string can spell it, nor run into it.
    let args = json!({"json": {"keys": "bare", "strings": {"marked": "aa"}}});
    let schema = json!({"type": "object", "properties": {"k": {"type": "string"}}});
    check(&args, schema, &["{k: aabaa}", "{k: aaaa}"], &["{k: aabaaa}", "{k: aaaaa}"]);
}

#[test]
fn entities_stand_for_characters() {
    let args = json!({"tagged": {"param": {"seq": [
        {"lit": "<"}, {"key": {}}, {"lit": ">"}, {"value": {"escape": "xml"}}, {"lit": "</>"},
    ]}}});
    let of = |rules: Value| json!({"type": "object", "properties": {"a": rules}, "required": ["a"]});
    // Any text: what reads as it stands, too.
    let free = ["<a>x &lt;/&gt; y</>", "<a>R&D < x</>", "<a>&quot;</>"];
    check(&args, of(json!({"type": "string"})), &free, &["<a>x</a>"]);
    // Rules are about the text that is meant.
    check(
        &args,
        of(json!({"type": "string", "pattern": "^[a-z<&]{3}$"})),
        &["<a>a&lt;b</>", "<a>&amp;<&lt;</>"],
        &["<a>a&lt;</>", "<a>a&b</>", "<a>a&gt;b</>", "<a>&lt;</>"],
    );
    check(&args, of(json!({"type": "string", "maxLength": 3})), &["<a>a<b</>"], &["<a>a&b</>", "<a>abcd</>"]);
    check(&args, of(json!({"enum": ["a<b", "c"]})), &["<a>a&lt;b</>", "<a>c</>"], &["<a>a<b</>", "<a>a&</>"]);
    let nested = json!({"type": "object", "properties": {"<": {"enum": ["&"]}, "b": {"type": "string", "pattern": "^.$"}}});
    check(
        &args,
        of(nested),
        &["<a>{\"&lt;\": \"&amp;\", \"b\": \"&gt;\"}</>", "<a>{\"b\": \">\"}</>"],
        &["<a>{\"<\"", "<a>{\"b\": \"&l\"", "<a>{\"b\": \"\\u0026"],
    );
}

#[test]
fn python_dicts() {
    let notation = json!({"strings": "python", "words": "python"});
    let format = format(json!({"call": {"object": {"notation": notation, "members": [
        {"key": "name", "is": "name"}, {"key": "arguments", "is": "args"}]}}}));
    let schema =
        json!({"type": "object", "properties": {"a": {"type": ["string", "null"]}}, "required": ["a"]});
    let mut m = matcher(&format, &tool(schema), false);
    assert!(accepts(&mut m, "{'name': 'f', 'arguments': {'a': None}}"));
    assert!(accepts(&mut m, "{\"name\": 'f', 'arguments': {\"a\": 'x\"'}}"));
    assert!(!accepts(&mut m, "{'name': 'f', 'arguments': {'a': null}}"));
    assert!(!accepts(&mut m, "{'name\": 'f', 'arguments': {'a': None}}"));
    assert!(!accepts(&mut m, "{'name': 'f', 'arguments': {}}"));
}

#[test]
fn what_has_no_strict_reading_is_refused() {
    let refused =
        |value: Value| Grammar::from_format(&format(value), &plan(ToolChoice::Auto, true)).unwrap_err();
    assert!(matches!(refused(json!({"extern": {}})), GrammarError::Format { .. }));
    let mut bad = plan(ToolChoice::Auto, true);
    bad.tools[0].parameters = json!({"type": "string"});
    let error = Grammar::from_format(&hermes(), &bad).unwrap_err().to_string();
    assert!(error.contains("get_weather"), "{error}");
}

/// What models write, whichever template they learnt it from.
#[test]
fn white_space_is_left_to_the_model() {
    let call = |body: &str| format!("<tool_call>{body}</tool_call>");
    let alike = [
        "\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Oslo\", \"days\": 2}}\n",
        "{\"name\":\"get_weather\",\"arguments\":{\"city\":\"Oslo\",\"days\":2}}",
        "\n\n{ \"name\" : \"get_weather\", \"arguments\": { \"city\": \"Oslo\" } } ",
        "\n{\n  \"name\": \"get_weather\",\n  \"arguments\": {\n    \"city\": \"Oslo\"\n  }\n}\n",
        "\r\n{\t\"name\": \"get_weather\", \r\n\t\"arguments\": {\"city\": \"Oslo\"}}",
    ];
    for markers in [false, true] {
        let auto = plan(ToolChoice::Auto, true);
        let mut any = matcher(&hermes(), &auto, markers);
        let mut own = spaced(&hermes(), &auto, markers, Spacing::Family);
        let mut compact = spaced(&hermes(), &auto, markers, Spacing::Compact);
        for (at, body) in alike.into_iter().enumerate() {
            assert!(accepts(&mut any, &call(body)), "{body}");
            assert_eq!(accepts(&mut own, &call(body)), at == 0, "{body}");
            assert!(!accepts(&mut compact, &call(body)), "{body}");
        }
        assert!(accepts(&mut compact, &call(&format!("\n{}\n", alike[1]))));
        // It is bounded, and no other character is white space.
        for body in ["\n\n\n{\"name\"", "{\"name\":     ", "{\n\n\"name\"", "{\u{a0}\"name\""] {
            assert!(any.accept_text(&format!("<tool_call>{body}")).is_err(), "{body:?}");
        }
        let tight = format!("I ask.{}{}", call(alike[1]), call(alike[1]));
        assert!(accepts(&mut any, &tight) && !accepts(&mut own, &tight));
        let thought = format!("<think>Hm.</think>{}", call(alike[0]));
        assert!(accepts(&mut any, &thought) && !accepts(&mut own, &thought));
    }
}

/// The parser takes one line break off either side of a value, and leaves the rest to it.
#[test]
fn white_space_beside_raw_values() {
    let call = |body: &str| format!("<tool_call>\n<function=f>\n{body}</function>\n</tool_call>");
    let plan = tool(json!({"type": "object", "properties": {
        "text": {"type": "string"}, "code": {"type": "string", "pattern": "^[A-Z]+$"}, "on": {"type": "boolean"},
        "any": {}, "amount": {"type": ["string", "integer"]}, "unit": {"enum": ["C", "F"]}}}));
    let mut m = matcher(&coder(), &plan, false);
    for body in [
        "<parameter=text>Oslo</parameter>",
        "<parameter=text>\n\nOslo\n\n</parameter>\n",
        "\n  <parameter=unit>C</parameter>\n  <parameter=text></parameter>\n",
        "<parameter=unit>\nC</parameter>",
        "<parameter=code>\nAB\n</parameter>\n",
        "<parameter=on>True</parameter><parameter=any>None</parameter>",
        "<parameter=on>\nfalse\n</parameter>\n",
        // Strings beside numbers are those that are no numbers.
        "<parameter=any>2024-01-31</parameter>\n<parameter=amount>2 dollars</parameter>",
        "<parameter=amount>2</parameter>",
        "<parameter=any>trueish</parameter>",
        "<parameter=any>1.5e3</parameter>",
    ] {
        assert!(accepts(&mut m, &call(body)), "{body}");
    }
    for body in [
        // Its letters are what the schema counts, so they stand as the family writes them.
        "<parameter=code>AB</parameter>",
        "<parameter=unit> C</parameter>",
        "<parameter=on>TRUE</parameter>",
        "<parameter=amount>1.5</parameter>",
        "<parameter=amount>0x1F_</parameter>",
        "<parameter=amount> -1_0.5 </parameter>",
    ] {
        assert!(!accepts(&mut m, &call(body)), "{body}");
    }
}

/// A word that starts a call in one place is a word in another.
#[test]
fn an_opened_text_holds_the_words_that_start_calls_elsewhere() {
    let format = format(json!({"rep": {"sep": {"seq": [special("</think>"), {"lit": "go"}]}, "of": {"alt": [
        {"seq": [special("<think>"), {"text": {"channel": "content"}}]},
        {"call": {"seq": [{"lit": " to="}, {"name": {"doubled": "."}}, special("<tool_call>"), {"args": {"json": {}}}]}},
    ]}}}));
    for choice in [ToolChoice::Auto, ToolChoice::None] {
        let mut m = matcher(&format, &plan(choice, true), true);
        assert!(accepts(&mut m, "<think>say to=you</think>go<think>and to=me"));
        assert!(!accepts(&mut m, "<think>say <tool_call>"));
    }
    let mut m = matcher(&format, &plan(ToolChoice::Auto, true), true);
    for name in ["get_time", "get_time.get_time"] {
        assert!(accepts(&mut m, &format!(" to={name}<tool_call>{{}}")), "{name}");
    }
    assert!(!accepts(&mut m, " to=get_time.get_weather<tool_call>{}"));
}
