//! JSON of queue, ledger and root.

use std::fmt::Debug;

use serde::{Serialize, de::DeserializeOwned};
use swath_bundle::Summary;
use swath_geo::{
    confusion::Confusion,
    evaluation::Evaluation,
    stats::{Analyzed, PartialStats},
};
use swath_proto::{
    envelope::{self, BadEnvelope},
    finished::Finished,
    item::AssembleInputs,
    learn::{Chipped, TrainInputs, Trained},
    numeric::Probed,
    outcome::{Buried, Failure, Report},
    reference,
    run::RunRecord,
    scene::Surveyed,
    score::{SceneScore, SceneScores},
    status::RunStatus,
};

use crate::{Target, sample};

pub(crate) const ENVELOPE: Target = Target {
    name: "envelope",
    run: envelope,
    samples: || {
        let written =
            ["envelope-v1-analyze", "envelope-v2-eval", "envelope-v3", "envelope-v3-merge", "reference-v1"];
        written.map(|name| sample(&format!("proto/samples/{name}.json"))).to_vec()
    },
    tokens: WORDS,
};
pub(crate) const RUN: Target = Target { name: "run", run: run_record, samples: runs, tokens: WORDS };
pub(crate) const DOCUMENTS: Target =
    Target { name: "documents", run: documents, samples: small_documents, tokens: WORDS };

const WORDS: &[&[u8]] = &[
    b"null",
    b"true",
    b"[]",
    b"{}",
    b"1e308",
    b"-0.0",
    b"18446744073709551615",
    b"4294967295",
    b"-1",
    b"1e-400",
    b"\\u0000",
    b"\\ud800",
    b"probe",
    b"survey",
    b"analyze",
    b"chip",
    b"train",
    b"predict",
    b"assemble",
    b"eval",
    b"vectorize",
    b"merge",
    b"bundle",
    b"noop",
    b"version",
];

fn read_back<T: Serialize + DeserializeOwned + PartialEq + Debug>(bytes: &[u8]) -> Option<T> {
    let read: T = serde_json::from_slice(bytes).ok()?;
    let written = serde_json::to_vec(&read).unwrap_or_else(|error| panic!("{read:?}: {error}"));
    let again = serde_json::from_slice(&written).ok();
    assert_eq!(again.as_ref(), Some(&read), "{}", String::from_utf8_lossy(&written));
    Some(read)
}

fn envelope(bytes: &[u8]) {
    match reference::decode(bytes) {
        Some(Ok(read)) => {
            let written = reference::encode(read.name, read.sha256).unwrap_or_default();
            assert!(reference::decode(&written).is_some_and(|again| again.is_ok_and(|again| again == read)));
        }
        Some(Err(error)) => drop(error.to_string()),
        None => {}
    }
    let item = match envelope::decode(bytes) {
        Ok(item) => item,
        // No fuzzer finds the hash, so it is told.
        Err(BadEnvelope::Forged { said, is, .. }) => {
            let text = String::from_utf8_lossy(bytes).replace(&said, &is);
            let Ok(item) = envelope::decode(text.as_bytes()) else { return };
            item
        }
        Err(error) => return drop(error.to_string()),
    };
    if let Ok(written) = envelope::encode(&item) {
        assert_eq!(envelope::decode(&written).ok().as_ref(), Some(&item));
    }
    let _ = (item.work.scene(), item.work.rect());
}

fn runs() -> Vec<Vec<u8>> {
    crate::files(&crate::repository().join("fuzz/samples/run"))
}

fn run_record(bytes: &[u8]) {
    let Ok(record) = RunRecord::from_json(bytes) else { return };
    assert_eq!(RunRecord::from_json(&record.to_json()).ok().as_ref(), Some(&record));
    // Whoever plans a run divides by it.
    assert!(record.learn.as_ref().is_none_or(|learn| learn.windows_per_shard > 0));
    let lots = record.lots();
    assert!(record.learn_lots() <= lots);
    for lot in [0, 1, lots.saturating_sub(1), lots, u32::MAX] {
        assert!(lot < lots || record.lot(lot).is_empty());
        let _ = (record.learn_scene(lot, 0), record.learn_scene(lot, u32::MAX));
    }
    let _ = (record.class_list(), record.has_weights(), record.has_scaling());
}

fn small_documents() -> Vec<Vec<u8>> {
    crate::files(&crate::repository().join("fuzz/samples/documents"))
}

/// More bands of counts, of half a megabyte each, show nothing new.
const MAX_LEN: usize = 1 << 14;

/// Every document is read as each of them: they are small.
fn documents(bytes: &[u8]) {
    if bytes.len() > MAX_LEN {
        return;
    }
    read_back::<RunStatus>(bytes);
    read_back::<Failure>(bytes);
    read_back::<Report>(bytes);
    read_back::<Buried>(bytes);
    read_back::<Surveyed>(bytes);
    read_back::<Probed>(bytes);
    read_back::<Chipped>(bytes);
    read_back::<Trained>(bytes);
    read_back::<TrainInputs>(bytes);
    read_back::<AssembleInputs>(bytes);
    read_back::<Finished>(bytes);
    read_back::<SceneScores>(bytes);
    if let Some(Analyzed::V1 { statistics }) = read_back(bytes) {
        measured(&statistics);
    }
    if let Some(confusion) = read_back(bytes) {
        evaluated(&confusion);
    }
    if let Some(SceneScore::V1 { classes, counts, ignored, .. }) = read_back(bytes)
        && let Ok(confusion) = Confusion::from_counts(classes.len() as u32, counts, ignored)
    {
        evaluated(&confusion);
    }
    let _ = Summary::of_eval(bytes);
}

fn measured(statistics: &PartialStats) {
    let _ = statistics.statistics();
    let mut twice = statistics.clone();
    if twice.merge(statistics).is_ok() {
        let _ = twice.statistics();
    }
}

fn evaluated(confusion: &Confusion) {
    let classes: Vec<String> = (0..confusion.n_classes()).map(|class| class.to_string()).collect();
    let scenes = ["a", "b"].map(|scene| (scene.to_owned(), confusion.clone()));
    let Ok(evaluation) = Evaluation::new(&classes, scenes) else { return };
    let json = serde_json::to_vec(&evaluation).unwrap_or_else(|error| panic!("{error}"));
    let summary = Summary::of_eval(&json).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(summary.map(|summary| summary.classes.len()), Some(classes.len()));
}
