//! What the recorded renders do not show: limits, errors, fitting of messages, tails and turns, model directories.

use serde_json::{Map, Value as Json, json};

use super::{
    ChatTemplate, Clock, Conversation, MessageShape, Rendered, TemplateError, TemplateErrorKind,
    TemplateLimits, TemplateOptions,
};

fn compile(source: &str) -> ChatTemplate {
    ChatTemplate::compile(source, &TemplateOptions::default()).expect("compiles")
}

/// Renders without tools; no probing where there are no messages.
fn render(source: &str, messages: &[Json]) -> Result<String, TemplateError> {
    compile(source).render(&Conversation::new(messages), false).map(|r| r.text)
}

fn family(id: &str) -> ChatTemplate {
    let registry = toolglot_parsers::Registry::builtin().expect("built-in families");
    let source = registry.get(id).and_then(|f| f.template().map(str::to_owned)).expect("a template");
    let options =
        TemplateOptions { name: id.to_owned(), clock: Clock::Fixed(0), ..TemplateOptions::default() };
    ChatTemplate::compile(source, &options).expect("compiles").with_variable("bos_token", "")
}

fn user(text: &str) -> Json {
    json!({"role": "user", "content": text})
}

fn call(arguments: Json) -> Json {
    json!({"role": "assistant", "content": null, "tool_calls": [
        {"id": "call00001", "type": "function", "function": {"name": "get_weather", "arguments": arguments}}
    ]})
}

fn tools() -> Vec<Json> {
    vec![
        json!({"type": "function", "function": {"name": "get_weather", "description": "Weather.", "parameters": {
        "type": "object", "properties": {"city": {"type": "string", "description": "City."}}, "required": ["city"]}}}),
    ]
}

/// Whether a render ended in an error, and not as the template's own refusal.
fn stops(source: &str) -> TemplateErrorKind {
    match render(source, &[]) {
        Ok(text) => panic!("{source} rendered {} bytes", text.len()),
        Err(error) => error.kind().clone(),
    }
}

#[test]
fn endless_work_runs_out_of_fuel() {
    for source in [
        "{% for i in range(100000) %}{% for j in range(100000) %}x{% endfor %}{% endfor %}",
        "{% set ns = namespace(s='xxxxxxxxxxxxxxxx') %}{% for i in range(60) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}",
        "{{ 'x' * 1000000000 }}",
        "{{ 'a'.center(100000000) }}",
        "{{ '%100000000d' | format(1) }}",
        "{{ ('a' * 1000000).replace('a', 'b' * 1000000) }}",
        "{{ range(100000) | map('string') | join('x' * 100000) }}",
    ] {
        assert!(matches!(stops(source), TemplateErrorKind::Limit { .. }), "{source}: {:?}", stops(source));
    }
}

#[test]
fn values_that_print_far_longer_than_they_are_stop_early() {
    let twice = |nest: &str, end: &str| {
        format!(
            "{{% set ns = namespace(x=[1]) %}}{{% for i in range(60) %}}{{% set ns.x = {nest} %}}{{% endfor %}}{{{{ {end} }}}}"
        )
    };
    for end in [
        "ns.x",
        "ns.x | tojson",
        "ns.x | string",
        "ns.x ~ ''",
        "ns.x | list ~ ''",
        "ns.x == [[ns.x]]",
        "(ns.x, 1) ~ ''",
    ] {
        // Printing through filters costs fuel, through the engine items; comparing may also find a difference at once.
        let kind = render(&twice("[ns.x, ns.x]", end), &[]).map_err(|e| e.kind().clone());
        assert!(
            matches!(kind, Err(TemplateErrorKind::Limit { .. })) || end.contains("=="),
            "{end}: {kind:?}"
        );
    }
    for nest in [
        "{'a': ns.x, 'b': ns.x}",
        "dict(a=ns.x, b=ns.x)",
        "ns.x + ns.x",
        "(ns.x + ns.x) | batch(2) | list",
        "(ns.x + ns.x) | slice(2) | list",
        "[ns.x] * 10000",
    ] {
        assert!(matches!(stops(&twice(nest, "ns.x ~ ''")), TemplateErrorKind::Limit { .. }), "{nest}");
    }
    for nest in ["(ns.x, ns.x)", "ns.x, ns.x", "namespace(a=ns)", "ns"] {
        stops(&twice(nest, "ns.x ~ ''"));
    }
    assert!(matches!(
        stops("{% set ns = namespace(x=1) %}{% set ns.x = [ns] %}{{ ns ~ '' }}"),
        TemplateErrorKind::Limit { .. }
    ));
}

#[test]
fn deep_values_and_deep_calls_do_not_exhaust_the_stack() {
    let deep = |nest: &str, levels: usize, tail: &str| {
        let source = format!(
            "{{% set ns = namespace(x=1, y=1) %}}{{% for i in range({levels}) %}}{{% set ns.x = {nest} %}}\
             {{% set ns.y = {} %}}{{% endfor %}}{tail}",
            nest.replace("ns.x", "ns.y")
        );
        render(&source, &[])
    };
    let nests = [
        "[ns.x]",
        "{'a': ns.x}",
        "dict(a=ns.x)",
        "[(((ns.x, 1), 1), 1)]",
        "[[ns.x] + [ns.x]]",
        "[[ns.x]] | batch(1) | list",
    ];
    for nest in nests {
        let error = deep(nest, 20_000, "").expect_err("too deep");
        assert!(error.to_string().contains("nested deeper than 256 levels"), "{nest}: {error}");
    }
    let tail = "{{ ns.x }}{{ ns.x ~ ns.y }}{{ ns.x == ns.y }}";
    assert!(deep("[ns.x]", 255, tail).expect("deep enough").ends_with("True"));
    // Lists that are changed after they were nested.
    let grown = "{% set ns = namespace(x=[]) %}{% for i in range(20000) %}{% set a = [] %}{% set p = [a] %}\
                 {% set _ = a.append(ns.x) %}{% set ns.x = p %}{% endfor %}{{ ns.x == ns.x }}";
    assert!(matches!(stops(grown), TemplateErrorKind::Failed { .. }));
    assert!(matches!(
        stops("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}"),
        TemplateErrorKind::Failed { .. }
    ));
    let brackets = format!("{{{{ {}1{} }}}}", "(".repeat(50_000), ")".repeat(50_000));
    let error = ChatTemplate::compile(brackets, &TemplateOptions::default()).expect_err("too deep");
    assert!(matches!(error.kind(), TemplateErrorKind::Syntax { .. }));
}

#[test]
fn long_conversations_fit_the_budget() {
    let tools: Vec<Json> = (0..50).flat_map(|_| tools()).collect();
    for (length, text) in [(2_000, "short".to_owned()), (8, "long text ".repeat(50_000))] {
        let messages: Vec<Json> = (0..length)
            .map(|i| match i % 4 {
                0 => user(&text),
                1 => call(json!({"city": text, "list": [1, 2, {"deep": [true, null, 1.5]}]})),
                2 => json!({"role": "tool", "tool_call_id": "call00001", "content": text}),
                _ => json!({"role": "assistant", "content": text}),
            })
            .collect();
        for id in ["hermes", "qwen3", "qwen3_coder", "llama3", "harmony"] {
            let rendered = family(id).render(&Conversation::new(&messages).with_tools(&tools), true);
            let rendered = rendered.unwrap_or_else(|e| panic!("{length} messages: {e}"));
            assert!(rendered.text.len() > length * text.len() / 2);
        }
    }
}

#[test]
fn a_list_cannot_contain_itself() {
    let kind = stops("{% set x = [] %}{% set y = [x] %}{% set _ = x.append(y) %}");
    assert!(matches!(kind, TemplateErrorKind::Failed { detail } if detail.contains("cannot contain itself")));
    let kind = stops("{% set x = {} %}{% set _ = x.update({'a': x}) %}");
    assert!(matches!(kind, TemplateErrorKind::Failed { detail } if detail.contains("cannot contain itself")));
}

#[test]
fn lists_and_dicts_of_the_template_can_be_changed() {
    let source = "{% set ns = namespace(ids=[]) %}{% for i in range(3) %}{% set _ = ns.ids.append('id' ~ i) %}{% endfor %}\
                  {{ ns.ids.pop(0) }}{{ ns.ids }}{% set d = {'a': 1} %}{% set _ = d.update({'b': 2}, c=3) %}{{ d }}\
                  {{ d.pop('a') }}{{ d.setdefault('z', 9) }}{{ d | length }}{% for k, v in d.items() %}{{ k }}{{ v }}{% endfor %}\
                  {% set l = [3, 1] %}{% set _ = l.extend([2]) %}{% set _ = l.sort() %}{% set _ = l.insert(0, 0) %}\
                  {% set _ = l.remove(1) %}{% set _ = l.reverse() %}{{ l }}{{ l == [3, 2, 0] }}{{ l + [1] }}{{ l[-1] }}{{ l | tojson }}";
    assert_eq!(
        render(source, &[]).expect("renders"),
        "id0['id1', 'id2']{'a': 1, 'b': 2, 'c': 3}193b2c3z9[3, 2, 0]True[3, 2, 0, 1]0[3, 2, 0]"
    );
    let given =
        render("{% set _ = messages.append(1) %}", &[]).expect_err("the conversation is not the template's");
    assert!(given.to_string().contains("cannot be changed"), "{given}");
}

#[test]
fn sizes_are_limited() {
    let limits = TemplateLimits { source_bytes: 10, output_bytes: 3, ..TemplateLimits::default() };
    let options = TemplateOptions { name: "small".into(), limits, ..TemplateOptions::default() };
    let error = ChatTemplate::compile("01234567890", &options).expect_err("too long");
    assert!(error.to_string().starts_with("chat template `small`: its 11 bytes"), "{error}");
    let error =
        ChatTemplate::compile("0123", &options).expect("compiles").render(&Conversation::new(&[]), false);
    assert!(matches!(error.expect_err("too long").kind(), TemplateErrorKind::Limit { .. }));
}

#[test]
fn errors_name_the_template_the_line_and_the_reason() {
    let options = TemplateOptions { name: "mine".into(), ..TemplateOptions::default() };
    let error = ChatTemplate::compile("a\n{% if %}", &options).expect_err("no condition");
    assert_eq!((error.template(), error.line()), ("mine", Some(2)));
    assert!(matches!(error.kind(), TemplateErrorKind::Syntax { .. }));

    let refuse = "\n{% macro m() %}\n{{ raise_exception('no tools, please') }}{% endmacro %}\n{{ m() }}";
    let template = ChatTemplate::compile(refuse, &options).expect("compiles");
    let error = template.render(&Conversation::new(&[]), false).expect_err("refused");
    assert_eq!(error.kind(), &TemplateErrorKind::Refused { message: "no tools, please".into() });
    assert!(error.to_string().contains("it refuses this conversation: no tools, please"), "{error}");

    let template = ChatTemplate::compile("\n\n{{ x.y.z }}", &options).expect("compiles");
    let error = template.render(&Conversation::new(&[]), false).expect_err("undefined");
    assert_eq!(error.line(), Some(3));
    assert!(
        error.to_string().contains("line 3: undefined value: `x` is undefined; pass the variable"),
        "{error}"
    );
    assert!(matches!(error.kind(), TemplateErrorKind::Failed { .. }));

    for source in ["{{ 1 | nothing }}", "{{ 1 is nothing }}", "{{ nothing() }}", "{{ 'a'.nothing() }}"] {
        assert!(matches!(stops(source), TemplateErrorKind::Unsupported { .. }), "{source}");
    }
}

#[test]
fn arguments_take_the_shape_that_the_template_needs() {
    let text = r#"{"city":"Oslo"}"#;
    let rendered = |id: &str, arguments: Json| {
        let tools = tools();
        let messages = [user("Hi"), call(arguments)];
        family(id).render(&Conversation::new(&messages).with_tools(&tools), false).expect("renders").text
    };
    // Objects only: the text is parsed, and an empty one means no arguments.
    assert_eq!(rendered("qwen3_coder", json!(text)), rendered("qwen3_coder", json!({"city": "Oslo"})));
    assert!(rendered("llama3", json!(text)).contains(r#""parameters": {"city": "Oslo"}}"#));
    assert!(rendered("llama3", json!("")).contains(r#""parameters": {}}"#));
    // Either: the model's own text is kept.
    assert!(rendered("qwen3", json!(text)).contains(r#""arguments": {"city":"Oslo"}}"#));
    assert!(rendered("qwen3", json!({"city": "Oslo"})).contains(r#""arguments": {"city": "Oslo"}}"#));
    // Text only.
    let source = "{% for m in messages %}{{ m.content }}{% for t in m.tool_calls %}{{ t.function.arguments }}{% endfor %}{% endfor %}";
    assert_eq!(render(source, &[call(json!({"a": [1, "é"]}))]).expect("renders"), r#"{"a": [1, "é"]}"#);

    let messages = [user("Hi"), call(json!("{broken"))];
    let error = family("llama3").render(&Conversation::new(&messages), false).expect_err("not JSON");
    assert!(
        error.to_string().contains("message 1: tool call 0: this template needs arguments as a JSON object"),
        "{error}"
    );
}

#[test]
fn content_takes_the_shape_that_the_template_needs() {
    let parts =
        [json!({"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]})];
    let strings = "{% for m in messages %}{{ m.content + '.' }}{% endfor %}";
    let walks = "{% for m in messages %}{% for p in m.content %}{{ p.text }}{% endfor %}.{% endfor %}";
    let both = "{% for m in messages %}{% if m.content is string %}{{ m.content }}{% else %}{% for p in m.content %}[{{ p.text }}]{% endfor %}{% endif %}{% endfor %}";
    assert_eq!(render(strings, &parts).expect("joined"), "a\nb.");
    assert_eq!(render(walks, &parts).expect("as given"), "ab.");
    assert_eq!(render(walks, &[user("a")]).expect("wrapped"), "a.");
    assert_eq!(render(both, &parts).expect("as given"), "[a][b]");
    assert_eq!(render(both, &[user("a")]).expect("as given"), "a");
    assert_eq!(render(strings, &[json!({"role": "assistant", "content": null})]).expect("empty"), ".");
    assert_eq!(render(strings, &[json!({"role": "assistant"})]).expect("empty"), ".");
    let image = [json!({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]})];
    let error = render(strings, &image).expect_err("an image is no text");
    assert!(error.to_string().contains("message 0: content part 0 is of type `image_url`"), "{error}");
    let as_given = TemplateOptions { messages: MessageShape::AsGiven, ..TemplateOptions::default() };
    let template = ChatTemplate::compile(strings, &as_given).expect("compiles");
    assert!(template.render(&Conversation::new(&parts), false).is_err());
    assert!(render(strings, &[json!("no object")]).is_err());
}

#[test]
fn reasoning_reaches_the_template_under_both_names() {
    let source = "{% for m in messages %}{{ m.thinking }}/{{ m.reasoning_content }};{% endfor %}";
    let messages = [
        json!({"role": "assistant", "content": "", "reasoning": "a"}),
        json!({"role": "assistant", "content": "", "thinking": "b", "reasoning": "x"}),
        json!({"role": "assistant", "content": "", "reasoning_content": "c", "thinking": "d"}),
        json!({"role": "assistant", "content": "", "reasoning_content": null}),
    ];
    assert_eq!(render(source, &messages).expect("renders"), "a/a;b/b;d/c;/None;");
}

#[test]
fn the_generation_prompt_is_the_tail_that_opens_the_turn() {
    let tail = |template: &ChatTemplate, variables: Json| {
        let variables: Map<String, Json> = serde_json::from_value(variables).expect("an object");
        let messages = [user("Hi <there>")];
        let Rendered { text, generation_prompt, .. } =
            template.render(&Conversation::new(&messages).with_variables(&variables), true).expect("renders");
        assert!(text.ends_with(&generation_prompt));
        generation_prompt
    };
    assert_eq!(tail(&family("qwen3"), json!({})), "<|im_start|>assistant\n");
    let closed = "<|im_start|>assistant\n<think>\n\n</think>\n\n";
    assert_eq!(tail(&family("qwen3"), json!({"enable_thinking": false})), closed);
    assert_eq!(tail(&family("llama3"), json!({})), "<|start_header_id|>assistant<|end_header_id|>\n\n");
    assert_eq!(tail(&family("harmony"), json!({})), "<|start|>assistant");
    // A template that opens the turn in any case, and one that closes the text otherwise.
    assert_eq!(tail(&compile("{{ messages[0].content }}<|bot|><think>\n\n"), json!({})), "<|bot|><think>\n");
    let other = "{{ messages[0].content }}{% if add_generation_prompt %}<|bot|>{% else %}<|end|>{% endif %}";
    assert_eq!(tail(&compile(other), json!({})), "<|bot|>");
    assert_eq!(tail(&compile("{{ messages | length }}"), json!({})), "");
}

#[test]
fn an_assistant_turn_is_what_the_model_would_write() {
    let tools = tools();
    let history = [user("Weather in Oslo?")];
    let turn = |id: &str, message: Json| {
        family(id).assistant_turn(&Conversation::new(&history).with_tools(&tools), &message).expect("a turn")
    };
    let written = |id: &str| turn(id, call(json!({"city": "Oslo"}))).completion.expect("after the prompt");
    assert_eq!(
        written("qwen3"),
        "<think>\n\n</think>\n\n<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Oslo\"}}\n</tool_call><|im_end|>\n"
    );
    assert_eq!(
        written("qwen3_coder").trim_start(),
        "<tool_call>\n<function=get_weather>\n<parameter=city>\nOslo\n</parameter>\n</function>\n</tool_call><|im_end|>\n"
    );
    assert_eq!(
        written("llama3"),
        "{\"name\": \"get_weather\", \"parameters\": {\"city\": \"Oslo\"}}<|eot_id|>"
    );
    assert_eq!(
        written("harmony"),
        " to=functions.get_weather<|channel|>commentary json<|message|>{\"city\": \"Oslo\"}<|call|>"
    );
    let thought = turn("qwen3", json!({"role": "assistant", "content": "Rain.", "reasoning_content": "Hm."}));
    assert_eq!(thought.completion.as_deref(), Some("<think>\nHm.\n</think>\n\nRain.<|im_end|>\n"));
    assert_eq!(thought.text, "<|im_start|>assistant\n<think>\nHm.\n</think>\n\nRain.<|im_end|>\n");
    assert_eq!(thought.generation_prompt, "<|im_start|>assistant\n");

    let counts = compile("{{ messages | length }}{% for m in messages %}{{ m.content }}{% endfor %}");
    let error =
        counts.assistant_turn(&Conversation::new(&history), &user("x")).expect_err("the count changes");
    assert_eq!(error.kind(), &TemplateErrorKind::NotAppendOnly);
}

#[test]
fn generation_blocks_give_the_assistant_spans() {
    let source = "{% for m in messages %}<{{ m.role }}>{% if m.role == 'assistant' %}{% generation %}{{ m.content }}.{% endgeneration %}{% else %}{{ m.content }}{% endif %}{% endfor %}";
    let messages = [user("Hi"), json!({"role": "assistant", "content": "héllo"}), user("Bye")];
    let template = compile(source);
    let rendered = template.render(&Conversation::new(&messages), false).expect("renders");
    assert_eq!(rendered.text, "<user>Hi<assistant>héllo.<user>Bye");
    let spans: Vec<_> = rendered.assistant_spans.iter().map(|s| &rendered.text[s.clone()]).collect();
    assert_eq!(spans, ["héllo."]);
    // The marks' own characters in a conversation stay, and then there are no spans.
    let rendered =
        template.render(&Conversation::new(&[user("a\u{fdd0}b\u{fdd1}")]), false).expect("renders");
    assert_eq!(rendered.text, "<user>a\u{fdd0}b\u{fdd1}");
    assert!(rendered.assistant_spans.is_empty());
}

#[test]
fn templates_are_found_where_models_keep_them() {
    let write = |dir: &tempfile::TempDir, file: &str, text: &str| {
        let path = dir.path().join(file);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("folder");
        std::fs::write(path, text).expect("written");
    };
    let text = |dir: &tempfile::TempDir, tools: Option<&[Json]>| {
        let template =
            ChatTemplate::from_model_dir(dir.path(), &TemplateOptions::default()).expect("a template");
        template.render(&Conversation { tools, ..Conversation::default() }, false).expect("renders").text
    };
    let dir = tempfile::tempdir().expect("a folder");
    let error = ChatTemplate::from_model_dir(dir.path(), &TemplateOptions::default()).expect_err("empty");
    assert!(matches!(error.kind(), TemplateErrorKind::Model { .. }), "{error}");
    write(
        &dir,
        "tokenizer_config.json",
        r#"{"bos_token": {"content": "<s>"}, "eos_token": null,
        "chat_template": [{"name": "default", "template": "D{{ bos_token }}{{ eos_token }}"}, {"name": "tool_use", "template": "T"}]}"#,
    );
    assert_eq!((text(&dir, None), text(&dir, Some(&[]))), ("D<s>".into(), "T".into()));
    write(&dir, "special_tokens_map.json", r#"{"eos_token": "</s>", "bos_token": "ignored"}"#);
    assert_eq!(text(&dir, None), "D<s></s>");
    write(&dir, "chat_template.json", r#"{"chat_template": "J{{ bos_token }}"}"#);
    assert_eq!(text(&dir, None), "J<s>");
    write(&dir, "chat_template.jinja", "N");
    write(&dir, "additional_chat_templates/tool_use.jinja", "A");
    assert_eq!((text(&dir, None), text(&dir, Some(&[]))), ("N".into(), "A".into()));
    write(&dir, "tokenizer_config.json", "[]");
    assert!(ChatTemplate::from_model_dir(dir.path(), &TemplateOptions::default()).is_err());
}

#[test]
fn templates_without_a_default_say_which_there_are() {
    let config = json!({"chat_template": [{"name": "rag", "template": "x"}]});
    let template =
        ChatTemplate::from_tokenizer_config(config.as_object().expect("object"), &TemplateOptions::default());
    let error = template.expect("compiles").render(&Conversation::new(&[]), false).expect_err("no default");
    assert!(error.to_string().contains("[\"rag\"]"), "{error}");
}
