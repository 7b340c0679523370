//! Families that change while they are used: folders and components that are read again when their files change.
//!
//! Whoever opens a session takes the registry as it is then, and keeps that family to the end of the session. A
//! change comes in as a whole or not at all: what cannot be read leaves the family as it was, and is told.

use std::collections::BTreeMap;
use std::error::Error;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;
use std::{fs, io, thread};

use toolglot_parsers::{Family, Registry};

use crate::folder;

/// A registry that can be replaced while it is used.
#[derive(Debug, Default)]
pub struct LiveRegistry {
    current: RwLock<Arc<Registry>>,
}

impl LiveRegistry {
    /// Starts with these families.
    pub fn new(registry: Registry) -> Self {
        LiveRegistry { current: RwLock::new(Arc::new(registry)) }
    }

    /// The families as they are now. Take them anew for each request.
    pub fn get(&self) -> Arc<Registry> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes these families instead.
    pub fn set(&self, registry: Registry) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(registry);
    }
}

/// What came of a change.
#[derive(Debug)]
pub enum Change {
    /// A family is there, new or in the place of its former self.
    Loaded {
        /// The family's id.
        id: String,
        /// Its folder or file.
        path: PathBuf,
    },
    /// A folder or file could not be read; its family is as it was. The error says where, with line and column.
    Kept {
        /// The folder or file.
        path: PathBuf,
        /// What is wrong.
        error: Box<dyn Error + Send + Sync>,
    },
}

/// Reads a file that is not a family folder, such as a component. `registry` knows the families so far.
pub type LoadFile = dyn Fn(&Path, &Registry) -> Result<Arc<dyn Family>, Box<dyn Error + Send + Sync>> + Send;

/// Watches family folders, components, and folders of either.
pub struct Watcher {
    live: Arc<LiveRegistry>,
    places: Vec<PathBuf>,
    load_file: Box<LoadFile>,
    /// Each folder's or file's content when it was last looked at.
    seen: BTreeMap<PathBuf, u64>,
}

impl Watcher {
    /// Watches `places`; what is in them already counts as seen. Without components, see [`Watcher::of_folders`].
    pub fn new(live: Arc<LiveRegistry>, places: Vec<PathBuf>, load_file: Box<LoadFile>) -> Self {
        let mut watcher = Watcher { live, places, load_file, seen: BTreeMap::new() };
        watcher.seen = watcher.look().collect();
        watcher
    }

    /// Watches family folders alone.
    pub fn of_folders(live: Arc<LiveRegistry>, places: Vec<PathBuf>) -> Self {
        let refuse = |_: &Path, _: &Registry| Err("components are not loaded here".into());
        Watcher::new(live, places, Box::new(refuse))
    }

    /// Looks once, and brings in what has changed since.
    pub fn poll(&mut self) -> Vec<Change> {
        let now: BTreeMap<PathBuf, u64> = self.look().collect();
        let changed: Vec<PathBuf> = now
            .iter()
            .filter(|(path, content)| self.seen.get(*path) != Some(content))
            .map(|(path, _)| path.clone())
            .collect();
        self.seen = now;
        if changed.is_empty() {
            return Vec::new();
        }
        let mut registry = Registry::clone(&self.live.get());
        let (folders, files): (Vec<PathBuf>, Vec<PathBuf>) =
            changed.into_iter().partition(|path| path.is_dir());
        let mut changes = Vec::new();
        for (path, added) in folders.iter().zip(folder::add(&mut registry, &folders)) {
            changes.push(match added {
                Ok(id) => Change::Loaded { id, path: path.clone() },
                Err(error) => Change::Kept { path: path.clone(), error: Box::new(error) },
            });
        }
        // Families that share the format of one that has changed are read again.
        let sharing: Vec<PathBuf> = self
            .seen
            .keys()
            .filter(|path| !folders.contains(path) && shares_a_format(path))
            .cloned()
            .collect();
        for (path, added) in sharing.iter().zip(folder::add(&mut registry, &sharing)) {
            let kept = added.err().map(|error| Change::Kept { path: path.clone(), error: Box::new(error) });
            changes.extend(kept);
        }
        for path in files {
            let loaded = (self.load_file)(&path, &registry).and_then(|family| {
                let id = family.manifest().id.clone();
                registry.replace(family)?;
                Ok(id)
            });
            changes.push(match loaded {
                Ok(id) => Change::Loaded { id, path },
                Err(error) => Change::Kept { path, error },
            });
        }
        if changes.iter().any(|change| matches!(change, Change::Loaded { .. })) {
            self.live.set(registry);
        }
        changes
    }

    /// Looks every `interval` on a thread of its own, until the handle is dropped.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start(
        mut self,
        interval: Duration,
        mut tell: impl FnMut(Change) + Send + 'static,
    ) -> io::Result<Watching> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = thread::Builder::new().name("toolglot families".into()).spawn(move || {
            while !stopped.load(Ordering::Acquire) {
                thread::park_timeout(interval);
                self.poll().into_iter().for_each(&mut tell);
            }
        })?;
        Ok(Watching { stop, thread: Some(thread) })
    }

    /// The folders and files in the places, each with a hash of its content.
    fn look(&self) -> impl Iterator<Item = (PathBuf, u64)> {
        let is_component = |path: &PathBuf| path.extension().is_some_and(|end| end == "wasm");
        let inside = |place: &PathBuf| -> Vec<PathBuf> {
            if folder::is_family(place) || !place.is_dir() {
                return vec![place.clone()];
            }
            let entries = fs::read_dir(place).into_iter().flatten().flatten().map(|entry| entry.path());
            entries.filter(|path| folder::is_family(path) || is_component(path)).collect()
        };
        let paths: Vec<PathBuf> = self.places.iter().flat_map(inside).collect();
        // What is being written, or is gone, is looked at again next time.
        paths.into_iter().filter_map(|path| content(&path).ok().map(|content| (path, content)))
    }
}

/// A watcher at work; it stops when this is dropped.
pub struct Watching {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // A panic there has been told by the thread itself.
            let _ = thread.join();
        }
    }
}

/// A hash of a file, or of the files in a folder.
fn content(path: &Path) -> io::Result<u64> {
    let mut hasher = DefaultHasher::new();
    if path.is_dir() {
        let mut files: Vec<PathBuf> =
            fs::read_dir(path)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
        files.retain(|file| file.is_file());
        files.sort();
        for file in files {
            file.hash(&mut hasher);
            fs::read(&file)?.hash(&mut hasher);
        }
    } else {
        fs::read(path)?.hash(&mut hasher);
    }
    Ok(hasher.finish())
}

/// Whether a family folder takes its format from another family.
fn shares_a_format(path: &Path) -> bool {
    folder::is_family(path)
        && fs::read_to_string(path.join("family.toml")).is_ok_and(|text| text.contains("same_as"))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use toolglot_format::{Event, FinishReason, Piece, Plan};
    use toolglot_parsers::SessionOptions;

    use super::*;

    const FAMILY: &str = "id = \"a\"\ntitle = \"A\"\nturn.open = \"<a>\"\n[[format.seq]]\ncall.seq = [\
                          { lit = \"<c>\" }, { name = {} }, { lit = \":\" }, { args = { json = {} } }]\n";

    fn write(root: &Path, id: &str, text: &str) {
        fs::create_dir_all(root.join(id)).unwrap();
        fs::write(root.join(id).join("family.toml"), text).unwrap();
    }

    fn live(root: &Path) -> (Arc<LiveRegistry>, Watcher) {
        let mut registry = Registry::empty();
        let folders = folder::families_in(root).unwrap();
        assert!(folder::add(&mut registry, &folders).iter().all(Result::is_ok));
        let live = Arc::new(LiveRegistry::new(registry));
        let watcher = Watcher::of_folders(live.clone(), vec![root.to_owned()]);
        (live, watcher)
    }

    fn calls(session: &mut dyn toolglot_parsers::Session, text: &str) -> usize {
        let mut events = Vec::new();
        session.feed(&[Piece::text(text)], &mut events);
        session.finish(FinishReason::Stop, &mut events);
        events.iter().filter(|event| matches!(event, Event::CallStart { .. })).count()
    }

    #[test]
    fn a_change_comes_in_and_open_sessions_keep_what_they_have() {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), "a", FAMILY);
        write(root.path(), "b", "id = \"b\"\ntitle = \"B\"\nturn.open = \"<b>\"\nformat.same_as = \"a\"\n");
        let (live, mut watcher) = live(root.path());
        assert!(watcher.poll().is_empty(), "nothing has changed");
        let open = |id: &str| {
            live.get().get(id).unwrap().session(&Plan::default(), SessionOptions::default()).unwrap()
        };
        let mut before = open("a");
        write(root.path(), "a", &FAMILY.replace("<c>", "<d>"));
        let changes = watcher.poll();
        assert!(matches!(&changes[..], [Change::Loaded { id, .. }] if id == "a"), "{changes:?}");
        assert_eq!(calls(&mut *before, "<c>f:{}"), 1, "opened before the change");
        for id in ["a", "b"] {
            assert_eq!(calls(&mut *open(id), "<d>f:{}"), 1, "{id}: the format is shared");
            assert_eq!(calls(&mut *open(id), "<c>f:{}"), 0, "{id}");
        }
        assert!(watcher.poll().is_empty());
        write(root.path(), "new", &FAMILY.replace("\"a\"", "\"new\""));
        assert!(matches!(&watcher.poll()[..], [Change::Loaded { id, .. }] if id == "new"));
        assert!(live.get().get("new").is_some());
    }

    #[test]
    fn a_broken_file_keeps_the_family_and_says_where() {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), "a", FAMILY);
        let (live, mut watcher) = live(root.path());
        let before = live.get();
        write(root.path(), "a", &FAMILY.replace("title = \"A\"", "title = A"));
        let changes = watcher.poll();
        let [Change::Kept { path, error }] = &changes[..] else { panic!("{changes:?}") };
        assert_eq!(path, &root.path().join("a"));
        assert!(error.to_string().contains("line 2, column 9"), "{error}");
        assert!(Arc::ptr_eq(&before, &live.get()), "nothing has moved");
        assert!(watcher.poll().is_empty(), "told once");
        fs::remove_dir_all(root.path().join("a")).unwrap();
        assert!(watcher.poll().is_empty() && live.get().get("a").is_some(), "a family that is gone stays");
        write(root.path(), "a", &FAMILY.replace("\"A\"", "\"Again\""));
        assert_eq!(watcher.poll().len(), 1);
        assert_eq!(live.get().get("a").unwrap().manifest().title, "Again");
    }

    #[test]
    fn components_are_read_by_whoever_can() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("a.wasm");
        fs::write(&file, FAMILY).unwrap();
        let live = Arc::new(LiveRegistry::default());
        // Stands for a host: the file's text is a manifest.
        let load = |path: &Path, _: &Registry| -> Result<Arc<dyn Family>, Box<dyn Error + Send + Sync>> {
            let manifest = toolglot_format::Manifest::from_toml(&fs::read_to_string(path)?, "a.wasm")?;
            Ok(Arc::new(toolglot_parsers::DataFamily::new(manifest, None, None)))
        };
        let mut watcher = Watcher::new(live.clone(), vec![root.path().to_owned()], Box::new(load));
        fs::write(&file, FAMILY.replace("\"A\"", "\"B\"")).unwrap();
        assert!(matches!(&watcher.poll()[..], [Change::Loaded { .. }]));
        assert_eq!(live.get().get("a").unwrap().manifest().title, "B");
        fs::write(&file, "no").unwrap();
        assert!(matches!(&watcher.poll()[..], [Change::Kept { .. }]));
        assert_eq!(live.get().get("a").unwrap().manifest().title, "B");
    }

    #[test]
    fn a_thread_watches_until_its_handle_is_dropped() {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), "a", FAMILY);
        let (live, watcher) = live(root.path());
        let (sender, told) = mpsc::channel();
        let watching =
            watcher.start(Duration::from_millis(5), move |change| drop(sender.send(change))).unwrap();
        write(root.path(), "a", &FAMILY.replace("\"A\"", "\"B\""));
        // A look in the middle of the write may come first.
        while !matches!(told.recv_timeout(Duration::from_secs(30)).unwrap(), Change::Loaded { .. }) {}
        while live.get().get("a").unwrap().manifest().title != "B" {
            told.recv_timeout(Duration::from_secs(30)).unwrap();
        }
        drop(watching);
        assert!(told.recv().is_err(), "the thread is gone");
    }
}
