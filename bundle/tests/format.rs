//! What is written reads back, in this version and the next.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic as tests may")]

mod made;

use made::{PROGRAM, bundle, eval, model, weights, zip};
use swath_bundle::{Bundle, Model, fuzz, write};
use swath_proto::{ids::Digest, item::Architecture, source::Reclass};

const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/samples/bundle-v1.zip");

fn assert_is_whole(bundle: &Bundle) {
    assert_eq!((bundle.program(), bundle.model()), (PROGRAM, &model()));
    assert_eq!(bundle.eval(), Some(eval().as_slice()));
    assert_eq!(bundle.weights().unwrap().f32("head.weight").unwrap(), [0.5, -1.25, 3.0]);
    let file = bundle.weights_file().unwrap();
    assert_eq!(file, std::fs::read(&weights(&[0.5, -1.25, 3.0]).path).unwrap());
    assert_eq!(Digest::of(&file), bundle.weights_sha256());
}

#[test]
fn a_bundle_written_by_version_1_still_reads() {
    assert_is_whole(&Bundle::open(SAMPLE).unwrap());
    assert!(fuzz(&std::fs::read(SAMPLE).unwrap()));
}

#[test]
fn what_is_written_now_is_what_version_1_wrote() {
    assert!(bundle() == std::fs::read(SAMPLE).unwrap());
}

#[test]
fn members_may_come_in_any_order() {
    let mut members = made::members();
    members.reverse();
    assert_is_whole(&Bundle::from_bytes("bundle.zip", zip(&members)).unwrap());
}

#[test]
fn scores_may_be_missing() {
    let (mut model, weights) = (model(), weights(&[1.0]));
    model.metrics = None;
    let bytes = write(Vec::new(), PROGRAM, &model, &weights.path, None).unwrap();
    let bundle = Bundle::from_bytes("bundle.zip", bytes).unwrap();
    assert_eq!((bundle.model(), bundle.eval()), (&model, None));
}

#[test]
fn nothing_is_written_that_would_not_be_read() {
    let good = weights(&[1.0]);
    let error = |change: &dyn Fn(&mut Model)| {
        let mut model = model();
        change(&mut model);
        write(Vec::new(), PROGRAM, &model, &good.path, None).unwrap_err().to_string()
    };
    type Case = (&'static dyn Fn(&mut Model), &'static str);
    let cases: [Case; 14] = [
        (&|m| m.architecture = Architecture::Torchscript, "has no bundle"),
        (&|m| m.bands = 0, "bands = 0: must be 1 to 4096"),
        (&|m| m.classes.clear(), "0 classes: must be 1 to 255"),
        (&|m| m.classes[1].name = "ground".into(), "class 'ground' is there twice"),
        (&|m| m.classes[1].name = String::new(), "class '': must have 1 to 200 bytes"),
        (&|m| m.null_class = 2, "null_class = 2: must be one of 2 classes"),
        (&|m| m.window.core_px = 0, "core_px = 0: must be 1 to 8192"),
        (&|m| m.seen_px = Some(0), "seen_px = 0: must be 1 to 8192"),
        (&|m| m.window.margin_px = 257, "margin_px = 257: must not be larger than core_px (256)"),
        (&|m| m.batch = 257, "batch = 257: must be 1 to 256"),
        (
            &|m| m.pixels.bands = vec![0],
            "pixels.bands: there must be one for each of 3 bands, and there are 1",
        ),
        (
            &|m| m.pixels.reclass = vec![Reclass { from: 0.0, to: 0.0, into: 0.0 }; 50_000],
            "more than the 1048576 that are read",
        ),
        (&|m| m.metrics.as_mut().unwrap().classes.truncate(1), "metrics of 1 classes, but there are 2"),
        (&|m| m.metrics.as_mut().unwrap().average.iou = Some(1.5), "a metric of 1.5: must be 0 to 1"),
    ];
    for (change, words) in cases {
        let error = error(change);
        assert!(error.starts_with("bundle.zip: 'bundle.json': ") && error.contains(words), "{error}");
    }
    let error = |weights: &std::path::Path, eval| {
        write(Vec::new(), PROGRAM, &model(), weights, eval).unwrap_err().to_string()
    };
    let nan = weights(&[1.0, f32::NAN]);
    let (folder, text) = (good.path.parent().unwrap(), nan.path.with_extension("txt"));
    std::fs::write(&text, "no weights").unwrap();
    for (error, words) in [
        (error(&nan.path, None), "best.safetensors: 'head.weight': element 1 is NaN"),
        (error(&text, None), "best.txt: this is not a safetensors file"),
        (error(folder, None), "this is no file"),
        (error(&folder.join("none"), None), "it can't be opened"),
        (error(&good.path, Some(b"{\"overall\":")), "'eval.json': EOF while parsing"),
    ] {
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn a_full_disk_is_an_error() {
    struct Full(usize);
    impl std::io::Write for Full {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 = self.0.checked_sub(bytes.len()).ok_or(std::io::ErrorKind::StorageFull)?;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let (weights, len) = (weights(&[1.0]), bundle().len());
    for room in (0..len - 100).step_by(97) {
        let error = write(Full(room), PROGRAM, &model(), &weights.path, Some(&eval())).err().unwrap();
        assert!(error.to_string().contains("it can't be written: no storage space"), "{error}");
    }
}
