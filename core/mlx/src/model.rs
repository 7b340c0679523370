//! The decoder that Llama, Qwen2 and Qwen3 share, over MLX.
//!
//! Not here: sampling, stop rules and threads. A model, its cache and all arrays stay on the thread
//! that made them: MLX binds unevaluated arrays to it.

use std::path::Path;

use mlx_rs::error::Exception;
use mlx_rs::fast::{ScaledDotProductAttentionMask, scaled_dot_product_attention};
use mlx_rs::ops::indexing::TryIndexOp;
use mlx_rs::transforms::{async_eval, eval};
use mlx_rs::{Array, Dtype};

use crate::cache::KvCache;
use crate::checkpoint::Checkpoint;
use crate::layers::{Embedding, Linear, Mlp, Norm, Rope};
use crate::weights::{Weights, mlx};
use crate::{Architecture, LoadError, ModelConfig, ModelError};

/// A model in memory.
pub struct Model {
    config: ModelConfig,
    parameters: usize,
    embedding: Embedding,
    layers: Vec<Layer>,
    norm: Norm,
    /// `None` when the embedding is the output matrix.
    head: Option<Linear>,
    rope: Rope,
}

struct Layer {
    attention_norm: Norm,
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
    /// Norms of query and key, per head.
    head_norms: Option<(Norm, Norm)>,
    mlp_norm: Norm,
    mlp: Mlp,
}

/// Logits of a forward pass that may still be running.
#[derive(Debug)]
pub struct Logits(Array);

impl Logits {
    /// Waits for the pass and copies the logits, row by row, into `out`.
    pub fn read(&self, out: &mut Vec<f32>) -> Result<(), ModelError> {
        let values = self.0.try_as_slice::<f32>().map_err(|error| ModelError::Mlx(error.to_string()))?;
        out.clear();
        out.extend_from_slice(values);
        Ok(())
    }
}

impl Model {
    /// Loads a checkpoint in Hugging Face layout: `config.json` and `model.safetensors`, or the shards
    /// that `model.safetensors.index.json` names.
    pub fn load(folder: &Path) -> Result<Self, LoadError> {
        let config = ModelConfig::read(folder)?;
        let checkpoint = Checkpoint::open(folder)?;
        let mut weights = Weights::load(&checkpoint, &config)?;
        let embedding = weights.embedding("model.embed_tokens", config.vocab_size, config.hidden_size)?;
        let layers =
            (0..config.layers).map(|i| Layer::load(&mut weights, &config, i)).collect::<Result<_, _>>()?;
        let norm = norm(&mut weights, &config, "model.norm", config.hidden_size)?;
        let tied = config.tied.unwrap_or_else(|| !weights.has("lm_head.weight"));
        let head = if tied {
            // Some converters store the tied matrix twice.
            for part in ["weight", "scales", "biases"] {
                weights.ignore(&format!("lm_head.{part}"));
            }
            None
        } else {
            Some(weights.linear("lm_head", config.vocab_size, config.hidden_size, false)?)
        };
        weights.finish()?;
        let rope = Rope::new(&config).map_err(|error| mlx(folder, &error))?;
        let parameters = checkpoint.tensors.values().map(|t| t.shape.iter().product::<usize>()).sum();
        Ok(Self { config, parameters, embedding, layers, norm, head, rope })
    }

    /// Its dimensions and settings.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// Number of stored values; packed ones count per word.
    pub fn parameters(&self) -> usize {
        self.parameters
    }

    /// An empty cache.
    pub fn new_cache(&self) -> KvCache {
        KvCache::new(self.layers.len())
    }

    /// Takes tokens into the cache and computes no logits. Returns when that is done.
    pub fn prefill(&self, tokens: &[u32], cache: &mut KvCache) -> Result<(), ModelError> {
        self.hidden(tokens, cache)?;
        Ok(eval(cache.arrays())?)
    }

    /// Takes tokens into the cache and starts computing the logits that follow the last one:
    /// `[vocab_size]`. Does not wait.
    pub fn step(&self, tokens: &[u32], cache: &mut KvCache) -> Result<Logits, ModelError> {
        let hidden = self.hidden(tokens, cache)?;
        let last = if tokens.len() > 1 { hidden.try_index((.., -1.., ..))? } else { hidden };
        self.logits(&last)
    }

    /// As [`step`](Self::step), with the logits that follow each token: `[tokens, vocab_size]`.
    pub fn step_all(&self, tokens: &[u32], cache: &mut KvCache) -> Result<Logits, ModelError> {
        let hidden = self.hidden(tokens, cache)?;
        self.logits(&hidden)
    }

    fn logits(&self, hidden: &Array) -> Result<Logits, ModelError> {
        let hidden = self.norm.forward(hidden)?;
        let logits = match &self.head {
            Some(head) => head.forward(&hidden)?,
            None => self.embedding.as_output(&hidden)?,
        };
        let logits = logits.as_dtype(Dtype::Float32)?;
        async_eval([&logits])?;
        Ok(Logits(logits))
    }

    /// The residual stream after the last layer: `[1, tokens, hidden]`.
    fn hidden(&self, tokens: &[u32], cache: &mut KvCache) -> Result<Array, ModelError> {
        let vocabulary = self.config.vocab_size;
        if let Some(&id) = tokens.iter().find(|&&id| id as usize >= vocabulary) {
            return Err(ModelError::Token { id, vocabulary });
        }
        if tokens.is_empty() {
            return Err(ModelError::Empty);
        }
        let length = tokens.len() as i32;
        let mut x = self.embedding.forward(&Array::from_slice(tokens, &[1, length]))?;
        for (index, layer) in self.layers.iter().enumerate() {
            x = layer.forward(&x, index, cache, &self.config, &self.rope)?;
        }
        cache.advance(length);
        Ok(x)
    }
}

impl Layer {
    fn load(weights: &mut Weights<'_>, config: &ModelConfig, index: usize) -> Result<Self, LoadError> {
        let at = |name: &str| format!("model.layers.{index}.{name}");
        let (hidden, inner) = (config.hidden_size, config.intermediate_size);
        let (queries, keys) = (config.heads * config.head_dim, config.kv_heads * config.head_dim);
        let head_norms = match config.architecture {
            Architecture::Qwen3 => Some((
                norm(weights, config, &at("self_attn.q_norm"), config.head_dim)?,
                norm(weights, config, &at("self_attn.k_norm"), config.head_dim)?,
            )),
            Architecture::Llama | Architecture::Qwen2 => None,
        };
        Ok(Self {
            attention_norm: norm(weights, config, &at("input_layernorm"), hidden)?,
            query: weights.linear(&at("self_attn.q_proj"), queries, hidden, config.qkv_bias)?,
            key: weights.linear(&at("self_attn.k_proj"), keys, hidden, config.qkv_bias)?,
            value: weights.linear(&at("self_attn.v_proj"), keys, hidden, config.qkv_bias)?,
            output: weights.linear(&at("self_attn.o_proj"), hidden, queries, config.output_bias)?,
            head_norms,
            mlp_norm: norm(weights, config, &at("post_attention_layernorm"), hidden)?,
            mlp: Mlp {
                gate: weights.linear(&at("mlp.gate_proj"), inner, hidden, config.mlp_bias)?,
                up: weights.linear(&at("mlp.up_proj"), inner, hidden, config.mlp_bias)?,
                down: weights.linear(&at("mlp.down_proj"), hidden, inner, config.mlp_bias)?,
            },
        })
    }

    fn forward(
        &self,
        x: &Array,
        index: usize,
        cache: &mut KvCache,
        config: &ModelConfig,
        rope: &Rope,
    ) -> Result<Array, Exception> {
        let length = x.dim(1);
        let normed = self.attention_norm.forward(x)?;
        // [1, L, heads * head_dim] to [1, L, heads, head_dim].
        let split = |projected: Array, heads: usize| {
            projected.reshape(&[1, length, heads as i32, config.head_dim as i32])
        };
        let mut queries = split(self.query.forward(&normed)?, config.heads)?;
        let mut keys = split(self.key.forward(&normed)?, config.kv_heads)?;
        let values = split(self.value.forward(&normed)?, config.kv_heads)?;
        if let Some((query_norm, key_norm)) = &self.head_norms {
            queries = query_norm.forward(&queries)?;
            keys = key_norm.forward(&keys)?;
        }
        let heads_first = [0, 2, 1, 3];
        let offset = cache.offset();
        let queries = rope.forward(&queries.transpose_axes(&heads_first)?, offset)?;
        let keys = rope.forward(&keys.transpose_axes(&heads_first)?, offset)?;
        let (keys, values) = cache.store(index, keys, values.transpose_axes(&heads_first)?)?;
        // One query sees all keys; several see those up to their own place.
        let mask = (length > 1).then_some(ScaledDotProductAttentionMask::Causal);
        let scale = (config.head_dim as f32).powf(-0.5);
        let mixed = scaled_dot_product_attention(queries, keys, values, scale, mask, None)?;
        let mixed = mixed.transpose_axes(&heads_first)?.reshape(&[1, length, -1])?;
        let x = x.add(self.output.forward(&mixed)?)?;
        x.add(self.mlp.forward(&self.mlp_norm.forward(&x)?)?)
    }
}

fn norm(
    weights: &mut Weights<'_>,
    config: &ModelConfig,
    path: &str,
    width: usize,
) -> Result<Norm, LoadError> {
    Ok(Norm { weight: weights.float(&format!("{path}.weight"), &[width])?, eps: config.rms_norm_eps })
}
