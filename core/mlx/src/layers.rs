//! The pieces a decoder is made of. Shapes are given outermost axis first; B is always 1.

use mlx_rs::error::Exception;
use mlx_rs::ops::{addmm, dequantize, matmul, power, quantized_matmul, select};
use mlx_rs::{Array, fast};

use crate::{ModelConfig, RopeScaling};

type Result<T> = std::result::Result<T, Exception>;

/// A matrix under MLX affine quantization: `weight` packs `bits` bits per value into `u32` words.
pub(crate) struct Packed {
    pub(crate) weight: Array,
    pub(crate) scales: Array,
    pub(crate) biases: Array,
    pub(crate) group_size: i32,
    pub(crate) bits: i32,
}

impl Packed {
    /// `x @ self^T`.
    fn apply(&self, x: &Array) -> Result<Array> {
        quantized_matmul(x, &self.weight, &self.scales, &self.biases, true, self.group_size, self.bits)
    }

    /// The rows that `ids` name.
    fn rows(&self, ids: &Array) -> Result<Array> {
        let weight = self.weight.take_axis(ids, 0)?;
        let scales = self.scales.take_axis(ids, 0)?;
        let biases = self.biases.take_axis(ids, 0)?;
        dequantize(weight, scales, &biases, self.group_size, self.bits)
    }
}

/// `y = x W^T + b`.
pub(crate) enum Linear {
    /// `transposed` is `[in, out]`, a view of the stored matrix.
    Dense { transposed: Array, bias: Option<Array> },
    /// Quantized.
    Packed { matrix: Packed, bias: Option<Array> },
}

impl Linear {
    pub(crate) fn forward(&self, x: &Array) -> Result<Array> {
        match self {
            Self::Dense { transposed, bias: None } => matmul(x, transposed),
            Self::Dense { transposed, bias: Some(bias) } => addmm(bias, x, transposed, None, None),
            Self::Packed { matrix, bias: None } => matrix.apply(x),
            Self::Packed { matrix, bias: Some(bias) } => matrix.apply(x)?.add(bias),
        }
    }
}

/// The token embedding, which may be the output matrix too.
pub(crate) enum Embedding {
    Dense { weight: Array, transposed: Array },
    Packed(Packed),
}

impl Embedding {
    /// `ids` `[1, L]` to `[1, L, hidden]`.
    pub(crate) fn forward(&self, ids: &Array) -> Result<Array> {
        match self {
            Self::Dense { weight, .. } => weight.take_axis(ids, 0),
            Self::Packed(matrix) => matrix.rows(ids),
        }
    }

    /// `[1, L, hidden]` to logits `[1, L, vocabulary]`.
    pub(crate) fn as_output(&self, x: &Array) -> Result<Array> {
        match self {
            Self::Dense { transposed, .. } => matmul(x, transposed),
            Self::Packed(matrix) => matrix.apply(x),
        }
    }
}

/// Root mean square norm.
pub(crate) struct Norm {
    pub(crate) weight: Array,
    pub(crate) eps: f32,
}

impl Norm {
    pub(crate) fn forward(&self, x: &Array) -> Result<Array> {
        fast::rms_norm(x, Some(&self.weight), self.eps)
    }
}

/// The gated MLP: `down(silu(gate(x)) * up(x))`.
pub(crate) struct Mlp {
    pub(crate) gate: Linear,
    pub(crate) up: Linear,
    pub(crate) down: Linear,
}

impl Mlp {
    pub(crate) fn forward(&self, x: &Array) -> Result<Array> {
        let gate = self.gate.forward(x)?;
        let gate = gate.multiply(mlx_rs::ops::sigmoid(&gate)?)?;
        self.down.forward(&gate.multiply(self.up.forward(x)?)?)
    }
}

/// Rotary positions.
pub(crate) struct Rope {
    dimensions: i32,
    traditional: bool,
    scale: f32,
    base: Option<f32>,
    /// In place of a base, for scalings that treat each frequency on its own.
    wavelengths: Option<Array>,
}

impl Rope {
    pub(crate) fn new(config: &ModelConfig) -> Result<Self> {
        let dimensions = config.head_dim as i32;
        let plain = Self {
            dimensions,
            traditional: config.rope_traditional,
            scale: 1.0,
            base: Some(config.rope_theta),
            wavelengths: None,
        };
        match config.rope_scaling {
            RopeScaling::None => Ok(plain),
            RopeScaling::Linear { factor } => Ok(Self { scale: 1.0 / factor, ..plain }),
            RopeScaling::Llama3 { .. } => {
                Ok(Self { base: None, wavelengths: Some(llama3(config, dimensions)?), ..plain })
            }
        }
    }

    /// Rotates `[1, heads, L, head_dim]`, whose first row stands at position `offset`.
    pub(crate) fn forward(&self, x: &Array, offset: i32) -> Result<Array> {
        fast::rope(
            x,
            self.dimensions,
            self.traditional,
            self.base,
            self.scale,
            offset,
            self.wavelengths.as_ref(),
        )
    }
}

/// The scaling of Llama 3.1, as published with the model: long wavelengths are stretched by
/// `factor`, short ones stay, and those between are blended. Computed with MLX, in `f32`, so that
/// the numbers are those of Python.
fn llama3(config: &ModelConfig, dimensions: i32) -> Result<Array> {
    let RopeScaling::Llama3 { factor, low_freq_factor: low, high_freq_factor: high, original_context } =
        config.rope_scaling
    else {
        return Err(Exception::custom("not a llama3 scaling"));
    };
    let number = Array::from_f32;
    let steps = mlx_rs::ops::arange::<_, f32>(0, dimensions, 2)?;
    let freqs = power(number(config.rope_theta), steps.divide(number(dimensions as f32))?)?;
    let wavelengths = number(2.0 * std::f32::consts::PI).multiply(&freqs)?;
    let (longest, shortest) = (original_context / low, original_context / high);
    let stretched = select(wavelengths.gt(number(longest))?, freqs.multiply(number(factor))?, &freqs)?;
    let between = wavelengths.gt(number(shortest))?.logical_and(wavelengths.lt(number(longest))?)?;
    let smooth =
        number(original_context).divide(&wavelengths)?.subtract(number(low))?.divide(number(high - low))?;
    let blend = number(1.0).subtract(&smooth)?.divide(number(factor))?.add(&smooth)?;
    let result = select(between, freqs.divide(blend)?, stretched)?;
    result.eval()?;
    Ok(result)
}
