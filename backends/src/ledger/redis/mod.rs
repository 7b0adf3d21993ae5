//! The ledger on Redis. Every verb is one Lua script, so it is atomic and costs one round trip; the
//! connection is made again by itself, and a verb that was cut off is sent again: each is harmless
//! to repeat. All keys of a run have it as their hash tag, so that in a cluster they lie on one node.

mod connection;
mod fitness;
mod refusal;

use std::{collections::BTreeMap, time::Duration};

use anyhow::anyhow;
use async_trait::async_trait;
use redis::{Script, ScriptInvocation};
use serde::{Deserialize, Serialize};
use swath_proto::{
    ids::{RunId, WorkerId},
    item::{Place, Stage},
    outcome::{Failure, Report},
};
use url::Url;

use self::{
    connection::Connection,
    refusal::{failed, kind},
};
use super::{Claim, Cursor, Event, Events, Finish, Gate, Ledger, Release, Snapshot};
use crate::{Error, Kind, Result};

/// Tries of a verb whose connection was lost; between them the connection is made again.
const TRIES: u32 = 3;
const EVENTS_A_CALL: usize = 4096;
/// Places a restore writes at a time, so that the server answers others in between.
const RESTORE_AT_ONCE: usize = 2000;

pub struct RedisLedger {
    connection: Connection,
    scripts: Scripts,
}

/// A grave as it lies in the hash.
#[derive(Serialize, Deserialize)]
struct Grave {
    attempts: u32,
    failure: Failure,
}

struct Scripts {
    claim: Script,
    invite: Script,
    join: Script,
    extend: Script,
    finish: Script,
    release: Script,
    bury: Script,
    reset: Script,
    reap: Script,
    held: Script,
    snapshot: Script,
    events: Script,
    restore: Script,
    set_gate: Script,
    retire: Script,
    forget: Script,
    lead: Script,
    resign: Script,
    announce: Script,
    announced: Script,
}

impl Scripts {
    fn new() -> Self {
        let of_run = |body: &str| Script::new(&[include_str!("prelude.lua"), body].concat());
        Self {
            claim: of_run(include_str!("claim.lua")),
            invite: of_run(include_str!("invite.lua")),
            join: of_run(include_str!("join.lua")),
            extend: of_run(include_str!("extend.lua")),
            finish: of_run(include_str!("finish.lua")),
            release: of_run(include_str!("release.lua")),
            bury: of_run(include_str!("bury.lua")),
            reset: of_run(include_str!("reset.lua")),
            reap: of_run(include_str!("reap.lua")),
            held: of_run(include_str!("held.lua")),
            snapshot: of_run(include_str!("snapshot.lua")),
            events: of_run(include_str!("events.lua")),
            restore: of_run(include_str!("restore.lua")),
            set_gate: of_run(include_str!("gate.lua")),
            retire: of_run(include_str!("retire.lua")),
            forget: of_run(include_str!("forget.lua")),
            lead: Script::new(include_str!("lead.lua")),
            resign: Script::new(include_str!("resign.lua")),
            announce: Script::new(include_str!("announce.lua")),
            announced: Script::new(include_str!("announced.lua")),
        }
    }
}

impl RedisLedger {
    pub async fn connect(url: &Url) -> Result<Self> {
        Ok(Self { connection: connection::open(url).await?, scripts: Scripts::new() })
    }

    async fn call<T: redis::FromRedisValue>(&self, doing: &str, script: &ScriptInvocation<'_>) -> Result<T> {
        let mut tries = 1;
        loop {
            let mut connection = self.connection.clone();
            match script.invoke_async(&mut connection).await {
                Ok(answer) => return Ok(answer),
                // A server that is silent is not asked again at once: callers have a patience of their own.
                Err(error) if kind(&error) == Kind::Transient && !error.is_timeout() && tries < TRIES => {
                    tries += 1;
                }
                Err(error) => return Err(failed(format!("{doing} in Redis"), error)),
            }
        }
    }
}

fn of_run<'a>(script: &'a Script, run: &RunId) -> ScriptInvocation<'a> {
    script.key(format!("swath:{{{run}}}:"))
}

fn members(group: &str) -> String {
    format!("swath:members:{group}")
}

/// A place as the scripts want it: its name, the name of its bitmap, its bit.
fn add_place(script: &mut ScriptInvocation<'_>, place: Place) {
    script.arg(place.to_string()).arg(format!("{}:{}", place.stage, place.lot)).arg(place.index);
}

fn millis(duration: Duration) -> u64 {
    duration.as_millis() as u64
}

fn json(document: &impl Serialize) -> Result<String> {
    serde_json::to_string(document).map_err(|error| Error::new(Kind::Corrupt, "writing JSON", error))
}

fn corrupt(what: impl Into<String>) -> Error {
    Error::new(Kind::Corrupt, "reading the ledger in Redis", anyhow!(what.into()))
}

fn parse<T: std::str::FromStr>(text: &str) -> Result<T> {
    text.parse().map_err(|_| corrupt(format!("'{text}' is not what belongs there")))
}

/// What a script says to whoever asks for an item.
fn answer((answer, attempts, failures): (String, u32, u32)) -> Result<Claim> {
    match answer.as_str() {
        "go" => Ok(Claim::Go { attempts, failures }),
        "done" => Ok(Claim::Done),
        "held" => Ok(Claim::Held),
        "buried" => Ok(Claim::Buried),
        "closed" => Ok(Claim::Closed),
        other => Err(corrupt(format!("a claim was answered '{other}'"))),
    }
}

#[async_trait]
impl Ledger for RedisLedger {
    async fn claim(&self, run: &RunId, place: Place, worker: &WorkerId, lease: Duration) -> Result<Claim> {
        let mut script = of_run(&self.scripts.claim, run);
        add_place(&mut script, place);
        script.arg(worker.as_str()).arg(millis(lease));
        answer(self.call("claiming", &script).await?)
    }

    async fn invite(&self, run: &RunId, place: Place) -> Result<()> {
        let mut script = of_run(&self.scripts.invite, run);
        add_place(&mut script, place);
        self.call("inviting", &script).await
    }

    async fn join(&self, run: &RunId, place: Place, worker: &WorkerId) -> Result<Claim> {
        let mut script = of_run(&self.scripts.join, run);
        add_place(&mut script, place);
        script.arg(worker.as_str());
        answer(self.call("joining", &script).await?)
    }

    async fn extend(
        &self,
        run: &RunId,
        places: &[Place],
        worker: &WorkerId,
        lease: Duration,
    ) -> Result<Vec<Place>> {
        let mut script = of_run(&self.scripts.extend, run);
        script.arg(worker.as_str()).arg(millis(lease));
        for place in places {
            script.arg(place.to_string());
        }
        let lost: Vec<String> = self.call("extending", &script).await?;
        lost.iter().map(|place| parse(place)).collect()
    }

    async fn finish(&self, run: &RunId, place: Place, report: Report) -> Result<Finish> {
        let mut script = of_run(&self.scripts.finish, run);
        add_place(&mut script, place);
        script.arg(json(&Event::Finished { place, report })?);
        let first: bool = self.call("finishing", &script).await?;
        Ok(if first { Finish::First } else { Finish::Duplicate })
    }

    async fn release(&self, run: &RunId, place: Place, worker: &WorkerId, release: Release) -> Result<u32> {
        let mut script = of_run(&self.scripts.release, run);
        add_place(&mut script, place);
        script.arg(worker.as_str());
        match &release {
            Release::Uncounted => script.arg("back"),
            Release::Died => script.arg("stands"),
            Release::Counted { attempt, failure } => script.arg(attempt).arg(json(failure)?),
        };
        self.call("releasing", &script).await
    }

    async fn bury(&self, run: &RunId, place: Place, attempts: u32, failure: &Failure) -> Result<bool> {
        let mut script = of_run(&self.scripts.bury, run);
        add_place(&mut script, place);
        let failure = failure.clone();
        script.arg(json(&Grave { attempts, failure: failure.clone() })?);
        script.arg(json(&Event::Buried { place, attempts, failure })?);
        self.call("burying", &script).await
    }

    async fn reset(&self, run: &RunId, places: &[Place]) -> Result<()> {
        for places in places.chunks(RESTORE_AT_ONCE) {
            let mut script = of_run(&self.scripts.reset, run);
            places.iter().for_each(|place| add_place(&mut script, *place));
            let () = self.call("resetting", &script).await?;
        }
        Ok(())
    }

    async fn reap(&self, run: &RunId) -> Result<Vec<Place>> {
        let lost: Vec<String> = self.call("reaping", &of_run(&self.scripts.reap, run)).await?;
        lost.iter().map(|place| parse(place)).collect()
    }

    async fn held(&self, run: &RunId) -> Result<Vec<(Place, WorkerId)>> {
        let held: Vec<(String, String)> =
            self.call("listing holds", &of_run(&self.scripts.held, run)).await?;
        held.iter().map(|(place, worker)| Ok((parse(place)?, parse(worker)?))).collect()
    }

    async fn snapshot(&self, run: &RunId) -> Result<Snapshot> {
        type Answer = (String, Vec<(String, Vec<u8>)>, Vec<(String, String)>, String, u64);
        let (incarnation, bitmaps, graves, last, added): Answer =
            self.call("taking a snapshot", &of_run(&self.scripts.snapshot, run)).await?;
        let mut done = BTreeMap::new();
        for (name, bits) in bitmaps {
            let (stage, lot) =
                name.split_once(':').ok_or_else(|| corrupt(format!("a bitmap is called '{name}'")))?;
            done.insert((parse::<Stage>(stage)?, parse(lot)?), bits);
        }
        let buried = graves.iter().map(|(place, grave)| {
            let Grave { attempts, failure } = serde_json::from_str(grave)
                .map_err(|error| corrupt(format!("the grave of {place}: {error}")))?;
            Ok((parse(place)?, attempts, failure))
        });
        Ok(Snapshot {
            known: !incarnation.is_empty(),
            done,
            buried: buried.collect::<Result<_>>()?,
            cursor: Cursor(format!("{incarnation}/{last}/{added}")),
        })
    }

    async fn events(&self, run: &RunId, cursor: &Cursor) -> Result<Events> {
        // Which life of the ledger, after which entry, and how many entries came before.
        let mut parts = cursor.0.split('/');
        let (Some(life), Some(after), Some(Ok(seen))) =
            (parts.next(), parts.next(), parts.next().map(str::parse::<u64>))
        else {
            return Ok(Events::Gone);
        };
        let mut script = of_run(&self.scripts.events, run);
        script.arg(after).arg(EVENTS_A_CALL);
        let (incarnation, trimmed, added, found): (String, u64, u64, Vec<(String, String)>) =
            self.call("reading events", &script).await?;
        let heard = seen + found.len() as u64;
        // A replica that was promoted lacks the last of what its master told: whoever has heard that has now
        // heard more than there is.
        let is_behind = found.len() < EVENTS_A_CALL && heard != added;
        if incarnation.is_empty() || incarnation != life || seen < trimmed || is_behind {
            return Ok(Events::Gone);
        }
        let last = found.last().map_or(after, |(id, _)| id);
        let next = Cursor(format!("{life}/{last}/{heard}"));
        let events = found.iter().map(|(id, event)| {
            serde_json::from_str(event).map_err(|error| corrupt(format!("event {id}: {error}")))
        });
        Ok(Events::Some { events: events.collect::<Result<_>>()?, next })
    }

    async fn restore(&self, run: &RunId, done: &[Place]) -> Result<()> {
        // The bits first: a run is known only when all of them are there.
        for places in done.chunks(RESTORE_AT_ONCE) {
            let mut script = of_run(&self.scripts.restore, run);
            script.arg("");
            places.iter().for_each(|place| add_place(&mut script, *place));
            let () = self.call("restoring", &script).await?;
        }
        let mut script = of_run(&self.scripts.restore, run);
        script.arg(format!("{:016x}", rand::random::<u64>()));
        self.call("restoring", &script).await
    }

    async fn set_gate(&self, run: &RunId, gate: Gate) -> Result<()> {
        let mut script = of_run(&self.scripts.set_gate, run);
        script.arg(i32::from(gate == Gate::Closed));
        self.call("setting the gate", &script).await
    }

    async fn gate(&self, run: &RunId) -> Result<Gate> {
        let mut connection = self.connection.clone();
        let get = redis::cmd("HGET").arg(format!("swath:{{{run}}}:meta")).arg("closed").to_owned();
        let closed: Option<i32> = get
            .query_async(&mut connection)
            .await
            .map_err(|error| failed("looking at the gate in Redis", error))?;
        Ok(if closed == Some(1) { Gate::Closed } else { Gate::Open })
    }

    async fn lead(&self, office: &str, holder: &WorkerId, lease: Duration) -> Result<bool> {
        let mut script = self.scripts.lead.key(format!("swath:office:{office}"));
        script.arg(holder.as_str()).arg(millis(lease));
        self.call("taking an office", &script).await
    }

    async fn leader(&self, office: &str) -> Result<Option<WorkerId>> {
        let mut connection = self.connection.clone();
        let get = redis::cmd("GET").arg(format!("swath:office:{office}")).to_owned();
        let holder: Option<String> = get
            .query_async(&mut connection)
            .await
            .map_err(|error| failed("asking for a leader in Redis", error))?;
        let parse = |name: String| name.parse().map_err(|error| corrupt(format!("{name}: {error}")));
        holder.map(parse).transpose()
    }

    async fn resign(&self, office: &str, holder: &WorkerId) -> Result<()> {
        let mut script = self.scripts.resign.key(format!("swath:office:{office}"));
        script.arg(holder.as_str());
        self.call("resigning", &script).await
    }

    async fn announce(&self, group: &str, member: &WorkerId, words: &str, lease: Duration) -> Result<()> {
        let mut script = self.scripts.announce.key(members(group));
        script.arg(member.as_str()).arg(words).arg(millis(lease));
        self.call("announcing a member", &script).await
    }

    async fn announced(&self, group: &str) -> Result<Vec<(WorkerId, String)>> {
        let script = self.scripts.announced.key(members(group));
        let mut found: Vec<(String, String)> = self.call("listing members", &script).await?;
        found.sort();
        found.into_iter().map(|(name, words)| Ok((parse(&name)?, words))).collect()
    }

    async fn withdraw(&self, group: &str, member: &WorkerId) -> Result<()> {
        let mut connection = self.connection.clone();
        let withdraw = redis::cmd("HDEL").arg(members(group)).arg(member.as_str()).to_owned();
        withdraw
            .query_async(&mut connection)
            .await
            .map_err(|error| failed("withdrawing a member in Redis", error))
    }

    async fn retire(&self, run: &RunId, after: Duration) -> Result<()> {
        let mut script = of_run(&self.scripts.retire, run);
        script.arg(millis(after));
        self.call("retiring a run", &script).await
    }

    async fn forget(&self, run: &RunId) -> Result<()> {
        self.call("forgetting", &of_run(&self.scripts.forget, run)).await
    }
}
