//! The ledger: every verb, under a run that is made for it and forgotten at the end.

use std::time::Duration;

use anyhow::ensure;
use swath_backends::{
    ledger::{Claim, Event, Events, Finish, Gate, Ledger, Release},
    open::{Urls, open_ledger},
};
use swath_proto::{
    ids::{RunId, WorkerId},
    item::{Place, Stage},
    outcome::{Failure, FailureClass, Report},
};

use super::Door;
use crate::config;

const LEASE: Duration = Duration::from_secs(60);
/// Where we are cut off, nothing stays for long.
const KEEP: Duration = Duration::from_secs(600);
const FINISHED: Place = Place::new(Stage::Noop, 0, 0);
const GIVEN_UP: Place = Place::new(Stage::Noop, 0, 1);
const LOST: Place = Place::new(Stage::Noop, 0, 2);

pub(super) async fn check(door: &mut Door, urls: &Urls) {
    let open = async { Ok(open_ledger(&urls.ledger, &urls.root).await?) };
    let Some(ledger) = door.tries("connect", open).await else { return };
    let ledger = &*ledger;
    let me = config::process_name("doctor");
    let name = format!("doctor-{:016x}", rand::random::<u64>());
    let run: RunId = name.parse().unwrap_or_else(|error| unreachable!("{name} names a run: {error}"));
    door.tries("take an office, see who has it, give it up", office(ledger, &me)).await;
    door.tries("announce a member, see it, withdraw it", announce(ledger, &me)).await;
    door.tries("begin a run, open and close its gate", begin(ledger, &run)).await;
    door.tries("claim an item, keep it, finish it, hear of it", finish(ledger, &run, &me)).await;
    door.tries("give an item up, set it aside, make it new again", give_up(ledger, &run, &me)).await;
    door.tries("see an item lost and take it back", lose(ledger, &run, &me)).await;
    door.tries("forget the run", async { Ok(ledger.forget(&run).await?) }).await;
}

async fn office(ledger: &dyn Ledger, me: &WorkerId) -> anyhow::Result<()> {
    let office = format!("doctor/{me}");
    ensure!(ledger.lead(&office, me, LEASE).await?, "a new office is taken already");
    ensure!(
        ledger.leader(&office).await?.as_ref() == Some(me),
        "another has the office that was given to us"
    );
    Ok(ledger.resign(&office, me).await?)
}

async fn announce(ledger: &dyn Ledger, me: &WorkerId) -> anyhow::Result<()> {
    let group = format!("doctor/{me}");
    ledger.announce(&group, me, "here", LEASE).await?;
    ensure!(
        ledger.announced(&group).await? == [(me.clone(), "here".to_owned())],
        "a member is not there that was announced"
    );
    Ok(ledger.withdraw(&group, me).await?)
}

async fn begin(ledger: &dyn Ledger, run: &RunId) -> anyhow::Result<()> {
    ledger.restore(run, &[]).await?;
    ledger.retire(run, KEEP).await?;
    for gate in [Gate::Closed, Gate::Open] {
        ledger.set_gate(run, gate).await?;
        ensure!(ledger.gate(run).await? == gate, "a gate stands otherwise than it was set");
    }
    Ok(())
}

async fn finish(ledger: &dyn Ledger, run: &RunId, me: &WorkerId) -> anyhow::Result<()> {
    let before = ledger.snapshot(run).await?;
    let claim = ledger.claim(run, FINISHED, me, LEASE).await?;
    ensure!(matches!(claim, Claim::Go { .. }), "the claim of a new item was answered {claim:?}");
    ensure!(
        ledger.extend(run, &[FINISHED], me, LEASE).await?.is_empty(),
        "an item was lost within its lease"
    );
    ensure!(
        ledger.finish(run, FINISHED, Report::default()).await? == Finish::First,
        "it was finished before"
    );
    let heard = ledger.events(run, &before.cursor).await?;
    let is_told = matches!(&heard, Events::Some { events, .. }
        if events.iter().any(|event| matches!(event, Event::Finished { place, .. } if *place == FINISHED)));
    ensure!(is_told, "what was finished is not told: {heard:?}");
    Ok(())
}

async fn give_up(ledger: &dyn Ledger, run: &RunId, me: &WorkerId) -> anyhow::Result<()> {
    ledger.claim(run, GIVEN_UP, me, LEASE).await?;
    let message = "swath doctor".to_owned();
    let failure = Failure { class: FailureClass::Data, message, scene: None, rect: None, worker: me.clone() };
    let release = Release::Counted { attempt: 1, failure: failure.clone() };
    ensure!(ledger.release(run, GIVEN_UP, me, release).await? == 1, "a failure was not counted");
    ledger.bury(run, GIVEN_UP, 1, &failure).await?;
    ensure!(ledger.snapshot(run).await?.buried.len() == 1, "what was set aside is not there");
    Ok(ledger.reset(run, &[GIVEN_UP]).await?)
}

async fn lose(ledger: &dyn Ledger, run: &RunId, me: &WorkerId) -> anyhow::Result<()> {
    ledger.claim(run, LOST, me, Duration::ZERO).await?;
    ensure!(ledger.held(run).await?.is_empty(), "an item is held beyond its lease");
    ensure!(ledger.reap(run).await? == [LOST], "an item whose lease has run out is not taken back");
    Ok(())
}
