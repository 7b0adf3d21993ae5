//! A store that answers with errors: 500, 503 SlowDown, a reset before and after the work was done, half a body.

use swath_tests::proxy::{Answer, drawn};

use super::Exposed;

/// One request in six, of thousands: more than one in a hundred fails three times in a row, which is when the
/// client gives up and leaves it to us.
#[test]
fn a_store_that_fails_every_sixth_request_changes_nothing() {
    let exposed = Exposed::start();
    exposed.wait_for_more(1);
    exposed.roads.store.answer(drawn(20_261_128, 100_000, 6));
    exposed.ends_well("a store that fails now and then");
    let n = exposed.roads.store.n_struck();
    assert!(n > 100, "only {n} requests have failed");
}

/// All requests for a while, of one kind each.
#[test]
#[ignore = "minutes long: make test-faults"]
fn a_store_that_fails_every_request_for_a_while_is_waited_for() {
    for answer in [Answer::InternalError, Answer::SlowDown, Answer::Reset, Answer::Lost, Answer::Truncated] {
        let exposed = Exposed::start();
        exposed.wait_for_more(20);
        exposed.roads.store.answer(vec![answer; 60]);
        exposed.is_at_work("the store fails");
        exposed.ends_well(&format!("a store that answers {answer:?}"));
        assert_eq!(exposed.roads.store.n_struck(), 60, "{answer:?}: the budget was not used up");
    }
}

/// GDAL reads the scene and the labels over the same road, by a client of its own.
#[test]
#[ignore = "minutes long: make test-faults"]
fn imagery_in_a_store_that_fails_every_sixth_request_is_read_as_it_is() {
    let site = crate::site::Site::new(crate::site::Kind::Servers);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let put = |name: &str| {
        let body = std::fs::read(crate::site::scene().join(name)).expect("a drawn file");
        let blobs = runtime.block_on(swath_backends::open::open_blobs(&site.root)).expect("the bucket");
        runtime.block_on(blobs.put(&format!("in/{name}"), body.into())).expect("uploading");
        blobs.uri(&format!("in/{name}"))
    };
    let image = format!("scenes.0.image={}", put("scene-1.tif"));
    let labels = format!("scenes.0.labels={}", put("scene-1.geojson"));
    let exposed = Exposed::submit(site, &["--set", &image, "--set", &labels]);
    exposed.add(&["coordinator", "--lease", super::LEASE]);
    (0..2).for_each(|_| exposed.add(&["worker", "--lease", super::LEASE, "--grace", "1"]));
    exposed.wait_for_more(1);
    exposed.roads.store.answer(drawn(20_261_129, 1_000_000, 6));
    exposed.ends_well("imagery in a store that fails now and then");
    let n = exposed.roads.store.n_struck();
    assert!(n > 100, "only {n} requests have failed");
}
