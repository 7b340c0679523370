//! Token tables on disk, so that a tokenizer is read and sorted once.
//!
//! A file is found by the hash of the `tokenizer.json` it was made from and of the version that made it, carries a
//! checksum, and is read with distrust: whatever is not exactly what was written is made anew.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::SystemTime;

use toolglot_grammar::{TokenTable, VocabularyError};

/// Names another folder than the user's own, or with `off` none.
const VARIABLE: &str = "TOOLGLOT_VOCABULARY_CACHE";

const OFF: &str = "off";

const EXTENSION: &str = "tokens";

/// A smaller `tokenizer.json` is read as fast as a file of the cache.
const SMALLEST: usize = 1 << 20;

/// Files kept; those written first go first.
const FILES: usize = 32;

/// No table is larger.
const LARGEST: u64 = 1 << 28;

const HASH: usize = blake3::OUT_LEN;

static OF_PROCESS: OnceLock<VocabularyCache> = OnceLock::new();

/// Where token tables are kept, if anywhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VocabularyCache {
    folder: Option<PathBuf>,
}

impl VocabularyCache {
    /// Keeps nothing.
    pub fn off() -> Self {
        VocabularyCache { folder: None }
    }

    /// Keeps tables in this folder, which is made when needed. Who can write there can choose what tokens mean.
    pub fn at(folder: impl Into<PathBuf>) -> Self {
        VocabularyCache { folder: Some(folder.into()) }
    }

    /// What a setting says: a folder, or `off`.
    pub fn from_setting(setting: &OsStr) -> Self {
        if setting == OFF { Self::off() } else { Self::at(setting) }
    }

    /// The folder or `off` in the environment's `TOOLGLOT_VOCABULARY_CACHE`, or else `toolglot/vocabularies` in the
    /// user's cache folder; off where there is neither.
    pub fn user() -> Self {
        if let Some(cache) = Self::environment() {
            return cache;
        }
        VocabularyCache { folder: dirs::cache_dir().map(|dir| dir.join("toolglot").join("vocabularies")) }
    }

    /// What the environment says, if it says anything.
    pub fn environment() -> Option<Self> {
        std::env::var_os(VARIABLE).filter(|setting| !setting.is_empty()).map(|s| Self::from_setting(&s))
    }

    /// The cache of this process, which [`Model::from_dir`](crate::Model::from_dir) uses: the one that was
    /// [installed](Self::install), or else the user's.
    pub fn of_process() -> &'static VocabularyCache {
        OF_PROCESS.get_or_init(Self::user)
    }

    /// Makes this the cache of the process. False when there is one already: install it before any model is loaded.
    pub fn install(self) -> bool {
        OF_PROCESS.set(self).is_ok()
    }

    /// The folder.
    pub fn folder(&self) -> Option<&Path> {
        self.folder.as_deref()
    }

    /// The token table of a `tokenizer.json`, from the cache or else made, and then kept. Trouble with the cache is
    /// a warning, never an error.
    ///
    /// # Errors
    /// [`VocabularyError`] when the tokenizer is not of a known kind.
    pub fn table(&self, tokenizer: &[u8]) -> Result<TokenTable, VocabularyError> {
        let make = || {
            let json = std::str::from_utf8(tokenizer).map_err(|error| VocabularyError::Malformed {
                what: "tokenizer.json",
                reason: error.to_string(),
            })?;
            TokenTable::from_tokenizer_json(json)
        };
        let Some(folder) = self.folder().filter(|_| tokenizer.len() >= SMALLEST) else { return make() };
        let mut hasher = blake3::Hasher::new();
        hasher.update(env!("CARGO_PKG_VERSION").as_bytes()).update(b"\0").update(tokenizer);
        let key = hasher.finalize();
        let file = folder.join(key.to_hex().as_str()).with_extension(EXTENSION);
        match read(&file, &key) {
            Ok(Some(table)) => return Ok(table),
            Ok(None) => {}
            Err(why) => {
                tracing::warn!(file = %file.display(), %why, "a cached vocabulary cannot be used; it is made anew");
            }
        }
        let table = make()?;
        if let Err(why) = write(folder, &file, &key, &table) {
            tracing::warn!(file = %file.display(), %why, "the vocabulary cannot be cached");
        }
        Ok(table)
    }
}

/// Of the key as well, so that a file under another's name is no match.
fn checksum(key: &blake3::Hash, stored: &[u8]) -> blake3::Hash {
    blake3::keyed_hash(key.as_bytes(), stored)
}

/// `None` where there is no file.
fn read(file: &Path, key: &blake3::Hash) -> io::Result<Option<TokenTable>> {
    let length = match fs::metadata(file) {
        Ok(found) => found.len(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let damaged = |why: &'static str| io::Error::new(io::ErrorKind::InvalidData, why);
    if length > LARGEST {
        return Err(damaged("it is larger than any table"));
    }
    let content = fs::read(file)?;
    let (sum, stored) = content.split_first_chunk::<HASH>().ok_or_else(|| damaged("it is cut off"))?;
    if checksum(key, stored) != *sum {
        return Err(damaged("its checksum is wrong"));
    }
    let table = TokenTable::from_stored(stored);
    table.map(Some).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// Under another name first, so that no reader sees half a file.
fn write(folder: &Path, file: &Path, key: &blake3::Hash, table: &TokenTable) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    make_room(folder)?;
    let stored = table.to_stored();
    let mut temporary = tempfile::NamedTempFile::new_in(folder)?;
    temporary.write_all(checksum(key, &stored).as_bytes())?;
    temporary.write_all(&stored)?;
    temporary.persist(file).map_err(|error| error.error)?;
    Ok(())
}

/// Leaves room for one more file.
fn make_room(folder: &Path) -> io::Result<()> {
    let mut files: Vec<(SystemTime, PathBuf)> = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if Path::new(&entry.file_name()).extension().is_some_and(|extension| extension == EXTENSION) {
            files.push((entry.metadata()?.modified()?, entry.path()));
        }
    }
    files.sort();
    files.iter().take((files.len() + 1).saturating_sub(FILES)).try_for_each(|(_, file)| fs::remove_file(file))
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value, json};
    use toolglot_grammar::Vocabulary;

    use super::*;

    /// A tokenizer large enough to be cached; `extra` tells several apart.
    fn tokenizer(extra: &str) -> Vec<u8> {
        let letters: Vec<char> = ('a'..='z').collect();
        let words = (0..60_000usize).map(|n| {
            let word: String = [n / 676 / 26, n / 676, n / 26, n].map(|n| letters[n % 26]).iter().collect();
            (word, json!(n))
        });
        let vocab: Map<String, Value> = words.collect();
        let added = json!([{"id": 60_000, "content": extra, "special": true}]);
        let merges = vec!["ab cd"; 60_000];
        json!({"model": {"type": "BPE", "vocab": vocab, "merges": merges}, "added_tokens": added,
            "decoder": {"type": "ByteLevel"}})
        .to_string()
        .into_bytes()
    }

    fn fingerprint(table: TokenTable) -> u64 {
        Vocabulary::from_table(table, &[60_000], None).unwrap().fingerprint()
    }

    fn files(folder: &Path) -> Vec<PathBuf> {
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
    }

    #[test]
    fn the_second_time_it_is_read_and_damage_is_made_anew() {
        let dir = tempfile::tempdir().unwrap();
        let cache = VocabularyCache::at(dir.path().join("made/when/needed"));
        let tokenizer = tokenizer("<eos>");
        let expected = fingerprint(VocabularyCache::off().table(&tokenizer).unwrap());
        assert_eq!(fingerprint(cache.table(&tokenizer).unwrap()), expected);
        let [file] = &files(cache.folder().unwrap())[..] else { panic!("one file") };
        let good = fs::read(file).unwrap();

        // What is read is the file: with a good checksum, even another table under this name.
        let mut hasher = blake3::Hasher::new();
        hasher.update(env!("CARGO_PKG_VERSION").as_bytes()).update(b"\0").update(&tokenizer);
        let key = hasher.finalize();
        let other = TokenTable::new(&[toolglot_grammar::Token::text("x")]).unwrap().to_stored();
        fs::write(file, [checksum(&key, &other).as_bytes(), &other[..]].concat()).unwrap();
        assert_eq!(cache.table(&tokenizer).unwrap().len(), 1);
        // One from another version, rightly summed.
        let mut old = good[HASH..].to_vec();
        old[0] ^= 1;
        let mut damaged = vec![[checksum(&key, &old).as_bytes(), &old[..]].concat()];

        let step = good.len() / 12;
        for at in (0..good.len()).step_by(step) {
            let mut flipped = good.clone();
            flipped[at] ^= 1 << (at % 8);
            damaged.push(flipped);
            damaged.push(good[..at].to_vec());
        }
        damaged.push([&good[..], b"\0"].concat());
        for content in damaged {
            fs::write(file, content).unwrap();
            assert_eq!(fingerprint(cache.table(&tokenizer).unwrap()), expected);
            assert!(fs::read(file).unwrap() == good, "it is mended");
        }
    }

    #[test]
    fn other_tokenizers_have_other_files_and_old_ones_go() {
        let dir = tempfile::tempdir().unwrap();
        let cache = VocabularyCache::at(dir.path());
        for extra in ["<a>", "<b>", "<a>"] {
            let table = cache.table(&tokenizer(extra)).unwrap();
            assert_eq!(table.names().next(), Some((extra.as_bytes(), 60_000)));
        }
        assert_eq!(files(dir.path()).len(), 2);
        for n in 0..FILES {
            fs::write(dir.path().join(format!("{n}.{EXTENSION}")), "").unwrap();
        }
        fs::write(dir.path().join("other"), "").unwrap();
        cache.table(&tokenizer("<c>")).unwrap();
        assert_eq!(files(dir.path()).len(), FILES + 1, "the others' file stays");
    }

    #[test]
    fn without_a_folder_to_write_to_it_is_made() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        let tokenizer = tokenizer("<eos>");
        assert_eq!(VocabularyCache::at(file.join("folder")).table(&tokenizer).unwrap().len(), 60_001);
        let small = br#"{"model":{"vocab":{"a":0}}}"#;
        let cache = VocabularyCache::at(dir.path().join("none"));
        assert_eq!(cache.table(small).unwrap().len(), 1);
        assert!(!dir.path().join("none").exists(), "not worth a file");
        assert!(cache.table(b"\xff").is_err());
        assert_eq!(VocabularyCache::from_setting(OsStr::new("off")), VocabularyCache::off());
        assert_eq!(VocabularyCache::from_setting(OsStr::new("x")), VocabularyCache::at("x"));
    }
}
