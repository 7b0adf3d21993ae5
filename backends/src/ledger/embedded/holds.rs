//! Who works on what: claims and their leases, and those who join a holder that is late.

use std::time::Duration;

use rusqlite::{OptionalExtension as _, params};
use swath_proto::{
    ids::{RunId, WorkerId},
    item::Place,
};

use super::rows::{Db, Sql, grave, hold, is_closed, is_done, millis, parse, record, uninvite};
use crate::{
    embedded::now_ms,
    ledger::{Claim, Event, Release},
};

/// Why nobody is to work on it any more.
fn over(db: &Db<'_>, run: &RunId, place: Place) -> Sql<Option<Claim>> {
    Ok(match () {
        () if is_closed(db, run)? => Some(Claim::Closed),
        () if is_done(db, run, place)? => Some(Claim::Done),
        () if grave(db, run, place)? => Some(Claim::Buried),
        () => None,
    })
}

pub(super) fn claim(
    db: &Db<'_>,
    run: &RunId,
    place: Place,
    worker: &WorkerId,
    lease: Duration,
) -> Sql<Claim> {
    let now = now_ms();
    if let Some(answer) = over(db, run, place)? {
        return Ok(answer);
    }
    let hold = hold(db, run, place)?.filter(|(_, until_ms)| *until_ms > now);
    let again = match &hold {
        Some((holder, _)) if holder != worker.as_str() => return Ok(Claim::Held),
        Some(_) => 0,
        None => {
            uninvite(db, run, place)?;
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
}

pub(super) fn invite(db: &Db<'_>, run: &RunId, place: Place) -> Sql<()> {
    if hold(db, run, place)?.is_none() {
        return Ok(());
    }
    db.prepare_cached("INSERT OR IGNORE INTO beside (run, place) VALUES (?, ?)")?
        .execute([run.as_str(), &place.to_string()])
        .map(drop)
}

pub(super) fn join(db: &Db<'_>, run: &RunId, place: Place, worker: &WorkerId) -> Sql<Claim> {
    if let Some(answer) = over(db, run, place)? {
        return Ok(answer);
    }
    let key = place.to_string();
    let taken = db
        .prepare_cached("UPDATE beside SET worker = ?3 WHERE run = ?1 AND place = ?2 AND worker IN ('', ?3)")?
        .execute([run.as_str(), &key, worker.as_str()])?;
    if taken == 0 {
        return Ok(Claim::Held);
    }
    let mut tries = db.prepare_cached("SELECT attempts, failures FROM tries WHERE run = ? AND place = ?")?;
    let tries = tries.query_row([run.as_str(), &key], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let (attempts, failures) = tries.unwrap_or_default();
    Ok(Claim::Go { attempts, failures })
}

pub(super) fn extend(
    db: &Db<'_>,
    run: &RunId,
    places: &[Place],
    worker: &WorkerId,
    lease: Duration,
) -> Sql<Vec<Place>> {
    let now = now_ms();
    let mut update = db.prepare_cached(
        "UPDATE hold SET until_ms = ? WHERE run = ? AND place = ? AND worker = ? AND until_ms > ?",
    )?;
    let mut lost = Vec::new();
    for &place in places {
        let values = params![now + millis(lease), run.as_str(), place.to_string(), worker.as_str(), now];
        if update.execute(values)? == 0 {
            lost.push(place);
        }
    }
    Ok(lost)
}

pub(super) fn release(
    db: &Db<'_>,
    run: &RunId,
    place: Place,
    worker: &WorkerId,
    release: Release,
) -> Sql<u32> {
    let key = place.to_string();
    let failures = |db: &Db<'_>| -> Sql<u32> {
        let mut query = db.prepare_cached("SELECT failures FROM tries WHERE run = ? AND place = ?")?;
        Ok(query.query_row([run.as_str(), &key], |row| row.get(0)).optional()?.unwrap_or(0))
    };
    if is_done(db, run, place)? || grave(db, run, place)? {
        return failures(db);
    }
    let held_by_other = hold(db, run, place)?.is_some_and(|(holder, _)| holder != worker.as_str());
    let dropped = db
        .prepare_cached("DELETE FROM hold WHERE run = ? AND place = ? AND worker = ?")?
        .execute([run.as_str(), &key, worker.as_str()])?
        > 0;
    if dropped {
        uninvite(db, run, place)?;
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
        record(db, run, &Event::Released { place, failures, failure })?;
    }
    Ok(failures)
}

pub(super) fn reap(db: &Db<'_>, run: &RunId) -> Sql<Vec<Place>> {
    let mut delete = db.prepare_cached("DELETE FROM hold WHERE run = ? AND until_ms <= ? RETURNING place")?;
    let places = delete
        .query_map(params![run.as_str(), now_ms()], |row| row.get::<_, String>(0))?
        .collect::<Sql<Vec<_>>>()?;
    let places = places.iter().map(|place| parse(place)).collect::<Sql<Vec<_>>>()?;
    for place in &places {
        uninvite(db, run, *place)?;
        record(db, run, &Event::Lost { place: *place })?;
    }
    Ok(places)
}

pub(super) fn held(db: &Db<'_>, run: &RunId) -> Sql<Vec<(Place, WorkerId)>> {
    let mut query = db.prepare_cached("SELECT place, worker FROM hold WHERE run = ? AND until_ms > ?")?;
    let rows = query
        .query_map(params![run.as_str(), now_ms()], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))
        })?
        .collect::<Sql<Vec<_>>>()?;
    rows.iter().map(|(place, worker)| Ok((parse(place)?, parse(worker)?))).collect()
}
