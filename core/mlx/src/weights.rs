//! Hands the tensors of a checkpoint to the layers, each with its name, type and shape checked.

use std::collections::HashMap;
use std::path::Path;

use mlx_rs::Array;
use mlx_rs::transforms::eval;

use crate::checkpoint::Checkpoint;
use crate::layers::{Embedding, Linear, Packed};
use crate::{LoadError, ModelConfig};

/// The tensors that no layer has taken yet.
pub(crate) struct Weights<'a> {
    checkpoint: &'a Checkpoint,
    config: &'a ModelConfig,
    arrays: HashMap<String, Array>,
    taken: Vec<Array>,
}

impl<'a> Weights<'a> {
    /// Opens every file. Data is read when the arrays are first evaluated.
    pub(crate) fn load(checkpoint: &'a Checkpoint, config: &'a ModelConfig) -> Result<Self, LoadError> {
        let mut arrays = HashMap::new();
        for path in &checkpoint.files {
            let loaded = Array::load_safetensors(path).map_err(|error| mlx(path, &error))?;
            arrays.extend(loaded);
        }
        Ok(Self { checkpoint, config, arrays, taken: Vec::new() })
    }

    /// True when the checkpoint holds a tensor.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.checkpoint.tensors.contains_key(name)
    }

    /// A floating-point tensor.
    pub(crate) fn float(&mut self, name: &str, shape: &[usize]) -> Result<Array, LoadError> {
        self.take(name, shape, "F32, F16 or BF16", &["F32", "F16", "BF16"])
    }

    /// A matrix, quantized where the checkpoint holds scales for it.
    pub(crate) fn linear(
        &mut self,
        path: &str,
        out: usize,
        input: usize,
        bias: bool,
    ) -> Result<Linear, LoadError> {
        let bias = bias.then(|| self.float(&format!("{path}.bias"), &[out])).transpose()?;
        if self.has(&format!("{path}.scales")) {
            return Ok(Linear::Packed { matrix: self.packed(path, out, input)?, bias });
        }
        let weight = self.float(&format!("{path}.weight"), &[out, input])?;
        let weight = weight.transpose().map_err(|error| mlx(&self.checkpoint.folder, &error))?;
        Ok(Linear::Dense { transposed: weight, bias })
    }

    /// The embedding, quantized where the checkpoint holds scales for it.
    pub(crate) fn embedding(
        &mut self,
        path: &str,
        rows: usize,
        width: usize,
    ) -> Result<Embedding, LoadError> {
        if self.has(&format!("{path}.scales")) {
            return Ok(Embedding::Packed(self.packed(path, rows, width)?));
        }
        let weight = self.float(&format!("{path}.weight"), &[rows, width])?;
        let transposed = weight.transpose().map_err(|error| mlx(&self.checkpoint.folder, &error))?;
        Ok(Embedding::Dense { weight, transposed })
    }

    /// Reads what was taken from disk, and refuses what nobody took.
    pub(crate) fn finish(self) -> Result<(), LoadError> {
        let derived = |name: &str| name.ends_with("rotary_emb.inv_freq");
        if let Some(tensor) = self.arrays.keys().filter(|name| !derived(name)).min() {
            return Err(LoadError::UnexpectedTensor {
                path: self.checkpoint.path_of(tensor),
                tensor: tensor.clone(),
            });
        }
        eval(&self.taken).map_err(|error| mlx(&self.checkpoint.folder, &error))
    }

    /// Forgets a tensor that the model does without.
    pub(crate) fn ignore(&mut self, name: &str) {
        self.arrays.remove(name);
    }

    fn packed(&mut self, path: &str, out: usize, input: usize) -> Result<Packed, LoadError> {
        let Some(quantization) = self.config.quantization_of(path) else {
            return Err(LoadError::Setting {
                path: self.checkpoint.folder.join("config.json"),
                key: "quantization".into(),
                problem: format!("does not cover `{path}`, which the checkpoint holds quantized"),
            });
        };
        let (group, bits) = (quantization.group_size, quantization.bits);
        if !input.is_multiple_of(group) {
            return Err(LoadError::Setting {
                path: self.checkpoint.folder.join("config.json"),
                key: "quantization.group_size".into(),
                problem: format!("is {group}, which does not divide the {input} columns of `{path}`"),
            });
        }
        let words = input * bits / 32;
        Ok(Packed {
            weight: self.take(&format!("{path}.weight"), &[out, words], "U32", &["U32"])?,
            scales: self.float(&format!("{path}.scales"), &[out, input / group])?,
            biases: self.float(&format!("{path}.biases"), &[out, input / group])?,
            group_size: group as i32,
            bits: bits as i32,
        })
    }

    fn take(
        &mut self,
        name: &str,
        shape: &[usize],
        expected: &'static str,
        types: &[&str],
    ) -> Result<Array, LoadError> {
        let missing =
            || LoadError::MissingTensor { folder: self.checkpoint.folder.clone(), tensor: name.into() };
        let found = self.checkpoint.tensors.get(name).ok_or_else(missing)?;
        let path = || self.checkpoint.path_of(name);
        if !types.contains(&found.dtype.as_str()) {
            let found = found.dtype.clone();
            return Err(LoadError::Type { path: path(), tensor: name.into(), expected, found });
        }
        if found.shape != shape {
            let (expected, found) = (shape.to_vec(), found.shape.clone());
            return Err(LoadError::Shape { path: path(), tensor: name.into(), expected, found });
        }
        let array = self.arrays.remove(name).ok_or_else(missing)?;
        self.taken.push(array.clone());
        Ok(array)
    }
}

/// An MLX failure as a load error.
pub(crate) fn mlx(path: &Path, error: &dyn std::fmt::Display) -> LoadError {
    LoadError::Mlx { path: path.into(), message: error.to_string() }
}
