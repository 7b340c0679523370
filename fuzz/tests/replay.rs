//! Replays the findings of every target, then runs each on generated inputs.

use std::fs;
use std::path::Path;

use toolglot_fuzz::TARGETS;

/// Generated inputs per target: enough to notice a broken target, quick enough for every run.
const SMOKE: u64 = 400;

/// Texts that get somewhere; inputs are made of their pieces.
const SEEDS: [&str; 24] = [
    "\0\u{3}<think>a</think>\n\nb\n<tool_call>\n{\"name\": \"f\", \"arguments\": {\"s\": \"é\"}}\n</tool_call>",
    "\u{1}\u{1}<tool_call>\n<function=f>\n<parameter=s>\nx\n</parameter>\n<parameter=n>\n1\n</parameter>\n</function>\n</tool_call>",
    "\u{2}\u{2}<|channel|>analysis<|message|>t<|end|><|start|>assistant<|channel|>commentary to=functions.f <|constrain|>json<|message|>{\"n\": 1}<|call|>",
    "\u{3}\u{5}<|python_tag|>{\"name\": \"f\", \"parameters\": {\"s\": \"\\u00e9\"}}",
    "id = \"a\"\ntitle = \"A\"\nturn.open = \"<a>\"\n[[format.seq]]\ntext = { channel = \"content\" }\n",
    "[[format.seq]]\ncall.seq = [{ lit = \"<c>\" }, { name = {} }, { args = { json = {} } }]\n",
    "{\"type\": \"object\", \"properties\": {\"a\": {\"$ref\": \"#\"}}, \"required\": [\"a\"]}\0{\"a\": {}}",
    "{\"anyOf\": [{\"type\": \"string\", \"pattern\": \"^[a-z]{2,5}$\"}, {\"not\": {\"type\": \"null\"}}]}\0\"ab\"",
    "{\"allOf\": [{\"minimum\": 1e400}, {\"multipleOf\": 0.01}], \"if\": {\"const\": 1}, \"then\": false}\u{0}1",
    "\0asm\u{d}\0\u{1}\0",
    "{\"$defs\": {\"x\": {\"allOf\": [{\"$ref\": \"#/$defs/x\"}]}}, \"$ref\": \"#/$defs/x\"}",
    "\\\"\u{1f600}\u{0}\r\n\t}]{[",
    "root ::= \"[\" item (\",\" item)* \"]\"\nitem ::= [a-z]{2,5} | root | item \"!\" # left\n",
    "root ::= <think> !</think>* <[258]> [^\"\\\\]* \"\\x41\\u00e9\"\n",
    "root ::= a?\na ::= \"x\" b | b a\nb ::= \"\" | [0-9]+\n",
    "start: (call | TEXT)*\nhead[lazy]: TEXT \"<f\"\ncall: head \">\" %json {\"type\": \"object\"}\nTEXT: /(.|\\n)*/\n",
    "%import common.INT\n%ignore / +/\nstart: sum\n?sum: sum (\"+\" | \"-\") INT -> add | INT\n",
    "start: A & ~B <[1-3]> \"a\"..\"z\"~2..3 [\"x\"i]\nA: /[a-c]+/ & /[b-d]*/\nB: %regex {\"substring_chars\": \"abc\"}\n",
    "{\"type\": \"triggered_tags\", \"triggers\": [\"<f\"], \"tags\": [{\"begin\": \"<f>\", \"content\": {\"type\": \"any_text\"}, \"end\": [\"</f>\", \"\"]}]}",
    "{\"type\": \"sequence\", \"elements\": [{\"type\": \"regex\", \"pattern\": \"[ab]{1,3}\"}, {\"type\": \"json_schema\", \"json_schema\": {\"properties\": {\"a\": {}}}, \"style\": \"qwen_xml\"}]}",
    "{\"type\": \"dispatch\", \"rules\": [[\"#\", {\"type\": \"const_string\", \"value\": \"x\"}]], \"excludes\": [\"!\"], \"loop\": false}",
    "{\"type\": \"json_schema\", \"json_schema\": {\"name\": \"n\", \"schema\": {\"type\": \"array\", \"items\": {\"$ref\": \"#\"}, \"maxItems\": 2}}}",
    "{\"choice\": [\"yes\", \"no\"], \"whitespace_pattern\": \"[ ]?\"}",
    "^(a|b(?:c*|[^d-f]){2,})+?\\d$",
];

/// A small generator of its own, so that every run sees the same inputs.
struct Noise(u64);

impl Noise {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit.max(1)
    }

    /// Pieces of seeds, some bytes changed.
    fn input(&mut self) -> Vec<u8> {
        let mut input = Vec::new();
        for _ in 0..=self.below(4) {
            let seed = SEEDS[self.below(SEEDS.len())].as_bytes();
            let start = if self.below(3) == 0 { self.below(seed.len()) } else { 0 };
            let end = if self.below(3) == 0 { start + self.below(seed.len() - start) } else { seed.len() };
            input.extend_from_slice(&seed[start..end]);
        }
        for _ in 0..self.below(4) {
            if !input.is_empty() {
                let at = self.below(input.len());
                input[at] = self.below(256) as u8;
            }
        }
        input
    }
}

#[test]
fn findings_stay_fixed() {
    let findings = Path::new(env!("CARGO_MANIFEST_DIR")).join("findings");
    for (name, target) in TARGETS {
        for entry in fs::read_dir(findings.join(name)).unwrap() {
            let path = entry.unwrap().path();
            println!("{}", path.display());
            target(&fs::read(path).unwrap());
        }
    }
}

#[test]
fn targets_hold_on_generated_inputs() {
    for (name, target) in TARGETS {
        let mut noise = Noise(1);
        for round in 0..SMOKE {
            let input = noise.input();
            if std::panic::catch_unwind(|| target(&input)).is_err() {
                panic!("{name} fails in round {round} on {:?}", String::from_utf8_lossy(&input));
            }
        }
    }
}
