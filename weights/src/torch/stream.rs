//! `torch.save` before PyTorch 1.6, and later on demand: pickles of a magic number, of the protocol's
//! version, of what the machine was, of the object and of the keys of its storages; then each
//! storage, after its number of elements.

use std::{collections::HashMap, ops::Range};

use swath_zip::Source;

use super::{
    pickle::{Storage, Unpickled, Value, unpickle},
    views,
};
use crate::{
    error::{Located, Problem, Result, malformed, shown},
    limits::MAX_PICKLE_LEN,
    view::View,
};

/// `LONG1 10 0x1950a86a20f9469cfc6c`: what the first pickle is about, whatever its protocol.
const MAGIC: &[u8] = b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";
const PROTOCOL: i64 = 1001;

pub(crate) fn is_magic(prefix: &[u8]) -> bool {
    prefix.first() == Some(&0x80) && prefix.windows(MAGIC.len()).take(24).any(|window| window == MAGIC)
}

pub(crate) fn read(source: &Source) -> Result<Vec<(String, View)>, Located> {
    let prefix = source.prefix(MAX_PICKLE_LEN)?;
    let mut at = 0;
    let mut next = || -> Result<Unpickled<'_>> {
        let unpickled = unpickle(&prefix[at..])?;
        at += unpickled.len;
        Ok(unpickled)
    };
    next()?;
    match next()?.root {
        Value::Int(PROTOCOL) => {}
        _ => return malformed(format!("the protocol is not {PROTOCOL}")).map_err(Located::from),
    }
    check_machine(&next()?)?;
    let object = next()?;
    let keys = next()?;
    let ranges = storages(source, at as u64, &object, &keys)?;
    views(&object, None, |storage, _| match ranges.get(storage.key) {
        Some(range) => Ok(range.clone()),
        None => malformed(format!("storage '{}' is not in the file", shown(storage.key))),
    })
}

fn check_machine(unpickled: &Unpickled<'_>) -> Result<()> {
    let entries = unpickled.heap.entries(unpickled.root).unwrap_or(&[]);
    match entries.iter().find(|(key, _)| matches!(key, Value::Str("little_endian"))) {
        Some((_, Value::Bool(true))) => Ok(()),
        Some((_, Value::Bool(false))) => Err(Problem::BigEndian),
        _ => malformed("it does not say whether it is little-endian"),
    }
}

/// Where each storage lies: in the order of the keys, from `at` on.
fn storages<'a>(
    source: &Source,
    mut at: u64,
    object: &Unpickled<'_>,
    keys: &Unpickled<'a>,
) -> Result<HashMap<&'a str, Range<u64>>> {
    let known: HashMap<&str, &Storage<'_>> =
        object.heap.storages().iter().map(|storage| (storage.key, storage)).collect();
    let Some(keys) = keys.heap.items(keys.root) else {
        return malformed("the keys of its storages are no list");
    };
    let mut ranges = HashMap::new();
    for key in keys {
        let Value::Str(key) = *key else {
            return malformed("a storage whose key is no text");
        };
        let Some(storage) = known.get(key) else {
            return malformed(format!("storage '{}' belongs to no tensor", shown(key)));
        };
        let from = at.saturating_add(8);
        let len = source.read(at..from)?.first_chunk().copied().map_or(0, u64::from_le_bytes);
        if len != storage.len {
            return malformed(format!("storage '{}' of {} elements has {len}", shown(key), storage.len));
        }
        let end = len.checked_mul(storage.dtype.size() as u64).and_then(|n| from.checked_add(n));
        at = match end {
            Some(end) if end <= source.len() => end,
            _ => return malformed(format!("the file ends within storage '{}'", shown(key))),
        };
        if ranges.insert(key, from..at).is_some() {
            return malformed(format!("storage '{}' is there twice", shown(key)));
        }
    }
    Ok(ranges)
}
