//! Where everything lies under the root. No other file spells a key.

use crate::{
    geometry::RectPx,
    ids::{Digest, ItemId, RunId, SceneId, WorkerId},
    item::{Item, Place, Stage, Weights},
};

pub fn run_record(run: &RunId) -> String {
    format!("runs/{run}/run.json")
}

pub fn pipeline(run: &RunId) -> String {
    format!("runs/{run}/pipeline.toml")
}

pub fn status(run: &RunId) -> String {
    format!("runs/{run}/status.json")
}

/// What is told of a run at its end: for people, in one file.
pub fn report(run: &RunId) -> String {
    format!("runs/{run}/report.html")
}

/// The same for programs.
pub fn report_json(run: &RunId) -> String {
    format!("runs/{run}/report.json")
}

/// What people ask of all runs.
pub const COMMANDS: &str = "commands/";

pub fn command(run: &RunId, name: &str) -> String {
    format!("{COMMANDS}{run}/{name}")
}

pub fn commands(run: &RunId) -> String {
    format!("{COMMANDS}{run}/")
}

/// How the fleet stands.
pub const FLEET: &str = "fleet.json";
/// What people ask of it.
pub const FLEET_COMMANDS: &str = "fleet/commands/";

pub fn fleet_command(name: &str) -> String {
    format!("{FLEET_COMMANDS}{name}")
}

/// What the name of a training's file begins with where the rest is a key.
pub const UNDER_THE_ROOT: &str = "root:";

/// What was ordered of machines that train together, by the gang's name.
pub fn gang(name: &WorkerId) -> String {
    format!("fleet/gangs/{name}/")
}

/// Its orders are numbered; the newest counts.
pub fn gang_order(name: &WorkerId, number: u32) -> String {
    format!("{}{number:06}.json", gang(name))
}

/// What one of them trains.
pub fn gang_file(name: &WorkerId, content: &Digest) -> String {
    format!("{}{content}.toml", gang(name))
}

pub const RUNS: &str = "runs/";

/// A list of inputs that is too long for a message.
pub fn inputs(run: &RunId, digest: &Digest) -> String {
    format!("runs/{run}/inputs/{digest}.json")
}

/// Which of its scenes an item of several has begun, while it is suspected of crashing its workers.
pub fn begun(run: &RunId, place: Place) -> String {
    format!("runs/{run}/begun/{place}.json")
}

/// The one object whose existence says that an item is done. Keys begin with two digits of the id,
/// so that listing and writing spread over prefixes.
pub fn output(stage: Stage, id: &ItemId) -> String {
    let hex = id.to_string();
    format!("items/{}/{stage}/{hex}", &hex[..2])
}

pub fn item_output(item: &Item) -> String {
    output(item.place.stage, &item.id)
}

/// The 256 prefixes under which outputs lie.
pub fn output_prefixes() -> impl Iterator<Item = String> {
    (0..=255_u8).map(|byte| format!("items/{byte:02x}/"))
}

/// Reads an output key back.
pub fn parse_output(key: &str) -> Option<(Stage, ItemId)> {
    let mut parts = key.strip_prefix("items/")?.split('/');
    let (_, stage, id) = (parts.next()?, parts.next()?, parts.next()?);
    Some((stage.parse().ok()?, id.parse().ok()?))
}

pub fn buried(run: &RunId, place: Place) -> String {
    format!("buried/{run}/{place}.json")
}

pub fn buried_of(run: &RunId) -> String {
    format!("buried/{run}/")
}

pub const MESSAGES: &str = "messages/";

/// A message that is too long for the queue.
pub fn message(name: &Digest) -> String {
    format!("{MESSAGES}{name}")
}

pub const JOINING: &str = "joining/";

/// What is put together on the way to an object of very many parts, and taken away when that is there.
pub fn joining(name: &str, number: usize) -> String {
    format!("{JOINING}{name}/{number}")
}

/// A message that no version of ours can read.
pub fn unreadable(digest: &Digest) -> String {
    format!("buried/unreadable/{digest}")
}

pub fn prediction(run: &RunId, scene: &SceneId) -> String {
    format!("predict/{run}/{scene}.tif")
}

/// What the report shows of a scene, of the item that has drawn it. Some scenes have one.
pub fn picture(item: &ItemId, scene: &SceneId) -> String {
    let hex = item.to_string();
    format!("pictures/{}/{hex}/{scene}.png", &hex[..2])
}

pub fn scores(run: &RunId, scene: &SceneId) -> String {
    format!("predict/{run}/{scene}.scores.tif")
}

/// How sure the classes of a scene are.
pub fn confidence(run: &RunId, scene: &SceneId) -> String {
    format!("predict/{run}/{scene}.confidence.tif")
}

/// Chips of one item: a tar, and the index of its bytes beside it.
pub fn shard(id: &ItemId) -> (String, String) {
    let stem = format!("chips/{}/shard-{id}", &id.to_string()[..2]);
    (format!("{stem}.tar"), format!("{stem}.idx"))
}

/// What a training leaves on its way.
pub fn training(id: &ItemId) -> String {
    format!("train/{id}/")
}

/// How far a training has come, while it goes on.
pub fn training_progress(id: &ItemId) -> String {
    format!("{}progress.json", training(id))
}

/// What each epoch of a training came to.
pub fn training_log(id: &ItemId) -> String {
    format!("{}log.csv", training(id))
}

/// Polygons of a scene, without the ending.
pub fn vectors(run: &RunId, scene: &SceneId) -> String {
    format!("vectors/{run}/{scene}")
}

/// Polygons of all scenes of a run, without the ending. No scene's own lie there.
pub fn merged(run: &RunId) -> String {
    format!("merged/{run}/polygons")
}

/// What a step leaves, without the file's name.
pub fn step_output(run: &RunId, step: &str, scene: Option<&SceneId>, rect: Option<RectPx>) -> String {
    let scene = scene.map(|scene| format!("{scene}/")).unwrap_or_default();
    let rect = rect.map(|rect| format!("{}-{}/", rect.col, rect.row)).unwrap_or_default();
    format!("steps/{run}/{step}/{scene}{rect}")
}

/// A file that a step's command names.
pub fn step_file(sha256: &Digest) -> String {
    format!("steps/files/{sha256}")
}

pub fn bundle(run: &RunId) -> String {
    format!("bundle/{run}/bundle.zip")
}

/// A STAC Collection of what a run has made. Its links are relative: it may be moved with the root.
pub fn stac_collection(run: &RunId) -> String {
    format!("stac/{run}/collection.json")
}

/// A scene's STAC Item. In a folder of its own, so that no scene's name meets the others there.
pub fn stac_item(run: &RunId, scene: &SceneId) -> String {
    format!("stac/{run}/items/{scene}.json")
}

/// The STAC Item of the run's bundle.
pub fn stac_model(run: &RunId) -> String {
    format!("stac/{run}/model.json")
}

pub fn eval(run: &RunId) -> String {
    format!("eval/{run}/eval.json")
}

/// What colour alone scores, beside the network's scores and in their words.
pub fn baseline(run: &RunId) -> String {
    format!("eval/{run}/baseline.json")
}

/// A model's file; weights that come from a seed have none.
pub fn model(weights: &Weights) -> Option<String> {
    match weights {
        Weights::Seed(_) | Weights::Trained => None,
        Weights::File { sha256, extension } => Some(format!("models/{sha256}.{extension}")),
    }
}

/// Between which numbers a network's values lie, by the content.
pub fn ranges(content: &Digest) -> String {
    format!("models/{content}.ranges.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_output_key_reads_back() {
        let id = ItemId::of(b"x");
        let key = output(Stage::Predict, &id);
        assert_eq!(parse_output(&key), Some((Stage::Predict, id)));
        assert!(key.starts_with(&format!("items/{}/", &id.to_string()[..2])));
        for bad in ["items/ab/predict", "items/ab/bake/00", "runs/x/run.json"] {
            assert_eq!(parse_output(bad), None, "{bad}");
        }
    }
}
