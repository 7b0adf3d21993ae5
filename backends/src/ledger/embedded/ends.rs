//! How items end: done, buried, and made new again.

use rusqlite::params;
use swath_proto::{
    ids::RunId,
    item::Place,
    outcome::{Failure, Report},
};

use super::rows::{Db, Sql, forget_place, grave, is_done, not_json, record, set_bit};
use crate::ledger::{Event, Finish};

pub(super) fn finish(db: &Db<'_>, run: &RunId, place: Place, report: Report) -> Sql<Finish> {
    forget_place(db, run, place)?;
    if !set_bit(db, run, place, true)? {
        return Ok(Finish::Duplicate);
    }
    record(db, run, &Event::Finished { place, report })?;
    Ok(Finish::First)
}

pub(super) fn bury(db: &Db<'_>, run: &RunId, place: Place, attempts: u32, failure: Failure) -> Sql<bool> {
    if is_done(db, run, place)? {
        return Ok(false);
    }
    forget_place(db, run, place)?;
    let json = serde_json::to_string(&failure).map_err(not_json)?;
    db.prepare_cached("INSERT OR REPLACE INTO grave VALUES (?, ?, ?, ?)")?.execute(params![
        run.as_str(),
        place.to_string(),
        attempts,
        json
    ])?;
    record(db, run, &Event::Buried { place, attempts, failure })?;
    Ok(true)
}

pub(super) fn reset(db: &Db<'_>, run: &RunId, places: &[Place]) -> Sql<()> {
    places.iter().try_for_each(|&place| {
        let was_buried = grave(db, run, place)?;
        let was_done = set_bit(db, run, place, false)?;
        forget_place(db, run, place)?;
        if was_done || was_buried { record(db, run, &Event::Reset { place }) } else { Ok(()) }
    })
}

pub(super) fn restore(db: &Db<'_>, run: &RunId, places: &[Place]) -> Sql<()> {
    places.iter().try_for_each(|&place| {
        forget_place(db, run, place)?;
        set_bit(db, run, place, true).map(drop)
    })
}
