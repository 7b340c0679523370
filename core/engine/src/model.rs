//! A checkpoint as Toolglot sees it: its family, its chat template, its vocabulary and what ends its turns.
//!
//! Weights are not read here and nothing is computed: see `toolglot-mlx` for a model that runs.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value};
use toolglot_format::{Manifest, Plan};
use toolglot_grammar::{GrammarCache, TokenKind, TokenTable, Vocabulary, VocabularyError};
use toolglot_parsers::{
    DataFamily, DetectError, Detection, Family, Registry, ResponseTemplateError, from_response_template,
};
use toolglot_sampler::{StopConfig, TokenBytes};

use crate::session::{Constraint, Reader, Session, SessionError, SessionSettings};
use crate::template::{ChatTemplate, Conversation, Rendered, TemplateError, TemplateOptions};
use crate::vocabulary_cache::VocabularyCache;

/// A checkpoint's tool-calling side.
#[derive(Clone)]
pub struct Model {
    family: Arc<dyn Family>,
    template: Arc<ChatTemplate>,
    vocabulary: Arc<Vocabulary>,
    /// The grammars of recent plans.
    grammars: Arc<GrammarCache>,
}

/// A checkpoint that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// A file is missing or cannot be read.
    #[error("{}: {why}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong and what is expected.
        why: String,
    },
    /// The vocabulary is not of a known kind.
    #[error("{}: {source}", path.display())]
    Vocabulary {
        /// The file.
        path: PathBuf,
        /// Why.
        source: VocabularyError,
    },
    /// The chat template cannot be used.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// Several families fit.
    #[error("{}: {source}", dir.display())]
    Ambiguous {
        /// The model's folder.
        dir: PathBuf,
        /// Which.
        source: DetectError,
    },
    /// No family fits, and the checkpoint's own response template cannot be read as one.
    #[error("{}: no family fits, and tokenizer_config.json: {source}; name a family", dir.display())]
    ResponseTemplate {
        /// The model's folder.
        dir: PathBuf,
        /// Why.
        source: ResponseTemplateError,
    },
    /// No family fits.
    #[error("{}: no family fits its chat template; name one of: {known}", dir.display())]
    NoFamily {
        /// The model's folder.
        dir: PathBuf,
        /// The known ids, joined by commas.
        known: String,
    },
    /// The named family is not known.
    #[error("no family `{id}`; known are: {known}")]
    UnknownFamily {
        /// The id asked for.
        id: String,
        /// The known ids, joined by commas.
        known: String,
    },
}

/// A rendered prompt with what it leaves for parser and grammar to start from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    /// The whole text.
    pub text: String,
    /// The end of the text that already belongs to the assistant's turn, such as `<think>\n`.
    pub tail: String,
}

impl Model {
    /// A model of its parts.
    pub fn new(family: Arc<dyn Family>, template: ChatTemplate, vocabulary: Vocabulary) -> Self {
        let (template, vocabulary) = (Arc::new(template), Arc::new(vocabulary));
        Model { family, template, vocabulary, grammars: Arc::default() }
    }

    /// Reads a folder in Hugging Face layout: `config.json`, `generation_config.json`, `tokenizer.json`,
    /// `tokenizer_config.json` and the chat template. `family` names the family; without it, it is detected.
    /// A checkpoint without a chat template gets its family's.
    ///
    /// The EOS ids are the union of what the files and the family name. The tokens are kept in the
    /// [cache of the process](VocabularyCache::of_process).
    ///
    /// # Errors
    /// [`ModelError`], with the file.
    pub fn from_dir(
        dir: impl AsRef<Path>,
        registry: &Registry,
        family: Option<&str>,
    ) -> Result<Model, ModelError> {
        Model::from_dir_with(dir, registry, family, VocabularyCache::of_process())
    }

    /// As [`Model::from_dir`], with a cache of the caller's choice.
    ///
    /// # Errors
    /// [`ModelError`], with the file.
    pub fn from_dir_with(
        dir: impl AsRef<Path>,
        registry: &Registry,
        family: Option<&str>,
        cache: &VocabularyCache,
    ) -> Result<Model, ModelError> {
        let dir = dir.as_ref();
        let config = read_json(dir, "config.json")?.unwrap_or_default();
        let generation = read_json(dir, "generation_config.json")?.unwrap_or_default();
        let tokenizer_config = read_json(dir, "tokenizer_config.json")?.unwrap_or_default();
        let path = dir.join("tokenizer.json");
        let tokenizer = fs::read(&path)
            .map_err(|error| ModelError::File { path: path.clone(), why: error.to_string() })?;
        let in_vocabulary = |source| ModelError::Vocabulary { path: path.clone(), source };

        let options = TemplateOptions { name: dir.display().to_string(), ..TemplateOptions::default() };
        let own_template = ChatTemplate::from_model_dir(dir, &options);
        let tokens = cache.table(&tokenizer).map_err(in_vocabulary)?;
        let names = Names::of(&tokens);
        let source = own_template.as_ref().ok().and_then(|template| template.source(true).ok());
        let family = match family {
            Some(id) => named(registry, id)?,
            None => detected(dir, registry, source, &names, &tokenizer_config)?.family,
        };
        let family = fitted(family, &names, source);
        let template = match (own_template, family.template()) {
            (Ok(template), _) => template,
            (Err(_), Some(source)) if !has_template(dir, &tokenizer_config) => {
                let template = ChatTemplate::compile(source, &options)?;
                template.with_special_tokens(&tokenizer_config)
            }
            (Err(error), _) => return Err(error.into()),
        };
        let eos = eos_ids(family.manifest(), &names, [&config, &generation], &tokenizer_config);
        let width = config.get("vocab_size").and_then(Value::as_u64).map(|width| width as usize);
        let width = width.map(|width| width.max(tokens.len()));
        let vocabulary = Vocabulary::from_table(tokens, &eos, width).map_err(in_vocabulary)?;
        Ok(Model::new(family, template, vocabulary))
    }

    /// The family.
    pub fn family(&self) -> &Arc<dyn Family> {
        &self.family
    }

    /// The chat template.
    pub fn template(&self) -> &Arc<ChatTemplate> {
        &self.template
    }

    /// The vocabulary, EOS ids included.
    pub fn vocabulary(&self) -> &Arc<Vocabulary> {
        &self.vocabulary
    }

    /// Renders a conversation up to where the assistant begins to write.
    ///
    /// # Errors
    /// [`TemplateError`].
    pub fn prompt(&self, conversation: &Conversation<'_>) -> Result<Prompt, TemplateError> {
        Ok(self.open_turn(self.template.render(conversation, true)?))
    }

    fn open_turn(&self, rendered: Rendered) -> Prompt {
        let Manifest { turn, reasoning, .. } = self.family.manifest();
        let prompt = rendered.generation_prompt.as_str();
        let tail = match prompt.rfind(turn.open.as_str()) {
            // Without a frame of its own the turn is all that the template opened.
            Some(_) if turn.open.is_empty() => prompt,
            Some(at) => &prompt[at + turn.open.len()..],
            // Behind tool results some templates go on in the same turn; they may still open reasoning.
            None => match prompt.rfind(reasoning.open.trim()) {
                Some(at) if !reasoning.open.trim().is_empty() => &prompt[at..],
                _ => "",
            },
        };
        let tail = tail.to_owned();
        Prompt { text: rendered.text, tail }
    }

    /// What holds the turn to `plan`, primed with the prompt's tail. With the settings' `max_tokens` the turn is
    /// complete within that many tokens, the EOS token included.
    ///
    /// # Errors
    /// [`SessionError`] when the plan cannot be met, a tool's schema cannot be enforced, or the limit is too
    /// small for any complete turn.
    pub fn constraint(
        &self,
        plan: &Plan,
        tail: &str,
        settings: &SessionSettings,
    ) -> Result<Constraint, SessionError> {
        Constraint::new(&*self.family, &self.vocabulary, plan, tail, settings, &self.grammars)
    }

    /// What reads the turn, primed with the prompt's tail.
    ///
    /// # Errors
    /// [`SessionError::Family`] when the family refuses the plan.
    pub fn reader(&self, plan: &Plan, tail: &str) -> Result<Reader, SessionError> {
        Reader::new(&*self.family, &self.vocabulary, plan, tail)
    }

    /// The stop rules of a turn: the settings', the family's, and the EOS ids.
    pub fn stops(&self, settings: &SessionSettings) -> StopConfig {
        settings.stops(&*self.family, &self.vocabulary)
    }

    /// The bytes of each token, for a sampler with stop strings.
    pub fn token_bytes(&self) -> Arc<dyn TokenBytes> {
        Arc::new(VocabularyBytes(self.vocabulary.clone()))
    }

    /// Constraint, stop rules and reader in one, for a decode loop.
    ///
    /// # Errors
    /// As [`Model::constraint`] and [`Model::reader`]; [`SessionError::Stops`] when the stop rules make no
    /// sense.
    pub fn session(
        &self,
        plan: &Plan,
        tail: &str,
        settings: &SessionSettings,
    ) -> Result<Session, SessionError> {
        let constraint = settings.constrain.then(|| self.constraint(plan, tail, settings)).transpose()?;
        let reader = self.reader(plan, tail)?;
        let stops = self.stops(settings);
        Session::new(constraint, reader, stops, settings.stop_after_call, self.vocabulary.clone())
    }
}

impl std::fmt::Debug for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Model")
            .field("family", &self.family.manifest().id)
            .field("ids", &self.vocabulary.len())
            .finish_non_exhaustive()
    }
}

struct VocabularyBytes(Arc<Vocabulary>);

impl TokenBytes for VocabularyBytes {
    fn token_bytes(&self, id: u32) -> Option<(&[u8], bool)> {
        match self.0.kind(id) {
            TokenKind::Hole => None,
            kind => Some((self.0.bytes(id), kind != TokenKind::Text)),
        }
    }
}

/// Which family a folder's model belongs to, with the evidence.
///
/// # Errors
/// [`ModelError::NoFamily`] and [`ModelError::Ambiguous`]; the others where a file cannot be read.
pub fn detect_dir(dir: impl AsRef<Path>, registry: &Registry) -> Result<Detection, ModelError> {
    let dir = dir.as_ref();
    let options = TemplateOptions { name: dir.display().to_string(), ..TemplateOptions::default() };
    let template = ChatTemplate::from_model_dir(dir, &options)?;
    let path = dir.join("tokenizer.json");
    let tokens = match fs::read(&path) {
        Ok(tokenizer) => VocabularyCache::of_process()
            .table(&tokenizer)
            .map_err(|source| ModelError::Vocabulary { path, source })?,
        Err(error) => return Err(ModelError::File { path, why: error.to_string() }),
    };
    let config = read_json(dir, "tokenizer_config.json")?.unwrap_or_default();
    detected(dir, registry, template.source(true).ok(), &Names::of(&tokens), &config)
}

/// The added and special tokens by spelling: all that detection and EOS need.
struct Names(HashMap<Vec<u8>, u32>);

impl Names {
    fn of(tokens: &TokenTable) -> Self {
        Names(tokens.names().map(|(name, id)| (name.to_vec(), id)).collect())
    }

    fn get(&self, name: &str) -> Option<u32> {
        self.0.get(name.as_bytes()).copied()
    }
}

fn detected(
    dir: &Path,
    registry: &Registry,
    template: Option<&str>,
    names: &Names,
    tokenizer_config: &Map<String, Value>,
) -> Result<Detection, ModelError> {
    let found = registry
        .detect(template, &|token| names.get(token).is_some())
        .map_err(|source| ModelError::Ambiguous { dir: dir.to_owned(), source })?;
    match (found, tokenizer_config.get(RESPONSE_TEMPLATE)) {
        (Some(found), _) => Ok(found),
        // A checkpoint that nobody knows may say itself how its replies are cut.
        (None, Some(template)) => {
            let manifest = from_response_template(template, RESPONSE_TEMPLATE)
                .map_err(|source| ModelError::ResponseTemplate { dir: dir.to_owned(), source })?;
            let family: Arc<dyn Family> = Arc::new(DataFamily::new(manifest, None, None));
            Ok(Detection { family, score: 0, evidence: vec![RESPONSE_TEMPLATE.into()] })
        }
        (None, None) => Err(ModelError::NoFamily { dir: dir.to_owned(), known: known(registry) }),
    }
}

/// The entry of `tokenizer_config.json` that says how replies are cut, and the id of the family that it makes.
const RESPONSE_TEMPLATE: &str = "response_template";

/// The family with the suffix that the checkpoint's markers have: as its special tokens say, or else its template.
fn fitted(family: Arc<dyn Family>, names: &Names, template: Option<&str>) -> Arc<dyn Family> {
    let Some(suffix) = &family.manifest().suffix else { return family };
    let tokens = names.0.keys().filter_map(|name| std::str::from_utf8(name).ok());
    let learned = suffix.learn(tokens).or_else(|| suffix.learn(template));
    learned.and_then(|suffix| family.with_suffix(&suffix)).unwrap_or(family)
}

fn named(registry: &Registry, id: &str) -> Result<Arc<dyn Family>, ModelError> {
    registry
        .get(id)
        .cloned()
        .ok_or_else(|| ModelError::UnknownFamily { id: id.to_owned(), known: known(registry) })
}

fn known(registry: &Registry) -> String {
    let ids: Vec<&str> = registry.iter().map(|family| family.manifest().id.as_str()).collect();
    ids.join(", ")
}

fn has_template(dir: &Path, tokenizer_config: &Map<String, Value>) -> bool {
    tokenizer_config.contains_key("chat_template")
        || ["chat_template.jinja", "chat_template.json"].iter().any(|name| dir.join(name).exists())
}

fn read_json(dir: &Path, name: &str) -> Result<Option<Map<String, Value>>, ModelError> {
    let path = dir.join(name);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(ModelError::File { path, why: error.to_string() }),
    };
    serde_json::from_str(&text).map(Some).map_err(|error| ModelError::File { path, why: error.to_string() })
}

/// Every id that ends a turn, by whichever file names it.
fn eos_ids(
    manifest: &Manifest,
    names: &Names,
    configs: [&Map<String, Value>; 2],
    tokenizer_config: &Map<String, Value>,
) -> Vec<u32> {
    let mut eos = Vec::new();
    for config in configs {
        match config.get("eos_token_id") {
            Some(Value::Array(ids)) => eos.extend(ids.iter().filter_map(Value::as_u64)),
            Some(id) => eos.extend(id.as_u64()),
            None => {}
        }
    }
    let eos_token = tokenizer_config.get("eos_token");
    let spelling = eos_token.and_then(|token| token.get("content").unwrap_or(token).as_str());
    let named = manifest.stops.tokens.iter().map(String::as_str).chain(spelling);
    let named = named.filter_map(|token| names.get(token));
    let mut eos: Vec<u32> = eos.into_iter().filter_map(|id| u32::try_from(id).ok()).chain(named).collect();
    eos.sort_unstable();
    eos.dedup();
    eos
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use toolglot_grammar::Spacing;

    use super::*;

    fn registry() -> Registry {
        let source = include_str!("../../../parsers/tests/formats/suffixed.toml");
        let manifest = Manifest::from_toml(source, "suffixed").unwrap();
        let mut registry = Registry::empty();
        registry.add(Arc::new(DataFamily::new(manifest, Some("{{ messages }}".into()), None))).unwrap();
        registry
    }

    /// A folder with a tokenizer of every byte and these special tokens.
    fn checkpoint(specials: &[&str], template: Option<&str>) -> tempfile::TempDir {
        let vocabulary: Map<String, Value> =
            ('!'..='~').zip(0..).map(|(c, id)| (c.to_string(), json!(id))).collect();
        let added: Vec<Value> = specials
            .iter()
            .zip(vocabulary.len()..)
            .map(|(text, id)| json!({"id": id, "content": text, "special": true}))
            .collect();
        let tokenizer = json!({
            "added_tokens": added,
            "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false},
            "decoder": {"type": "ByteLevel"},
            "model": {"type": "BPE", "vocab": vocabulary, "merges": []},
        });
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("tokenizer.json"), tokenizer.to_string()).unwrap();
        if let Some(template) = template {
            fs::write(dir.path().join("chat_template.jinja"), template).unwrap();
        }
        dir
    }

    #[test]
    fn white_space_is_left_to_the_model_as_the_settings_say() {
        let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/tiny-qwen3");
        let model = Model::from_dir(dir, &Registry::builtin().unwrap(), None).unwrap();
        let tools = json!([{"name": "now", "parameters": {"type": "object", "properties": {}}}]);
        let plan = Plan::from_openai(&tools, &json!("required"), false).unwrap();
        let takes = |spacing: Spacing, text: &str| {
            let settings = SessionSettings { spacing, ..SessionSettings::default() };
            model.constraint(&plan, "", &settings).unwrap().matcher().accept_text(text).is_ok()
        };
        let [own, tight] = ["<tool_call>\n{\"name\": \"now\"", "<tool_call>{\"name\":\"now\""];
        // The second time they come from the cache.
        for _ in 0..2 {
            assert!(takes(Spacing::Flexible, own) && takes(Spacing::Flexible, tight));
            assert!(takes(Spacing::Family, own) && !takes(Spacing::Family, tight));
        }
    }

    #[test]
    fn a_checkpoint_brings_its_suffix() {
        let open = |dir: &tempfile::TempDir| {
            Model::from_dir(dir.path(), &registry(), Some("test_suffixed")).unwrap()
        };
        let turn = |model: &Model| model.family().manifest().turn.open.clone();
        let tokens = open(&checkpoint(&["<tool_call:7f>", "</tool_call:7f>", "<eos:7f>"], None));
        assert_eq!(turn(&tokens), "<assistant:7f>");
        let eos = tokens.vocabulary().named("<eos:7f>").unwrap();
        assert_eq!(tokens.vocabulary().eos(), [eos]);
        let spelled = open(&checkpoint(&[], Some("<tool_call:x>{{ 1 }}</tool_call:x><eos:x>")));
        assert_eq!(turn(&spelled), "<assistant:x>");
        let silent = open(&checkpoint(&[], None));
        assert_eq!(turn(&silent), "<assistant:opensource>");
    }
    #[test]
    fn a_checkpoint_that_nobody_knows_may_bring_a_response_template() {
        let dir = checkpoint(&["<eos>"], Some("{{ messages }}"));
        let open = || Model::from_dir(dir.path(), &registry(), None).map(|model| model.family().clone());
        assert!(matches!(open(), Err(ModelError::NoFamily { .. })));
        let call = json!({"open_pattern": "<call>(?P<name>\\w+)", "close": "</call>", "content": "json",
            "transform": {"function": {"name": "{name}", "arguments": "{content}"}}});
        let write = |call: &Value| {
            let template =
                json!({"start_anchor": "<s>", "fields": {"tool_calls": call, "content": {"close": "<eos>"}}});
            let config = json!({"response_template": template}).to_string();
            fs::write(dir.path().join("tokenizer_config.json"), config).unwrap();
        };
        write(&call);
        let family = open().unwrap();
        assert_eq!(family.manifest().turn.open, "<s>");
        assert!(family.manifest().format.has_call());
        let mut unreadable = call;
        unreadable["open_pattern"] = "<call.+>".into();
        write(&unreadable);
        let error = open().err().unwrap().to_string();
        assert!(error.contains("response_template/fields/tool_calls/open_pattern"), "{error}");
    }
}
