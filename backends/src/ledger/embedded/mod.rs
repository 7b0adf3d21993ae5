//! The ledger of one machine: tables in a file, shared by all processes. What a verb does in its transaction
//! stands in [`holds`], [`ends`], [`history`] and [`members`], of the short ones here.

mod ends;
mod history;
mod holds;
mod members;
mod rows;
#[cfg(test)]
mod tests;

use std::{path::Path, time::Duration};

use async_trait::async_trait;
use rusqlite::params;
use swath_proto::{
    ids::{RunId, WorkerId},
    item::Place,
    outcome::{Failure, Report},
};

use self::rows::{Db, SCHEMA, is_closed, leader, millis};
use super::{Claim, Cursor, Events, Finish, Gate, Ledger, Release, Snapshot};
use crate::{
    Result,
    embedded::{File, now_ms},
};

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
        let claim = move |db: &Db<'_>| holds::claim(db, &run, place, &worker, lease);
        self.file.run("claiming", claim).await
    }

    async fn invite(&self, run: &RunId, place: Place) -> Result<()> {
        let run = run.clone();
        self.file.run("inviting", move |db: &Db<'_>| holds::invite(db, &run, place)).await
    }

    async fn join(&self, run: &RunId, place: Place, worker: &WorkerId) -> Result<Claim> {
        let (run, worker) = (run.clone(), worker.clone());
        self.file.run("joining", move |db: &Db<'_>| holds::join(db, &run, place, &worker)).await
    }

    async fn extend(
        &self,
        run: &RunId,
        places: &[Place],
        worker: &WorkerId,
        lease: Duration,
    ) -> Result<Vec<Place>> {
        let (run, worker, places) = (run.clone(), worker.clone(), places.to_vec());
        let extend = move |db: &Db<'_>| holds::extend(db, &run, &places, &worker, lease);
        self.file.run("extending", extend).await
    }

    async fn finish(&self, run: &RunId, place: Place, report: Report) -> Result<Finish> {
        let run = run.clone();
        self.file.run("finishing", move |db: &Db<'_>| ends::finish(db, &run, place, report)).await
    }

    async fn release(&self, run: &RunId, place: Place, worker: &WorkerId, release: Release) -> Result<u32> {
        let (run, worker) = (run.clone(), worker.clone());
        let release = move |db: &Db<'_>| holds::release(db, &run, place, &worker, release);
        self.file.run("releasing", release).await
    }

    async fn bury(&self, run: &RunId, place: Place, attempts: u32, failure: &Failure) -> Result<bool> {
        let (run, failure) = (run.clone(), failure.clone());
        let bury = move |db: &Db<'_>| ends::bury(db, &run, place, attempts, failure);
        self.file.run("burying", bury).await
    }

    async fn reset(&self, run: &RunId, places: &[Place]) -> Result<()> {
        for places in places.chunks(AT_ONCE) {
            let (run, places) = (run.clone(), places.to_vec());
            self.file.run("resetting", move |db: &Db<'_>| ends::reset(db, &run, &places)).await?;
            tokio::time::sleep(LET_IN).await;
        }
        Ok(())
    }

    async fn reap(&self, run: &RunId) -> Result<Vec<Place>> {
        let run = run.clone();
        self.file.run("reaping", move |db: &Db<'_>| holds::reap(db, &run)).await
    }

    async fn held(&self, run: &RunId) -> Result<Vec<(Place, WorkerId)>> {
        let run = run.clone();
        self.file.run("listing holds", move |db: &Db<'_>| holds::held(db, &run)).await
    }

    async fn snapshot(&self, run: &RunId) -> Result<Snapshot> {
        let run = run.clone();
        self.file.run("taking a snapshot", move |db: &Db<'_>| history::snapshot(db, &run)).await
    }

    async fn events(&self, run: &RunId, since: &Cursor) -> Result<Events> {
        let (run, since) = (run.clone(), since.clone());
        self.file.run("reading events", move |db: &Db<'_>| history::events(db, &run, &since)).await
    }

    async fn restore(&self, run: &RunId, done: &[Place]) -> Result<()> {
        // The bits first: a run is known only when all of them are there.
        for places in done.chunks(AT_ONCE) {
            let (run, places) = (run.clone(), places.to_vec());
            self.file.run("restoring", move |db: &Db<'_>| ends::restore(db, &run, &places)).await?;
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

    async fn announce(&self, group: &str, member: &WorkerId, words: &str, lease: Duration) -> Result<()> {
        let (group, member, words) = (group.to_owned(), member.clone(), words.to_owned());
        let announce = move |db: &Db<'_>| members::announce(db, &group, &member, &words, lease);
        self.file.run("announcing a member", announce).await
    }

    async fn announced(&self, group: &str) -> Result<Vec<(WorkerId, String)>> {
        let group = group.to_owned();
        self.file.run("listing members", move |db: &Db<'_>| members::announced(db, &group)).await
    }

    async fn withdraw(&self, group: &str, member: &WorkerId) -> Result<()> {
        let (group, member) = (group.to_owned(), member.clone());
        let withdraw = move |db: &Db<'_>| members::withdraw(db, &group, &member);
        self.file.run("withdrawing a member", withdraw).await
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
