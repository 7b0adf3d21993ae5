//! `dataset.class_config`: the classes, and which of them is the null class.

use serde_json::Value;
use toml::Table;

use crate::{
    color,
    told::{Object, Result},
    written::set,
};

/// As Raster Vision numbers them: in the order of the network's outputs.
#[derive(Clone, Debug)]
pub(crate) struct Classes {
    pub(crate) names: Vec<String>,
    pub(crate) colors: Vec<[u8; 3]>,
    pub(crate) null: usize,
}

/// The class that Raster Vision adds by itself, for pixels without data.
const ADDED: &str = "null";

impl Classes {
    pub(crate) fn read(mut object: Object<'_>) -> Result<Self> {
        let names = object.texts("names")?;
        if names.is_empty() {
            return Err(object.bad("names", "names no class"));
        }
        let colors = match object.take("colors") {
            Some(Value::Array(colors)) if colors.len() == names.len() => colors,
            _ => return Err(object.bad("colors", "must have one colour for each of the names")),
        };
        let color = |(n, value): (usize, &Value)| {
            color::rgb(value).ok_or_else(|| object.bad(&format!("colors.{n}"), "is no colour that is known"))
        };
        let colors = colors.iter().enumerate().map(color).collect::<Result<Vec<_>>>()?;
        let null = object.text("null_class")?;
        let Some(null) = null.and_then(|null| names.iter().position(|name| *name == null)) else {
            return Err(object.bad(
                "null_class",
                "names none of the classes: save the configuration with Raster Vision 0.31, which adds it",
            ));
        };
        object.pass(&["type_hint"]);
        object.end();
        Ok(Self { names, colors, null })
    }

    pub(crate) fn name(&self, id: u32) -> Option<&str> {
        self.names.get(id as usize).map(String::as_str)
    }

    /// Where labels say that what they do not cover is of another class, that is the null class here, and the class that
    /// was added for pixels without data is left out. Says whether it was.
    pub(crate) fn begin_anew(&mut self, background: Option<u32>) -> bool {
        let Some(background) = background.map(|id| id as usize).filter(|id| *id < self.names.len()) else {
            return false;
        };
        if background == self.null {
            return false;
        }
        let last = self.names.len() - 1;
        let is_added = self.null == last && self.names[last] == ADDED && self.names.len() > 2;
        self.null = background;
        if is_added {
            self.names.pop();
            self.colors.pop();
        }
        is_added
    }

    pub(crate) fn written(&self) -> Vec<Table> {
        let class = |(n, (name, rgb)): (usize, (&String, &[u8; 3]))| {
            let mut table = Table::new();
            set(&mut table, "name", name.clone());
            set(&mut table, "color", color::hex(*rgb));
            if n == self.null {
                set(&mut table, "null", true);
            }
            table
        };
        self.names.iter().zip(&self.colors).enumerate().map(class).collect()
    }
}
