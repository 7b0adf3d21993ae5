//! What a run tells of itself in STAC, while it is made and when it is asked for again. Whether it is told in the right words
//! is looked at where others read our files.

use std::path::{Path, PathBuf};

use serde_json::Value;
use swath_proto::keys;

use crate::{
    same_bytes::run_name,
    site::{Kind, Site, pipeline},
};

/// Runs it and returns the run's name.
fn run(site: &Site, predict: &str) -> String {
    let file = pipeline(site, predict, "");
    run_name(&site.swath(&["run", file.to_str().expect("UTF-8"), "--workers", "2"], 0).stdout)
}

fn documents(run: &str) -> [String; 2] {
    let id = run.parse().expect("a run's name");
    [keys::stac_item(&id, &"scene-1".parse().expect("a name")), keys::stac_collection(&id)]
}

/// Each of so many scenes has an Item, and what it names as data is this run's and there.
pub fn assert_names_its_own(site: &Site, run: &str, scenes: usize) {
    let items: Vec<_> = std::fs::read_dir(items_folder(site, run)).expect("items").flatten().collect();
    assert_eq!(items.len(), scenes);
    for item in items {
        let json: Value =
            serde_json::from_slice(&std::fs::read(item.path()).expect("an item")).expect("JSON");
        for (name, asset) in json["assets"].as_object().expect("assets") {
            let href = asset["href"].as_str().expect("a place");
            let file = std::fs::metadata(items_folder(site, run).join(href)).expect(href);
            assert!(href.contains(&format!("/{run}/")), "{name}: {href}");
            // Of the evaluation, which may change later, it is not told.
            let size = asset.get("file:size").map_or(file.len(), |size| size.as_u64().expect("a number"));
            assert_eq!(size, file.len(), "{name}: {href}");
        }
    }
}

fn items_folder(site: &Site, run: &str) -> PathBuf {
    Path::new(&site.root).join(format!("stac/{run}/items"))
}

#[test]
fn what_tells_of_a_run_is_made_again_to_the_last_byte_where_it_is_gone() {
    let site = Site::new(Kind::Embedded);
    let name = run(&site, "item_px = 256");
    let [item, collection] = documents(&name);
    let keys = [item, collection, keys::eval(&name.parse().expect("a run's name"))];
    let before = keys.each_ref().map(|key| site.object(key));
    for key in &keys {
        std::fs::remove_file(Path::new(&site.root).join(key)).expect("deleting");
    }
    assert_eq!(run(&site, "item_px = 256"), name);
    assert!(keys.each_ref().map(|key| site.object(key)) == before, "it is told otherwise");
}

#[test]
fn a_map_has_a_checksum_where_somebody_has_seen_its_bytes() {
    let asset = |predict: &str| {
        let site = Site::new(Kind::Embedded);
        let name = run(&site, predict);
        let [item, _] = documents(&name);
        let item: Value = serde_json::from_slice(&site.object(&item)).expect("JSON");
        assert_eq!(item["geometry"]["type"], "Polygon", "the drawn scenes lie somewhere");
        let map = site.object(&format!("predict/{name}/scene-1.tif"));
        assert_eq!(item["assets"]["classes"]["file:size"], map.len());
        let sha256 = swath_proto::ids::Digest::of(&map);
        (item["assets"]["classes"].get("file:checksum").cloned(), format!("1220{sha256}"))
    };
    let (assembled, _) = asset("item_px = 256");
    assert_eq!(assembled, None);
    let (whole, wanted) = asset("item_px = 2048");
    assert_eq!(whole, Some(wanted.into()));
}
