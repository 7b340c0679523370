//! Reads `config.json` of a checkpoint in Hugging Face layout.
//!
//! Settings that would change the result and are not implemented are refused by name; keys that
//! only matter for training are ignored.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use crate::LoadError;

/// The kinds of model that this runtime knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Architecture {
    /// Llama 2 and 3.
    Llama,
    /// Qwen2 and Qwen2.5: biases on query, key and value.
    Qwen2,
    /// Qwen3: norms on query and key, no biases.
    Qwen3,
}

/// How positions are scaled.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum RopeScaling {
    /// Not at all.
    None,
    /// Every position divided by a factor.
    Linear {
        /// The factor.
        factor: f32,
    },
    /// By wavelength, as Llama 3.1 does.
    Llama3 {
        /// Slows long wavelengths down.
        factor: f32,
        /// Wavelengths above `original_context / low` are long.
        low_freq_factor: f32,
        /// Wavelengths below `original_context / high` stay as they are.
        high_freq_factor: f32,
        /// Context of the model before it was stretched, in tokens.
        original_context: f32,
    },
}

/// MLX affine quantization of one matrix: groups of `group_size` values share a scale and a bias.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quantization {
    /// Values per group.
    pub group_size: usize,
    /// Bits per value.
    pub bits: usize,
}

/// A model's dimensions and settings.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ModelConfig {
    /// Kind of model.
    pub architecture: Architecture,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Number of layers.
    pub layers: usize,
    /// Width inside the MLP.
    pub intermediate_size: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads.
    pub kv_heads: usize,
    /// Width of one head.
    pub head_dim: usize,
    /// Rows of the embedding: width of the logits. May exceed the tokenizer's vocabulary.
    pub vocab_size: usize,
    /// Context in tokens, when the config tells.
    pub context: Option<usize>,
    /// Epsilon of the norms.
    pub rms_norm_eps: f32,
    /// Base of the rotary frequencies.
    pub rope_theta: f32,
    /// How positions are scaled.
    pub rope_scaling: RopeScaling,
    /// Whether the rotary pairs are neighbours (true) or half a head apart (false).
    pub rope_traditional: bool,
    /// Bias on query, key and value.
    pub qkv_bias: bool,
    /// Bias on the attention's output.
    pub output_bias: bool,
    /// Bias in the MLP.
    pub mlp_bias: bool,
    /// Whether the embedding is the output matrix too; `None` lets the checkpoint decide.
    pub tied: Option<bool>,
    pub(crate) quantization: Option<Quantization>,
    /// Per path of a matrix: its own parameters, or none where it is not quantized.
    pub(crate) overrides: HashMap<String, Option<Quantization>>,
}

#[derive(Deserialize)]
struct Raw {
    model_type: Option<String>,
    hidden_size: Option<usize>,
    num_hidden_layers: Option<usize>,
    intermediate_size: Option<usize>,
    num_attention_heads: Option<usize>,
    num_key_value_heads: Option<usize>,
    head_dim: Option<usize>,
    vocab_size: Option<usize>,
    max_position_embeddings: Option<usize>,
    rms_norm_eps: Option<f32>,
    rope_theta: Option<f32>,
    rope_scaling: Option<Rope>,
    rope_parameters: Option<Rope>,
    rope_traditional: Option<bool>,
    attention_bias: Option<bool>,
    mlp_bias: Option<bool>,
    tie_word_embeddings: Option<bool>,
    hidden_act: Option<String>,
    use_sliding_window: Option<bool>,
    layer_types: Option<Vec<String>>,
    quantization: Option<HashMap<String, Value>>,
    quantization_config: Option<HashMap<String, Value>>,
}

#[derive(Deserialize)]
struct Rope {
    rope_type: Option<String>,
    r#type: Option<String>,
    rope_theta: Option<f32>,
    factor: Option<f32>,
    low_freq_factor: Option<f32>,
    high_freq_factor: Option<f32>,
    original_max_position_embeddings: Option<f32>,
    partial_rotary_factor: Option<f32>,
}

/// Reads and parses a JSON file.
pub(crate) fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, LoadError> {
    let bytes = fs::read(path).map_err(|source| LoadError::Read { path: path.into(), source })?;
    serde_json::from_slice(&bytes).map_err(|source| LoadError::Json { path: path.into(), source })
}

impl ModelConfig {
    /// Reads `config.json` in a folder.
    pub fn read(folder: &Path) -> Result<Self, LoadError> {
        let path = folder.join("config.json");
        let raw = read_json(&path)?;
        Reader { path }.config(raw)
    }

    /// How the matrix at `path` is quantized, where the checkpoint holds scales for it.
    pub(crate) fn quantization_of(&self, path: &str) -> Option<Quantization> {
        self.overrides.get(path).copied().unwrap_or(self.quantization)
    }
}

/// Knows the file, for the error messages.
struct Reader {
    path: PathBuf,
}

impl Reader {
    fn bad(&self, key: impl Into<String>, problem: impl Into<String>) -> LoadError {
        LoadError::Setting { path: self.path.clone(), key: key.into(), problem: problem.into() }
    }

    fn need<T>(&self, key: &str, value: Option<T>) -> Result<T, LoadError> {
        value.ok_or_else(|| self.bad(key, "is missing"))
    }

    fn count(&self, key: &str, value: Option<usize>) -> Result<usize, LoadError> {
        let value = self.need(key, value)?;
        // MLX counts in 32-bit integers, with a sign.
        if value == 0 || value > i32::MAX as usize {
            return Err(self.bad(key, format!("is {value}, which is out of range")));
        }
        Ok(value)
    }

    fn config(&self, raw: Raw) -> Result<ModelConfig, LoadError> {
        let found = self.need("model_type", raw.model_type.clone())?;
        let architecture = match found.as_str() {
            "llama" => Architecture::Llama,
            "qwen2" => Architecture::Qwen2,
            "qwen3" => Architecture::Qwen3,
            _ => return Err(LoadError::Architecture { path: self.path.clone(), found }),
        };
        if let Some(act) = raw.hidden_act.as_deref().filter(|act| *act != "silu") {
            return Err(self.bad("hidden_act", format!("is `{act}`, only `silu` is supported")));
        }
        if raw.use_sliding_window == Some(true) {
            return Err(self.bad("use_sliding_window", "is true; sliding windows are not supported"));
        }
        let layer_types = raw.layer_types.iter().flatten();
        if let Some(kind) = layer_types.into_iter().find(|kind| *kind != "full_attention") {
            return Err(
                self.bad("layer_types", format!("holds `{kind}`, only `full_attention` is supported"))
            );
        }
        let hidden_size = self.count("hidden_size", raw.hidden_size)?;
        let heads = self.count("num_attention_heads", raw.num_attention_heads)?;
        let kv_heads = self.count("num_key_value_heads", raw.num_key_value_heads.or(Some(heads)))?;
        if !heads.is_multiple_of(kv_heads) {
            return Err(self.bad(
                "num_key_value_heads",
                format!("is {kv_heads}, which does not divide {heads} attention heads"),
            ));
        }
        let head_dim = match raw.head_dim {
            Some(_) => self.count("head_dim", raw.head_dim)?,
            None if hidden_size.is_multiple_of(heads) => hidden_size / heads,
            None => {
                return Err(self
                    .bad("head_dim", format!("is missing, and {heads} heads do not divide {hidden_size}")));
            }
        };
        if !head_dim.is_multiple_of(2) {
            return Err(self.bad("head_dim", format!("is {head_dim}, rotary positions need an even number")));
        }
        let (rope_theta, rope_scaling) = self.rope(&raw, architecture)?;
        let (quantization, overrides) = self.quantization(&raw)?;
        let context = raw.max_position_embeddings;
        let attention_bias = raw.attention_bias == Some(true);
        Ok(ModelConfig {
            architecture,
            hidden_size,
            layers: self.count("num_hidden_layers", raw.num_hidden_layers)?,
            intermediate_size: self.count("intermediate_size", raw.intermediate_size)?,
            heads,
            kv_heads,
            head_dim,
            vocab_size: self.count("vocab_size", raw.vocab_size)?,
            context: context.map(|_| self.count("max_position_embeddings", context)).transpose()?,
            rms_norm_eps: self.need("rms_norm_eps", raw.rms_norm_eps)?,
            rope_theta,
            rope_scaling,
            rope_traditional: raw.rope_traditional == Some(true),
            qkv_bias: attention_bias || architecture == Architecture::Qwen2,
            output_bias: attention_bias && architecture != Architecture::Qwen2,
            mlp_bias: raw.mlp_bias == Some(true),
            tied: raw.tie_word_embeddings,
            quantization,
            overrides,
        })
    }

    /// Transformers 5 keeps everything about positions in `rope_parameters`, older ones in
    /// `rope_theta` and `rope_scaling`.
    fn rope(&self, raw: &Raw, architecture: Architecture) -> Result<(f32, RopeScaling), LoadError> {
        let (key, rope) = match (&raw.rope_scaling, &raw.rope_parameters) {
            (Some(rope), _) => ("rope_scaling", Some(rope)),
            (None, rope) => ("rope_parameters", rope.as_ref()),
        };
        let theta = raw.rope_theta.or(raw.rope_parameters.as_ref().and_then(|rope| rope.rope_theta));
        // Libraries disagree on the default for Qwen, so it must be given there.
        let theta = theta.or((architecture == Architecture::Llama).then_some(10_000.0));
        let theta = self.need("rope_theta", theta)?;
        let Some(rope) = rope else { return Ok((theta, RopeScaling::None)) };
        if rope.partial_rotary_factor.is_some_and(|factor| factor != 1.0) {
            return Err(self.bad(format!("{key}.partial_rotary_factor"), "is not 1; that is not supported"));
        }
        let need = |name: &str, value: Option<f32>| {
            let key = format!("{key}.{name}");
            match self.need(&key, value)? {
                value if value.is_finite() && value > 0.0 => Ok(value),
                value => Err(self.bad(key, format!("is {value}, it must be above 0"))),
            }
        };
        let kind = rope.rope_type.as_deref().or(rope.r#type.as_deref()).unwrap_or("default");
        let scaling = match kind {
            "default" => RopeScaling::None,
            "linear" => RopeScaling::Linear { factor: need("factor", rope.factor)? },
            "llama3" => RopeScaling::Llama3 {
                factor: need("factor", rope.factor)?,
                low_freq_factor: need("low_freq_factor", rope.low_freq_factor)?,
                high_freq_factor: need("high_freq_factor", rope.high_freq_factor)?,
                original_context: need(
                    "original_max_position_embeddings",
                    rope.original_max_position_embeddings,
                )?,
            },
            other => {
                let problem = format!("is `{other}`; supported are default, linear and llama3");
                return Err(self.bad(format!("{key}.rope_type"), problem));
            }
        };
        Ok((theta, scaling))
    }

    /// `quantization` is MLX's own: defaults, and per path of a matrix an object or `false`.
    #[allow(clippy::type_complexity)]
    fn quantization(
        &self,
        raw: &Raw,
    ) -> Result<(Option<Quantization>, HashMap<String, Option<Quantization>>), LoadError> {
        let Some(map) = &raw.quantization else {
            return match &raw.quantization_config {
                None => Ok((None, HashMap::new())),
                Some(foreign) => {
                    let method =
                        foreign.get("quant_method").and_then(Value::as_str).unwrap_or("of unknown kind");
                    let problem = format!("is `{method}`; only MLX affine quantization is supported");
                    Err(self.bad("quantization_config", problem))
                }
            };
        };
        let default = self.affine("quantization", &|key| map.get(key))?;
        let mut overrides = HashMap::new();
        for (path, value) in
            map.iter().filter(|(key, _)| !matches!(key.as_str(), "group_size" | "bits" | "mode"))
        {
            let key = format!("quantization.{path}");
            let own = match value {
                Value::Bool(false) => None,
                Value::Bool(true) => Some(default),
                Value::Object(own) => Some(self.affine(&key, &|key| own.get(key))?),
                // Notes that converters leave there.
                _ => continue,
            };
            overrides.insert(path.clone(), own);
        }
        Ok((Some(default), overrides))
    }

    fn affine<'a>(
        &self,
        key: &str,
        get: &dyn Fn(&str) -> Option<&'a Value>,
    ) -> Result<Quantization, LoadError> {
        if let Some(mode) = get("mode").and_then(Value::as_str).filter(|mode| *mode != "affine") {
            return Err(self.bad(format!("{key}.mode"), format!("is `{mode}`, only `affine` is supported")));
        }
        let number = |name: &str, allowed: &[u64]| {
            let key = format!("{key}.{name}");
            let value = self.need(&key, get(name).and_then(Value::as_u64))?;
            if allowed.contains(&value) {
                Ok(value as usize)
            } else {
                Err(self.bad(key, format!("is {value}, supported are {allowed:?}")))
            }
        };
        Ok(Quantization {
            group_size: number("group_size", &[32, 64, 128])?,
            bits: number("bits", &[2, 3, 4, 5, 6, 8])?,
        })
    }
}
