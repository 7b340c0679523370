//! Lark grammars beside llguidance: the same texts, followed byte by byte, for grammars written by hand and for random
//! ones. A grammar that is refused here because only a lexer could read it is no difference.

#![allow(clippy::unwrap_used)]

use llguidance::api::TopLevelGrammar;
use llguidance::toktrie::{ApproximateTokEnv, InferenceCapabilities, TokEnv, TokRxInfo, TokTrie};
use llguidance::{Matcher as Rival, ParserFactory};
use std::sync::Arc;
use toolglot_grammar::{
    CompiledGrammar, Grammar, GrammarBuilder, GrammarError, JsonStyle, Matcher, Token, Vocabulary,
};
use toolglot_schema::{Options, Schema};

fn tokens() -> Vec<Token> {
    let mut tokens: Vec<Token> = (0..=255u8).map(|b| Token::text([b])).collect();
    tokens.push(Token::special("<end>"));
    tokens
}

struct Judge {
    vocabulary: Arc<Vocabulary>,
    factory: ParserFactory,
}

impl Judge {
    fn new() -> Judge {
        let vocabulary = Arc::new(Vocabulary::new(tokens(), &[256], None).unwrap());
        // A first byte of 0xff marks special tokens in that engine.
        let words: Vec<Vec<u8>> =
            (0..255u8).map(|b| vec![b]).chain([Vec::new(), b"\xff<end>".to_vec()]).collect();
        let info = TokRxInfo::new(words.len() as u32, words.len() as u32 - 1);
        let env: TokEnv = Arc::new(ApproximateTokEnv::new(TokTrie::from(&info, &words)));
        let mut factory = ParserFactory::new(&env, InferenceCapabilities::default(), &[]).unwrap();
        factory.quiet();
        Judge { vocabulary, factory }
    }

    fn rival(&self, source: &str) -> Result<Rival, String> {
        let grammar = TopLevelGrammar::from_lark(source.to_owned());
        let parser = self.factory.create_parser(grammar).map_err(|error| error.to_string())?;
        Ok(Rival::new(Ok(parser)))
    }

    fn matcher(&self, grammar: Grammar) -> Matcher {
        CompiledGrammar::new(Arc::new(grammar), self.vocabulary.clone()).unwrap().matcher().unwrap()
    }

    /// Compares what may follow each text over the alphabet. Returns the number of texts.
    fn compare(&self, source: &str, grammar: Grammar, alphabet: &[u8], longest: usize) -> usize {
        let theirs = self.rival(source).unwrap_or_else(|error| panic!("{source}\n{error}"));
        let mut count = 0;
        follow(source, &mut self.matcher(grammar), theirs, alphabet, &mut Vec::new(), longest, &mut count);
        count
    }
}

/// Whether the other engine can come to an end within some bytes behind a token.
fn has_end(theirs: &Rival, token: u32, alphabet: &[u8], left: usize) -> bool {
    let mut next = theirs.deep_clone();
    if next.consume_token(token).is_err() {
        return false;
    }
    if next.is_accepting().unwrap_or(false) {
        return true;
    }
    let Ok(mask) = next.compute_mask_or_eos() else { return false };
    let allowed = |byte: u8| mask.as_slice()[usize::from(byte) / 32] >> (byte % 32) & 1 == 1;
    left > 0 && alphabet.iter().any(|&b| allowed(b) && has_end(&next, u32::from(b), alphabet, left - 1))
}

fn follow(
    source: &str,
    ours: &mut Matcher,
    mut theirs: Rival,
    alphabet: &[u8],
    text: &mut Vec<u8>,
    left: usize,
    count: &mut usize,
) {
    *count += 1;
    let words = ours.compiled().vocabulary().mask_words();
    let mut mine = vec![0u32; words];
    ours.mask(&mut mine).unwrap();
    let other = theirs.compute_mask_or_eos();
    let other = other.unwrap_or_else(|error| panic!("{source}\nbehind {text:?}: {error}"));
    let other = other.as_slice();
    let allowed = |mask: &[u32], token: usize| mask[token / 32] >> (token % 32) & 1 == 1;
    for &token in alphabet.iter().chain(&[0]) {
        let token = if token == 0 { 256 } else { usize::from(token) };
        let (a, b) = (allowed(&mine, token), allowed(other, token));
        // That engine ignores nothing where no terminal can follow; here that is settled by terminal, not by place.
        let trailing = token == usize::from(b' ') && a && allowed(&mine, 256);
        if a != b && (trailing || token == 256 && text.ends_with(b" ")) {
            continue;
        }
        // That engine does not see that a terminal may leave nothing for what has to follow.
        if b && !a && token != 256 && !has_end(&theirs, token as u32, alphabet, 4) {
            continue;
        }
        assert_eq!(a, b, "{source}\nbehind {:?}: token {token}, ours left", String::from_utf8_lossy(text));
    }
    for &byte in alphabet.iter().filter(|_| left > 0) {
        if allowed(&mine, usize::from(byte)) && allowed(other, usize::from(byte)) {
            ours.accept(u32::from(byte)).unwrap();
            let mut next = theirs.deep_clone();
            next.consume_token(u32::from(byte)).unwrap();
            text.push(byte);
            follow(source, ours, next, alphabet, text, left - 1, count);
            text.pop();
            ours.rollback(1).unwrap();
        }
    }
}

#[test]
fn grammars_written_by_hand() {
    let judge = Judge::new();
    let texts = [
        "start: sum\n%ignore /[ ]+/\nsum: sum \"+\" N | N\nN: /[12]+/",
        "start: \"a\" \"b\"? [\"c\"] (\"a\" | \"b\"){1,3}",
        "start: A (\",\" A)*\nA: /a+b?/",
        "start: (f | g)* e\ne: T\nT: /(.|\\n)*/\nfh[lazy]: T \"12\"\nf: fh \"a\" B\ngh[lazy]: T \"12\"\ng: gh \"b\" B\nB: \"c\"",
        "start: (a | b)* T\nT: /(?s:.*)/\na: fa \"c\"\nb: fb \"+\"\nfa[lazy]: T \"a1\"\nfb[lazy]: T \"b2\"",
        "start: x \"b\"\nx[suffix=\"2\"]: /[ab]*/",
        "start: x \"1\"\nx[lazy]: /[ab]+/",
        "start: L\nL: /[ab1]*/ & ~/(?s:.*)11(?s:.*)/",
        "start: \"a\"i \"B\"i",
        "%llguidance {\"allow_initial_skip\": true}\n%ignore \" \"\nstart: \"a\" \"b\"+",
        "start: T | j\nT: /[^{](.|\\n)*/\nj: \"{\" \"a\" \"}\"",
        "start: /a{2,3}/ /b{0,2}/ \"c\"",
        "start: %regex {\"substring_chars\": \"ab1a\"} \",\"",
        "start: %regex {\"substring_words\": \"ab 1,+a  b\"}",
        "start: \"1\"..\"2\" \"a\"~2 \"b\"~0..2",
        "%import common.INT\n%import common.WS_INLINE -> SPACE\n%ignore SPACE\nstart: \"+\" [INT (\",\" INT)*] \"c\"",
        "%ignore / +/\nstart: (\"ab\" NAME \"1\" | NAME \"+\" \"2\")+\nNAME: /[abc]+/",
        "%ignore / +/\nstart: NAME (\"ab\" NAME)* [\"ba\"]\nNAME: /[abc]+/",
        "%ignore / +/\nstart: stmt+\nstmt: \"a\" cond \"b\" stmt | NAME \",\"\ncond: NAME \"+\"? NAME | \"(\" cond \")\"\nNAME: /[abc]+/",
        "start: (NAME | N | \",\")*\nNAME: /[abc]+/\nN: /[12]+/",
        "start: NAME{2,3} \"1\"? NAME?\n%ignore \" \"\nNAME: /[ab]+/",
        "%import common (CNAME, NUMBER)\nstart: CNAME \"=\" NUMBER",
    ];
    for source in texts {
        let grammar = Grammar::from_lark(source).unwrap_or_else(|error| panic!("{source}\n{error}"));
        assert!(judge.compare(source, grammar, b"ab12 ,+c", 5) > 2, "{source}");
    }
}

#[test]
fn exported_grammars() {
    let judge = Judge::new();
    let grammars = [
        "root ::= \"a\" | \"1\" root \"2\"",
        "root ::= a \"b1\" c\na ::= [ab]+\nc ::= a | \"(\" c \")\"",
        "root ::= (\"ab\" | \"a\" [b1]{2,4})* \",\"",
        "root ::= root \"+\" root | [12]",
        "root ::= [^b] [ab1]* \"b\"? | \"a,\"",
    ];
    for source in grammars {
        let written = Grammar::from_gbnf(source).unwrap().to_lark(None).unwrap();
        judge.compare(&written, Grammar::from_gbnf(source).unwrap(), b"ab12 ,+c(", 5);
    }
    // Strings, numbers and objects, with all that a schema says of them.
    let schemas = [
        (r#"{"type": "string", "minLength": 1, "maxLength": 3}"#, &b"\"a\\u0d8e\xc3\xa9"[..]),
        (r#"{"type": "string", "pattern": "^[ab]+$"}"#, b"\"ab\\u061"),
        (r#"{"type": "number", "minimum": -2, "maximum": 13}"#, b"-1203.e+"),
        (
            r#"{"type": "object", "properties": {"a": {"type": "null"}, "b": {"enum": [1]}}, "required": ["b"]}"#,
            b"{}\"abnul: ,1",
        ),
        (r#"{"type": "array", "items": {"type": "boolean"}, "maxItems": 2}"#, b"[]true, "),
    ];
    for (schema, alphabet) in schemas {
        let made = || {
            let schema =
                Schema::compile(&serde_json::from_str(schema).unwrap(), &Options::default()).unwrap();
            let mut builder = GrammarBuilder::new();
            let root = builder.json_schema(&schema, &JsonStyle::default()).unwrap();
            builder.build(root).unwrap()
        };
        let written = made().to_lark(None).unwrap();
        assert!(judge.compare(&written, made(), alphabet, 5) > 5, "{written}");
    }
}

/// Small grammars at random; every run sees the same.
struct Noise(u64);

impl Noise {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }

    fn of<'a>(&mut self, list: &[&'a str]) -> &'a str {
        list[self.below(list.len())]
    }

    fn terminal(&mut self) -> &'static str {
        self.of(&[
            "\"a\"",
            "\"ab\"",
            "\"b\"",
            "/a+/",
            "/[ab]/",
            "/[ab]+/",
            "/b*/",
            "/ab?/",
            "/[^a]/",
            "/[^ab]+/",
            "\"1\"",
            "/(?s:.*)/",
            "/1[ab]*1/",
            "A",
            "B",
            "\"B\"i",
        ])
    }

    /// `rules`: those that may be called. None calls itself, for that engine follows what can have no end.
    fn item(&mut self, rules: &[&str], depth: usize) -> String {
        let times = self.of(&["", "", "", "?", "*", "+", "{2}", "{1,2}"]);
        match self.below(6) {
            0 if depth < 2 => format!("({}){times}", self.alternatives(rules, depth + 1)),
            1 => format!("{}{times}", self.of(rules)),
            _ => format!("{}{times}", self.terminal()),
        }
    }

    fn alternatives(&mut self, rules: &[&str], depth: usize) -> String {
        let mut out = Vec::new();
        for _ in 0..=self.below(2) {
            let items: Vec<String> = (0..=self.below(3)).map(|_| self.item(rules, depth)).collect();
            out.push(items.join(" "));
        }
        out.join(" | ")
    }

    fn grammar(&mut self) -> String {
        let ignore = self.of(&["", "", "%ignore \" \"\n"]);
        let start = self.alternatives(&["x", "y", "lazy"], 0);
        let (x, y) = (self.alternatives(&["lazy"], 1), self.alternatives(&["x", "lazy"], 1));
        let a = self.of(&["/a1?/", "/[a1]+/", "\"ab\" | \"b\"", "\"1\" B"]);
        // Of two characters at least: behind a greedy terminal, that engine lets a lazy one of one character go on.
        let lazy = self.of(&["/[ab]+1/", "/(?s:.*)/ \"b1\"", "\"ab\" | /a[ab]+/"]);
        format!("start: {start}\nx: {x}\ny: {y}\nlazy[lazy]: {lazy}\nA: {a}\nB: /b1*/\n{ignore}")
    }
}

#[test]
fn random_grammars() {
    let judge = Judge::new();
    let mut noise = Noise(7);
    let (mut read, mut refused, mut beyond) = (0, 0, 0);
    for _ in 0..1500 {
        let source = noise.grammar();
        match Grammar::from_lark(&source) {
            Ok(grammar) => {
                // What that engine cannot read or follow is no evidence.
                if judge.rival(&source).is_err() {
                    beyond += 1;
                    continue;
                }
                read += 1;
                judge.compare(&source, grammar, b"ab1 ", 4);
            }
            Err(GrammarError::Unsupported { .. } | GrammarError::Empty(_)) => refused += 1,
            Err(error) => panic!("{source}\n{error}"),
        }
    }
    println!("{read} grammars read alike, {refused} refused, {beyond} beyond the other engine");
    assert!(read > 100, "{read}");
}
