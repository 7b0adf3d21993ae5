//! What a run tells of itself in STAC, while it is made and when it is asked for again. Whether it is told in the right words
//! is looked at where others read our files.

use std::path::Path;

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

#[test]
fn a_catalogue_that_is_gone_is_made_again_to_the_last_byte() {
    let site = Site::new(Kind::Embedded);
    let name = run(&site, "item_px = 256");
    let keys = documents(&name);
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
