//! `swath synth`: labelled scenes to try things on.

use std::{io, path::Path};

use swath_raster::synth::{
    self,
    like::{self, Like},
};

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
    if let Some(like) = args.like {
        return look_alike(like, args);
    }
    let names: Vec<String> = (1..=args.count).map(|number| format!("scene-{number}")).collect();
    let files = names.iter().flat_map(|name| ["tif", "geojson"].map(|ending| format!("{name}.{ending}")));
    make_way(&args.folder, &files.collect::<Vec<_>>(), args.force).map_err(Usage)?;
    for (number, name) in (0..).zip(&names) {
        let seed = args.seed.wrapping_add(number);
        let spec = synth::SceneSpec::new(args.size, seed).striped(args.striped);
        let bar = Bar::new(name, u64::from(args.size), "rows");
        let written = synth::write_scene(&args.folder, name, &spec, &mut |done, _| bar.at(u64::from(done)))?;
        bar.finish();
        say!("{}", written.image.display());
        say!("{}", written.labels.display());
    }
    Ok(Exit::Done)
}

fn look_alike(like: Like, args: &SynthArgs) -> anyhow::Result<Exit> {
    let tiles = like.tiles(args.seed);
    let files: Vec<String> = tiles.iter().map(|tile| tile.path.clone()).collect();
    make_way(&args.folder, &files, args.force).map_err(Usage)?;
    let bar = Bar::new(like.name(), tiles.len() as u64, "images");
    let written = like::write(&args.folder, like, args.seed, &mut |done, _| bar.at(done as u64))?;
    bar.finish();
    for file in written {
        say!("{}", file.display());
    }
    Ok(Exit::Done)
}

/// Sees that the folder can be written to, and that nothing in it is lost.
fn make_way(folder: &Path, files: &[String], force: bool) -> Result<(), String> {
    let failed = |error: io::Error| format!("{}: can't be written to: {error}", folder.display());
    std::fs::create_dir_all(folder).map_err(failed)?;
    let there: Vec<&String> = files.iter().filter(|file| folder.join(file).exists()).collect();
    if let (Some(first), false) = (there.first(), force) {
        let others = match there.len() as u64 - 1 {
            0 => String::new(),
            n => format!(" and {n} more"),
        };
        let first = folder.join(first);
        return Err(format!("{}{others}: there already; --force draws over them", first.display()));
    }
    tempfile::tempfile_in(folder).map(drop).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_drawn_over_unless_that_is_asked_for() {
        let outer = tempfile::tempdir().unwrap();
        let folder = outer.path().join("a/b");
        let names = ["scene-1.tif", "scene-2.tif", "scene-2.geojson"].map(str::to_owned);
        make_way(&folder, &names, false).unwrap();
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
        for file in ["scene-2.tif", "scene-2.geojson", "scene-3.tif"] {
            std::fs::write(folder.join(file), "mine").unwrap();
        }
        let why = make_way(&folder, &names, false).unwrap_err();
        assert!(why.contains("scene-2.tif and 1 more: there already; --force"), "{why}");
        make_way(&folder, &names, true).unwrap();
        make_way(&folder, &names[..1], false).unwrap();
        let why = make_way(Path::new("/proc/nowhere"), &names, false).unwrap_err();
        assert!(why.contains("/proc/nowhere: can't be written to"), "{why}");
    }
}
