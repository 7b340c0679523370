//! What each node of a format takes, shown on formats of the tests' own.

use toolglot_format::FinishReason;

use crate::parse;
use crate::synthetic::{format, session};

#[track_caller]
fn check(name: &str, output: &str, expected: &[&str]) {
    let format = format(name);
    let got = parse(&|| session(&format), "", output, FinishReason::Stop);
    assert_eq!(got.lines().collect::<Vec<_>>(), expected, "{name}: {output}");
}

#[track_caller]
fn check_cut(name: &str, output: &str, expected: &[&str]) {
    let format = format(name);
    let got = parse(&|| session(&format), "", output, FinishReason::Cut);
    assert_eq!(got.lines().collect::<Vec<_>>(), expected, "{name}: {output}");
}

#[test]
fn name_id_and_json() {
    check("named", "[TOOL_CALLS]now{}", &["call now {}"]);
    check(
        "named",
        "Hi[TOOL_CALLS]now[CALL_ID]abc123def[ARGS]{\"a\": \"[TOOL_CALLS]\"}[TOOL_CALLS]other[ARGS]{}",
        &[r#"text "Hi""#, r##"call now #abc123def {"a": "[TOOL_CALLS]"}"##, "call other {}"],
    );
    check("named", "[TOOL_CALLS]now[ARGS]", &["call now {}"]);
    check(
        "named",
        "[TOOL_CALLS]now[ARGS]{\"a\": [1}[TOOL_CALLS]now{}",
        &["call now {\"a\": [1} …", "call now {}", "bad InvalidArguments \"{\\\"a\\\": [1}\""],
    );
}

#[test]
fn cut_off() {
    check_cut(
        "named",
        "[TOOL_CALLS]now[ARGS]{\"a\": \"b",
        &["call now {\"a\": \"b …", "bad CutOff \"[TOOL_CALLS]now[ARGS]{\\\"a\\\": \\\"b\""],
    );
    check_cut("named", "[TOOL_CALLS]no", &["bad CutOff \"[TOOL_CALLS]no\""]);
    check_cut("named", "half a [TOOL_CA", &["text \"half a [TOOL_CA\""]);
    check_cut(
        "pairs",
        "<tool_call>get_weather\n<arg_key>city</arg_key>\n<arg_value>Osl",
        &[
            "call get_weather {\"city\": \"Osl …",
            "bad CutOff \"<tool_call>get_weather\\n<arg_key>city</arg_key>\\n<arg_value>Osl\"",
        ],
    );
}

#[test]
fn array_of_objects() {
    check(
        "array",
        "[TOOL_CALLS] [{\"name\": \"now\", \"arguments\": {}, \"id\": \"x1\"}, {\"id\": \"y\", \"arguments\": {\"a\": 1}, \"name\": \"b\"}]",
        &["call now #x1 {}", "call b #y {\"a\": 1}"],
    );
    check("array", "plain [x]", &["text \"plain [x]\""]);
}

#[test]
fn pythonic() {
    check(
        "pythonic",
        "[get_weather(city='Oslo, \"No\"', days=2, tags=[1, 'a'], opts={'k': None}), now()]",
        &[
            r#"call get_weather {"city": "Oslo, \"No\"", "days": 2, "tags": [1, "a"], "opts": {"k": null}}"#,
            "call now {}",
        ],
    );
    check("pythonic", "[not a call]", &["text \"[not a call]\""]);
    check("pythonic", "Hello", &["text \"Hello\""]);
}

#[test]
fn marked_strings() {
    let cases: &[(&str, &[&str])] = &[
        (
            "Hi<|tool_call>call:get_weather{city:<|\"|>Oslo, {\"No\"}\n<|\"|>,days:3,tags:[<|\"|>a]<|\"|>,1.50],opts:{k:true,l:{}}}<tool_call|>",
            &[
                "text \"Hi\"",
                r#"call get_weather {"city": "Oslo, {\"No\"}\n", "days": 3, "tags": ["a]", 1.50], "opts": {"k": true, "l": {}}}"#,
            ],
        ),
        ("<|tool_call>call:now{}<tool_call|><|tool_call>call:now{}", &["call now {}", "call now {}"]),
        // Any white space, quotes, types by the schema.
        (
            "<|tool_call>call:get_weather{ city : \"a\\n\" , days: <|\"|>3<|\"|>, note: None }<tool_call|>",
            &[r#"call get_weather {"city": "a\n", "days": 3, "note": null}"#],
        ),
        // A delimiter is missing.
        (
            "<|tool_call>call:get_weather{city:<|\"|>Oslo}<tool_call|>x",
            &[
                "text \"x\"",
                r#"call get_weather {"city": "Oslo"}"#,
                "bad InvalidArguments \"{city:<|\\\"|>Oslo}\"",
            ],
        ),
        (
            "<|tool_call>call:get_weather{city:New York<|\"|>,opts:{k:<|\"|>v}}",
            &[
                r#"call get_weather {"city": "New York", "opts": {"k": "v"}}"#,
                "bad InvalidArguments \"{city:New York<|\\\"|>,opts:{k:<|\\\"|>v}}\"",
            ],
        ),
        (
            "<|tool_call>call:get_weather{city:<|\"|>Oslo<|\"|><|\"|>,days:3<tool_call|>",
            &[
                r#"call get_weather {"city": "Oslo", "days": 3}"#,
                "bad InvalidArguments \"{city:<|\\\"|>Oslo<|\\\"|><|\\\"|>,days:3\"",
            ],
        ),
    ];
    for (output, expected) in cases {
        check("marked", output, expected);
    }
    check(
        "escape",
        "<start_function_call>call:get_weather{city:<escape>a<esc<escape>,days:<escape>3<escape>,size:<escape>3<escape>}<end_function_call>",
        &[r#"call get_weather {"city": "a<esc", "days": 3, "size": "3"}"#],
    );
    check(
        "escape",
        "<start_function_call>call:get_weather{tags:[1]],days:3}<end_function_call>",
        &[r#"call get_weather {"tags": [1], "days": 3}"#, "bad InvalidArguments \"{tags:[1]],days:3}\""],
    );
    check(
        "escape",
        "<start_function_call>call:now{}}<end_function_call>.",
        &["text \".\"", "call now {}", "bad Unexpected \"}\""],
    );
    check(
        "escape",
        "<start_function_call>call:now{a:}<end_function_call>.",
        &["text \".\"", "call now {\"a\": } …", "bad InvalidArguments \"{a:}\""],
    );
    check_cut(
        "escape",
        "<start_function_call>call:get_weather{city:<escape>Os}",
        &[
            "call get_weather {\"city\": \"Os …",
            "bad CutOff \"<start_function_call>call:get_weather{city:<escape>Os}\"",
        ],
    );
}

#[test]
fn markers_of_strings_as_tokens() {
    let format = format("marked");
    let run = |pieces: &[(&str, bool)], reason| {
        let pieces: Vec<(&[u8], Option<bool>)> =
            pieces.iter().map(|(text, special)| (text.as_bytes(), Some(*special))).collect();
        crate::show(crate::run(&mut *session(&format), "", &pieces, reason))
    };
    let quote = ("<|\"|>", true);
    let open = [("<|tool_call>", true), ("call:get_weather{city:", false), quote];
    // Text of the same spelling is text, whole or in part.
    let text = [("a <|\"|> }<|", false), ("\"", false), quote, (",days:3}", false), ("<tool_call|>", true)];
    assert_eq!(
        run(&[&open[..], &text].concat(), FinishReason::Stop),
        "call get_weather {\"city\": \"a <|\\\"|> }<|\\\"\", \"days\": 3}\n"
    );
    // The closing marker is missing in front of the token that ends the call, or of the end of the turn.
    let report = "call get_weather {\"city\": \"Oslo\"}\nbad InvalidArguments \"{city:<|\\\"|>Oslo }\"\n";
    let missing = [&open[..], &[("Oslo }", false), ("<tool_call|>", true)]].concat();
    assert_eq!(run(&missing, FinishReason::Stop), report);
    let stopped = [&open[..], &[("Oslo }", false)]].concat();
    assert_eq!(run(&stopped, FinishReason::Stop), report);
    assert!(run(&stopped, FinishReason::Cut).contains("bad CutOff"));
    // Another call's token inside a string ends the arguments as they stand.
    let other = [&open[..], &[("Os", false), ("<|tool_call>", true), ("call:now{}", false)]].concat();
    assert_eq!(
        run(&other, FinishReason::Stop),
        "call get_weather {\"city\": \"Os …\ncall now {}\nbad InvalidArguments \"{city:<|\\\"|>Os\"\n"
    );
}

#[test]
fn python_dicts() {
    let call = r#"call get_weather {"city": "it's", "opts": {"k": null, "t": [true, -1.0]}}"#;
    check(
        "dicts",
        "<|tool_calls|>[{'name': 'get_weather', 'arguments': {'city': \"it's\", 'opts': {'k': None, 't': [True, -1.0]}}}]",
        &[call],
    );
    // A string that holds no JSON is given as it stands, its white space included, in any cut.
    check_cut(
        "named",
        "[TOOL_CALLS]now[ARGS]\"<x = ",
        &["call now <x =  …", "bad CutOff \"[TOOL_CALLS]now[ARGS]\\\"<x = \""],
    );
    // The same where the format has JSON, and as a string.
    check(
        "array",
        "[TOOL_CALLS] [{'name': 'get_weather', 'id': None, 'arguments': {'city': 'it\\'s', 'opts': {'k': None, 't': [True, -1.0]}}}]",
        &[call],
    );
    check(
        "array",
        "[TOOL_CALLS][{\"name\": \"now\", \"arguments\": '{\"a\": 1}'}, {\"name\": \"now\", \"arguments\": \"{}\"}]",
        &["call now {\"a\": 1}", "call now {}"],
    );
    check("named", "[TOOL_CALLS]now{\"a\": 'b', c: True}", &["call now {\"a\": \"b\", \"c\": true}"]);
    check(
        "named",
        "[TOOL_CALLS]now{'a': 'it's'}[TOOL_CALLS]now{}",
        &["call now {\"a\": \"it's\"}", "call now {}", "bad InvalidArguments \"{'a': 'it's'}\""],
    );
    check(
        "named",
        "[TOOL_CALLS]now{'a': 'it' s'}[TOOL_CALLS]now{}",
        &["call now {\"a\": \"it\"s'} …", "call now {}", "bad InvalidArguments \"{'a': 'it' s'}\""],
    );
    check(
        "named",
        "[TOOL_CALLS]now{\"a\": Tru}",
        &["call now {\"a\": Tru} …", "bad InvalidArguments \"{\\\"a\\\": Tru}\""],
    );
}

#[test]
fn arrays_of_calls() {
    let two = ["call now {}", "call get_weather {\"days\": 3}"];
    for output in [
        r#"[TOOL_CALLS][{"name": "now", "arguments": {}}, {"name": "get_weather", "arguments": {"days": 3}}]"#,
        "[TOOL_CALLS] [ { \"name\" : \"now\" ,\n \"arguments\" : {} }\n,\t{\"arguments\": {\"days\": 3}, \"name\": \"get_weather\"} ]\n",
        r#"[TOOL_CALLS][{"name": "now", "arguments": null}, {"name": "get_weather", "arguments": "{\"days\": 3}"},]"#,
        r#"[TOOL_CALLS][{"name": "now"}, {"name": "get_weather", "arguments": {"days": 3}}"#,
        r#"[TOOL_CALLS][{"name": "now"},{"name": "get_weather", "parameters": {"days": 3}}, ]"#,
    ] {
        check("array", output, &two);
    }
    let named = ["call now {}", "call get_weather {\"city\": \"x\"}"];
    for output in [
        r#"<|tools_prefix|>[{"now": {}}, {"get_weather": {"city": "x"}}]<|tools_suffix|>"#,
        "<|tools_prefix|> [ { \"now\" : {} } ,\n{\"get_weather\":{\"city\": \"x\"}},]<|tools_suffix|>",
        r#"<|tools_prefix|>[{"now": {}}, {"get_weather": {"city": "x"}}"#,
        r#"<|tools_prefix|>[{"now": null}, {"get_weather": "{\"city\": \"x\"}"}]"#,
    ] {
        check("named_keys", output, &named);
    }
}

#[test]
fn keyword_arguments() {
    check(
        "lines",
        "<function_calls>\nget_weather(city=\"a)\", days='3', size='3', note=None)\nnow()\n</function_calls>",
        &[r#"call get_weather {"city": "a)", "days": 3, "size": "3", "note": null}"#, "call now {}"],
    );
    check(
        "lines",
        "<function_calls>\nget_weather(city=Oslo days=3)\nnow(a)\n</function_calls>",
        &[
            r#"call get_weather {"city": "Oslo", "days": 3}"#,
            "call now a{} …",
            "bad InvalidArguments \"city=Oslo days=3\"",
            "bad InvalidArguments \"a\"",
        ],
    );
    check(
        "lines",
        "<function_calls>get_weather(tags=[1, 'x' y], days=3)</function_calls>.",
        &[
            "text \".\"",
            r#"call get_weather {"tags": [1, "x"y], days=3 …"#,
            "bad InvalidArguments \"tags=[1, 'x' y], days=3\"",
        ],
    );
}

#[test]
fn pairs() {
    check(
        "pairs",
        "Ok\n<tool_call>get_weather\n<arg_key>city</arg_key>\n<arg_value>3</arg_value>\n<arg_key>days</arg_key><arg_value>3</arg_value></tool_call><tool_call>now</tool_call>",
        &[r#"text "Ok\n""#, r#"call get_weather {"city": "3", "days": 3}"#, "call now {}"],
    );
    check(
        "pairs",
        "<tool_call>get_weather<arg_key>note</arg_key><arg_value>null</arg_value><arg_key>size</arg_key><arg_value>1e3</arg_value><arg_key>other</arg_key><arg_value>[1]</arg_value><arg_key>more</arg_key><arg_value>no, thanks</arg_value></tool_call>",
        &[r#"call get_weather {"note": null, "size": 1e3, "other": [1], "more": "no, thanks"}"#],
    );
    check(
        "pairs",
        "<tool_call>get_weather<arg_key>opts</arg_key><arg_value>{'a': True}</arg_value><arg_key>tags</arg_key><arg_value>[\"</arg_value>\"]</arg_value></tool_call>",
        &[r#"call get_weather {"opts": {"a": true}, "tags": ["</arg_value>"]}"#],
    );
}

#[test]
fn typed() {
    check(
        "typed",
        "<｜DSML｜calls>\n<｜DSML｜invoke name=\"get_weather\">\n<｜DSML｜parameter name=\"city\" string=\"true\">12</｜DSML｜parameter>\n<｜DSML｜parameter name=\"x\" string=\"false\">12</｜DSML｜parameter>\n</｜DSML｜invoke>\n</｜DSML｜calls>",
        &[r#"call get_weather {"city": "12", "x": 12}"#],
    );
}

#[test]
fn raw_and_listed_names() {
    check(
        "raw",
        "<|python_tag|>python:print(\"a\")\n<|eom|>done",
        &[r#"text "done""#, r#"call python {"code": "print(\"a\")\n"}"#],
    );
    check("raw", "<|python_tag|>python_x\n{\"a\": 1}", &[r#"call python_x {"a": 1}"#]);
}

#[test]
fn bytes_that_are_not_utf8() {
    let format = format("named");
    let mut session = session(&format);
    let pieces: Vec<(&[u8], Option<bool>)> = vec![(b"a\xff\xfeb\xe2\x82", None), (b"\xacc", None)];
    let events = crate::run(&mut *session, "", &pieces, FinishReason::Stop);
    assert_eq!(
        crate::show(events).lines().collect::<Vec<_>>(),
        ["text \"a\u{fffd}\u{fffd}b€c\"", "bad NotUtf8 \"\u{fffd}\u{fffd}\""]
    );
}

#[test]
fn special_tokens_and_text_of_the_same_spelling() {
    let format = format("named");
    let run = |pieces: &[(&[u8], Option<bool>)]| {
        crate::show(crate::run(&mut *session(&format), "", pieces, FinishReason::Stop))
    };
    let plain = run(&[(b"[TOOL_CALLS]now{}", Some(false))]);
    assert_eq!(plain, "text \"[TOOL_CALLS]now{}\"\n");
    let token = run(&[(b"[TOOL_CALLS]", Some(true)), (b"now", Some(false)), (b"{}", Some(false))]);
    assert_eq!(token, "call now {}\n");
    let stray = run(&[(b"a", Some(false)), (b"<|eot|>", Some(true)), (b"b", Some(false))]);
    assert_eq!(stray, "text \"ab\"\nbad StrayMarker \"<|eot|>\"\n");
    // A marker inside an open string ends the arguments when it is a token.
    let cut = run(&[
        (b"[TOOL_CALLS]", Some(true)),
        (b"now{\"a\": \"b", Some(false)),
        (b"[TOOL_CALLS]", Some(true)),
        (b"now{}", Some(false)),
    ]);
    assert_eq!(cut, "call now {\"a\": \"b …\ncall now {}\nbad InvalidArguments \"{\\\"a\\\": \\\"b\"\n");
}

#[test]
fn primed_state() {
    let format = format("named");
    let got = parse(&|| session(&format), "[TOOL_CALLS]now[ARGS]{\"a\": ", "1}", FinishReason::Stop);
    assert_eq!(got, "call now {\"a\": 1}\n");
}
