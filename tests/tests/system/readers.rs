//! What a run leaves, read by the programs that others read it with: webdataset, GeoPandas, safetensors, rio-cogeo.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    learns,
    shape::{ZSTD, predicted},
};

/// The samples in the repository have chips of every kind; those of a run have three bands of 8 bits.
const SHARDS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../shard/samples");

#[test]
fn shards_polygons_bundle_and_scores_are_read_by_what_others_read_them_with() {
    let made = learns::here();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, bytes).expect("writing");
    };
    made.chips.iter().for_each(|(name, bytes)| write(&format!("shards/{name}"), bytes));
    for name in ["shard-v1.tar", "shard-v1.idx"] {
        write(&format!("shards/{name}"), &fs::read(Path::new(SHARDS).join(name)).expect("a sample"));
    }
    write("vectors/polygons.geojson", &made.polygons);
    write("vectors/polygons.parquet", &made.parquet);
    write("bundle.zip", &made.bundle);
    write("eval.json", &made.eval);
    let output = Command::new(python())
        .args(["-c", include_str!("readers.py"), "shards", "vectors", "bundle.zip", "eval.json"])
        .current_dir(folder.path())
        .output()
        .expect("the readers are missing: run `make setup`");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains(" polygons, 4 tensors"), "{said}");
}

#[test]
fn a_catalogue_says_what_is_true_in_the_words_of_every_schema_that_it_names() {
    let made = learns::here();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let root = folder.path().canonicalize().expect("a path");
    for (key, bytes) in &made.catalogue {
        let path = root.join(key);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, bytes).expect("writing");
    }
    let mut collections = made.catalogue.keys().filter(|key| key.ends_with("/collection.json"));
    let output = Command::new(python())
        .args(["-c", include_str!("catalogue.py")])
        .args([&root, &root.join(collections.next().expect("a collection"))])
        .arg(swath_tests::cache().join("readers-2/stac-schemas"))
        .output()
        .expect("the readers are missing: run `make setup`");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8_lossy(&output.stdout);
    // Of the scene, of the bundle, and of the run.
    assert!(said.starts_with("3 documents, 1 scenes, 1 models, 8 assets, "), "{said}");
}

const VALIDATE: &str = "
import sys
from rio_cogeo.cogeo import cog_info, cog_validate
for path in sys.argv[1:]:
    valid, errors, warnings = cog_validate(path, strict=True, quiet=True)
    print(valid, cog_info(path).Compression, *errors, *warnings)
";

#[test]
fn rio_cogeo_finds_nothing_to_complain_of() {
    for (predict, name) in [("", "DEFLATE"), (ZSTD, "ZSTD")] {
        let (site, run) = predicted(&format!("item_px = 256\n{predict}"));
        let files = ["", ".scores"].map(|what| format!("{}/predict/{run}/scene-1{what}.tif", site.root));
        let output = Command::new(python()).args(["-c", VALIDATE]).args(&files).output();
        let output = output.expect("the readers are missing: run `make setup`");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(said, format!("True {name}\n").repeat(2));
    }
}

fn python() -> PathBuf {
    swath_tests::cache().join("readers-2/bin/python")
}
