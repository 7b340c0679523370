//! Members that the format does not name, members that come twice, and commas too many: nothing of them is lost.
//! Arguments that are written as JSON here hold no key twice; JSON that passes through and does is told of.

use toolglot_format::{Event, FinishReason};

use crate::synthetic::{format, session};
use crate::{parse, run};

#[track_caller]
fn check(name: &str, output: &str, expected: &[&str]) {
    let format = format(name);
    let got = parse(&|| session(&format), "", output, FinishReason::Stop);
    assert_eq!(got.lines().collect::<Vec<_>>(), expected, "{name}: {output}");
}

#[test]
fn members_that_the_format_does_not_name_are_reported() {
    check(
        "array",
        r#"[TOOL_CALLS][{"name": "now", "reason": "be, sure}", "arguments": {"a": 1}, "extra": [1, {"b": null}]}]"#,
        &[
            r#"call now {"a": 1}"#,
            r#"bad Unexpected "\"reason\": \"be, sure}\"""#,
            r#"bad Unexpected "\"extra\": [1, {\"b\": null}]""#,
        ],
    );
    // In front of the name, too, and in another notation.
    check(
        "array",
        r#"[TOOL_CALLS][{"why": 12 , "ok": {'a': True}, "name": "now", "arguments": {}}]"#,
        &["call now {}", r#"bad Unexpected "\"why\": 12""#, r#"bad Unexpected "\"ok\": {'a': True}""#],
    );
}

#[test]
fn a_misspelt_key_does_not_make_a_call_without_arguments() {
    check(
        "array",
        r#"[TOOL_CALLS][{"name": "now", "argumenzts": {"a": 1}}]"#,
        &["call now  …", r#"bad Unexpected "\"argumenzts\": {\"a\": 1}""#],
    );
    // No object, no arguments.
    check(
        "array",
        r#"[TOOL_CALLS][{"name": "now", "note": "x"}]"#,
        &["call now {}", r#"bad Unexpected "\"note\": \"x\"""#],
    );
    check(
        "array",
        r#"[TOOL_CALLS][{"name": "now", "argumenzts": {"b": 1}, "parameters": {"a": 1}}]"#,
        &[r#"call now {"a": 1}"#, r#"bad Unexpected "\"argumenzts\": {\"b\": 1}""#],
    );
}

#[test]
fn a_second_name_id_or_object_is_reported() {
    check(
        "array",
        r#"[TOOL_CALLS][{"name": "now", "name": "b", "id": "x", "id": "y", "id": "x", "id": true, "arguments": {}, "parameters": {"a": 1}}]"#,
        &[
            "call now #x {}",
            r#"bad Unexpected "\"name\": \"b\"""#,
            r#"bad Unexpected "\"id\": \"y\"""#,
            r#"bad Unexpected "\"id\": true""#,
            r#"bad Unexpected "\"parameters\": {\"a\": 1}""#,
        ],
    );
    // What is null is not there.
    check(
        "array",
        r#"[TOOL_CALLS][{"id": null, "name": "now", "arguments": null, "parameters": {"a": 1}}]"#,
        &[r#"call now {"a": 1}"#],
    );
    check("array", r#"[TOOL_CALLS][{"id": 1.5e3, "name": "now"}]"#, &["call now #1.5e3 {}"]);
}

#[test]
fn a_member_that_breaks_off_is_reported() {
    check(
        "array",
        r#"[TOOL_CALLS][{"name": "now", "arguments": {}, "note" word}] end"#,
        &[r#"text "word}] end""#, "call now {}", r#"bad Unexpected "\"note\" ""#],
    );
    let format = format("array");
    let pieces: &[(&[u8], Option<bool>)] = &[
        (b"[TOOL_CALLS]", Some(true)),
        (br#"[{"name": "now", "arguments": {}, "note": {"word" "#, Some(false)),
        (b"[TOOL_CALLS]", Some(true)),
        (br#"[{"name": "now"}]"#, Some(false)),
    ];
    let events = run(&mut *session(&format), "", pieces, FinishReason::Stop);
    let words =
        events.iter().filter(|event| matches!(event, Event::Malformed { raw, .. } if raw.contains("word")));
    assert_eq!(words.count(), 1, "{events:?}");
}

#[test]
fn text_that_only_looks_like_a_call_is_given_back_whole() {
    check(
        "array",
        r#"[TOOL_CALLS][{"x": 1, "y": {"a": 1}}] end"#,
        &[r#"text "[{\"x\": 1, \"y\": {\"a\": 1}}] end""#],
    );
}

#[test]
fn no_key_twice() {
    check(
        "pairs",
        "<tool_call>get_weather\n<arg_key>city</arg_key>\n<arg_value>Oslo</arg_value>\n<arg_key>city</arg_key>\n<arg_value>Rome \u{e9}</arg_value>\n<arg_key>days</arg_key>\n<arg_value>3</arg_value>\n</tool_call>",
        &[
            r#"call get_weather {"city": "Oslo", "days": 3}"#,
            "bad Unexpected \"city</arg_key>\\n<arg_value>Rome \u{e9}\"",
        ],
    );
    check(
        "pythonic",
        "[get_weather(city='Oslo', opts={'k': 1, 'l': {'k': 2}, 'k': [3, {'k': 4}], 'm': 5}, city='Rome, a=1', days=3)]",
        &[
            r#"call get_weather {"city": "Oslo", "opts": {"k": 1, "l": {"k": 2}, "m": 5}, "days": 3}"#,
            r#"bad InvalidArguments "city='Oslo', opts={'k': 1, 'l': {'k': 2}, 'k': [3, {'k': 4}], 'm': 5}, city='Rome, a=1', days=3""#,
        ],
    );
    // The last one, and one that brackets cut short.
    check(
        "pythonic",
        "[get_weather(opts={'k': 1, 'k': 2}, city='a', city='b')]",
        &[
            r#"call get_weather {"opts": {"k": 1}, "city": "a"}"#,
            r#"bad InvalidArguments "opts={'k': 1, 'k': 2}, city='a', city='b'""#,
        ],
    );
    check(
        "marked",
        "<|tool_call>call:now{a:<|\"|>x<|\"|>,a:[1,{b:2}],c:{b:1,b:2}}<tool_call|>",
        &[
            r#"call now {"a": "x", "c": {"b": 1}}"#,
            "bad InvalidArguments \"{a:<|\\\"|>x<|\\\"|>,a:[1,{b:2}],c:{b:1,b:2}}\"",
        ],
    );
}

#[test]
fn a_comma_too_many_is_passed_over_and_reported() {
    check(
        "named",
        "[TOOL_CALLS]now[ARGS]{\"a\": [1, 2 ,\n ], \"b\": {\"c\": 1,},}",
        &[
            r#"call now {"a": [1, 2 ], "b": {"c": 1}}"#,
            r#"bad InvalidArguments "{\"a\": [1, 2 ,\n ], \"b\": {\"c\": 1,},}""#,
        ],
    );
    // Two are not read in one way only.
    check(
        "named",
        "[TOOL_CALLS]now[ARGS]{\"a\": 1,, }",
        &[r#"call now {"a": 1,, } …"#, r#"bad InvalidArguments "{\"a\": 1,, }""#],
    );
    // Where the turn is cut off the comma stays, as all that has come.
    let format = format("named");
    let cut = parse(&|| session(&format), "", "[TOOL_CALLS]now[ARGS]{\"a\": 1, ", FinishReason::Cut);
    assert!(cut.starts_with("call now {\"a\": 1,  …\n"), "{cut}");
}

#[test]
fn words_around_a_call_do_not_run_together() {
    let content = |output: &str| {
        let format = format("marked");
        let mut all = Vec::new();
        for chunk in [output.len(), 1, 3] {
            let pieces: Vec<_> = output.as_bytes().chunks(chunk).map(|piece| (piece, None)).collect();
            let events = Event::join(run(&mut *session(&format), "", &pieces, FinishReason::Stop));
            let text = events.into_iter().filter_map(|event| match event {
                Event::Text { text, .. } => Some(text),
                _ => None,
            });
            all.push(text.collect::<String>());
        }
        assert!(all.iter().all(|text| *text == all[0]), "{all:?}");
        all.swap_remove(0)
    };
    assert_eq!(content("a <|tool_call>call:now{}<tool_call|> b"), "a  b");
    let spaced = format("array");
    let got = parse(&|| session(&spaced), "", "a \n[TOOL_CALLS] [{\"name\": \"now\"}]", FinishReason::Stop);
    assert!(got.contains("call now {}"), "{got}");
}

#[test]
fn json_with_a_key_twice_passes_through_and_is_told_of() {
    let twice = [
        r#"{"x": 1, "x": 2}"#,
        r#"{"a": {"x": 1, "y": 2, "x": {}}, "b": [{"x": 1}, {"x": 1}]}"#,
        r#"{"a\"b": 1, "c": [], "a\"b": 2}"#,
    ];
    for json in twice {
        check(
            "array",
            &format!(r#"[TOOL_CALLS][{{"name": "now", "arguments": {json}}}]"#),
            &[&format!("call now {json}"), &format!("bad InvalidArguments {json:?}")],
        );
    }
    for json in
        [r#"{"x": {"x": 1}, "y": [{"x": 1}, {"x": 1}], "xx": 1}"#, r#"{"a\"b": 1, "ab": 2, "a\\": 3}"#]
    {
        check(
            "array",
            &format!(r#"[TOOL_CALLS][{{"name": "now", "arguments": {json}}}]"#),
            &[&format!("call now {json}")],
        );
    }
    // In a string that holds the arguments, and in a parameter's value.
    check(
        "array",
        r#"[TOOL_CALLS][{"name": "now", "arguments": "{\"x\": 1, \"x\": 2}"}]"#,
        &[r#"call now {"x": 1, "x": 2}"#, r#"bad InvalidArguments "\"{\\\"x\\\": 1, \\\"x\\\": 2}\"""#],
    );
    check(
        "pairs",
        r#"<tool_call>get_weather<arg_key>opts</arg_key><arg_value>{"x": 1, "x": 2}</arg_value></tool_call>"#,
        &[r#"call get_weather {"opts": {"x": 1, "x": 2}}"#, r#"bad InvalidArguments "{\"x\": 1, \"x\": 2}""#],
    );
}

#[test]
fn comments_are_passed_over_and_told_of() {
    let call =
        |json: &str| format!(r#"[TOOL_CALLS][{{"name": "now", "arguments": {json}}}, {{"name": "now"}}]"#);
    for (json, given) in [
        ("{\"a\": 1, // one, ] \"two\"\n \"b\": 2}", r#"{"a": 1,  "b": 2}"#),
        ("{ // } http://x\n\"a\" /* : */ : /**/ [/* none **/], \"b\": 1//x\n}", r#"{ "a"  :  [], "b": 1}"#),
        ("{\"a\": 1 /* } */, /* the last */}", r#"{"a": 1 }"#),
    ] {
        let bad = format!("bad InvalidArguments {json:?}");
        check("array", &call(json), &[&format!("call now {given}"), "call now {}", &bad]);
        let named = format!("[TOOL_CALLS]now[ARGS]{json}");
        check("named", &named, &[&format!("call now {given}"), &bad]);
    }
    // What stands in a string is a part of it.
    check("array", &call(r#"{"a": "// /* x"}"#), &[r#"call now {"a": "// /* x"}"#, "call now {}"]);
}

#[test]
fn what_only_begins_like_a_comment_breaks_the_arguments() {
    for json in [r#"{"a": 1 / 2}"#, r#"{"a": /x/}"#, "{\"a\": 1, /"] {
        let output = format!("[TOOL_CALLS]now[ARGS]{json}[TOOL_CALLS]get_weather[ARGS]{{}}");
        let bad = format!("bad InvalidArguments {json:?}");
        check("named", &output, &[&format!("call now {json} …"), "call get_weather {}", &bad]);
    }
    // A marker ends what never ends.
    for json in [r#"{"a": 1, // to do}"#, r#"{"a": 1 /* to do}"#] {
        let output = format!("[TOOL_CALLS]now[ARGS]{json}[TOOL_CALLS]get_weather[ARGS]{{}}");
        let bad = format!("bad InvalidArguments {json:?}");
        check("named", &output, &[&format!("call now {json} …"), "call get_weather {}", &bad]);
        let cut = format!("[TOOL_CALLS]now[ARGS]{json}");
        check("named", &cut, &[&format!("call now {json} …"), &format!("bad CutOff {cut:?}")]);
    }
}
