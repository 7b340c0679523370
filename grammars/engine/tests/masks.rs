//! Masks made from packs, tails and memory against plain stepping: over a vocabulary with everything that hurts (cut
//! characters, escapes, quotes with what follows them), a token is in the mask if and only if its bytes can be taken
//! one by one. And every walk that keeps to a budget ends in time.

#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};
use std::sync::Arc;
use toolglot_format::{Format, Plan};
use toolglot_grammar::{CompiledGrammar, Grammar, GrammarBuilder, JsonStyle, Matcher, Token, Vocabulary};
use toolglot_schema::{Options, Schema};

struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        ((self.0 >> 33) as usize) % n
    }
}

fn vocabulary() -> Arc<Vocabulary> {
    let mut texts: Vec<Vec<u8>> = (0..=255u8).map(|b| vec![b]).collect();
    let parts = [
        "\"",
        "\\",
        "\\u",
        "\\u00",
        "\\ud8",
        "\\n",
        "\\\"",
        "{",
        "}",
        "[",
        "]",
        ",",
        ", ",
        ":",
        ": ",
        "\": ",
        "\", \"",
        "a",
        "ab",
        "bc",
        "city",
        "days",
        "é",
        "日",
        "😀",
        "0",
        "12",
        "-",
        ".5",
        "e1",
        "true",
        "null",
        " ",
        "\n",
        "<",
        "</",
        "tool_call>",
        "parameter=",
        ">\n",
        "xyz",
        "name",
        "\"}",
        "}}",
    ];
    let mut random = Random(3);
    for part in parts {
        texts.push(part.as_bytes().to_vec());
        for _ in 0..9 {
            let mut text = part.as_bytes().to_vec();
            for _ in 0..=random.below(3) {
                text.extend(parts[random.below(parts.len())].as_bytes());
            }
            // Some tokens end, or begin, in the middle of a character.
            match random.below(4) {
                0 => text.truncate(text.len() - 1),
                1 if text.len() > 1 => {
                    text.remove(0);
                }
                _ => {}
            }
            texts.push(text);
        }
    }
    texts.retain(|t| !t.is_empty());
    let mut tokens: Vec<Token> = texts.into_iter().map(Token::text).collect();
    tokens.push(Token::special("<tool_call>"));
    tokens.push(Token::added("</tool_call>"));
    tokens.push(Token::special("<eos>"));
    let eos = tokens.len() as u32 - 1;
    Arc::new(Vocabulary::new(tokens, &[eos], Some(eos as usize + 9)).unwrap())
}

fn schemas() -> Vec<Value> {
    vec![
        json!({"type": "object", "properties": {"city": {"type": "string", "minLength": 1, "maxLength": 4},
            "days": {"type": "integer", "minimum": 1, "maximum": 120}}, "required": ["city"]}),
        json!({"type": "array", "items": {"type": "string", "pattern": "^[a-cé]{2,6}$"}, "minItems": 1, "maxItems": 3}),
        json!({"type": "string", "pattern": "b.*c", "maxLength": 6}),
        json!({"type": "string", "minLength": 3}),
        json!({"type": "string", "pattern": "^(?:[a-zé]+ ){0,5}[a-z]+$"}),
        json!({"type": "string", "pattern": "^([0-9]{1,2}[.-]){3,8}x$"}),
        json!({"type": "string", "pattern": "(ab|name|12|city)", "not": {"enum": ["ab", "abc", "city"]}}),
        json!({"type": "object", "properties": {"name": {}, "a\"b": {}, "12": {}, "日\n": {}, "abcity": {}},
            "additionalProperties": {"type": "string"}, "minProperties": 3}),
        json!({"type": "string", "pattern": "^(?:\\S+\\s+){0,3}\\S+$", "minLength": 2, "maxLength": 9}),
        json!({"type": "string", "pattern": "^([a-z]{2})*$", "minLength": 3, "maxLength": 8}),
        json!({"type": "string", "pattern": "(ab|é)+x?$", "maxLength": 7}),
        json!({"type": "string", "pattern": "^([ab]é?)+$", "minLength": 3}),
        json!({"type": "string", "pattern": "b[0-9]+"}),
        json!({"type": "string", "pattern": "^\\w+(-\\w+)*$"}),
        json!({"type": "string", "allOf": [{"pattern": "a"}, {"pattern": "[0-9]$"}], "maxLength": 5}),
        json!({"type": "object", "properties": {"a": {"type": "null"}, "ab": {}, "city": {"type": "null"}},
            "additionalProperties": {"type": "boolean"}}),
        json!({"anyOf": [{"type": "string", "enum": ["ab", "abc", "xyz"]}, {"type": "number"}, {"type": "array", "items": {}}]}),
        json!({"type": "object", "patternProperties": {"^a": {"type": "integer"}}, "additionalProperties": {"type": "boolean"},
            "minProperties": 1, "maxProperties": 3}),
        json!({"type": "object", "properties": {"ab": {"type": "number", "multipleOf": 0.5}, "abc": {"type": "null"},
            "x": {"enum": [1, 12, 120]}}, "additionalProperties": false, "minProperties": 2}),
        // More readings at once than are remembered for one mask.
        json!({"anyOf": (0..130).map(|n| json!({"type": "object", "required": ["ab"], "properties":
            {"ab": {"type": "string", "minLength": n % 13, "maxLength": n}, "city": {"const": n}}})).collect::<Vec<_>>()}),
        json!({}),
    ]
}

fn matchers() -> Vec<Matcher> {
    let vocabulary = vocabulary();
    let mut grammars = Vec::new();
    for schema in schemas() {
        let schema = Schema::compile(&schema, &Options::default()).unwrap();
        for style in [
            JsonStyle::default(),
            JsonStyle { any_order: true, ..JsonStyle::compact() },
            JsonStyle::flexible(2),
        ] {
            let mut builder = GrammarBuilder::new();
            let root = builder.json_schema(&schema, &style).unwrap();
            grammars.push(builder.build(root).unwrap());
        }
    }
    let special = |text: &str| json!({"lit": {"text": text, "special": true}});
    let call =
        |body: Value| json!({"call": {"seq": [special("<tool_call>"), body, special("</tool_call>")]}});
    let tools = json!([{"name": "ab", "parameters": {"type": "object", "properties": {"city": {"type": "string"}, "days": {}},
        "required": ["city"]}}, {"name": "abc"}]);
    let plan = Plan::from_openai(&tools, &Value::Null, true).unwrap();
    let object =
        json!({"object": {"members": [{"key": "name", "is": "name"}, {"key": "arguments", "is": "args"}]}});
    let tagged = json!({"seq": [{"lit": "<"}, {"name": {}}, {"lit": ">\n"}, {"args": {"tagged": {"param": {"seq": [
        {"lit": "<parameter="}, {"key": {}}, {"lit": ">\n"}, {"value": {}}, {"ws": "\n"}, {"lit": "</"}, {"lit": "parameter="}]}}}}]});
    for body in [object, tagged] {
        let format = json!({"rep": {"of": {"alt": [call(body), {"text": {"channel": "content"}}]}, "sep": {"ws": "\n"}}});
        let format: Format = serde_json::from_value(format).unwrap();
        grammars.push(Grammar::from_format(&format, &plan).unwrap());
    }
    grammars
        .into_iter()
        .map(|g| CompiledGrammar::new(Arc::new(g), vocabulary.clone()).unwrap().matcher().unwrap())
        .collect()
}

fn allowed(mask: &[u32]) -> Vec<u32> {
    (0..mask.len() as u32 * 32).filter(|&id| mask[id as usize / 32] >> (id % 32) & 1 == 1).collect()
}

#[test]
fn masks_equal_stepping() {
    let mut random = Random(11);
    let mut checked = 0;
    for (index, mut matcher) in matchers().into_iter().enumerate() {
        let mut text_so_far = Vec::new();
        let ids = matcher.compiled().vocabulary().mask_words() as u32 * 32;
        for _ in 0..2 {
            matcher.reset();
            text_so_far.clear();
            for _ in 0..12 {
                let mut mask = vec![u32::MAX; matcher.compiled().vocabulary().mask_words()];
                matcher.mask(&mut mask).unwrap();
                for id in 0..ids {
                    let can = matcher.accept(id).is_ok();
                    if can {
                        matcher.rollback(1).unwrap();
                    }
                    let bit = mask[id as usize / 32] >> (id % 32) & 1 == 1;
                    let text =
                        String::from_utf8_lossy(matcher.compiled().vocabulary().bytes(id)).into_owned();
                    assert_eq!(
                        bit,
                        can,
                        "{index} token {id} {text:?} behind {:?}",
                        String::from_utf8_lossy(&text_so_far)
                    );
                }
                checked += 1;
                let list = allowed(&mask);
                assert!(!list.is_empty() || matcher.is_terminated(), "a dead end");
                if list.is_empty() {
                    break;
                }
                let token = list[random.below(list.len())];
                text_so_far.extend_from_slice(matcher.compiled().vocabulary().bytes(token));
                matcher.accept(token).unwrap();
            }
        }
    }
    assert!(checked > 300, "{checked}");
}

#[test]
fn outputs_end_within_their_budget() {
    let mut random = Random(5);
    for (index, mut matcher) in matchers().into_iter().enumerate() {
        let least = matcher.shortest_completion();
        let mut mask = vec![0; matcher.compiled().vocabulary().mask_words()];
        if least > 0 {
            assert!(matcher.mask_within(&mut mask, least - 1).is_err());
        }
        for extra in [0, 1, 5, 40] {
            matcher.reset();
            let mut left = least + extra;
            let mut text = Vec::new();
            loop {
                matcher.mask_within(&mut mask, left).unwrap();
                let list = allowed(&mask);
                assert!(
                    !list.is_empty(),
                    "{index}: nothing is allowed with {left} tokens left behind {:?}, {} needed",
                    String::from_utf8_lossy(&text),
                    matcher.shortest_completion()
                );
                let token = list[random.below(list.len())];
                matcher.accept(token).unwrap();
                text.extend_from_slice(matcher.compiled().vocabulary().bytes(token));
                if matcher.is_terminated() {
                    break;
                }
                assert!(left > 0, "the budget is overrun");
                left -= 1;
                assert!(matcher.shortest_completion() <= left);
            }
        }
    }
}

#[test]
fn drafts_batches_and_forced_tokens() {
    let mut all = matchers();
    let words = all[0].compiled().vocabulary().mask_words();
    let mut masks = vec![0; words * all.len()];
    Matcher::mask_batch(&mut all, &mut masks).unwrap();
    for (matcher, row) in all.iter_mut().zip(masks.chunks(words)) {
        let mut mask = vec![0; words];
        matcher.mask(&mut mask).unwrap();
        assert_eq!(mask, row);
    }
    // Enough rows for several threads.
    let mut many: Vec<Matcher> = all.iter().cycle().take(150).cloned().collect();
    let mut rows = vec![0; words * many.len()];
    Matcher::mask_batch(&mut many, &mut rows).unwrap();
    for (row, expected) in rows.chunks(words).zip(masks.chunks(words).cycle()) {
        assert_eq!(row, expected);
    }
    assert!(Matcher::mask_batch(&mut many, &mut rows[1..]).is_err());
    let first = &mut all[0];
    let text = b"{\"city\": \"a\"}";
    let draft: Vec<u32> = text.iter().map(|&b| u32::from(b)).chain([65]).collect();
    assert_eq!(first.try_draft(&draft).unwrap(), text.len());
    assert_eq!(first.accepted(), 0);
    assert_eq!(first.accept_many(&draft).unwrap(), text.len());
    assert!(first.is_accepting() && first.is_complete());
    let mut copy = first.clone();
    copy.rollback(1).unwrap();
    assert!(first.is_complete() && !copy.is_complete());
    assert!(copy.rollback(999).is_err());
}

#[test]
fn forced_text_is_split_as_the_tokenizer_does() {
    let texts = ["n", "a", "na", "name", "\"", "\":", "\": ", " ", "x", "{", "{\"", ":", "m", "e", "e\""];
    let mut tokens: Vec<Token> = texts.iter().map(|text| Token::text(*text)).collect();
    tokens.push(Token::special("<eos>"));
    let id = |text: &str| texts.iter().position(|t| *t == text).unwrap() as u32;
    let vocabulary = Arc::new(Vocabulary::new(tokens, &[texts.len() as u32], None).unwrap());
    let mut b = GrammarBuilder::new();
    let start = b.bytes("{\"name\"");
    let end = b.regex(":( x| \"|x)").unwrap();
    let root = b.seq(&[start, end]);
    let grammar = Arc::new(b.build(root).unwrap());
    let mut matcher = CompiledGrammar::new(grammar, vocabulary.clone()).unwrap().matcher().unwrap();
    assert_eq!(matcher.forced_bytes().unwrap(), b"{\"name\":");
    let split = |bytes: &[u8]| vocabulary.greedy_tokens(bytes).unwrap();
    // `": ` might come, so `":` is not certain.
    assert_eq!(matcher.forced_canonical(split).unwrap(), [id("{\""), id("name")]);
    matcher.accept_bytes(b"{\"name\":").unwrap();
    assert_eq!(matcher.forced_canonical(split).unwrap(), [0u32; 0], "there is a choice");
    matcher.reset();
    let other = |_: &[u8]| vec![id("{"), id("x")];
    assert_eq!(matcher.forced_canonical(other).unwrap(), [id("{")], "what does not fit is left out");
}

/// The fewest tokens that complete the output, by trying all: one matcher for each text that so many tokens write.
fn fewest(matcher: &Matcher, most: u64) -> Option<u64> {
    let vocabulary = matcher.compiled().vocabulary().clone();
    let mut level = std::collections::BTreeMap::from([(Vec::new(), matcher.clone())]);
    let mut mask = vec![0; vocabulary.mask_words()];
    for depth in 0..=most {
        if level.values().any(Matcher::is_accepting) {
            return Some(depth);
        }
        let mut next = std::collections::BTreeMap::new();
        for (text, mut matcher) in level {
            matcher.mask(&mut mask).unwrap();
            for token in allowed(&mask) {
                let longer = [text.as_slice(), vocabulary.bytes(token)].concat();
                next.entry(longer).or_insert_with(|| {
                    let mut after = matcher.clone();
                    after.accept(token).unwrap();
                    after
                });
            }
        }
        level = next;
    }
    None
}

#[test]
fn budgets_are_counted_in_tokens() {
    let texts =
        ["{\"", "kind", "\": ", "\"", "\"}", "circle", "sq", "uare", "square\"}", ", \"", "side", "4"];
    let mut tokens: Vec<Token> = (0..=255u8).map(|byte| Token::text([byte])).collect();
    tokens.extend(texts.map(Token::text));
    tokens.push(Token::special("<eos>"));
    let eos = tokens.len() as u32 - 1;
    let vocabulary = Arc::new(Vocabulary::new(tokens, &[eos], None).unwrap());
    let object = |kind: &str, more: Value| {
        let mut properties = json!({"kind": {"const": kind}});
        properties.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let required: Vec<String> = properties.as_object().unwrap().keys().cloned().collect();
        json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
    };
    // With what is sure to suffice, and what would do: members are counted one by one, though a token may span two.
    let cases = [
        (object("circle", json!({})), 8, 6),
        (object("square", json!({})), 9, 5),
        (
            json!({"anyOf": [object("circle", json!({})), object("square", json!({"side": {"enum": [4, 44]}}))]}),
            7,
            6,
        ),
        (json!({"enum": ["circle", "square", "kindkindkind"]}), 3, 3),
    ];
    for (schema, tokens, least) in cases {
        let compiled = Schema::compile(&schema, &Options::default()).unwrap();
        let mut builder = GrammarBuilder::new();
        let root = builder.json_schema(&compiled, &JsonStyle::default()).unwrap();
        let grammar = Arc::new(builder.build(root).unwrap());
        let mut matcher = CompiledGrammar::new(grammar, vocabulary.clone()).unwrap().matcher().unwrap();
        assert_eq!(matcher.shortest_completion(), tokens, "{schema}");
        assert_eq!(fewest(&matcher, tokens), Some(least), "{schema}");
        // The least budget is met, whatever is chosen.
        let mut mask = vec![0; vocabulary.mask_words()];
        let mut random = Random(2);
        let mut left = tokens;
        while !matcher.is_terminated() {
            matcher.mask_within(&mut mask, left).unwrap();
            let list = allowed(&mask);
            matcher.accept(list[random.below(list.len())]).unwrap();
            left = left.saturating_sub(1);
        }
    }
}
