//! What is lost on the way: workers, images, a ledger, a map.

use std::path::Path;

use swath_backends::open::Doors;
use swath_proto::{
    ids::RunId,
    item::{Place, Stage},
    keys,
    status::RunState,
};
use swath_tests::faults::{self, Fault};

use super::{
    ONE, PATIENCE, SCENES, SLOW, TINY, all_done, assembled, assert_same, block_on, cut, files, n_maps, name,
    pipeline, reference, tear, wait_for,
};
use crate::{
    failures::submit,
    same_bytes::run_name,
    site::{Kind, Site},
};

#[test]
fn a_worker_that_is_killed_between_two_scenes_loses_no_more_than_one() {
    let site = Site::new(Kind::Embedded);
    let tiles = cut(&site);
    let wanted = assembled(SLOW);
    let run = submit(&site, &pipeline(&site, &tiles, ONE, SLOW));
    let _coordinator = site.start(&["coordinator"]);
    let worker = || site.start(&["worker", "--lease", "2"]);
    let mut killed = worker();
    // The eighth is behind it. Whoever predicted that again would fail.
    let ninth = Path::new(&site.root).join(format!("predict/{run}/tile-08.tif"));
    wait_for("the ninth map", || ninth.exists());
    tear(&tiles);
    killed.kill();
    assert!(n_maps(&site, &run) < SCENES, "the worker was too fast to be killed");
    let _worker = worker();
    let status = site.wait(&run, PATIENCE);
    all_done(&status);
    assert_eq!(status.stages["predict"].items, 1);
    assert_same(&files(&site, &run), &wanted, "a worker was killed");
}

#[test]
fn a_torn_scene_fails_alone_and_is_made_when_it_is_mended_and_replayed() {
    let site = Site::new(Kind::Embedded);
    let tiles = cut(&site);
    let whole = tear(&tiles);
    let file = pipeline(&site, &tiles, ONE, TINY);
    let run = run_name(&site.swath(&["run", &file], 3).stdout);
    let status = site.status(&run).expect("a status");
    assert_eq!(status.state, RunState::DoneWithFailures);
    let [failed] = status.failures.as_slice() else { panic!("{:?}", status.failures) };
    assert_eq!(failed.place, Place::new(Stage::Assemble, 0, 7));
    assert_eq!(failed.failure.scene.as_ref().map(|scene| scene.as_str()), Some("tile-07"));
    for stage in ["predict", "eval", "vectorize"] {
        assert_eq!((status.stages[stage].items, status.stages[stage].done), (1, 1), "{stage}");
    }
    assert_eq!(status.pixels - status.pixels_done, 200 * 200);
    let listed = String::from_utf8_lossy(&site.swath(&["items", &run], 0).stdout).into_owned();
    assert!(listed.contains("assemble.0.7") && listed.contains("tile-07"), "{listed}");
    for number in (0..SCENES).filter(|number| *number != 7) {
        let map = |run: &str| format!("predict/{run}/{}.tif", name(number));
        assert!(site.object(&map(&run)) == reference()[&map("RUN")], "{}", name(number));
    }
    let scores: serde_json::Value =
        serde_json::from_slice(&site.object(&format!("eval/{run}/eval.json"))).expect("scores");
    assert_eq!(scores["per_scene"].as_object().map(|scenes| scenes.len()), Some(SCENES - 1));
    std::fs::write(format!("{tiles}/inner.tif"), &whole).expect("mending it");
    site.swath(&["items", &run, "replay", "assemble.0.7"], 0);
    site.swath(&["run", &file], 0);
    all_done(&site.status(&run).expect("a status"));
    assert_same(&files(&site, &run), reference(), "replayed");
}

#[test]
fn a_ledger_that_is_lost_is_filled_again_with_what_has_failed_among_others() {
    let site = Site::new(Kind::Embedded);
    let tiles = cut(&site);
    tear(&tiles);
    let file = pipeline(&site, &tiles, ONE, TINY);
    let run = run_name(&site.swath(&["run", &file], 3).stdout);
    let id: RunId = run.parse().expect("a run's name");
    block_on(async {
        let Doors { ledger, blobs, .. } = site.doors().await;
        ledger.forget(&id).await.expect("forgetting");
        blobs.delete(&keys::status(&id)).await.expect("deleting");
    });
    // While nobody is there who could fail once more.
    let mut coordinator = site.start(&["coordinator"]);
    wait_for("the failure", || site.status(&run).is_some_and(|status| status.n_failures == 1));
    coordinator.terminate();
    site.swath(&["run", &file], 3);
    let status = site.status(&run).expect("a status");
    assert_eq!((status.state, status.n_failures), (RunState::DoneWithFailures, 1), "{status:?}");
    let stages =
        ["predict", "eval", "vectorize"].map(|stage| (status.stages[stage].items, status.stages[stage].done));
    assert_eq!(stages, [(1, 1); 3]);
}

#[test]
fn a_map_that_vanishes_before_it_is_evaluated_is_made_again() {
    let site = Site::new(Kind::Embedded);
    let tiles = cut(&site);
    let file = pipeline(&site, &tiles, ONE, TINY);
    let run = run_name(&site.swath(&["run", &file], 0).stdout);
    let made = files(&site, &run);
    let id: RunId = run.parse().expect("a run's name");
    // As if the coordinator had ended right before the evaluation.
    block_on(async {
        use futures::TryStreamExt as _;
        let Doors { ledger, blobs, .. } = site.doors().await;
        let outputs: Vec<_> = blobs.list("items/").try_collect().await.expect("listing");
        for output in outputs {
            if keys::parse_output(&output.key).is_some_and(|(stage, _)| stage == Stage::Eval) {
                blobs.delete(&output.key).await.expect("deleting");
            }
        }
        for key in [keys::status(&id), keys::eval(&id), format!("predict/{run}/tile-11.tif")] {
            blobs.delete(&key).await.expect("deleting");
        }
        let group = Place::new(Stage::Eval, 0, SCENES as u32);
        assert!(ledger.snapshot(&id).await.expect("a snapshot").done.contains_key(&(Stage::Eval, 0)));
        ledger.reset(&id, &[group]).await.expect("resetting");
    });
    let _processes = [site.start(&["coordinator"]), site.start(&["worker"])];
    all_done(&site.wait(&run, PATIENCE));
    assert_same(&files(&site, &run), &made, "a map had vanished");
}

#[test]
fn a_scene_that_crashes_its_worker_is_found_and_left_out() {
    let site = Site::new(Kind::Embedded);
    let tiles = cut(&site);
    let run = submit(&site, &pipeline(&site, &tiles, ONE, TINY));
    let _coordinator = site.start(&["coordinator"]);
    let _worker = site.start_with(&["worker"], faults::environment(Fault::Crash, "tile-05.tif"));
    let status = site.wait(&run, PATIENCE);
    assert_eq!(status.state, RunState::DoneWithFailures);
    let [failed] = status.failures.as_slice() else { panic!("{:?}", status.failures) };
    assert_eq!(failed.place, Place::new(Stage::Assemble, 0, 5));
    assert!(failed.failure.message.contains("its worker was ended"), "{}", failed.failure.message);
    assert_eq!(n_maps(&site, &run), SCENES - 1);
    // Once while nobody looked, and once more to be found.
    assert_eq!(site.log().matches("ended by SIGSEGV; starting it again").count(), 2, "{}", site.log());
    let begun = keys::begun(&run.parse().expect("a run's name"), Place::new(Stage::Predict, 0, 0));
    assert!(!Path::new(&site.root).join(begun).exists());
}
