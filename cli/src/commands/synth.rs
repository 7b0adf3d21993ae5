//! `swath synth`: labelled scenes to try things on.

use anyhow::Context as _;
use swath_raster::synth;

use crate::{
    args::SynthArgs,
    exit::{Exit, Usage},
    progress::Bar,
};

pub(super) fn run(args: &SynthArgs) -> anyhow::Result<Exit> {
    if !(64..=200_000).contains(&args.size) {
        return Err(Usage(format!("--size {}: must be 64 to 200000 pixels", args.size)).into());
    }
    // Enough for one row of tiles of the widest scene.
    swath_raster::configure(&swath_raster::Settings { cache_mib: 192 });
    std::fs::create_dir_all(&args.folder).with_context(|| format!("making {}", args.folder.display()))?;
    for number in 1..=args.count {
        let name = format!("scene-{number}");
        let spec = synth::SceneSpec::new(args.size, args.seed + u64::from(number) - 1).striped(args.striped);
        let bar = Bar::new(&name, u64::from(args.size), "rows");
        let written = synth::write_scene(&args.folder, &name, &spec, &mut |done, _| bar.at(u64::from(done)))?;
        bar.finish();
        println!("{}", written.image.display());
        println!("{}", written.labels.display());
    }
    Ok(Exit::Done)
}
