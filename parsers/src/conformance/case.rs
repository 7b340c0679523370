//! A conformance case: what another engine's test says a model output means.

use serde::Deserialize;
use serde_json::{Map, Value};
use toolglot_format::{Plan, PlanError};

/// One case: an output and what another engine's test expects of it. One JSON object per line.
///
/// Fields that a test does not pin are `None`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Case {
    /// Stable id.
    pub id: String,
    /// Project and file it was read from, as `project:path`.
    #[serde(default)]
    pub source: String,
    /// The test's name there.
    #[serde(default)]
    pub test: String,
    /// The project's parser.
    #[serde(default)]
    pub peer_parser: String,
    /// The model family, as the cases name it.
    pub family: String,
    /// OpenAI-style tools.
    #[serde(default)]
    pub tools: Value,
    /// The output.
    pub text: String,
    /// The same in the pieces of a streaming test.
    #[serde(default)]
    pub chunks: Option<Vec<String>>,
    /// The calls.
    #[serde(default)]
    pub expected_calls: Option<Vec<ExpectedCall>>,
    /// The content.
    #[serde(default)]
    pub expected_content: Option<String>,
    /// The reasoning.
    #[serde(default)]
    pub expected_reasoning: Option<String>,
    /// How sure the expectation is: `agreed`, `asserted`, `recorded` or `disputed`.
    #[serde(default)]
    pub tier: String,
    /// What changes the meaning.
    #[serde(default)]
    pub note: Value,
}

/// A call that a case expects.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct ExpectedCall {
    /// The name, if pinned.
    #[serde(default)]
    pub name: Option<String>,
    /// The arguments: an object, a string where they are not JSON, null where they are not pinned.
    #[serde(default)]
    pub arguments: Value,
    /// Values at JSON pointers, where only some are pinned.
    #[serde(default)]
    pub arguments_partial: Map<String, Value>,
}

/// A line that is no case.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {source}")]
pub struct CaseError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub source: serde_json::Error,
}

impl Case {
    /// Reads cases, one JSON object per line; empty lines are skipped.
    ///
    /// # Errors
    /// [`CaseError`] with the first line that is no case.
    pub fn read(jsonl: &str) -> Result<Vec<Case>, CaseError> {
        let lines = jsonl.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        lines
            .map(|(i, line)| serde_json::from_str(line).map_err(|source| CaseError { line: i + 1, source }))
            .collect()
    }

    /// The project that the case comes from.
    pub fn project(&self) -> &str {
        self.source.split(':').next().unwrap_or_default()
    }

    /// The name under which the case's family is looked up.
    ///
    /// A few peers' parsers read another format than their name says, and the tests of a peer's shared engine
    /// name the family in their file only.
    pub fn family_name(&self) -> &str {
        /// Project, parser, the family that its cases name, the family that it reads.
        const OTHER: [(&str, &str, &str, &str); 6] = [
            // The tagged form of Qwen3.5, not the JSON of Qwen3.
            ("vllm", "qwen3", "qwen3", "qwen3.5"),
            // The reasoning of Granite 4.2.
            ("vllm", "granite_thinking", "granite4", "granite4.2"),
            ("vllm", "test_qwen3.py", "generic-engine", "qwen3.5"),
            ("vllm", "test_minimax_m2.py", "generic-engine", "minimax-m2"),
            ("vllm", "", "generic-engine", "qwen3"),
            // Tests of the reader of response templates, over Gemma's.
            ("vllm", "response_template", "hf-response-template", "gemma4"),
        ];
        let file = self.source.rsplit('/').next().unwrap_or_default();
        let other = OTHER.iter().find(|(project, parser, family, _)| {
            *project == self.project()
                && *family == self.family
                && (*parser == self.peer_parser || *parser == file || parser.is_empty())
        });
        other.map_or(self.family.as_str(), |(_, _, _, family)| family)
    }

    /// The plan: the case's tools, all of them on offer. A tool that is listed twice counts once.
    ///
    /// # Errors
    /// [`PlanError`] when the tools are not tools.
    pub fn plan(&self) -> Result<Plan, PlanError> {
        let mut tools = self.tools.clone();
        if let Value::Array(list) = &mut tools {
            let mut seen = Vec::new();
            list.retain(|tool| {
                let name = tool.pointer("/function/name").or_else(|| tool.get("name")).cloned();
                let new = !seen.contains(&name);
                seen.push(name);
                new
            });
        }
        Plan::from_openai(&tools, &Value::Null, true)
    }

    /// Whether the output was parsed for a request that allows no call: the case says so, or its test's name
    /// does.
    pub(super) fn allows_no_call(&self) -> bool {
        self.note.get("tool_choice").is_some_and(|choice| choice == "none")
            || self.test.contains("tool_choice_none")
    }

    /// The case with the answers of the other engines that its test was run on, one by one.
    pub(super) fn other_engines(&self) -> Vec<Case> {
        let others = self.note.get("others").and_then(Value::as_object);
        let text = |answer: &Value, part: &str| answer.get(part).and_then(Value::as_str).map(str::to_owned);
        let case = |answer: &Value| Case {
            expected_calls: answer.get("calls").and_then(|calls| serde_json::from_value(calls.clone()).ok()),
            expected_content: text(answer, "content"),
            expected_reasoning: text(answer, "reasoning"),
            ..self.clone()
        };
        others.into_iter().flat_map(serde_json::Map::values).map(case).collect()
    }

    /// The tool of this name.
    pub(super) fn tool(&self, name: &str) -> Option<&Value> {
        let of =
            |tool: &Value| tool.pointer("/function/name").or_else(|| tool.get("name")) == Some(&name.into());
        self.tools.as_array().and_then(|tools| tools.iter().find(|tool| of(tool)))
    }

    /// Whether the tool is on offer; without any tools every one is.
    pub(super) fn offers(&self, name: &str) -> bool {
        self.tools.as_array().is_none_or(Vec::is_empty) || self.tool(name).is_some()
    }

    /// The response template that the output is to be read with, if the case brings one.
    pub(super) fn response_template(&self) -> Option<&Value> {
        self.note.get("response_template").filter(|template| template.is_object())
    }

    pub(super) fn flag(&self, name: &str) -> Option<bool> {
        self.note.get(name).and_then(Value::as_bool)
    }
}
