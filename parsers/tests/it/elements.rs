//! Arguments as nested elements.

use serde_json::{Value, json};
use std::sync::Arc;
use toolglot_format::{Call, Event, FinishReason, Piece, Plan, Turn};
use toolglot_parsers::{Parser, PrintError, Program, Session, SessionOptions, print, to_text};

use crate::synthetic::format;
use crate::{parse, run, show};

fn plan() -> Plan {
    let tools = json!([{"name": "order", "parameters": {"type": "object", "properties": {
        "note": {"type": "string"}, "id": {"type": "integer"}, "urgent": {"type": "boolean"},
        "size": {"type": ["string", "number", "null"]},
        "to": {"type": "object", "properties": {"city": {"type": "string"}, "zip": {"type": "integer"}}},
        "items": {"type": "array", "items": {"type": "object", "properties": {
            "sku": {"type": "string"}, "qty": {"type": "integer"}, "tags": {"type": "array", "items": {"type": "string"}},
        }}},
        "union": {"anyOf": [{"type": "array", "items": {"type": "integer"}}, {"type": "object", "properties": {"op": {"type": "string"}}}]},
        "label": {"oneOf": [{"type": "string"}, {"type": "object", "properties": {"text": {"type": "string"}}}]},
        "tree": {"$ref": "#/$defs/tree"},
    }, "$defs": {"tree": {"type": "object", "properties": {
        "value": {"type": "integer"}, "kids": {"type": "array", "items": {"$ref": "#/$defs/tree"}},
    }}}}}]);
    Plan::from_openai(&tools, &Value::Null, true).unwrap()
}

fn open() -> Box<dyn Session> {
    let program = Arc::new(Program::new(&format("elements")).unwrap());
    Box::new(Parser::new(program, &plan(), SessionOptions::default()))
}

/// `[` stands for the prefix of a tag.
fn output(arguments: &str) -> String {
    format!("[<tool_call>\n[<invoke name=\"order\">{arguments}[</invoke>\n[</tool_call>")
        .replace('[', "]<]ns[>[")
}

fn parsed(arguments: &str) -> String {
    parse(&open, "", &output(arguments), FinishReason::Stop)
}

#[track_caller]
fn check(arguments: &str, json: &str) {
    assert_eq!(parsed(arguments), format!("call order {json}\n"), "{arguments}");
}

#[test]
fn elements_become_objects_and_arrays() {
    check("", "{}");
    check("[<note>a <b> & c\n[</note>[<id> 7 [</id>", r#"{"note": "a <b> & c\n", "id": 7}"#);
    check(
        "[<to>[<city>Oslo[</city>[<zip>018956[</zip>[</to>[<urgent>true[</urgent>",
        r#"{"to": {"city": "Oslo", "zip": 18956}, "urgent": true}"#,
    );
    check(
        "[<items>[<item>[<sku>1[</sku>[<qty>2[</qty>[</item>[<item>[<tags>[<item>x[</item>[<item>7[</item>[</tags>[</item>[</items>",
        r#"{"items": [{"sku": "1", "qty": 2}, {"tags": ["x", "7"]}]}"#,
    );
    check(
        "[<items>[</items>[<to>[</to>[<note>[</note>[<id>[</id>",
        r#"{"items": [], "to": {}, "note": "", "id": null}"#,
    );
    check(
        "[<tree>[<value>1[</value>[<kids>[<item>[<kids>[<item>[<value>2[</value>[</item>[</kids>[</item>[</kids>[</tree>",
        r#"{"tree": {"value": 1, "kids": [{"kids": [{"value": 2}]}]}}"#,
    );
}

#[test]
fn the_first_child_tells_what_a_union_is() {
    check("[<union>[<item>1[</item>[<item>2[</item>[</union>", r#"{"union": [1, 2]}"#);
    check("[<union>[<op>1[</op>[</union>", r#"{"union": {"op": "1"}}"#);
    check("[<label>hi[</label>", r#"{"label": "hi"}"#);
    check("[<label>\n[<text>hi[</text>\n[</label>", r#"{"label": {"text": "hi"}}"#);
    check("[<size>12[</size>", r#"{"size": 12}"#);
    check("[<size>XL[</size>", r#"{"size": "XL"}"#);
    check("[<size>null[</size>", r#"{"size": null}"#);
}

#[test]
fn an_element_that_its_object_has_already_is_reported() {
    assert_eq!(
        parsed(
            "[<id>7[</id>[<id>8[</id>[<to>[<city>a[</city>[<city>[<zip>b[</zip>c[</city>[<zip>1[</zip>[</to>[<to>d[</to>"
        ),
        "call order {\"id\": 7, \"to\": {\"city\": \"a\", \"zip\": 1}}\n\
         bad Unexpected \"]<]ns[>[<id>8]<]ns[>[</id>\"\n\
         bad Unexpected \"]<]ns[>[<city>]<]ns[>[<zip>b]<]ns[>[</zip>c]<]ns[>[</city>\"\n\
         bad Unexpected \"]<]ns[>[<to>d]<]ns[>[</to>\"\n"
    );
    // One that its array has already is another item.
    check(
        "[<items>[<item>[<sku>1[</sku>[</item>[<item>[<sku>1[</sku>[</item>[</items>",
        r#"{"items": [{"sku": "1"}, {"sku": "1"}]}"#,
    );
}

#[test]
fn without_a_schema_the_content_decides() {
    check(
        "[<x>[<a>1[</a>[<b>[<item>true[</item>[<item>b c[</item>[</b>[</x>",
        r#"{"x": {"a": 1, "b": [true, "b c"]}}"#,
    );
    check("[<x>{\"a\": {}}[</x>", r#"{"x": {"a": {}}}"#);
    check(
        "[<x>text [<k>v[</k> there[</x>",
        &format!("{{\"x\": {}}}", json!("text [<k>v[</k> there")).replace('[', "]<]ns[>["),
    );
}

#[test]
fn a_string_keeps_what_is_no_end_of_it() {
    let cases = [
        "[",
        "[<b>bold[</b>",
        "[</other>",
        "[</not",
        "</note>",
        "[<invoke>",
        "<]ns[>",
        "]<]ns[>]<]ns[>[",
        "[[",
    ];
    for case in cases {
        let value = format!("a{case}z").replace('[', "]<]ns[>[");
        let got =
            parse(&open, "", &output("[<note>VALUE[</note>").replace("VALUE", &value), FinishReason::Stop);
        assert_eq!(got, format!("call order {{\"note\": {}}}\n", json!(value)), "{case}");
    }
}

#[test]
fn forgotten_and_wrong_tags() {
    // The end of the call, or of an outer element, closes what is open.
    check("[<to>[<city>Oslo", r#"{"to": {"city": "Oslo"}}"#);
    check("[<to>[<city>Oslo[</to>[<id>1[</id>", r#"{"to": {"city": "Oslo"}, "id": 1}"#);
    check(" \n[<id>\n1\n[</id>\n", r#"{"id": 1}"#);
    assert_eq!(
        parsed("[<to>junk[<zip>1[</zip>[</nothing>[</to>"),
        "call order {\"to\": {\"zip\": 1}}\nbad Unexpected \"junk\"\nbad Unexpected \"]<]ns[>[</nothing>\"\n"
    );
    let two = output("[<note>x").replacen(
        "]<]ns[>[</invoke>",
        "]<]ns[>[<invoke name=\"order\">]<]ns[>[</invoke>",
        1,
    );
    let calls = "call order {\"note\": \"x\"}
call order {}
";
    assert_eq!(parse(&open, "", &two, FinishReason::Stop), calls);
}

#[test]
fn cut_off_inside() {
    let text = output("[<to>[<city>Osl");
    let text = text.split("]<]ns[>[</invoke>").next().unwrap();
    let mut session = open();
    let got = show(run(&mut *session, "", &[(text.as_bytes(), None)], FinishReason::Cut));
    assert!(got.starts_with("call order {\"to\": {\"city\": \"Osl …\n"), "{got}");
}

#[test]
fn the_prefix_as_a_token_and_as_text() {
    let token: (&[u8], Option<bool>) = (b"]<]ns[>[", Some(true));
    let text = |text: &'static str| -> (&[u8], Option<bool>) { (text.as_bytes(), Some(false)) };
    let pieces = [
        token,
        text("<tool_call>\n"),
        token,
        text("<invoke name=\"order\">"),
        token,
        text("<note>a]<]ns[>[</no"),
        text("te>b"),
        token,
        text("</note>"),
        token,
        text("</invoke>\n"),
        token,
        text("</tool_call>"),
    ];
    let got = show(run(&mut *open(), "", &pieces, FinishReason::Stop));
    assert_eq!(got, "call order {\"note\": \"a]<]ns[>[</note>b\"}\n");
}

#[test]
fn strings_are_given_out_as_they_come() {
    let text = output("[<to>[<city>Oslo in Norway[</city>[</to>");
    let upto = text.find(" in Norway").unwrap();
    let mut events = Vec::new();
    open().feed(&[Piece::text(&text[..upto])], &mut events);
    let json: String = events
        .into_iter()
        .filter_map(|event| match event {
            Event::Arguments { json, .. } => Some(json),
            _ => None,
        })
        .collect();
    assert_eq!(json, r#"{"to": {"city": "Oslo"#);
}

fn printed(arguments: Value) -> Result<String, PrintError> {
    let call = Call { name: "order".into(), id: None, arguments: arguments.to_string(), complete: true };
    let turn = Turn { calls: vec![call], ..Turn::default() };
    print(&format("elements"), &plan(), &turn).map(|parts| to_text(&parts))
}

#[test]
fn what_is_printed_parses_back() {
    let good = [
        json!({}),
        json!({"note": " a\nb ", "id": -3, "urgent": false, "size": 1.5}),
        json!({"to": {"city": "12", "zip": 12}, "items": [{"sku": "x", "tags": []}, {}]}),
        json!({"union": [1]}),
        json!({"union": {"op": "item"}}),
        json!({"label": {"text": "t"}, "tree": {"kids": [{"kids": []}]}}),
        json!({"other": {"a": [1, "b c", {"d": true}]}}),
    ];
    for arguments in good {
        let text = printed(arguments.clone()).unwrap();
        let got: Turn =
            run(&mut *open(), "", &[(text.as_bytes(), None)], FinishReason::Stop).into_iter().collect();
        assert_eq!(serde_json::from_str::<Value>(&got.calls[0].arguments).unwrap(), arguments, "{text}");
        assert!(got.malformed.is_empty() && got.calls[0].complete, "{text}");
    }
    let text = printed(json!({"to": {"city": "Oslo"}})).unwrap();
    assert_eq!(text, output("[<to>[<city>Oslo[</city>[</to>"));
    let ambiguous = [
        json!({"size": "12"}),
        json!({"label": {}}),
        json!({"id": "7"}),
        json!({"note": 7}),
        json!({"other": []}),
        json!({"other": {"item": 1}}),
    ];
    for arguments in ambiguous {
        let got = printed(arguments.clone());
        assert!(matches!(got, Err(PrintError::Ambiguous { .. })), "{arguments}: {got:?}");
    }
    assert!(matches!(printed(json!({"note": "a]<]ns[>["})), Err(PrintError::Terminator { .. })));
    assert!(matches!(printed(json!({"a b": 1})), Err(PrintError::Arguments { .. })));
}

#[test]
fn nesting_has_a_limit() {
    let got: Turn =
        run(&mut *open(), "", &[(output(&"[<a>".repeat(1000)).as_bytes(), None)], FinishReason::Stop)
            .into_iter()
            .collect();
    let mut value: Value = serde_json::from_str(&got.calls[0].arguments).unwrap();
    let mut depth = 0;
    while let Some(inner) = value.get_mut("a").map(Value::take) {
        value = inner;
        depth += 1;
    }
    // What stands further in is the text of the innermost element.
    assert_eq!((depth, value.as_str().unwrap().matches("<a>").count()), (100, 900));
}
