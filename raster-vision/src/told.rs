//! Reading JSON so that nothing goes by unseen: every key is taken, known to say nothing here, or told of.

use std::{cell::RefCell, fmt};

use serde_json::{Map, Value};

/// A value longer than this is cut off in a message.
const MOST_SHOWN: usize = 60;
/// Of a list, so many are told of one by one.
const MOST_NOTES: usize = 500;

/// What is wrong with a file, and where in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{at}: {why}")]
pub struct Bad {
    at: String,
    why: String,
}

impl Bad {
    pub(crate) fn new(at: impl Into<String>, why: impl Into<String>) -> Self {
        Self { at: at.into(), why: why.into() }
    }
}

pub(crate) type Result<T> = std::result::Result<T, Bad>;

/// A key that has no counterpart, or means something else here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// As `backend.solver.sync_interval`.
    pub key: String,
    pub words: String,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, words } = self;
        write!(f, "{key}: {words}")
    }
}

/// Collects notes.
#[derive(Debug, Default)]
pub(crate) struct Teller {
    notes: RefCell<Vec<Note>>,
}

impl Teller {
    /// What is said of many scenes alike is told once.
    pub(crate) fn tell(&self, key: impl Into<String>, words: impl Into<String>) {
        let note = Note { key: key.into(), words: words.into() };
        let mut notes = self.notes.borrow_mut();
        if notes.len() < MOST_NOTES && !notes.contains(&note) {
            notes.push(note);
        }
    }

    pub(crate) fn notes(self) -> Vec<Note> {
        self.notes.into_inner()
    }
}

/// An object, whose keys are taken out of it one by one.
pub(crate) struct Object<'t> {
    at: String,
    keys: Map<String, Value>,
    teller: &'t Teller,
}

impl<'t> Object<'t> {
    pub(crate) fn new(at: impl Into<String>, value: Value, teller: &'t Teller) -> Result<Self> {
        let at = at.into();
        match value {
            Value::Object(keys) => Ok(Self { at, keys, teller }),
            other => Err(Bad::new(at, format!("must be an object, and is {}", shown(&other)))),
        }
    }

    pub(crate) fn place(&self, key: &str) -> String {
        match self.at.as_str() {
            "" => key.to_owned(),
            at => format!("{at}.{key}"),
        }
    }

    /// The same, of which another is told.
    pub(crate) fn told_to(self, teller: &Teller) -> Object<'_> {
        Object { at: self.at, keys: self.keys, teller }
    }

    pub(crate) const fn teller(&self) -> &'t Teller {
        self.teller
    }

    pub(crate) fn tell(&self, key: &str, words: impl Into<String>) {
        self.teller.tell(self.place(key), words);
    }

    pub(crate) fn bad(&self, key: &str, why: impl Into<String>) -> Bad {
        Bad::new(self.place(key), why)
    }

    /// None where it is missing or null: Raster Vision writes null for what is left out.
    pub(crate) fn take(&mut self, key: &str) -> Option<Value> {
        self.keys.remove(key).filter(|value| !value.is_null())
    }

    pub(crate) fn holds(&self, key: &str) -> bool {
        self.keys.contains_key(key)
    }

    pub(crate) fn first_key(&self) -> Option<String> {
        self.keys.keys().next().cloned()
    }

    /// Puts a key back.
    pub(crate) fn put(&mut self, key: &str, value: Value) {
        self.keys.insert(key.to_owned(), value);
    }

    /// Keys that say nothing here, whatever they are.
    pub(crate) fn pass(&mut self, keys: &[&str]) {
        keys.iter().for_each(|key| drop(self.keys.remove(*key)));
    }

    /// A key that has no counterpart: told, unless it is as usual.
    pub(crate) fn without(&mut self, key: &str, usual: &Value, words: &str) {
        if let Some(value) = self.take(key)
            && value != *usual
        {
            self.tell(key, format!("{}: {words}", shown(&value)));
        }
    }

    pub(crate) fn text(&mut self, key: &str) -> Result<Option<String>> {
        self.taken(key, "a string", |value| value.as_str().map(str::to_owned))
    }

    pub(crate) fn number(&mut self, key: &str) -> Result<Option<f64>> {
        self.taken(key, "a number", Value::as_f64)
    }

    pub(crate) fn whole(&mut self, key: &str) -> Result<Option<u32>> {
        self.taken(key, "a whole number", whole)
    }

    pub(crate) fn truth(&mut self, key: &str) -> Result<bool> {
        Ok(self.taken(key, "true or false", Value::as_bool)?.unwrap_or(false))
    }

    pub(crate) fn numbers(&mut self, key: &str) -> Result<Option<Vec<f64>>> {
        self.taken(key, "a list of numbers", |value| value.as_array()?.iter().map(Value::as_f64).collect())
    }

    pub(crate) fn wholes(&mut self, key: &str) -> Result<Option<Vec<u32>>> {
        self.taken(key, "a list of whole numbers", |value| value.as_array()?.iter().map(whole).collect())
    }

    /// A text, or a list of them.
    pub(crate) fn texts(&mut self, key: &str) -> Result<Vec<String>> {
        let texts = self.taken(key, "a string, or a list of them", |value| match value {
            Value::String(one) => Some(vec![one.clone()]),
            Value::Array(many) => many.iter().map(|text| text.as_str().map(str::to_owned)).collect(),
            _ => None,
        });
        Ok(texts?.unwrap_or_default())
    }

    pub(crate) fn object(&mut self, key: &str) -> Result<Option<Self>> {
        let at = self.place(key);
        self.take(key).map(|value| Self::new(at, value, self.teller)).transpose()
    }

    pub(crate) fn needs(&mut self, key: &str) -> Result<Self> {
        let missing = self.bad(key, "is missing");
        self.object(key)?.ok_or(missing)
    }

    /// A list of objects, by their numbers.
    pub(crate) fn objects(&mut self, key: &str) -> Result<Vec<Self>> {
        let at = self.place(key);
        let list = self.taken(key, "a list", |value| value.as_array().cloned())?.unwrap_or_default();
        let one = |(n, value): (usize, Value)| Self::new(format!("{at}.{n}"), value, self.teller);
        list.into_iter().enumerate().map(one).collect()
    }

    /// What a table maps numbers of classes, or the like, to.
    pub(crate) fn pairs(&mut self, key: &str) -> Result<Vec<(String, Value)>> {
        let table = self.taken(key, "a table", |value| value.as_object().cloned())?;
        Ok(table.unwrap_or_default().into_iter().collect())
    }

    /// Which of Raster Vision's configurations it is.
    pub(crate) fn kind(&mut self) -> Result<String> {
        let missing = self.bad("type_hint", "is missing: this is no configuration of Raster Vision");
        self.text("type_hint")?.ok_or(missing)
    }

    /// Tells of all that was not taken.
    pub(crate) fn end(self) {
        for (key, value) in self.keys.iter().filter(|(_, value)| !value.is_null()) {
            self.tell(key, format!("{}: is not known here", shown(value)));
        }
    }

    fn taken<T>(
        &mut self,
        key: &str,
        what: &str,
        read: impl FnOnce(&Value) -> Option<T>,
    ) -> Result<Option<T>> {
        let Some(value) = self.take(key) else { return Ok(None) };
        match read(&value) {
            Some(read) => Ok(Some(read)),
            None => Err(self.bad(key, format!("must be {what}, and is {}", shown(&value)))),
        }
    }
}

fn whole(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|n| u32::try_from(n).ok())
}

/// A value, fit for a message.
pub(crate) fn shown(value: &Value) -> String {
    let text = value.to_string();
    let short: String = text.chars().take(MOST_SHOWN).flat_map(char::escape_debug).collect();
    // JSON's own quotes stay as they are.
    let short = short.replace("\\\"", "\"");
    if text.chars().count() > MOST_SHOWN { format!("{short}…") } else { short }
}
