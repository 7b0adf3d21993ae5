//! Chips that do not fit, can't be read, or hold no numbers: each is named.

use swath_backends::blobs::folder::Folder;
use swath_model::Gang;
use swath_proto::geometry::SizePx;
use swath_shard::{Chip, Image, SampleType, Shape};
use swath_train::{Kind, train};
use tokio_util::sync::CancellationToken;

use crate::{Bench, TINY, error, squares};

#[test]
fn chips_that_do_not_fit_are_named_before_any_is_fetched() {
    let bench = Bench::new();
    let small = "architecture = \"unet-resnet18\"\naugment = { rot90 = false }";
    for (spec, edge, wanted) in [
        (small, 40, "squares/x0_y0_40x40: 40 x 40 px: this network takes edges that are multiples of 32"),
        ("architecture = \"tiny\"\nbands = 4", 32, "3 bands where the network takes 4"),
        ("architecture = \"tiny\"\nignore_class = 7", 32, "ignore_class = 7"),
    ] {
        let (kind, text) = error(&bench.job(squares::spec(spec), (4, 0, edge)));
        assert_eq!(kind, Kind::Config);
        assert!(text.contains(wanted), "{text}");
    }
    let folder = Folder::open(bench.folder.path()).unwrap();
    let mut job = bench.job(squares::spec(TINY), (4, 0, 32));
    let mut bad = squares::chip(9, 32);
    bad.labels[5] = 2;
    job.train.push(squares::shard(&folder, &bench.runtime, "bad.tar", &[bad]));
    let (_, text) = error(&job);
    assert!(
        text.contains("bad.tar: chip squares/x288_y0_32x32: has label 2, and there are 2 classes"),
        "{text}"
    );
    job.train = vec![squares::shard(
        &folder,
        &bench.runtime,
        "large.tar",
        &[squares::chip(9, 32), squares::chip(9, 64)],
    )];
    assert!(error(&job).1.contains("64 x 64 px beside 32 x 32"));
    job.train = Vec::new();
    assert!(error(&job).1.contains("there is no chip"));
    let mut ignored = squares::chip(9, 32);
    ignored.labels.fill(255);
    job.train = vec![squares::shard(&folder, &bench.runtime, "ignored.tar", &[ignored])];
    assert!(error(&job).1.contains("there is no chip with a pixel that is not ignored"));
}

#[test]
fn a_chip_that_can_not_be_read_is_named() {
    let bench = Bench::new();
    let job = bench.job(squares::spec(TINY), (4, 0, 32));
    let tar = bench.folder.path().join("shard-1.tar");
    let mut bytes = std::fs::read(&tar).unwrap();
    bytes[600] ^= 0xff;
    std::fs::write(&tar, bytes).unwrap();
    let (kind, text) = error(&job);
    assert_eq!(kind, Kind::Data);
    assert!(text.contains("shard-1.tar: chip squares/x64_y0_32x32: the image can't be read"), "{text}");
}

#[test]
fn a_loss_that_is_no_number_ends_the_training_with_its_place() {
    let bench = Bench::new();
    let spec = squares::spec(
        "architecture = \"tiny\"\nepochs = 40\nbatch = 4\nlr = 10\nschedule = \"constant\"\nnormalize = { mean = [0, 0, 0], std = [1e-38, 1e-38, 1e-38] }",
    );
    let (kind, text) = error(&bench.job(spec, (4, 0, 32)));
    assert_eq!(kind, Kind::Data);
    assert!(
        text.starts_with("epoch 1, step 1: the loss is") && text.contains("lower the learning rate"),
        "{text}"
    );
    // No pixel is at fault by itself: of all four, three are named.
    assert_eq!(text.matches("its loss alone is no number").count(), 3, "{text}");
    assert!(text.ends_with("; and 1 more of the batch; there is no checkpoint yet"), "{text}");
}

/// A chip of floats with a pixel that is none.
pub(crate) fn not_a_number(number: u64, edge: u32, band: usize) -> Chip {
    let chip = squares::chip(number, edge);
    let mut values: Vec<f32> = chip.image.bytes().iter().map(|&byte| f32::from(byte) / 255.0).collect();
    values[3 * 40 + band] = f32::NAN;
    let bytes = values.into_iter().flat_map(f32::to_le_bytes).collect();
    let shape = Shape::new(SizePx::new(edge, edge), 3, SampleType::Float32);
    Chip { image: Image::new(shape, bytes).unwrap(), ..chip }
}

#[test]
fn a_chip_of_pixels_that_are_no_numbers_is_named_and_the_last_checkpoint_stays() {
    let bench = Bench::new();
    let folder = Folder::open(bench.folder.path()).unwrap();
    let chips = [squares::chip(20, 32), not_a_number(21, 32, 1)];
    let broken = squares::shard(&folder, &bench.runtime, "broken.tar", &chips);
    let fault = "broken.tar: chip squares/x672_y0_32x32: 1 of the 1024 pixels of band 2 are no numbers (NaN)";
    let spec = squares::spec(&TINY.replace("batch = 4", "batch = 1\ncheckpoint = { steps = 1 }"));
    let mut job = bench.job(spec.clone(), (8, 2, 32));
    job.train.push(broken.clone());
    let mut steps = 0;
    let outcome = train(&job, Gang::alone(), &mut |_| steps += 1, &CancellationToken::new());
    let error = outcome.unwrap_err();
    assert_eq!(error.kind, Kind::Data);
    assert!(steps > 0, "another seed: it is the very first chip");
    let last = bench.checkpoints().pop().unwrap();
    assert_eq!(last, format!("checkpoints/000000-{steps:09}.safetensors"));
    let wanted = format!(
        "epoch 1, step {}: the loss is NaN: lower the learning rate, or look for pixels that are no numbers; {fault}; \
         the last checkpoint, training/{last}, stays as it is",
        steps + 1
    );
    assert_eq!(error.to_string(), wanted);
    // Among those to validate on.
    let bench = Bench::new();
    let mut job = bench.job(spec, (8, 2, 32));
    job.validation.push(squares::shard(
        &Folder::open(bench.folder.path()).unwrap(),
        &bench.runtime,
        "broken.tar",
        &chips,
    ));
    let (_, text) = crate::error(&job);
    assert!(text.starts_with("validation after epoch 1: the loss is NaN"), "{text}");
    assert!(text.ends_with(fault), "{text}");
}
