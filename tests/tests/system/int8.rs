//! A network in 8 bits: measured, pinned, packed, and used again from the bundle.

use swath_proto::{ids::RunId, item::Precision, keys, run::RunRecord};

use crate::{
    learns::pipeline,
    same_bytes::run_name,
    site::{Kind, Site, scene},
};

#[test]
fn what_was_measured_in_8_bits_is_predicted_in_8_bits_and_again_from_the_bundle() {
    let site = Site::new(Kind::Embedded);
    let output =
        site.swath(&["run", &pipeline(&site), "--set", "predict.precision=int8", "--workers", "1"], 0);
    let run: RunId = run_name(&output.stdout).parse().expect("a name");
    let record = RunRecord::from_json(&site.object(&keys::run_record(&run))).expect("a record");
    let int8 = record.predict.int8.expect("it was tried");
    assert!(int8.chips > 0 && int8.is_accepted(), "{int8:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("computed    in 8 bits"), "{output:?}");
    let class = record.predict.class.expect("a class");
    assert_eq!((class.precision.as_str(), class.model.precision), ("int8", Precision::Int8(int8.ranges)));
    assert!(class.engine.starts_with("OpenVINO"), "{}", class.engine);

    let bundle = site.path("bundle.zip");
    std::fs::write(&bundle, site.object(&keys::bundle(&run))).expect("writing the bundle");
    let (image, out) = (scene().join("scene-2.tif"), site.path("out.tif"));
    let paths = [&bundle, &image, &out].map(|path| path.to_str().expect("UTF-8").to_owned());
    site.swath(&["predict", &paths[0], &paths[1], &paths[2], "--scores", "--workers", "1"], 0);
    let scene = "unseen".parse().expect("an id");
    let wanted = site.object(&keys::prediction(&run, &scene));
    assert!(std::fs::read(&out).expect("a map") == wanted, "the bundle computes otherwise");
    // Classes may be alike in 32 bits; scores are not.
    let wanted = site.object(&keys::scores(&run, &scene));
    let found = std::fs::read(out.with_extension("scores.tif")).expect("scores");
    assert!(found == wanted, "the bundle computes otherwise");

    // The same by a pipeline whose weights it is, which is asked for 8 bits.
    let file = pipeline(&site);
    let of_data =
        std::fs::read_to_string(&file).expect("the pipeline").replace("[data]\nscale = \"stats\"\n", "");
    std::fs::write(&file, of_data).expect("writing the pipeline");
    let keys = ["model.weights=bundle.zip", "predict.precision=int8"].map(|key| ["--set", key]).concat();
    let stages = ["--stages", "survey,predict,assemble", "--workers", "1"];
    let output = site.swath(&[&["run", &file], &keys[..], &stages[..]].concat(), 0);
    let run: RunId = run_name(&output.stdout).parse().expect("a name");
    assert!(site.object(&keys::scores(&run, &scene)) == found, "the pipeline computes otherwise");
}
