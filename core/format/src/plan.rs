//! The Plan: what one request wants of tools, normalised once for all families.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A request's tools and how they may be used.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Plan {
    /// The tools on offer, in the caller's order.
    pub tools: Vec<Tool>,
    /// Which of them may or must be called.
    pub choice: ToolChoice,
    /// Whether one turn may hold several calls.
    pub parallel: bool,
    /// Whether the turn may hold reasoning where the format has a place for it.
    pub reasoning: bool,
}

impl Default for Plan {
    fn default() -> Self {
        Plan { tools: Vec::new(), choice: ToolChoice::Auto, parallel: true, reasoning: true }
    }
}

/// A tool on offer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tool {
    /// Its name, as the model must write it.
    pub name: String,
    /// What it does, for the template.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// JSON Schema of the arguments object.
    #[serde(default = "open_object")]
    pub parameters: Value,
    /// Who defined it.
    #[serde(default)]
    pub kind: ToolKind,
}

fn open_object() -> Value {
    serde_json::json!({"type": "object", "properties": {}})
}

/// Who defined a tool.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToolKind {
    /// The caller.
    #[default]
    Function,
    /// The family: the model was trained on it, such as a code interpreter.
    Builtin,
}

/// Which tools may or must be called.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToolChoice {
    /// The model decides.
    #[default]
    Auto,
    /// No call.
    None,
    /// At least one call, of any tool.
    Required,
    /// At least one call, of this tool only.
    Named(String),
    /// Only these tools; `required` asks for at least one call.
    Allowed {
        /// The tools' names.
        names: Vec<String>,
        /// At least one call.
        required: bool,
    },
}

/// A request that cannot be planned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// A choice names a tool that is not on offer.
    #[error("tool choice names `{name}`, but the tools on offer are: {offered}")]
    UnknownTool {
        /// The name in the choice.
        name: String,
        /// The offered names, joined by commas.
        offered: String,
    },
    /// A call is required, but there is nothing to call.
    #[error("tool choice requires a call, but no tool is on offer")]
    NoTools,
    /// Two tools share a name.
    #[error("two tools are named `{0}`; rename one")]
    DuplicateTool(String),
    /// The tools or the choice are not in a known form.
    #[error("{pointer}: {why}")]
    Shape {
        /// JSON pointer into the request.
        pointer: String,
        /// What is wrong there and what is expected.
        why: String,
    },
    /// The family's format has no place for a call.
    #[error("this format has no tool calls, so a call cannot be required")]
    NoCalls,
    /// Plugin code owns the calls, so they cannot be forced.
    #[error(
        "this format's calls are read by plugin code and cannot be constrained, so a call cannot be required"
    )]
    Unconstrainable,
}

impl Plan {
    /// Reads OpenAI's `tools` and `tool_choice` (Chat Completions or Responses form).
    ///
    /// `tools` may be null or an array of `{type: "function", function: {name, …}}` or of bare
    /// `{name, parameters}`; `input_schema` (Anthropic) is taken for `parameters`. `tool_choice` may be
    /// null, `"auto"`, `"none"`, `"required"`, `"any"`, or an object that names a tool or allowed tools.
    ///
    /// # Errors
    /// [`PlanError`] with the JSON pointer of what is wrong, or as [`Plan::check`] says.
    pub fn from_openai(tools: &Value, tool_choice: &Value, parallel: bool) -> Result<Plan, PlanError> {
        let tools = match tools {
            Value::Null => Vec::new(),
            Value::Array(list) => list
                .iter()
                .enumerate()
                .map(|(i, tool)| read_tool(tool, &format!("/tools/{i}")))
                .collect::<Result<_, _>>()?,
            _ => return Err(shape("/tools", "expected an array of tools")),
        };
        let plan = Plan { tools, choice: read_choice(tool_choice)?, parallel, ..Plan::default() };
        plan.check()?;
        Ok(plan)
    }

    /// Checks that names are unique and that the choice can be met.
    ///
    /// # Errors
    /// [`PlanError::DuplicateTool`], [`PlanError::UnknownTool`] or [`PlanError::NoTools`].
    pub fn check(&self) -> Result<(), PlanError> {
        for (i, tool) in self.tools.iter().enumerate() {
            if self.tools[..i].iter().any(|other| other.name == tool.name) {
                return Err(PlanError::DuplicateTool(tool.name.clone()));
            }
        }
        let named: &[String] = match &self.choice {
            ToolChoice::Named(name) => std::slice::from_ref(name),
            ToolChoice::Allowed { names, .. } => names,
            _ => &[],
        };
        if let Some(name) = named.iter().find(|name| self.tool(name).is_none()) {
            let offered: Vec<&str> = self.tools.iter().map(|tool| tool.name.as_str()).collect();
            return Err(PlanError::UnknownTool { name: name.clone(), offered: offered.join(", ") });
        }
        if self.requires_call() && self.callable().next().is_none() {
            return Err(PlanError::NoTools);
        }
        Ok(())
    }

    /// The tool of this name.
    pub fn tool(&self, name: &str) -> Option<&Tool> {
        self.tools.iter().find(|tool| tool.name == name)
    }

    /// The tools that the choice lets the model call.
    pub fn callable(&self) -> impl Iterator<Item = &Tool> {
        self.tools.iter().filter(|tool| match &self.choice {
            ToolChoice::Auto | ToolChoice::Required => true,
            ToolChoice::None => false,
            ToolChoice::Named(name) => *name == tool.name,
            ToolChoice::Allowed { names, .. } => names.contains(&tool.name),
        })
    }

    /// Whether the turn must hold a call.
    pub fn requires_call(&self) -> bool {
        matches!(
            self.choice,
            ToolChoice::Required | ToolChoice::Named(_) | ToolChoice::Allowed { required: true, .. }
        )
    }
}

fn shape(pointer: &str, why: &str) -> PlanError {
    PlanError::Shape { pointer: pointer.into(), why: why.into() }
}

fn read_tool(tool: &Value, pointer: &str) -> Result<Tool, PlanError> {
    let (body, pointer) = match tool.get("function") {
        Some(function) if function.is_object() => (function, format!("{pointer}/function")),
        _ => (tool, pointer.to_owned()),
    };
    let name = body
        .get("name")
        .and_then(Value::as_str)
        .filter(|name| !name.is_empty())
        .ok_or_else(|| shape(&format!("{pointer}/name"), "expected a tool name"))?;
    let parameters = match body.get("parameters").or_else(|| body.get("input_schema")) {
        None | Some(Value::Null) => open_object(),
        Some(schema @ (Value::Object(_) | Value::Bool(_))) => schema.clone(),
        Some(_) => return Err(shape(&format!("{pointer}/parameters"), "expected a JSON Schema object")),
    };
    Ok(Tool {
        name: name.to_owned(),
        description: body.get("description").and_then(Value::as_str).unwrap_or_default().to_owned(),
        parameters,
        kind: ToolKind::Function,
    })
}

fn read_choice(choice: &Value) -> Result<ToolChoice, PlanError> {
    const EXPECTED: &str = "expected \"auto\", \"none\", \"required\" or an object that names a tool";
    let word = match choice {
        Value::Null => return Ok(ToolChoice::Auto),
        Value::String(word) => word.as_str(),
        Value::Object(object) => match object.get("type").and_then(Value::as_str) {
            Some("function" | "tool") => {
                let name = choice
                    .pointer("/function/name")
                    .or_else(|| object.get("name"))
                    .and_then(Value::as_str)
                    .ok_or_else(|| shape("/tool_choice", "expected the tool's name"))?;
                return Ok(ToolChoice::Named(name.to_owned()));
            }
            Some("allowed_tools") => return read_allowed(choice),
            Some(word @ ("auto" | "none" | "any" | "required")) => word,
            _ => return Err(shape("/tool_choice/type", EXPECTED)),
        },
        _ => return Err(shape("/tool_choice", EXPECTED)),
    };
    match word {
        "auto" => Ok(ToolChoice::Auto),
        "none" => Ok(ToolChoice::None),
        "required" | "any" => Ok(ToolChoice::Required),
        _ => Err(shape("/tool_choice", EXPECTED)),
    }
}

fn read_allowed(choice: &Value) -> Result<ToolChoice, PlanError> {
    let body = choice.get("allowed_tools").unwrap_or(choice);
    let names = body
        .get("tools")
        .and_then(Value::as_array)
        .and_then(|tools| {
            tools
                .iter()
                .map(|tool| {
                    let name = tool.pointer("/function/name").or_else(|| tool.get("name")).unwrap_or(tool);
                    name.as_str().map(str::to_owned)
                })
                .collect::<Option<Vec<_>>>()
        })
        .ok_or_else(|| shape("/tool_choice/allowed_tools/tools", "expected an array of tool names"))?;
    let required = match body.get("mode").and_then(Value::as_str) {
        None | Some("auto") => false,
        Some("required") => true,
        Some(_) => {
            return Err(shape("/tool_choice/allowed_tools/mode", "expected \"auto\" or \"required\""));
        }
    };
    Ok(ToolChoice::Allowed { names, required })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn tools() -> Value {
        json!([{"type": "function", "function": {"name": "a"}}, {"name": "b", "input_schema": {"type": "object"}}])
    }

    #[test]
    fn reads_every_form_of_tool_choice() {
        let choice = |value: Value| Plan::from_openai(&tools(), &value, true).map(|plan| plan.choice);
        assert_eq!(choice(Value::Null), Ok(ToolChoice::Auto));
        assert_eq!(choice(json!("any")), Ok(ToolChoice::Required));
        assert_eq!(choice(json!({"type": "none"})), Ok(ToolChoice::None));
        let named = json!({"type": "function", "function": {"name": "a"}});
        assert_eq!(choice(named), Ok(ToolChoice::Named("a".into())));
        assert_eq!(choice(json!({"type": "tool", "name": "b"})), Ok(ToolChoice::Named("b".into())));
        let allowed = json!({"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "b"}]});
        assert_eq!(choice(allowed), Ok(ToolChoice::Allowed { names: vec!["b".into()], required: true }));
        assert!(matches!(choice(json!("always")), Err(PlanError::Shape { .. })));
    }

    #[test]
    fn refuses_what_cannot_be_met() {
        let named = json!({"type": "tool", "name": "c"});
        let error = Plan::from_openai(&tools(), &named, true).unwrap_err();
        assert_eq!(error.to_string(), "tool choice names `c`, but the tools on offer are: a, b");
        assert_eq!(Plan::from_openai(&Value::Null, &json!("required"), true), Err(PlanError::NoTools));
        let twice = json!([{"name": "a"}, {"name": "a"}]);
        assert_eq!(Plan::from_openai(&twice, &Value::Null, true), Err(PlanError::DuplicateTool("a".into())));
        let error = Plan::from_openai(&json!([{"name": ""}]), &Value::Null, true).unwrap_err();
        assert_eq!(error.to_string(), "/tools/0/name: expected a tool name");
    }
}
