//! All that an experiment leaves, name by name: under its root, and exported as Raster Vision has it.

use std::{collections::BTreeMap, path::Path};

use futures::TryStreamExt as _;
use swath_backends::{blobs::Listed, open::open_blobs};
use swath_proto::scene::SceneHeader;

use super::{files, header, look_alike, place, told, trial, unpacked};
use crate::{
    heals::block_on,
    same_bytes::run_name,
    site::{Kind, Site},
};

/// What people look for.
const FOR_PEOPLE: [&str; 7] = ["predict/", "eval/", "bundle/", "vectors/", "merged/", "steps/RUN/", "stac/"];

/// What every trial leaves, and how often it is there.
const COMMON: [(&str, usize); 25] = [
    ("bundle/RUN/bundle.zip", 1),
    ("eval/RUN/eval.json", 1),
    ("items/ID/bundle/ID", 1),
    ("items/ID/chip/ID", 1),
    ("items/ID/eval/ID", 1),
    ("items/ID/predict/ID", 1),
    ("items/ID/probe/ID", 1),
    ("items/ID/survey/ID", 1),
    ("items/ID/train/ID", 1),
    ("models/ID.safetensors", 1),
    ("runs/RUN/pipeline.toml", 1),
    ("runs/RUN/report.html", 1),
    ("runs/RUN/report.json", 1),
    ("runs/RUN/run.json", 1),
    ("runs/RUN/status.json", 1),
    ("stac/RUN/collection.json", 1),
    ("stac/RUN/model.json", 1),
    ("train/ID/debug/events.out.tfevents.swath.000000", 1),
    ("train/ID/debug/events.out.tfevents.swath.000001", 1),
    ("train/ID/debug/first-batch.png", 1),
    ("train/ID/debug/validation.png", 1),
    ("train/ID/events.out.tfevents.swath", 1),
    ("train/ID/log.csv", 1),
    ("chips/ID/shard-ID.idx", 2),
    ("chips/ID/shard-ID.tar", 2),
];

/// What else there is, and what there is more of.
fn more(name: &str) -> Vec<(&'static str, usize)> {
    match name {
        "potsdam" => vec![("runs/RUN/inputs/ID.json", 1)],
        "building-detection" => vec![
            ("items/ID/merge/ID", 1),
            ("items/ID/vectorize/ID", 1),
            ("merged/RUN/polygons.geojson", 1),
            ("runs/RUN/inputs/ID.json", 2),
            ("vectors/RUN/BG32_5K_0807_VAL.geojson", 1),
        ],
        _ => vec![
            ("chips/ID/shard-ID.idx", 6),
            ("chips/ID/shard-ID.tar", 6),
            ("items/ID/step/ID", 1),
            ("runs/RUN/inputs/ID.json", 2),
            ("steps/RUN/submission/score.json", 1),
            ("steps/RUN/submission/submission.tgz", 1),
            ("steps/files/ID", 1),
        ],
    }
}

/// Scenes of a trial that are predicted: the image of each, and the edge of its map.
fn scenes(name: &str) -> Vec<(&'static str, &'static str, u32)> {
    match name {
        "potsdam" => vec![("2_12", "4_Ortho_RGBIR/top_potsdam_2_12_RGBIR.tif", 600)],
        "building-detection" => vec![("BG32_5K_0807_VAL", "images/BG32_5K_0807_VAL.tif", 600)],
        _ => vec![
            ("001b2c", "test/001b2c/001b2c.tif", 1024),
            ("025543", "test/025543/025543.tif", 1024),
            ("048f5a", "test/048f5a/048f5a.tif", 1024),
            ("06c971", "test/06c971/06c971.tif", 1024),
            ("090388", "test/090388/090388.tif", 1024),
            ("353093", "train_tier_1/dar/353093/353093.tif", 1400),
            ("a42435", "train_tier_1/acc/a42435/a42435.tif", 1400),
            ("f15272", "train_tier_1/mon/f15272/f15272.tif", 1400),
        ],
    }
}

/// The words of [`tree`].
fn expected(name: &str) -> BTreeMap<String, usize> {
    let listed = COMMON.into_iter().chain(more(name));
    let mut expected: BTreeMap<String, usize> = listed.map(|(key, n)| (key.to_owned(), n)).collect();
    for (scene, ..) in scenes(name) {
        expected.insert(format!("predict/RUN/{scene}.tif"), 1);
        expected.insert(format!("stac/RUN/items/{scene}.json"), 1);
    }
    expected
}

/// All that lies under a root, and how often: RUN is the run's name, ID what is named by its content, or the beginning
/// of that. Not what the embedded twins keep for themselves.
fn tree(site: &Site, run: &str) -> BTreeMap<String, usize> {
    let listed: Vec<Listed> = block_on(async {
        let blobs = open_blobs(&site.root).await.expect("opening the root");
        blobs.list("").try_collect().await.expect("listing")
    });
    let mut tree = BTreeMap::new();
    for Listed { key, len } in listed {
        // Which scenes have pictures is a matter of how many share an item, too.
        if ["local/", "pictures/"].iter().any(|prefix| key.starts_with(prefix)) {
            continue;
        }
        assert!(len > 0, "{key} is empty");
        let key = key.replace(run, "RUN");
        let named: String = key.split_inclusive(['/', '-', '.']).map(nameless).collect();
        let times = tree.entry(named.clone()).or_default();
        // How much is in an item is a matter of how fast this machine is.
        *times = if named.starts_with("items/") { 1 } else { *times + 1 };
    }
    tree
}

fn nameless(piece: &str) -> String {
    let word = piece.trim_end_matches(['/', '-', '.']);
    let is_digest = matches!(word.len(), 2 | 32 | 64) && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_digest { format!("ID{}", &piece[word.len()..]) } else { piece.to_owned() }
}

/// On servers images lie under the root, too, and workers may have been killed: so it is held to what people look for.
pub(super) fn assert_for_people(name: &str, site: &Site, run: &str) {
    let of = |mut tree: BTreeMap<String, usize>| {
        tree.retain(|key, _| FOR_PEOPLE.iter().any(|prefix| key.starts_with(prefix)));
        tree
    };
    assert_eq!(of(tree(site, run)), of(expected(name)), "{name}");
}

/// As large as is asked for, of one band of bytes, and on the pixels of its image.
fn assert_on(map: &SceneHeader, image: &SceneHeader, edge: u32) {
    assert_eq!((map.bands, map.data_type.as_str()), (1, "Byte"), "{}", map.id);
    assert_eq!((map.size.width, map.size.height), (edge, edge), "{}", map.id);
    let crs = |header: &SceneHeader| header.georeference.as_ref().expect("a place").crs_wkt.clone();
    assert_eq!(crs(map), crs(image), "{}", map.id);
    let ([x, across, a, y, b, down], whole) = (place(map), place(image));
    assert_eq!([across, a, b, down], [whole[1], whole[2], whole[4], whole[5]], "{}", map.id);
    for (at, edge_px) in
        [((x - whole[0]) / across, image.size.width), ((y - whole[3]) / down, image.size.height)]
    {
        let is_on_a_pixel = (at - at.round()).abs() < 1e-3;
        assert!(
            is_on_a_pixel && at.round() >= 0.0 && at.round() as u32 + edge <= edge_px,
            "{}: {at}",
            map.id
        );
    }
}

fn leaves_its_tree(name: &str) {
    let site = Site::new(Kind::Embedded);
    let data = look_alike(&site, name);
    let words = trial(name, &data);
    let words = ["run", "--allow-steps"].into_iter().chain(words.iter().map(String::as_str));
    let run = run_name(&site.swath(&words.collect::<Vec<_>>(), 0).stdout);
    assert_eq!(tree(&site, &run), expected(name), "{name}");
    for (scene, image, edge) in scenes(name) {
        let map = Path::new(&site.root).join(format!("predict/{run}/{scene}.tif"));
        assert_on(&header(&map), &header(&Path::new(&data).join(image)), edge);
    }
    if name == "open-cities" {
        let mut maps = unpacked(&site, &run);
        maps.sort();
        let names: Vec<String> =
            maps.iter().filter_map(|map| map.file_stem()?.to_str().map(str::to_owned)).collect();
        assert_eq!(names, ["001b2c", "025543", "048f5a", "06c971", "090388"]);
        for map in maps {
            let chip = map.file_name().and_then(|name| name.to_str()).expect("a name");
            assert!(
                std::fs::read(&map).expect("a map") == site.object(&format!("predict/{run}/{chip}")),
                "{chip}"
            );
        }
    }

    let folder = site.path("theirs");
    let exported =
        site.swath(&["export", &run, folder.to_str().expect("UTF-8"), "--like", "raster-vision"], 0);
    assert!(told(&exported.stderr).contains("Raster Vision does not read it"), "{}", told(&exported.stderr));
    let mut names: Vec<String> = files(&folder)
        .iter()
        .filter_map(|file| file.strip_prefix(&folder).ok()?.to_str().map(str::to_owned))
        .collect();
    names.sort();
    let mut wanted: Vec<String> =
        ["bundle/bundle.zip", "eval/validation_scenes/eval.json", "train/log.csv"].map(String::from).into();
    wanted.extend(scenes(name).iter().map(|(scene, ..)| format!("predict/{scene}/labels.tif")));
    if name == "building-detection" {
        wanted.push("predict/BG32_5K_0807_VAL/vector_output/class-0-building.json".into());
    }
    wanted.sort();
    assert_eq!(names, wanted, "{name}");
    let same = |file: &str, key: String| {
        assert!(std::fs::read(folder.join(file)).expect("a file") == site.object(&key), "{file}");
    };
    same("bundle/bundle.zip", format!("bundle/{run}/bundle.zip"));
    same("eval/validation_scenes/eval.json", format!("eval/{run}/eval.json"));
    for (scene, ..) in scenes(name) {
        same(&format!("predict/{scene}/labels.tif"), format!("predict/{run}/{scene}.tif"));
    }
}

#[test]
fn potsdam_leaves_what_is_listed_and_nothing_else() {
    leaves_its_tree("potsdam");
}

#[test]
fn building_detection_leaves_what_is_listed_and_nothing_else() {
    leaves_its_tree("building-detection");
}

#[test]
fn open_cities_leaves_what_is_listed_and_nothing_else() {
    leaves_its_tree("open-cities");
}
