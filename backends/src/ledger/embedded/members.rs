//! Who is there, of groups whose members look for each other.

use std::time::Duration;

use rusqlite::params;
use swath_proto::ids::WorkerId;

use super::rows::{Db, Sql, millis, parse};
use crate::embedded::now_ms;

pub(super) fn announce(db: &Db<'_>, group: &str, member: &WorkerId, words: &str, lease: Duration) -> Sql<()> {
    let now = now_ms();
    db.prepare_cached("DELETE FROM member WHERE circle = ? AND until_ms <= ?")?
        .execute(params![group, now])?;
    db.prepare_cached("INSERT OR REPLACE INTO member VALUES (?, ?, ?, ?)")?
        .execute(params![group, member.as_str(), words, now + millis(lease)])
        .map(drop)
}

pub(super) fn announced(db: &Db<'_>, group: &str) -> Sql<Vec<(WorkerId, String)>> {
    let mut query =
        db.prepare_cached("SELECT name, words FROM member WHERE circle = ? AND until_ms > ? ORDER BY name")?;
    let rows = query
        .query_map(params![group, now_ms()], |row| Ok((row.get::<_, String>(0)?, row.get(1)?)))?
        .collect::<Sql<Vec<_>>>()?;
    rows.into_iter().map(|(name, words)| Ok((parse(&name)?, words))).collect()
}

pub(super) fn withdraw(db: &Db<'_>, group: &str, member: &WorkerId) -> Sql<()> {
    db.prepare_cached("DELETE FROM member WHERE circle = ? AND name = ?")?
        .execute([group, member.as_str()])
        .map(drop)
}
