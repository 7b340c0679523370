//! Arguments as nested elements.

use toolglot_format::{Call, ElementsArgs};
use toolglot_schema::TypeSet;

use super::json::{elements, members};
use super::{Page, PrintError, Printer};
use crate::parser::{Place, quote, typed};

impl Printer<'_> {
    pub(super) fn elements(
        &self,
        style: &ElementsArgs,
        call: &Call,
        arguments: Vec<(String, &str)>,
        out: &mut Page,
    ) -> Result<(), PrintError> {
        let root = self.tools.root(&call.name);
        for (key, value) in arguments {
            let writer = Writer { printer: self, style, call, key: &key };
            writer.element(&key, value, self.tools.member(&call.name, root, &key), out)?;
        }
        Ok(())
    }
}

/// Writes one parameter.
struct Writer<'a> {
    printer: &'a Printer<'a>,
    style: &'a ElementsArgs,
    call: &'a Call,
    /// The parameter, for errors.
    key: &'a str,
}

impl Writer<'_> {
    fn element(&self, name: &str, value: &str, at: Place, out: &mut Page) -> Result<(), PrintError> {
        if !ElementsArgs::is_name(name) {
            let why = format!("`{name}` cannot be the name of an element");
            return Err(PrintError::Arguments { call: self.call.name.clone(), why });
        }
        out.lit(&self.style.prefix);
        out.text(&format!("<{name}>"));
        self.value(value, at, out)?;
        out.lit(&self.style.prefix);
        out.text(&format!("</{name}>"));
        Ok(())
    }

    fn value(&self, value: &str, at: Place, out: &mut Page) -> Result<(), PrintError> {
        let tools = &self.printer.tools;
        let tool = &self.call.name;
        let has = |types: TypeSet| at.types.contains(types);
        if let Some(members) = members(value) {
            // The reader tells an object from the other types by its first child, or by its type alone.
            let first = members.first().map(|(key, _)| key.as_str());
            let is_item = first == Some(self.style.item.as_str());
            let told = match first {
                Some(_) => has(TypeSet::OBJECT) && !(has(TypeSet::ARRAY) && is_item),
                None => has(TypeSet::OBJECT) && !has(TypeSet::STRING),
            };
            self.told(told)?;
            return members
                .into_iter()
                .try_for_each(|(key, value)| self.element(&key, value, tools.member(tool, at, &key), out));
        }
        if let Some(items) = elements(value) {
            let empty = items.is_empty();
            let others = if empty { TypeSet::STRING | TypeSet::OBJECT } else { TypeSet::NONE };
            self.told(has(TypeSet::ARRAY) && !at.types.intersects(others))?;
            return items.into_iter().enumerate().try_for_each(|(index, value)| {
                self.element(&self.style.item, value, tools.item(tool, at, index), out)
            });
        }
        let Ok(text) = serde_json::from_str::<String>(value) else {
            self.told(typed(value, at.types, false) == value)?;
            out.text(value);
            return Ok(());
        };
        if let Some(marker) = self.style.prefix.spellings().find(|prefix| text.contains(prefix)) {
            let (call, key) = (tool.clone(), self.key.to_owned());
            return Err(PrintError::Terminator { call, key, marker: marker.to_owned() });
        }
        self.told(at.types == TypeSet::STRING || typed(&text, at.types, false) == quote(&text))?;
        out.text(&text);
        Ok(())
    }

    /// A value must be read as what it is.
    fn told(&self, told: bool) -> Result<(), PrintError> {
        if told {
            return Ok(());
        }
        Err(PrintError::Ambiguous { call: self.call.name.clone(), key: self.key.to_owned() })
    }
}
