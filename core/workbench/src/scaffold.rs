//! The folder of a new family, made from one that is like it: it loads at once, and what is still to be done is
//! what the checks then say.

use std::fs;
use std::path::{Path, PathBuf};

use toolglot::folder::{self, FolderError};
use toolglot::format::{Call, Turn};
use toolglot::parsers::{BuiltinFamily, print, to_text};
use toolglot::{Family, Format, Manifest, Plan, Registry};

use crate::{ids, tool_set};

/// A folder that cannot be made.
#[derive(Debug)]
pub enum ScaffoldError {
    /// There is something there already.
    Taken(PathBuf),
    /// A file cannot be read or written.
    File(PathBuf, std::io::Error),
    /// No family is built in under this id, and it is no family's folder.
    Unknown(String),
    /// The new family is none, such as for its id.
    Folder(FolderError),
}

impl std::fmt::Display for ScaffoldError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ScaffoldError::Taken(path) => write!(f, "{} is there already", path.display()),
            ScaffoldError::File(path, error) => write!(f, "{}: {error}", path.display()),
            ScaffoldError::Unknown(id) => {
                write!(f, "no family `{id}` is built in, and it is no folder with a family.toml")
            }
            ScaffoldError::Folder(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ScaffoldError {}

/// What a new family starts from.
#[derive(Debug, Clone)]
pub struct Scaffold {
    id: String,
    /// The family that the new one is like.
    like: Manifest,
    source: String,
    template: Option<String>,
}

impl Scaffold {
    /// A new family `id` like another: a built-in one, or one in a folder.
    ///
    /// # Errors
    /// [`ScaffoldError::Unknown`], or why the folder cannot be read.
    pub fn like(id: &str, like: &str) -> Result<Scaffold, ScaffoldError> {
        let registry = Registry::builtin().map_err(|_| ScaffoldError::Unknown(like.to_owned()))?;
        let format_of = |id: &str| registry.get(id).map(|family| family.manifest().format.clone());
        let path = Path::new(like);
        if folder::is_family(path) {
            let family = folder::load(path, &format_of).map_err(ScaffoldError::Folder)?;
            let file = path.join("family.toml");
            let source = fs::read_to_string(&file).map_err(|error| ScaffoldError::File(file, error))?;
            let template = family.template().map(str::to_owned);
            return Ok(Scaffold { id: id.into(), like: family.manifest().clone(), source, template });
        }
        let found = registry.get(like).map(|family| family.manifest().clone());
        let found = found.and_then(|manifest| Some((BuiltinFamily::find(&manifest.id)?, manifest)));
        let (built, manifest) = found.ok_or_else(|| ScaffoldError::Unknown(like.to_owned()))?;
        Ok(Scaffold {
            id: id.into(),
            like: manifest,
            source: built.manifest().to_owned(),
            template: built.template().map(str::to_owned),
        })
    }

    /// Writes `family.toml`, `template.jinja` and `cases.toml` into `<dir>/<id>` and reads them back; gives that
    /// folder. With `copy` the format is written out, to be edited; without it the new family shares the format.
    ///
    /// # Errors
    /// [`ScaffoldError`]. Nothing is left behind when the new family is none.
    pub fn write(&self, dir: &Path, copy: bool) -> Result<PathBuf, ScaffoldError> {
        let home = dir.join(&self.id);
        if home.exists() {
            return Err(ScaffoldError::Taken(home));
        }
        fs::create_dir_all(&home).map_err(|error| ScaffoldError::File(home.clone(), error))?;
        let written = self.fill(&home, copy);
        if written.is_err() {
            // The folder is ours: it was not there before.
            let _ = fs::remove_dir_all(&home);
        }
        written.map(|()| home)
    }

    fn fill(&self, home: &Path, copy: bool) -> Result<(), ScaffoldError> {
        let write = |name: &str, text: &str| {
            let path = home.join(name);
            fs::write(&path, text).map_err(|error| ScaffoldError::File(path, error))
        };
        write("family.toml", &self.manifest(copy))?;
        if let Some(template) = &self.template {
            write("template.jinja", template)?;
        }
        write("cases.toml", &self.cases(copy))?;
        let format_of = |id: &str| -> Option<Format> {
            if id == self.like.id {
                return Some(self.like.format.clone());
            }
            let registry = Registry::builtin().ok()?;
            registry.get(id).map(|family| family.manifest().format.clone())
        };
        folder::load(home, &format_of).map(drop).map_err(ScaffoldError::Folder)
    }

    fn manifest(&self, copy: bool) -> String {
        let like = &self.like;
        // A JSON string is a TOML string on one line.
        let text = |text: &str| serde_json::Value::from(text).to_string();
        let list = |texts: &[String]| {
            format!("[{}]", texts.iter().map(|one| text(one)).collect::<Vec<_>>().join(", "))
        };
        let mut out = format!(
            "id = {}\ntitle = {}\n\n[detect]\n\
             # What the chat template holds: all of `template`, one of `any`, nothing of `without`.\n\
             template = {}\nany = {}\nwithout = {}\nhints = {}\ntokens = {}\n\n\
             [turn]\nopen = {}\nclose = {}\n\n[stops]\ntokens = {}\n",
            text(&self.id),
            text(&format!("{}, like {}", self.id, like.title)),
            list(&like.detect.template),
            list(&like.detect.any),
            list(&like.detect.without),
            list(&like.detect.hints),
            list(&like.detect.tokens),
            text(&like.turn.open),
            text(&like.turn.close),
            list(&like.stops.tokens),
        );
        if !like.stops.strings.is_empty() {
            out += &format!("strings = {}\n", list(&like.stops.strings));
        }
        if !like.reasoning.open.is_empty() {
            out += &format!("\n[reasoning]\nopen = {}\n", text(&like.reasoning.open));
        }
        if let Some(suffix) = &like.suffix {
            out += &format!(
                "\n[suffix]\ndefault = {}\nknown = {}\n",
                text(&suffix.default),
                list(&suffix.known)
            );
        }
        out.push('\n');
        if copy {
            out += &format_section(&self.source);
        } else {
            out += &format!("[format]\nsame_as = {}\n", text(&like.id));
        }
        out
    }

    /// A family that shares a format takes the other's cases; else two that the printer has written.
    fn cases(&self, copy: bool) -> String {
        if !copy {
            return format!(
                "# It writes what `{}` writes: all of those cases hold here too. Cases of its own may follow.\n\
                 same_as = {:?}\n",
                self.like.id, self.like.id
            );
        }
        let mut out = format!(
            "# Outputs and what they mean. The corpus covers the ordinary categories;\n\
             # `toolglot test {}` says which are still missing.\n",
            self.id
        );
        for (name, cities) in [("single", &["Oslo"][..]), ("several", &["Oslo", "Rome"][..])] {
            let Some(wire) = self.wire(cities) else { continue };
            let call = |city: &&str| {
                format!("    {{ name = \"get_weather\", args = '{{\"city\": \"{city}\"}}' }},\n")
            };
            out += &format!(
                "\n[[case]]\nname = {name:?}\ncategory = {name:?}\ntools = \"weather\"\noutput = {}\ncalls = [\n{}]\n\
                 admitted = true\n",
                toml::Value::from(wire.as_str()),
                cities.iter().map(call).collect::<String>()
            );
        }
        out
    }

    /// Calls for the weather in these cities, printed.
    fn wire(&self, cities: &[&str]) -> Option<String> {
        let plan = Plan { tools: tool_set("weather").ok()?, ..Plan::default() };
        let call = |city: &&str| Call {
            name: "get_weather".into(),
            id: None,
            arguments: format!("{{\"city\": \"{city}\"}}"),
            complete: true,
        };
        let mut turn = Turn { calls: cities.iter().map(call).collect(), ..Turn::default() };
        ids::fill(&self.like.format, std::slice::from_mut(&mut turn));
        print(&self.like.format, &plan, &turn).ok().map(|parts| to_text(&parts))
    }
}

/// The part of a manifest that states the format, with the comments above it.
fn format_section(source: &str) -> String {
    let is_header = |line: &str| line.starts_with('[') || line.starts_with("format");
    let is_format = |line: &str| {
        line.trim_start_matches('[')
            .strip_prefix("format")
            .is_some_and(|rest| rest.starts_with(['.', ']', ' ', '=']))
    };
    let mut out = String::new();
    // Comments and empty lines belong to what follows them.
    let mut above = String::new();
    let mut inside = false;
    for line in source.lines() {
        if is_header(line) {
            inside = is_format(line);
        }
        let waits = line.trim().is_empty() || line.starts_with('#');
        if waits {
            above += line;
            above.push('\n');
            continue;
        }
        if inside {
            out += &above;
            out += line;
            out.push('\n');
        }
        above.clear();
    }
    out.trim_start_matches('\n').to_owned()
}

#[cfg(test)]
mod tests {
    use toolglot::{Registry, folder};

    use super::Scaffold;

    #[test]
    fn every_built_in_family_can_be_started_from() {
        let registry = Registry::builtin().unwrap();
        let format_of = |id: &str| registry.get(id).map(|family| family.manifest().format.clone());
        let dir = tempfile::tempdir().unwrap();
        for family in registry.iter() {
            let like = family.manifest();
            for copy in [false, true] {
                let scaffold = Scaffold::like(&format!("like_{}_{copy}", like.id), &like.id).unwrap();
                let home =
                    scaffold.write(dir.path(), copy).unwrap_or_else(|error| panic!("{}: {error}", like.id));
                let made = folder::load(&home, &format_of).unwrap();
                let made = toolglot::Family::manifest(&made);
                assert_eq!(made.format, like.format, "{}", like.id);
                assert_eq!((&made.turn, &made.stops), (&like.turn, &like.stops), "{}", like.id);
                let cases = crate::CaseFile::read(&home).unwrap();
                assert_eq!(cases.same_as.is_some(), !copy);
                let error = scaffold.write(dir.path(), copy).unwrap_err().to_string();
                assert!(error.ends_with("is there already"), "{error}");
            }
        }
        let wrong = Scaffold::like("Not An Id", "hermes").unwrap();
        assert!(wrong.write(dir.path(), false).unwrap_err().to_string().contains("`id`"));
        assert!(!dir.path().join("Not An Id").exists());
        assert!(Scaffold::like("x", "nobody").unwrap_err().to_string().contains("no family `nobody`"));
    }
}
