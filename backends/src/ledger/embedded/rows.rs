//! The tables, and the statements that the verbs are made of: what is in them for a run and a place.

use std::time::Duration;

use rusqlite::{OptionalExtension as _, Transaction, params};
use swath_proto::{
    ids::{RunId, WorkerId},
    item::Place,
};

use crate::{
    embedded::now_ms,
    ledger::{Cursor, Event},
};

pub(super) const SCHEMA: &str = "
    -- A run is known once it was restored; its incarnation tells one life of this file from another.
    CREATE TABLE IF NOT EXISTS run (name TEXT PRIMARY KEY, incarnation TEXT, closed INTEGER NOT NULL DEFAULT 0,
        last INTEGER NOT NULL DEFAULT 0, trimmed INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;
    -- Bits lie in chunks, so that setting one of ten million rewrites a kilobyte.
    CREATE TABLE IF NOT EXISTS done (run TEXT, stage TEXT, lot INTEGER, chunk INTEGER, bits BLOB NOT NULL,
        PRIMARY KEY (run, stage, lot, chunk)) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS hold (run TEXT, place TEXT, worker TEXT NOT NULL, until_ms INTEGER NOT NULL,
        PRIMARY KEY (run, place)) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS hold_until ON hold (run, until_ms);
    CREATE TABLE IF NOT EXISTS tries (run TEXT, place TEXT, attempts INTEGER NOT NULL DEFAULT 0,
        failures INTEGER NOT NULL DEFAULT 0, blamed INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (run, place))
        WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS grave (run TEXT, place TEXT, attempts INTEGER NOT NULL, failure TEXT NOT NULL,
        PRIMARY KEY (run, place)) WITHOUT ROWID;
    -- Every run has a history of its own, numbered from 1, so that a busy one does not trim a quiet one's.
    CREATE TABLE IF NOT EXISTS event (run TEXT, number INTEGER, body TEXT NOT NULL, PRIMARY KEY (run, number))
        WITHOUT ROWID;
    -- Items that a second worker may work on beside their holder; who does.
    CREATE TABLE IF NOT EXISTS beside (run TEXT, place TEXT, worker TEXT NOT NULL DEFAULT '',
        PRIMARY KEY (run, place)) WITHOUT ROWID;
    -- Who is there, of groups of those who look for each other.
    CREATE TABLE IF NOT EXISTS member (circle TEXT, name TEXT, words TEXT NOT NULL, until_ms INTEGER NOT NULL,
        PRIMARY KEY (circle, name)) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS office (name TEXT PRIMARY KEY, holder TEXT NOT NULL, until_ms INTEGER NOT NULL)
        WITHOUT ROWID;
";

pub(super) type Db<'a> = Transaction<'a>;
pub(super) type Sql<T> = rusqlite::Result<T>;

/// Events that are kept of a run: a coordinator that misses more takes a snapshot.
const KEEP_EVENTS: i64 = 100_000;

pub(super) fn cursor(incarnation: Option<&str>, last: i64) -> Cursor {
    Cursor(format!("{}/{last}", incarnation.unwrap_or_default()))
}

pub(super) fn incarnation(db: &Db<'_>, run: &RunId) -> Sql<Option<String>> {
    let mut query = db.prepare_cached("SELECT incarnation FROM run WHERE name = ?")?;
    Ok(query.query_row([run.as_str()], |row| row.get::<_, Option<String>>(0)).optional()?.flatten())
}

pub(super) fn is_closed(db: &Db<'_>, run: &RunId) -> Sql<bool> {
    let mut query = db.prepare_cached("SELECT closed FROM run WHERE name = ?")?;
    Ok(query.query_row([run.as_str()], |row| row.get(0)).optional()?.unwrap_or(false))
}

pub(super) fn grave(db: &Db<'_>, run: &RunId, place: Place) -> Sql<bool> {
    let mut query = db.prepare_cached("SELECT 1 FROM grave WHERE run = ? AND place = ?")?;
    query.exists([run.as_str(), &place.to_string()])
}

pub(super) fn hold(db: &Db<'_>, run: &RunId, place: Place) -> Sql<Option<(String, i64)>> {
    let mut query = db.prepare_cached("SELECT worker, until_ms FROM hold WHERE run = ? AND place = ?")?;
    query.query_row([run.as_str(), &place.to_string()], |row| Ok((row.get(0)?, row.get(1)?))).optional()
}

pub(super) fn leader(db: &Db<'_>, office: &str) -> Sql<Option<WorkerId>> {
    let mut query = db.prepare_cached("SELECT holder FROM office WHERE name = ? AND until_ms > ?")?;
    let holder: Option<String> = query.query_row(params![office, now_ms()], |row| row.get(0)).optional()?;
    holder.map(|holder| parse(&holder)).transpose()
}

/// Nobody works beside a holder that holds no more.
pub(super) fn uninvite(db: &Db<'_>, run: &RunId, place: Place) -> Sql<()> {
    let sql = "DELETE FROM beside WHERE run = ? AND place = ?";
    db.prepare_cached(sql)?.execute([run.as_str(), &place.to_string()]).map(drop)
}

/// Hold, attempts, grave and invitation of a place.
pub(super) fn forget_place(db: &Db<'_>, run: &RunId, place: Place) -> Sql<()> {
    let key = place.to_string();
    for sql in [
        "DELETE FROM hold WHERE run = ? AND place = ?",
        "DELETE FROM tries WHERE run = ? AND place = ?",
        "DELETE FROM grave WHERE run = ? AND place = ?",
    ] {
        db.prepare_cached(sql)?.execute([run.as_str(), &key])?;
    }
    uninvite(db, run, place)
}

/// A chunk of a bitmap.
pub(super) const CHUNK_BYTES: usize = 1024;
const CHUNK_BITS: u32 = CHUNK_BYTES as u32 * 8;

/// The chunk that a place's bit lies in, and the byte and mask within it.
pub(super) const fn locate(place: Place) -> (u32, usize, u8) {
    let index = place.index % CHUNK_BITS;
    (place.index / CHUNK_BITS, index as usize / 8, 0x80 >> (index % 8))
}

pub(super) fn chunk(db: &Db<'_>, run: &RunId, place: Place) -> Sql<Vec<u8>> {
    let (chunk, ..) = locate(place);
    let mut query =
        db.prepare_cached("SELECT bits FROM done WHERE run = ? AND stage = ? AND lot = ? AND chunk = ?")?;
    let found =
        query.query_row(params![run.as_str(), place.stage.name(), place.lot, chunk], |row| row.get(0));
    Ok(found.optional()?.unwrap_or_default())
}

pub(super) fn is_done(db: &Db<'_>, run: &RunId, place: Place) -> Sql<bool> {
    let (_, byte, mask) = locate(place);
    Ok(chunk(db, run, place)?.get(byte).is_some_and(|bits| bits & mask != 0))
}

/// Whether the bit changed.
pub(super) fn set_bit(db: &Db<'_>, run: &RunId, place: Place, value: bool) -> Sql<bool> {
    let mut bits = chunk(db, run, place)?;
    let (number, byte, mask) = locate(place);
    if bits.len() <= byte {
        bits.resize(byte + 1, 0);
    }
    if (bits[byte] & mask != 0) == value {
        return Ok(false);
    }
    bits[byte] ^= mask;
    db.prepare_cached("INSERT OR REPLACE INTO done VALUES (?, ?, ?, ?, ?)")?.execute(params![
        run.as_str(),
        place.stage.name(),
        place.lot,
        number,
        bits
    ])?;
    Ok(true)
}

pub(super) fn record(db: &Db<'_>, run: &RunId, event: &Event) -> Sql<()> {
    let json = serde_json::to_string(event).map_err(not_json)?;
    let last: i64 = db
        .prepare_cached(
            "INSERT INTO run (name, last) VALUES (?, 1) ON CONFLICT DO UPDATE SET last = last + 1 RETURNING last",
        )?
        .query_row([run.as_str()], |row| row.get(0))?;
    db.prepare_cached("INSERT INTO event VALUES (?, ?, ?)")?.execute(params![run.as_str(), last, json])?;
    // Now and then: a trim an event would cost more than the events.
    if last % 1024 == 0 && last > KEEP_EVENTS {
        let trimmed = last - KEEP_EVENTS;
        db.prepare_cached("DELETE FROM event WHERE run = ? AND number <= ?")?
            .execute(params![run.as_str(), trimmed])?;
        db.prepare_cached("UPDATE run SET trimmed = ? WHERE name = ?")?
            .execute(params![trimmed, run.as_str()])?;
    }
    Ok(())
}

pub(super) fn parse<T: std::str::FromStr>(text: &str) -> Sql<T>
where
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|error: T::Err| not_json(std::io::Error::other(error.to_string())))
}

pub(super) fn not_json(error: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::ToSqlConversionFailure(Box::new(error))
}

pub(super) fn millis(duration: Duration) -> i64 {
    duration.as_millis() as i64
}
