//! Far more scenes than messages.

use std::time::{Duration, Instant};

use super::{all_done, n_maps, wait_for};
use crate::{
    shape::python,
    site::{Kind, Process, Site, TINY, scene},
};

/// The most memory that a process has had.
fn peak_mib(process: &Process) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).expect("a process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("its memory");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") / 1024
}

#[test]
#[ignore = "minutes long: eleven thousand scenes, by hand"]
fn eleven_thousand_scenes_go_through_a_few_hundred_messages() {
    const MANY: u64 = 11_481;
    let site = Site::new(Kind::Embedded);
    let tiles = site.path("tiles");
    std::fs::create_dir(&tiles).expect("a folder");
    let one = site.path("one.tif");
    let script = "import sys\nfrom osgeo import gdal\ngdal.Translate(sys.argv[2], sys.argv[1], srcWin=[300, 300, 64, 64])\n";
    python(script, &[scene().join("scene-1.tif").to_str().expect("UTF-8"), one.to_str().expect("UTF-8")]);
    for number in 0..MANY {
        std::fs::copy(&one, tiles.join(format!("tile-{number:05}.tif"))).expect("copying a tile");
    }
    let text = format!(
        r##"
name = "many"
scenes = [{{ images = "{}/*.tif" }}]
{TINY}
[predict]
core_px = 64
block_px = 64
margin_px = 8
batch = 1
"##,
        tiles.display()
    );
    let file = site.path("many.toml");
    std::fs::write(&file, text).expect("writing the pipeline");
    let started = Instant::now();
    let run = site.swath(&["submit", file.to_str().expect("UTF-8")], 0).stdout;
    let run = String::from_utf8_lossy(&run).trim().to_owned();
    eprintln!("submitted in {:.1} s", started.elapsed().as_secs_f64());
    let (started, coordinator) = (Instant::now(), site.start(&["coordinator"]));
    let _worker = site.start(&["worker"]);
    let done = |stage: &str| {
        let status = site.status(&run)?;
        let count = *status.stages.get(stage)?;
        (count.done == count.items && count.items > 0).then_some(count.items)
    };
    wait_for("the survey", || done("survey").is_some());
    eprintln!("{} surveys in {:.1} s", done("survey").unwrap_or(0), started.elapsed().as_secs_f64());
    let status = site.wait(&run, Duration::from_secs(3600));
    all_done(&status);
    let count = |stage: &str| status.stages[stage].items;
    eprintln!(
        "{} to survey, {} to predict, {} to assemble: {:.1} s, the coordinator at {} MiB at most",
        count("survey"),
        count("predict"),
        count("assemble"),
        started.elapsed().as_secs_f64(),
        peak_mib(&coordinator)
    );
    assert!(count("survey") + count("predict") <= 500 && count("assemble") == 0);
    assert_eq!(n_maps(&site, &run) as u64, MANY);
}
