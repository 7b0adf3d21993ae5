//! The ledger of one machine: tables in a file, shared by all processes.

mod rows;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, path::Path, time::Duration};

use async_trait::async_trait;
use rusqlite::{OptionalExtension as _, params};
use swath_proto::{
    ids::{RunId, WorkerId},
    item::{Place, Stage},
    outcome::{Failure, Report},
};

use self::rows::{
    CHUNK_BYTES, Db, SCHEMA, Sql, cursor, forget_place, grave, hold, incarnation, is_closed, is_done, leader,
    millis, not_json, now_ms, parse, record, set_bit, uninvite,
};
use super::{Claim, Cursor, Event, Events, Finish, Gate, Ledger, Release, Snapshot};
use crate::{Result, embedded::File};

const EVENTS_A_CALL: i64 = 4096;
/// Places that are written in one go, so that others are let in between.
const AT_ONCE: usize = 2000;
/// Whoever waits for the file's lock looks again only now and then, and must find it free.
const LET_IN: Duration = Duration::from_millis(5);

#[derive(Clone)]
pub struct EmbeddedLedger {
    file: File,
}

impl EmbeddedLedger {
    pub fn open(path: &Path) -> Result<Self> {
        Ok(Self { file: File::open(path, SCHEMA)? })
    }
}

#[async_trait]
impl Ledger for EmbeddedLedger {
    async fn claim(&self, run: &RunId, place: Place, worker: &WorkerId, lease: Duration) -> Result<Claim> {
        let (run, worker) = (run.clone(), worker.clone());
        let claim = move |db: &Db<'_>| {
            let now = now_ms();
            if is_closed(db, &run)? {
                return Ok(Claim::Closed);
            }
            if is_done(db, &run, place)? {
                return Ok(Claim::Done);
            }
            if grave(db, &run, place)? {
                return Ok(Claim::Buried);
            }
            let hold = hold(db, &run, place)?.filter(|(_, until_ms)| *until_ms > now);
            let again = match &hold {
                Some((holder, _)) if holder != worker.as_str() => return Ok(Claim::Held),
                Some(_) => 0,
                None => {
                    uninvite(db, &run, place)?;
                    1
                }
            };
            let key = place.to_string();
            db.prepare_cached("INSERT OR REPLACE INTO hold VALUES (?, ?, ?, ?)")?.execute(params![
                run.as_str(),
                key,
                worker.as_str(),
                now + millis(lease)
            ])?;
            let (attempts, failures) = db
                .prepare_cached(
                    "INSERT INTO tries (run, place, attempts) VALUES (?1, ?2, 1)
                     ON CONFLICT DO UPDATE SET attempts = attempts + ?3 RETURNING attempts, failures",
                )?
                .query_row(params![run.as_str(), key, again], |row| Ok((row.get(0)?, row.get(1)?)))?;
            Ok(Claim::Go { attempts, failures })
        };
        self.file.run("claiming", claim).await
    }

    async fn invite(&self, run: &RunId, place: Place) -> Result<()> {
        let run = run.clone();
        let invite = move |db: &Db<'_>| {
            if hold(db, &run, place)?.is_none() {
                return Ok(());
            }
            db.prepare_cached("INSERT OR IGNORE INTO beside (run, place) VALUES (?, ?)")?
                .execute([run.as_str(), &place.to_string()])
                .map(drop)
        };
        self.file.run("inviting", invite).await
    }

    async fn join(&self, run: &RunId, place: Place, worker: &WorkerId) -> Result<Claim> {
        let (run, worker) = (run.clone(), worker.clone());
        let join = move |db: &Db<'_>| {
            if is_closed(db, &run)? {
                return Ok(Claim::Closed);
            }
            if is_done(db, &run, place)? {
                return Ok(Claim::Done);
            }
            if grave(db, &run, place)? {
                return Ok(Claim::Buried);
            }
            let key = place.to_string();
            let taken = db
                .prepare_cached(
                    "UPDATE beside SET worker = ?3 WHERE run = ?1 AND place = ?2 AND worker IN ('', ?3)",
                )?
                .execute([run.as_str(), &key, worker.as_str()])?;
            if taken == 0 {
                return Ok(Claim::Held);
            }
            let mut tries =
                db.prepare_cached("SELECT attempts, failures FROM tries WHERE run = ? AND place = ?")?;
            let tries =
                tries.query_row([run.as_str(), &key], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
            let (attempts, failures) = tries.unwrap_or_default();
            Ok(Claim::Go { attempts, failures })
        };
        self.file.run("joining", join).await
    }

    async fn extend(
        &self,
        run: &RunId,
        places: &[Place],
        worker: &WorkerId,
        lease: Duration,
    ) -> Result<Vec<Place>> {
        let (run, worker, places) = (run.clone(), worker.clone(), places.to_vec());
        let extend = move |db: &Db<'_>| {
            let now = now_ms();
            let mut update = db.prepare_cached(
                "UPDATE hold SET until_ms = ? WHERE run = ? AND place = ? AND worker = ? AND until_ms > ?",
            )?;
            let mut lost = Vec::new();
            for place in places {
                let values =
                    params![now + millis(lease), run.as_str(), place.to_string(), worker.as_str(), now];
                if update.execute(values)? == 0 {
                    lost.push(place);
                }
            }
            Ok(lost)
        };
        self.file.run("extending", extend).await
    }

    async fn finish(&self, run: &RunId, place: Place, report: Report) -> Result<Finish> {
        let run = run.clone();
        let finish = move |db: &Db<'_>| {
            forget_place(db, &run, place)?;
            if !set_bit(db, &run, place, true)? {
                return Ok(Finish::Duplicate);
            }
            record(db, &run, &Event::Finished { place, report })?;
            Ok(Finish::First)
        };
        self.file.run("finishing", finish).await
    }

    async fn release(&self, run: &RunId, place: Place, worker: &WorkerId, release: Release) -> Result<u32> {
        let (run, worker) = (run.clone(), worker.clone());
        let release = move |db: &Db<'_>| {
            let key = place.to_string();
            let failures = |db: &Db<'_>| -> Sql<u32> {
                let mut query =
                    db.prepare_cached("SELECT failures FROM tries WHERE run = ? AND place = ?")?;
                Ok(query.query_row([run.as_str(), &key], |row| row.get(0)).optional()?.unwrap_or(0))
            };
            if is_done(db, &run, place)? || grave(db, &run, place)? {
                return failures(db);
            }
            let held_by_other = hold(db, &run, place)?.is_some_and(|(holder, _)| holder != worker.as_str());
            let dropped = db
                .prepare_cached("DELETE FROM hold WHERE run = ? AND place = ? AND worker = ?")?
                .execute([run.as_str(), &key, worker.as_str()])?
                > 0;
            if dropped {
                uninvite(db, &run, place)?;
            }
            let (failure, is_news) = match release {
                Release::Counted { attempt, failure } => {
                    let blame = "INSERT INTO tries (run, place, failures, blamed) VALUES (?1, ?2, 1, ?3)
                         ON CONFLICT DO UPDATE SET failures = failures + 1, blamed = ?3 WHERE blamed < ?3";
                    let blamed = db.prepare_cached(blame)?.execute(params![run.as_str(), key, attempt])? > 0;
                    (Some(failure), dropped || (blamed && !held_by_other))
                }
                Release::Died => (None, dropped),
                Release::Uncounted => {
                    if dropped {
                        let back = "UPDATE tries SET attempts = attempts - 1
                             WHERE run = ? AND place = ? AND attempts > 0";
                        db.prepare_cached(back)?.execute([run.as_str(), &key])?;
                    }
                    (None, dropped)
                }
            };
            let failures = failures(db)?;
            if is_news {
                record(db, &run, &Event::Released { place, failures, failure })?;
            }
            Ok(failures)
        };
        self.file.run("releasing", release).await
    }

    async fn bury(&self, run: &RunId, place: Place, attempts: u32, failure: &Failure) -> Result<bool> {
        let (run, failure) = (run.clone(), failure.clone());
        let bury = move |db: &Db<'_>| {
            if is_done(db, &run, place)? {
                return Ok(false);
            }
            forget_place(db, &run, place)?;
            let json = serde_json::to_string(&failure).map_err(not_json)?;
            db.prepare_cached("INSERT OR REPLACE INTO grave VALUES (?, ?, ?, ?)")?.execute(params![
                run.as_str(),
                place.to_string(),
                attempts,
                json
            ])?;
            record(db, &run, &Event::Buried { place, attempts, failure })?;
            Ok(true)
        };
        self.file.run("burying", bury).await
    }

    async fn reset(&self, run: &RunId, places: &[Place]) -> Result<()> {
        for places in places.chunks(AT_ONCE) {
            let (run, places) = (run.clone(), places.to_vec());
            let reset = move |db: &Db<'_>| {
                places.into_iter().try_for_each(|place| {
                    let was_buried = grave(db, &run, place)?;
                    let was_done = set_bit(db, &run, place, false)?;
                    forget_place(db, &run, place)?;
                    if was_done || was_buried { record(db, &run, &Event::Reset { place }) } else { Ok(()) }
                })
            };
            self.file.run("resetting", reset).await?;
            tokio::time::sleep(LET_IN).await;
        }
        Ok(())
    }

    async fn reap(&self, run: &RunId) -> Result<Vec<Place>> {
        let run = run.clone();
        let reap = move |db: &Db<'_>| {
            let mut delete =
                db.prepare_cached("DELETE FROM hold WHERE run = ? AND until_ms <= ? RETURNING place")?;
            let places = delete
                .query_map(params![run.as_str(), now_ms()], |row| row.get::<_, String>(0))?
                .collect::<Sql<Vec<_>>>()?;
            let places = places.iter().map(|place| parse(place)).collect::<Sql<Vec<_>>>()?;
            for place in &places {
                uninvite(db, &run, *place)?;
                record(db, &run, &Event::Lost { place: *place })?;
            }
            Ok(places)
        };
        self.file.run("reaping", reap).await
    }

    async fn held(&self, run: &RunId) -> Result<Vec<(Place, WorkerId)>> {
        let run = run.clone();
        let held = move |db: &Db<'_>| {
            let mut query =
                db.prepare_cached("SELECT place, worker FROM hold WHERE run = ? AND until_ms > ?")?;
            let rows = query
                .query_map(params![run.as_str(), now_ms()], |row| {
                    Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))
                })?
                .collect::<Sql<Vec<_>>>()?;
            rows.iter().map(|(place, worker)| Ok((parse(place)?, parse(worker)?))).collect()
        };
        self.file.run("listing holds", held).await
    }

    async fn snapshot(&self, run: &RunId) -> Result<Snapshot> {
        let run = run.clone();
        let snapshot = move |db: &Db<'_>| {
            let incarnation = incarnation(db, &run)?;
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
        };
        self.file.run("taking a snapshot", snapshot).await
    }

    async fn events(&self, run: &RunId, since: &Cursor) -> Result<Events> {
        let (run, since) = (run.clone(), since.clone());
        let events = move |db: &Db<'_>| {
            let Some((life, after)) = since.0.rsplit_once('/') else { return Ok(Events::Gone) };
            let (Some(incarnation), Ok(after)) = (incarnation(db, &run)?, after.parse::<i64>()) else {
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
        };
        self.file.run("reading events", events).await
    }

    async fn restore(&self, run: &RunId, done: &[Place]) -> Result<()> {
        // The bits first: a run is known only when all of them are there.
        for places in done.chunks(AT_ONCE) {
            let (run, places) = (run.clone(), places.to_vec());
            let restore = move |db: &Db<'_>| {
                places.into_iter().try_for_each(|place| {
                    forget_place(db, &run, place)?;
                    set_bit(db, &run, place, true).map(drop)
                })
            };
            self.file.run("restoring", restore).await?;
            tokio::time::sleep(LET_IN).await;
        }
        let run = run.clone();
        let know = move |db: &Db<'_>| {
            let life = format!("{:016x}", rand::random::<u64>());
            db.prepare_cached(
                "INSERT INTO run (name, incarnation) VALUES (?1, ?2)
                 ON CONFLICT DO UPDATE SET incarnation = coalesce(incarnation, ?2)",
            )?
            .execute([run.as_str(), &life])
            .map(drop)
        };
        self.file.run("restoring", know).await
    }

    async fn set_gate(&self, run: &RunId, gate: Gate) -> Result<()> {
        let run = run.clone();
        let set = move |db: &Db<'_>| {
            db.prepare_cached(
                "INSERT INTO run (name, closed) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET closed = ?2",
            )?
            .execute(params![run.as_str(), gate == Gate::Closed])
            .map(drop)
        };
        self.file.run("setting the gate", set).await
    }

    async fn gate(&self, run: &RunId) -> Result<Gate> {
        let run = run.clone();
        let gate = move |db: &Db<'_>| Ok(if is_closed(db, &run)? { Gate::Closed } else { Gate::Open });
        self.file.run("looking at the gate", gate).await
    }

    async fn lead(&self, office: &str, holder: &WorkerId, lease: Duration) -> Result<bool> {
        let (office, holder) = (office.to_owned(), holder.clone());
        let lead = move |db: &Db<'_>| {
            let now = now_ms();
            let taken = db
                .prepare_cached(
                    "INSERT INTO office VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET holder = ?2, until_ms = ?3
                     WHERE holder = ?2 OR until_ms <= ?4",
                )?
                .execute(params![office, holder.as_str(), now + millis(lease), now])?;
            Ok(taken > 0)
        };
        self.file.run("taking an office", lead).await
    }

    async fn leader(&self, office: &str) -> Result<Option<WorkerId>> {
        let office = office.to_owned();
        let leader = move |db: &Db<'_>| leader(db, &office);
        self.file.run("asking for a leader", leader).await
    }

    async fn resign(&self, office: &str, holder: &WorkerId) -> Result<()> {
        let (office, holder) = (office.to_owned(), holder.clone());
        let resign = move |db: &Db<'_>| {
            db.prepare_cached("DELETE FROM office WHERE name = ? AND holder = ?")?
                .execute([office.as_str(), holder.as_str()])
                .map(drop)
        };
        self.file.run("resigning", resign).await
    }

    /// Does nothing: it lies on a disk, beside far larger things, and goes with them.
    async fn retire(&self, _: &RunId, _: Duration) -> Result<()> {
        Ok(())
    }

    async fn forget(&self, run: &RunId) -> Result<()> {
        let run = run.clone();
        let forget = move |db: &Db<'_>| {
            for table in ["done", "hold", "tries", "grave", "beside", "event"] {
                db.execute(&format!("DELETE FROM {table} WHERE run = ?"), [run.as_str()])?;
            }
            db.execute("DELETE FROM run WHERE name = ?", [run.as_str()]).map(drop)
        };
        self.file.run("forgetting", forget).await
    }
}
