//! Which class a feature has.

use serde_json::Value;
use swath_proto::{
    filter::Filter,
    source::{ClassList, ClassRef, GeoJsonLabels},
};

pub(super) struct Classifier<'a> {
    spec: &'a GeoJsonLabels,
    classes: &'a ClassList,
    rules: Vec<(u8, &'a Filter)>,
    /// Of features that neither property nor rule gives one.
    otherwise: Otherwise,
}

#[derive(Clone, Copy)]
enum Otherwise {
    Class(u8),
    NoLabel,
    Error,
}

impl<'a> Classifier<'a> {
    pub(super) fn new(spec: &'a GeoJsonLabels, classes: &'a ClassList) -> Result<Self, String> {
        let rule = |rule: &'a swath_proto::source::ClassRule| {
            let class = classes.id(&rule.class).map_err(|why| format!("rules: {why}"))?;
            Ok::<_, String>((class, &rule.when))
        };
        let rules = spec.rules.iter().map(rule).collect::<Result<_, _>>()?;
        let otherwise = match (&spec.default_class, classes.names.len(), classes.null_class) {
            (Some(class), ..) => {
                Otherwise::Class(classes.id(class).map_err(|why| format!("default_class: {why}"))?)
            }
            _ if !spec.rules.is_empty() => Otherwise::NoLabel,
            (None, 2, null @ 0..=1) => Otherwise::Class(1 - null),
            _ => Otherwise::Error,
        };
        Ok(Self { spec, classes, rules, otherwise })
    }

    /// `None` for a feature that labels nothing.
    pub(super) fn class(&self, properties: &Value) -> Result<Option<u8>, String> {
        if self.spec.filter.as_ref().is_some_and(|filter| !filter.holds(properties)) {
            return Ok(None);
        }
        let names: &[&str] = match &self.spec.property {
            Some(name) => &[name],
            None => &["class_name", "class_id"],
        };
        for name in names {
            if let Some(value) = properties.get(*name).filter(|value| !value.is_null()) {
                return self.named(value).map(Some).map_err(|why| format!("property '{name}': {why}"));
            }
        }
        if let Some((class, _)) = self.rules.iter().find(|(_, when)| when.holds(properties)) {
            return Ok(Some(*class));
        }
        match self.otherwise {
            Otherwise::Class(class) => Ok(Some(class)),
            Otherwise::NoLabel => Ok(None),
            Otherwise::Error => Err(format!(
                "it has no property {}, and there are several classes; default_class or rules could tell",
                names.join(" or ")
            )),
        }
    }

    /// One of the values that are told, a name, or a number; also such as are written as text.
    fn named(&self, value: &Value) -> Result<u8, String> {
        let told = match value {
            Value::String(text) => self.spec.values.get(text),
            other => self.spec.values.get(&other.to_string()),
        };
        if let Some(class) = told {
            return self.classes.id(class).map_err(|why| format!("values: {why}"));
        }
        let class = match value {
            Value::String(name) if self.classes.names.contains(name) => ClassRef::Name(name.clone()),
            Value::String(text) => match text.trim().parse() {
                Ok(id) => ClassRef::Id(id),
                Err(_) => ClassRef::Name(text.clone()),
            },
            Value::Number(number) => {
                let id = number
                    .as_f64()
                    .filter(|id| id.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(id));
                ClassRef::Id(id.ok_or_else(|| format!("{number} is no class"))? as u32)
            }
            other => return Err(format!("{other} is no class; it must be a name or a number")),
        };
        self.classes.id(&class)
    }
}
