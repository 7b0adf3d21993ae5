//! Several small scenes in one item: each by itself, so that one that fails stops no other. It is set aside
//! at its own place, where people find it and can have it replayed, and the item goes on without it.

use anyhow::anyhow;
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use swath_backends::Kind;
use swath_proto::{
    ids::SceneId,
    item::{Place, Stage},
    keys,
    outcome::{Failure, FailureClass},
};

use crate::{
    aftermath,
    context::{Claimed, Context},
    failure::JobError,
    tail::Tail,
};

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

/// Does one after another. Returns what came of those that did not fail. An error is one that all scenes would
/// meet, or that another try may not meet.
pub(super) async fn each<'a, T>(
    cx: &'a Context,
    item: &'a Claimed,
    parts: &[Part],
    one: impl Fn(usize) -> BoxFuture<'a, Result<T, JobError>>,
) -> Result<Vec<T>, JobError> {
    let mut watch = Watch::begin(cx, item).await?;
    let ended = each_watched(cx, item, parts, one, &mut watch).await;
    watch.end(ended.is_ok()).await?;
    ended
}

async fn each_watched<'a, T>(
    cx: &'a Context,
    item: &'a Claimed,
    parts: &[Part],
    one: impl Fn(usize) -> BoxFuture<'a, Result<T, JobError>>,
    watch: &mut Watch<'a>,
) -> Result<Vec<T>, JobError> {
    let mut made = Vec::new();
    let mut once_more = None;
    for (at, part) in parts.iter().enumerate() {
        let ended = match watch.look_at(at).await? {
            Look::Go => one(at).await,
            Look::Crashes => {
                let text = "its worker was ended while it was at this scene, and the scene is left out";
                set_aside(cx, item, part, FailureClass::Fault, text.into()).await?;
                continue;
            }
        };
        match ended {
            Ok(one) => made.push(one),
            // Whoever works beside a holder leaves the verdict to it.
            Err(error) if item.beside => return Err(error),
            Err(JobError::Failed { class: class @ FailureClass::Data, source }) => {
                set_aside(cx, item, part, class, format!("{source:#}")).await?;
            }
            // Another worker may do it; the others of the item are not held up by it in the end.
            Err(JobError::Failed {
                class: class @ (FailureClass::Fault | FailureClass::Capacity),
                source,
            }) => {
                if item.is_last_try() {
                    set_aside(cx, item, part, class, format!("{source:#}")).await?;
                } else {
                    let source = source.context(format!("scene {}", part.id));
                    once_more.get_or_insert(JobError::Failed { class, source });
                }
            }
            // Its server is away, which is no reason to do without the others.
            Err(JobError::Failed { class: class @ FailureClass::Transient, source }) => {
                let root_answers = cx.blobs.head(&keys::run_record(&item.run)).await.is_ok();
                if item.is_last_try() && root_answers {
                    set_aside(cx, item, part, class, format!("{source:#}")).await?;
                } else {
                    once_more.get_or_insert(JobError::Failed { class, source });
                }
            }
            Err(error) => return Err(error),
        }
    }
    match once_more {
        Some(error) => Err(error),
        None => Ok(made),
    }
}

async fn set_aside(
    cx: &Context,
    item: &Claimed,
    part: &Part,
    class: FailureClass,
    message: String,
) -> Result<(), JobError> {
    tracing::error!(run = %item.run, place = %item.place, scene = %part.id, error = message, "set aside");
    let failure = Failure { class, message, scene: Some(part.id.clone()), rect: None, worker: cx.me.clone() };
    Ok(aftermath::bury_place(cx, &item.run, part.own, item.attempt, failure, &Tail::current().lines())
        .await?)
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
