//! What a coordinator reads: all about a run when it starts, and then what has happened since.

use std::collections::BTreeMap;

use rusqlite::{OptionalExtension as _, params};
use swath_proto::{ids::RunId, item::Stage};

use super::rows::{CHUNK_BYTES, Db, Sql, cursor, incarnation, not_json, parse};
use crate::ledger::{Cursor, Events, Snapshot};

const EVENTS_A_CALL: i64 = 4096;

pub(super) fn snapshot(db: &Db<'_>, run: &RunId) -> Sql<Snapshot> {
    let incarnation = incarnation(db, run)?;
    let mut chunks = db.prepare_cached("SELECT stage, lot, chunk, bits FROM done WHERE run = ?")?;
    let chunks = chunks
        .query_map([run.as_str()], |row| {
            Ok((row.get::<_, String>(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })?
        .collect::<Sql<Vec<(String, u32, u32, Vec<u8>)>>>()?;
    let mut done = BTreeMap::<_, Vec<u8>>::new();
    for (stage, lot, chunk, bits) in chunks {
        let bitmap = done.entry((parse::<Stage>(&stage)?, lot)).or_default();
        let from = chunk as usize * CHUNK_BYTES;
        bitmap.resize(bitmap.len().max(from + bits.len()), 0);
        bitmap[from..from + bits.len()].copy_from_slice(&bits);
    }
    let mut buried = db.prepare_cached("SELECT place, attempts, failure FROM grave WHERE run = ?")?;
    let buried = buried
        .query_map([run.as_str()], |row| Ok((row.get::<_, String>(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<Sql<Vec<(String, u32, String)>>>()?;
    let buried = buried.into_iter().map(|(place, attempts, failure)| {
        Ok((parse(&place)?, attempts, serde_json::from_str(&failure).map_err(not_json)?))
    });
    let last: Option<i64> = db
        .prepare_cached("SELECT last FROM run WHERE name = ?")?
        .query_row([run.as_str()], |row| row.get(0))
        .optional()?;
    Ok(Snapshot {
        known: incarnation.is_some(),
        done,
        buried: buried.collect::<Sql<_>>()?,
        cursor: cursor(incarnation.as_deref(), last.unwrap_or_default()),
    })
}

pub(super) fn events(db: &Db<'_>, run: &RunId, since: &Cursor) -> Sql<Events> {
    let Some((life, after)) = since.0.rsplit_once('/') else { return Ok(Events::Gone) };
    let (Some(incarnation), Ok(after)) = (incarnation(db, run)?, after.parse::<i64>()) else {
        return Ok(Events::Gone);
    };
    let trimmed: i64 = db
        .prepare_cached("SELECT trimmed FROM run WHERE name = ?")?
        .query_row([run.as_str()], |row| row.get(0))?;
    if life != incarnation || after < trimmed {
        return Ok(Events::Gone);
    }
    let mut query = db.prepare_cached(
        "SELECT number, body FROM event WHERE run = ? AND number > ? ORDER BY number LIMIT ?",
    )?;
    let rows = query
        .query_map(params![run.as_str(), after, EVENTS_A_CALL], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?))
        })?
        .collect::<Sql<Vec<_>>>()?;
    let last = rows.last().map_or(after, |(number, _)| *number);
    let events = rows.iter().map(|(_, body)| serde_json::from_str(body).map_err(not_json));
    Ok(Events::Some { events: events.collect::<Sql<_>>()?, next: cursor(Some(&incarnation), last) })
}
