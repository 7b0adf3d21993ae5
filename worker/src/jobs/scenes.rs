//! Several small scenes in one item: each by itself, so that one that fails stops no other. It is set aside
//! at its own place, where people find it and can have it replayed, and the item goes on without it, now and
//! whenever it is done again.

use std::pin::pin;

use anyhow::anyhow;
use futures::{FutureExt as _, StreamExt as _, future::BoxFuture};
use serde::{Deserialize, Serialize};
use swath_backends::Kind;
use swath_proto::{
    ids::SceneId,
    item::{Place, Stage},
    keys,
    outcome::{Buried, Failure, FailureClass},
};

use super::TriedAgain;
use crate::{
    aftermath,
    context::{Claimed, Context},
    failure::JobError,
    keeper::patiently,
    tail::Tail,
};

/// Graves that are looked for at a time.
const LOOKS: usize = 16;

/// A scene of an item, and where it is set aside if it fails.
pub(super) struct Part {
    pub id: SceneId,
    pub own: Place,
}

impl Part {
    pub(super) fn new(item: &Claimed, stage: Stage, ordinal: u32, id: &SceneId) -> Self {
        Self { id: id.clone(), own: Place::new(stage, item.place.lot, ordinal) }
    }
}

/// What becomes of an item when one of its scenes fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    /// It goes on, and does without the scene.
    DoWithout,
    /// It goes on, and fails when the others are done: another attempt may do the scene.
    OthersFirst,
    /// It fails at once.
    Fail,
}

impl Then {
    const fn of(class: FailureClass, is_last_try: bool, is_tried_again: bool) -> Self {
        match class {
            FailureClass::Data => Self::DoWithout,
            FailureClass::Transient | FailureClass::Capacity if is_tried_again => Self::Fail,
            FailureClass::Transient | FailureClass::Capacity | FailureClass::Fault => match is_last_try {
                true => Self::DoWithout,
                false => Self::OthersFirst,
            },
            // All scenes would meet it.
            FailureClass::Preempted | FailureClass::Config | FailureClass::Dropped => Self::Fail,
        }
    }
}

/// Does one after another. Returns what came of those that did not fail. An error is one that all scenes would
/// meet, or that another try may not meet.
pub(super) async fn each<'a, T>(
    cx: &'a Context,
    item: &'a Claimed,
    again: TriedAgain,
    parts: &[Part],
    one: impl Fn(usize) -> BoxFuture<'a, Result<T, JobError>>,
) -> Result<Vec<T>, JobError> {
    let mut watch = Watch::begin(cx, item).await?;
    let ended = each_watched(cx, item, again, parts, one, &mut watch).await;
    watch.end(ended.is_ok()).await?;
    ended
}

async fn each_watched<'a, T>(
    cx: &'a Context,
    item: &'a Claimed,
    again: TriedAgain,
    parts: &[Part],
    one: impl Fn(usize) -> BoxFuture<'a, Result<T, JobError>>,
    watch: &mut Watch<'a>,
) -> Result<Vec<T>, JobError> {
    let mut aside = set_aside_before(cx, item, parts).await?;
    let mut made = Vec::new();
    let mut once_more = None;
    for (at, part) in parts.iter().enumerate() {
        if aside.contains(&part.own) {
            continue;
        }
        let ended = match watch.look_at(at).await? {
            Look::Go => one(at).await,
            Look::Crashes => {
                let text = "its worker was ended while it was at this scene, and the scene is left out";
                set_aside(cx, item, part, FailureClass::Fault, text.into()).await?;
                watch.leave_to_grave(at);
                aside.push(part.own);
                continue;
            }
        };
        let (class, source) = match ended {
            Ok(one) => {
                made.push(one);
                continue;
            }
            Err(JobError::Failed { class, source }) if !item.beside => (class, source),
            // Whoever works beside a holder leaves the verdict to it.
            Err(error) => return Err(error),
        };
        // It may be the root that is away: no reason to do without a scene.
        let is_last_try = item.is_last_try()
            && (class != FailureClass::Transient
                || cx.blobs.head(&keys::run_record(&item.run)).await.is_ok());
        match Then::of(class, is_last_try, again.of(class)) {
            Then::DoWithout => {
                set_aside(cx, item, part, class, format!("{source:#}")).await?;
                aside.push(part.own);
            }
            Then::OthersFirst => {
                let source = source.context(format!("scene {}", part.id));
                once_more.get_or_insert(JobError::Failed { class, source });
            }
            Then::Fail => {
                // A worker that has to go tries nothing again, which must not count against all of the item.
                let is_cut_off = again.of(class) && cx.stop.is_cancelled();
                let class = if is_cut_off { FailureClass::Preempted } else { class };
                return Err(JobError::Failed { class, source });
            }
        }
    }
    if let Some(error) = once_more {
        return Err(error);
    }
    see_that_they_stay(cx, item, &aside).await?;
    Ok(made)
}

/// Where there is a grave: scenes that failed in an attempt before this one, or that people do without.
async fn set_aside_before(cx: &Context, item: &Claimed, parts: &[Part]) -> Result<Vec<Place>, JobError> {
    let look = |part: &Part| {
        let (blobs, own) = (cx.blobs.clone(), part.own);
        let key = keys::buried(&item.run, own);
        async move { (own, blobs.get(&key).await) }.boxed()
    };
    let looks: Vec<_> = parts.iter().map(look).collect();
    let mut looks = pin!(futures::stream::iter(looks).buffered(LOOKS));
    let mut aside = Vec::new();
    while let Some((own, json)) = looks.next().await {
        let json = match json {
            Err(error) if error.kind == Kind::NotFound => continue,
            json => json?,
        };
        let grave: Buried = match serde_json::from_slice(&json) {
            Ok(grave) => grave,
            Err(error) => {
                tracing::warn!(place = %own, %error, "a grave can't be read: trying the scene again");
                continue;
            }
        };
        // Whoever wrote it may have died before the ledger was told.
        let bury = || cx.ledger.bury(&item.run, own, grave.attempts, &grave.failure);
        patiently(cx, "burying", bury).await?;
        aside.push(own);
    }
    Ok(aside)
}

/// A scene that was replayed meanwhile has no grave any more: whoever gets the item next does it with the others.
async fn see_that_they_stay(cx: &Context, item: &Claimed, aside: &[Place]) -> Result<(), JobError> {
    let mut back = Vec::new();
    for own in aside {
        if cx.blobs.head(&keys::buried(&item.run, *own)).await?.is_none() {
            back.push(*own);
        }
    }
    if back.is_empty() {
        return Ok(());
    }
    // What was told of them from here may have come after they were taken back.
    patiently(cx, "resetting", || cx.ledger.reset(&item.run, &back)).await?;
    let text = format!("scenes that were set aside were replayed meanwhile: {}", back.len());
    Err(JobError::new(FailureClass::Preempted, anyhow!(text)))
}

async fn set_aside(
    cx: &Context,
    item: &Claimed,
    part: &Part,
    class: FailureClass,
    message: String,
) -> Result<(), JobError> {
    tracing::error!(scene = %part.id, error = message, "set aside");
    let failure = Failure { class, message, scene: Some(part.id.clone()), rect: None, worker: cx.me.clone() };
    aftermath::bury_place(cx, &item.run, part.own, item.attempt, failure, &Tail::current().lines()).await?;
    Ok(())
}

/// Finds the scene that crashes its worker. Which item was inside native code is known from the worker; which of
/// its scenes, only if that was written down before. That is done for items that have failed before.
struct Watch<'a> {
    cx: &'a Context,
    /// None where the item has not failed yet.
    key: Option<String>,
    failures: u32,
    crashed: Vec<u32>,
}

enum Look {
    Go,
    Crashes,
}

/// `runs/<run>/begun/<place>.json`.
#[derive(Serialize, Deserialize)]
#[serde(tag = "version")]
enum Begun {
    #[serde(rename = "1")]
    V1 {
        /// Of the item, when this was written. More of them later: what was begun has not ended well.
        failures: u32,
        at: Option<u32>,
        crashed: Vec<u32>,
    },
}

impl<'a> Watch<'a> {
    async fn begin(cx: &'a Context, item: &'a Claimed) -> Result<Self, JobError> {
        let mut watch = Self { cx, key: None, failures: item.failures, crashed: Vec::new() };
        if item.failures == 0 || item.beside {
            return Ok(watch);
        }
        let key = keys::begun(&item.run, item.place);
        match cx.blobs.get(&key).await {
            Ok(json) => {
                let Begun::V1 { failures, at, crashed } = serde_json::from_slice(&json)
                    .map_err(|error| JobError::internal(anyhow!("{key}: {error}")))?;
                watch.crashed = crashed;
                watch.crashed.extend(at.filter(|_| failures < item.failures));
            }
            Err(error) if error.kind == Kind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
        watch.key = Some(key);
        Ok(watch)
    }

    async fn look_at(&self, at: usize) -> Result<Look, JobError> {
        let at = at as u32;
        if self.crashed.contains(&at) {
            return Ok(Look::Crashes);
        }
        self.write(Some(at)).await?;
        Ok(Look::Go)
    }

    /// From now on its grave says it; once that is gone, it may be tried again.
    fn leave_to_grave(&mut self, at: usize) {
        self.crashed.retain(|crashed| *crashed != at as u32);
    }

    async fn write(&self, at: Option<u32>) -> Result<(), JobError> {
        let Some(key) = &self.key else { return Ok(()) };
        let begun = Begun::V1 { failures: self.failures, at, crashed: self.crashed.clone() };
        let json = serde_json::to_vec(&begun).map_err(JobError::internal)?;
        Ok(self.cx.blobs.put(key, json.into()).await?)
    }

    /// What ended by itself has not crashed.
    async fn end(&self, is_over: bool) -> Result<(), JobError> {
        match &self.key {
            Some(key) if is_over => Ok(self.cx.blobs.delete(key).await?),
            _ => self.write(None).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scene_is_done_without_when_nothing_is_left_to_try() {
        use FailureClass::*;
        for (is_last_try, is_tried_again) in [(false, false), (false, true), (true, false), (true, true)] {
            let then = |class| Then::of(class, is_last_try, is_tried_again);
            assert_eq!(then(Data), Then::DoWithout, "the same error would come again");
            for class in [Preempted, Config] {
                assert_eq!(then(class), Then::Fail, "{class:?}");
            }
            let at_last = if is_last_try { Then::DoWithout } else { Then::OthersFirst };
            assert_eq!(then(Fault), at_last);
            for class in [Transient, Capacity] {
                assert_eq!(then(class), if is_tried_again { Then::Fail } else { at_last }, "{class:?}");
            }
        }
    }
}
