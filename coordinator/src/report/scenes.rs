//! Which scenes people see in a report, and their pictures, which workers have drawn beside their work. Runs of older programs
//! have none, and nor do scenes whose imagery can't be shown without reading all of it.

use std::collections::HashMap;

use serde::Serialize;
use swath_backends::blobs::SharedBlobs;
use swath_proto::{
    ids::SceneId,
    item::{Place, Stage},
    keys,
};

use super::{SceneTold, read};
use crate::board::Board;

/// Pictures of one kind that are looked for until as many as are wanted are found: of scenes that share an item, a few have
/// one.
const TRIES: usize = 8;
/// Of a run without scores.
const FIRST: usize = 3;
/// How large one may be: they are some 300 KB.
const MOST_BYTES: u64 = 1 << 20;

#[derive(Serialize)]
pub(super) struct ScenePicture {
    /// Of a run with scores.
    pub(super) which: Option<&'static str>,
    pub(super) scene: String,
    /// The mean of its classes.
    pub(super) f1: Option<f64>,
    pub(super) key: String,
    #[serde(skip)]
    pub(super) png: Vec<u8>,
}

/// `told`: all scenes that have a score, the worst first.
pub(super) async fn pictures(
    board: &Board,
    told: &[SceneTold],
    blobs: &SharedBlobs,
) -> anyhow::Result<Vec<ScenePicture>> {
    let mut found: Vec<ScenePicture> = Vec::new();
    let of_eval = places(board, Stage::Eval);
    for Wanted { which, n, among } in wanted(told.len()) {
        let mut left = n;
        for told in among.into_iter().map(|at| &told[at]) {
            if left == 0 || found.iter().any(|found| found.scene == told.scene) {
                continue;
            }
            let Some(place) = of_eval.get(told.scene.as_str()) else { continue };
            if let Some(picture) =
                picture(board, *place, (Some(which), &told.scene, told.mean.f1), blobs).await?
            {
                found.push(picture);
                left -= 1;
            }
        }
    }
    if !found.is_empty() {
        return Ok(found);
    }
    let first = board.lots().flat_map(|lot| lot.scenes.iter().map(move |scene| (lot, scene)));
    let first: Vec<(Place, String)> = first
        .take(TRIES)
        .map(|(lot, scene)| (lot.maker(Stage::Assemble, scene), scene.header.id.to_string()))
        .collect();
    for (place, scene) in first {
        found.extend(picture(board, place, (None, &scene, None), blobs).await?);
        if found.len() == FIRST {
            break;
        }
    }
    Ok(found)
}

/// The items that do a stage of each scene.
fn places(board: &Board, stage: Stage) -> HashMap<&str, Place> {
    let scenes = board.lots().flat_map(|lot| lot.scenes.iter().map(move |scene| (lot, scene)));
    scenes.map(|(lot, scene)| (scene.header.id.as_str(), lot.maker(stage, scene))).collect()
}

async fn picture(
    board: &Board,
    place: Place,
    (which, scene, f1): (Option<&'static str>, &str, Option<f64>),
    blobs: &SharedBlobs,
) -> anyhow::Result<Option<ScenePicture>> {
    let (Some(publish), Ok(id)) = (board.item(place), scene.parse::<SceneId>()) else { return Ok(None) };
    let key = keys::picture(&publish.item.id, &id);
    if blobs.head(&key).await?.is_none_or(|meta| meta.len > MOST_BYTES) {
        return Ok(None);
    }
    let png = read(blobs, &key).await?;
    Ok(png.map(|png| ScenePicture { which, scene: scene.to_owned(), f1, key, png }))
}

struct Wanted {
    which: &'static str,
    n: usize,
    /// Numbers of scenes, the most wanted first.
    among: Vec<usize>,
}

/// Of so many scenes, the worst first.
fn wanted(n: usize) -> [Wanted; 3] {
    let middle = n / 2;
    // From the middle outwards.
    let outwards = (0..n).flat_map(|far| [middle.checked_sub(far), Some(middle + far)]).flatten();
    [
        Wanted { which: "among the worst", n: 2, among: (0..n).take(TRIES).collect() },
        Wanted { which: "in the middle", n: 1, among: outwards.filter(|at| *at < n).take(TRIES).collect() },
        Wanted { which: "among the best", n: 2, among: (0..n).rev().take(TRIES).collect() },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_the_middle_and_the_best_are_looked_for_and_not_all_there_are() {
        let [worst, middle, best] = wanted(10_000).map(|wanted| wanted.among);
        assert_eq!((worst[..3].to_vec(), best[..3].to_vec()), (vec![0, 1, 2], vec![9999, 9998, 9997]));
        assert_eq!(middle[..5], [5000, 5000, 4999, 5001, 4998]);
        assert!([worst, middle, best].iter().all(|among| among.len() == TRIES));
    }

    #[test]
    fn of_few_scenes_none_is_looked_for_that_is_not_there() {
        for n in 0..4 {
            let wanted = wanted(n);
            assert!(wanted.iter().all(|wanted| wanted.among.iter().all(|at| *at < n)), "{n}");
            assert!(n == 0 || wanted.iter().all(|wanted| !wanted.among.is_empty()), "{n}");
        }
    }
}
