//! All that a run has made.

use serde_json::{Map, Value, json};
use swath_proto::{ids::SceneId, keys, run::RunRecord};

use crate::{
    VERSION,
    asset::{File, polygons},
    extensions::FILE,
    link::{GEOJSON, JSON, link},
    place,
};

/// Of the folder of the collection: `stac/<run>/`.
const DEPTH: usize = 2;

/// An Item that the collection links.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub scene: SceneId,
    pub bbox: Option<place::Box4>,
}

/// `entries`: in the order of the run's scenes. `eval`: the run's scores, where it has any. `merged`: polygons of all scenes.
pub fn collection(
    record: &RunRecord,
    entries: &[Entry],
    has_model: bool,
    eval: Option<&File>,
    merged: &[File],
) -> Value {
    let mut links = vec![link("root", "./collection.json", JSON)];
    links.extend(has_model.then(|| link("item", "./model.json", GEOJSON)));
    links.extend(entries.iter().map(|entry| link("item", &format!("./items/{}.json", entry.scene), GEOJSON)));
    let mut assets = Map::new();
    if let Some(eval) = eval {
        assets.insert("eval".into(), eval.asset(DEPTH, "Scores of the run", JSON, "metadata").into());
    }
    assets.extend(polygons(merged, DEPTH, "Polygons of all scenes together"));
    let record_file = File { key: keys::run_record(&record.run), bytes: None, sha256: None };
    assets.insert(
        "run".into(),
        record_file.asset(DEPTH, "What was frozen when the run began", JSON, "metadata").into(),
    );
    let bbox = place::around(entries.iter().filter_map(|entry| entry.bbox));
    json!({
        "type": "Collection",
        "stac_version": VERSION,
        "stac_extensions": [FILE],
        "id": record.run,
        "title": record.run,
        "description": format!("What the run {} has made: a map of classes of each of its scenes.", record.run),
        // Whose the images are is not known here.
        "license": "other",
        "extent": {
            "spatial": {"bbox": [bbox]},
            "temporal": {"interval": [[record.created, record.created]]},
        },
        "links": links,
        "assets": assets,
    })
}
