//! The safetensors files of a checkpoint: which tensor is where, of which type and shape.
//!
//! Headers are read and checked here, before MLX opens anything, so that a damaged or foreign file is
//! told by name. Format: 8 bytes of little-endian header length, a JSON header, the data.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::LoadError;
use crate::config::read_json;

/// One tensor as its header describes it.
#[derive(Debug, Clone)]
pub(crate) struct Tensor {
    /// Index into [`Checkpoint::files`].
    pub(crate) file: usize,
    pub(crate) dtype: String,
    pub(crate) shape: Vec<usize>,
}

/// All tensors of a checkpoint.
#[derive(Debug)]
pub(crate) struct Checkpoint {
    pub(crate) folder: PathBuf,
    pub(crate) files: Vec<PathBuf>,
    pub(crate) tensors: BTreeMap<String, Tensor>,
}

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Header {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: (u64, u64),
}

/// Headers of real checkpoints stay far below this.
const MAX_HEADER: u64 = 100 << 20;

impl Checkpoint {
    /// Finds the weights: `model.safetensors.index.json` with its shards, else `model.safetensors`.
    pub(crate) fn open(folder: &Path) -> Result<Self, LoadError> {
        let index_path = folder.join("model.safetensors.index.json");
        let mut this = Self { folder: folder.into(), files: Vec::new(), tensors: BTreeMap::new() };
        if !index_path.exists() {
            this.add(folder.join("model.safetensors"))?;
            return Ok(this);
        }
        let index: Index = read_json(&index_path)?;
        for shard in index.weight_map.values().collect::<BTreeSet<_>>() {
            if Path::new(shard).file_name() != Some(shard.as_ref()) {
                return Err(LoadError::Setting {
                    path: index_path,
                    key: "weight_map".into(),
                    problem: format!("names `{shard}`, which is not the name of a file beside it"),
                });
            }
            this.add(folder.join(shard))?;
        }
        for (tensor, shard) in &index.weight_map {
            let found = this.tensors.get(tensor).map(|found| &this.files[found.file]);
            if found != Some(&folder.join(shard)) {
                return Err(LoadError::Damaged {
                    path: folder.join(shard),
                    problem: format!("it lacks the tensor `{tensor}` that {} promises", index_path.display()),
                });
            }
        }
        Ok(this)
    }

    /// The file that holds a tensor, or the folder when none does.
    pub(crate) fn path_of(&self, tensor: &str) -> PathBuf {
        self.tensors.get(tensor).map_or(&self.folder, |found| &self.files[found.file]).clone()
    }

    fn add(&mut self, path: PathBuf) -> Result<(), LoadError> {
        let read = |source| LoadError::Read { path: path.clone(), source };
        let damaged = |problem: String| LoadError::Damaged { path: path.clone(), problem };
        let mut file = File::open(&path).map_err(read)?;
        let size = file.metadata().map_err(read)?.len();
        let mut length = [0; 8];
        file.read_exact(&mut length).map_err(read)?;
        let length = u64::from_le_bytes(length);
        if length > MAX_HEADER || length > size.saturating_sub(8) {
            return Err(damaged(format!("a header of {length} bytes in a file of {size}")));
        }
        let mut header = vec![0; length as usize];
        file.read_exact(&mut header).map_err(read)?;
        let json = |source| LoadError::Json { path: path.clone(), source };
        let header: BTreeMap<String, serde_json::Value> = serde_json::from_slice(&header).map_err(json)?;
        let mut ranges = Vec::with_capacity(header.len());
        for (name, value) in header {
            if name == "__metadata__" {
                continue;
            }
            let Header { dtype, shape, data_offsets: (start, end) } =
                serde_json::from_value(value).map_err(json)?;
            let bits = element_bits(&dtype)
                .ok_or_else(|| damaged(format!("the tensor `{name}` has the unknown type `{dtype}`")))?;
            let elements = shape.iter().try_fold(1u64, |n, &axis| n.checked_mul(axis as u64));
            let bytes = elements.and_then(|n| n.checked_mul(bits)).map(|bits| bits / 8);
            if bytes.is_none() || end.checked_sub(start) != bytes || end > size - 8 - length {
                return Err(damaged(format!(
                    "the tensor `{name}` of type {dtype} and shape {shape:?} does not fit bytes {start}..{end}"
                )));
            }
            ranges.push((start, end));
            let tensor = Tensor { file: self.files.len(), dtype, shape };
            if self.tensors.insert(name.clone(), tensor).is_some() {
                return Err(damaged(format!("the tensor `{name}` is in another file too")));
            }
        }
        // The format leaves no holes and shares no byte, so that a damaged offset shows.
        ranges.sort_unstable();
        let end = ranges.iter().try_fold(0, |at, &(start, end)| (start == at).then_some(end));
        if end != Some(size - 8 - length) {
            return Err(damaged(
                "its tensors do not lie side by side from the first byte to the last".into(),
            ));
        }
        self.files.push(path);
        Ok(())
    }
}

fn element_bits(dtype: &str) -> Option<u64> {
    Some(match dtype {
        "F64" | "I64" | "U64" | "C64" => 64,
        "F32" | "I32" | "U32" => 32,
        "F16" | "BF16" | "I16" | "U16" => 16,
        "I8" | "U8" | "BOOL" | "F8_E4M3" | "F8_E5M2" => 8,
        _ => return None,
    })
}
