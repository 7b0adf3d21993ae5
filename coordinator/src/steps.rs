//! The user's own steps among a run's items: which there are, what each waits for, what it is given.
//!
//! Of `n` steps, step `k` has the places `k`, `k + n`, `k + 2n`, ... of a lot, one for each scene or each
//! rectangle. Steps for the run have a lot of their own, behind all others.

use std::collections::BTreeMap;

use swath_proto::{
    geometry::RectPx,
    ids::Digest,
    item::{Item, Place, Stage, Step, Work},
    keys,
    pipeline::StepFor,
    run::RunRecord,
    scene::SceneFiles,
    source::LabelSpec,
    steps::{Given, GivenFiles, MadeFile, StepInput, StepInputs, StepPlan},
};

use crate::plan::{self, Lot, PlannedScene};

pub type Lots = BTreeMap<u32, Lot>;

/// What must have happened before a step is run.
pub enum Need {
    Done(Place),
    /// So far as it can be.
    All(Stage),
    /// The same of a step, by its number.
    AllOfStep(u32),
    Weights,
    Evaluation,
}

/// A step and what it is run for.
struct Found<'a> {
    plan: &'a StepPlan,
    lot: u32,
    scene: Option<&'a PlannedScene>,
    rect: Option<RectPx>,
    /// Counts the scene, or the rectangle, in its lot.
    nth: u32,
}

/// The lot of the steps that are for the run.
pub fn lot_of_run(record: &RunRecord) -> u32 {
    record.lots()
}

pub fn places_of_run(record: &RunRecord) -> Vec<Place> {
    let of_run = (0..).zip(&record.steps).filter(|(_, plan)| plan.each == StepFor::Run);
    of_run.map(|(number, _)| Place::new(Stage::Step, lot_of_run(record), number)).collect()
}

pub fn places_of_lot(record: &RunRecord, lot: &Lot) -> Vec<Place> {
    let n_steps = record.steps.len() as u32;
    let mut places = Vec::new();
    for (number, plan) in (0..).zip(&record.steps) {
        let mut add = |nth: u32| places.push(Place::new(Stage::Step, lot.lot, number + n_steps * nth));
        match plan.each {
            StepFor::Run => {}
            StepFor::Scene => lot.scenes.iter().for_each(|scene| add(scene.ordinal)),
            StepFor::Item => (0..lot.n_rects(record)).for_each(add),
        }
    }
    places
}

/// The places of a scene.
pub fn places_of_scene(record: &RunRecord, lot: &Lot, ordinal: u32) -> Vec<Place> {
    let Some(scene) = lot.scene(ordinal) else { return Vec::new() };
    let n_steps = record.steps.len() as u32;
    let of_step = |(number, plan): (u32, &StepPlan)| {
        let nths = match plan.each {
            StepFor::Run => 0..0,
            StepFor::Scene => ordinal..ordinal + 1,
            StepFor::Item => scene.first_rect..scene.first_rect + scene.grid.len(),
        };
        nths.map(move |nth| Place::new(Stage::Step, lot.lot, number + n_steps * nth))
    };
    (0..).zip(&record.steps).flat_map(of_step).collect()
}

/// What may have waited for this one, of the same scene or rectangle.
pub fn places_behind(record: &RunRecord, place: Place) -> Vec<Place> {
    let Some(number) = number(record, place) else { return Vec::new() };
    let each = record.steps.get(number as usize).map(|plan| plan.each);
    let later = (0..).zip(&record.steps).skip(number as usize + 1);
    let behind = later.filter(|(_, plan)| Some(plan.each) == each && takes(plan, number));
    behind.map(|(other, _)| Place::new(Stage::Step, place.lot, place.index - number + other)).collect()
}

fn takes(plan: &StepPlan, number: u32) -> bool {
    plan.inputs.iter().any(|input| matches!(input, StepInput::Output { step, .. } if *step == number))
}

/// Steps for scenes or rectangles whose outputs a step for the run gathers, by number.
pub fn gathered(record: &RunRecord) -> Vec<u32> {
    let is_gathered =
        |number: u32| record.steps.iter().any(|plan| plan.each == StepFor::Run && takes(plan, number));
    let steps = (0..).zip(&record.steps).filter(|(_, plan)| plan.each != StepFor::Run);
    steps.map(|(number, _)| number).filter(|number| is_gathered(*number)).collect()
}

/// All places of a step, in order; from a place on, where one is given.
pub fn places_of_step<'a>(
    record: &'a RunRecord,
    lots: &'a Lots,
    number: u32,
    from: Option<Place>,
) -> impl Iterator<Item = Place> + 'a {
    let n_steps = record.steps.len() as u32;
    let each = record.steps.get(number as usize).map(|plan| plan.each);
    let first = from.map_or(0, |place| place.lot);
    lots.range(first..).flat_map(move |(_, lot)| {
        let after = from.filter(|place| place.lot == lot.lot).map_or(0, |place| place.index / n_steps);
        let of_scenes = lot.scenes.iter().map(|scene| scene.ordinal).filter(move |nth| *nth >= after);
        let nths: Box<dyn Iterator<Item = u32>> = match each {
            Some(StepFor::Scene) => Box::new(of_scenes),
            Some(StepFor::Item) => Box::new(after..lot.n_rects(record)),
            Some(StepFor::Run) | None => Box::new(std::iter::empty()),
        };
        nths.map(move |nth| Place::new(Stage::Step, lot.lot, number + n_steps * nth))
    })
}

/// The step that a place belongs to, by its number.
pub fn number(record: &RunRecord, place: Place) -> Option<u32> {
    let n_steps = record.steps.len() as u32;
    (n_steps > 0).then(|| place.index % n_steps)
}

fn find<'a>(record: &'a RunRecord, lots: &'a Lots, place: Place) -> Option<Found<'a>> {
    let number = number(record, place)?;
    let plan = record.steps.get(number as usize)?;
    let nth = place.index / record.steps.len() as u32;
    let found = Found { plan, lot: place.lot, scene: None, rect: None, nth };
    match plan.each {
        StepFor::Run => (place.lot == lot_of_run(record) && nth == 0).then_some(found),
        StepFor::Scene => Some(Found { scene: Some(lots.get(&place.lot)?.scene(nth)?), ..found }),
        StepFor::Item => {
            let scene = lots.get(&place.lot)?.scene_of_rect(nth)?;
            Some(Found { scene: Some(scene), rect: Some(scene.grid.rect(nth - scene.first_rect)?), ..found })
        }
    }
}

impl Found<'_> {
    /// Another step for the same scene, rectangle or run; an earlier one for the run has one place only.
    fn place_of(&self, record: &RunRecord, other: u32) -> Place {
        let n_steps = record.steps.len() as u32;
        match record.steps.get(other as usize).map(|plan| plan.each) {
            Some(StepFor::Run) => Place::new(Stage::Step, lot_of_run(record), other),
            _ => Place::new(Stage::Step, self.lot, other + n_steps * self.nth),
        }
    }
}

/// None where there is no such place.
pub fn needs(record: &RunRecord, lots: &Lots, place: Place) -> Option<Vec<Need>> {
    let found = find(record, lots, place)?;
    let of_scene = |stage| match found.scene {
        Some(scene) => Need::Done(Place::new(stage, found.lot, scene.ordinal)),
        None => Need::All(stage),
    };
    let need = |input: &StepInput| match input {
        // Their files are there; a step for the run waits until it is known which scenes there are.
        StepInput::Image | StepInput::Labels | StepInput::Aoi => {
            found.scene.is_none().then_some(Need::All(Stage::Survey))
        }
        StepInput::Prediction | StepInput::Scores | StepInput::Confidence => Some(of_scene(Stage::Assemble)),
        StepInput::Vectors => Some(of_scene(Stage::Vectorize)),
        StepInput::Eval => Some(Need::Evaluation),
        StepInput::Bundle => Some(Need::Done(Place::new(Stage::Bundle, 0, 0))),
        StepInput::Checkpoint => Some(Need::Weights),
        StepInput::Chips => Some(Need::All(Stage::Chip)),
        StepInput::Output { step, .. } => {
            let is_wider = record.steps.get(*step as usize).is_some_and(|plan| plan.each == StepFor::Run);
            match found.scene {
                None if !is_wider => Some(Need::AllOfStep(*step)),
                _ => Some(Need::Done(found.place_of(record, *step))),
            }
        }
    };
    Some(found.plan.inputs.iter().filter_map(need).collect())
}

/// The item of a step, and the document that it names as its inputs.
pub fn item(
    record: &RunRecord,
    lots: &Lots,
    place: Place,
    is_made: impl Fn(Place) -> bool,
) -> Option<(Item, Vec<u8>)> {
    let found = find(record, lots, place)?;
    let given = |input: &StepInput| Given {
        name: word(record, input),
        what: files(record, lots, &found, input, &is_made),
    };
    let inputs = StepInputs {
        command: found.plan.command.clone(),
        given: found.plan.inputs.iter().map(given).collect(),
    };
    let inputs = serde_json::to_vec(&inputs).ok()?;
    let scene = found.scene.map(|scene| &scene.header.id);
    let work = Work::Step(Step {
        name: found.plan.name.clone(),
        scene: scene.cloned(),
        rect: found.rect,
        inputs: Digest::of(&inputs),
        output: keys::step_output(&record.run, &found.plan.name, scene, found.rect),
    });
    let item = Item::new(record.run.clone(), place, record.max_failures, work).with_access(&record.access);
    Some((item, inputs))
}

/// As the pipeline file names it.
fn word(record: &RunRecord, input: &StepInput) -> String {
    match input {
        StepInput::Image => "image".into(),
        StepInput::Labels => "labels".into(),
        StepInput::Aoi => "aoi".into(),
        StepInput::Prediction => "prediction".into(),
        StepInput::Scores => "scores".into(),
        StepInput::Confidence => "confidence".into(),
        StepInput::Vectors => "vectors".into(),
        StepInput::Eval => "eval".into(),
        StepInput::Bundle => "bundle".into(),
        StepInput::Checkpoint => "checkpoint".into(),
        StepInput::Chips => "chips".into(),
        StepInput::Output { step, name } => {
            let step = record.steps.get(*step as usize).map_or("", |plan| plan.name.as_str());
            format!("{step}/{name}")
        }
    }
}

fn files(
    record: &RunRecord,
    lots: &Lots,
    found: &Found,
    input: &StepInput,
    is_made: &impl Fn(Place) -> bool,
) -> GivenFiles {
    let scenes = || match found.scene {
        Some(scene) => lots.get(&found.lot).into_iter().map(|lot| (lot, scene)).collect::<Vec<_>>(),
        None => lots.values().flat_map(|lot| lot.scenes.iter().map(move |scene| (lot, scene))).collect(),
    };
    let outside = |files: &dyn Fn(&SceneFiles) -> Vec<_>| {
        GivenFiles::Outside(scenes().into_iter().flat_map(|(_, scene)| files(&scene.files)).collect())
    };
    // One file for a scene's step; for the run's those of all scenes that have come so far.
    let made = |files: Vec<MadeFile>| match (found.scene, files.as_slice()) {
        (Some(_), [one]) => GivenFiles::One(one.clone()),
        _ => GivenFiles::Folder(files.into_iter().filter(|file| file.producer.is_none_or(is_made)).collect()),
    };
    let one =
        |key: String, name: &str, producer| GivenFiles::One(MadeFile { key, name: name.into(), producer });
    let run = &record.run;
    let of_scenes = |stage, key: &dyn Fn(&PlannedScene) -> (String, String)| {
        let file = |(lot, scene): (&Lot, &PlannedScene)| {
            let (key, ending) = key(scene);
            let name = format!("{}.{ending}", scene.header.id);
            MadeFile { key, name, producer: Some(lot.maker(stage, scene)) }
        };
        // An item of several scenes may have been done without some of them.
        let has_come = |(lot, scene): &(&Lot, &PlannedScene)| {
            found.scene.is_some() || is_made(Place::new(stage, lot.lot, scene.ordinal))
        };
        made(scenes().into_iter().filter(has_come).map(file).collect())
    };
    match input {
        StepInput::Image => outside(&|files| files.source.files.clone()),
        StepInput::Labels => outside(&|files| files.labels.iter().map(LabelSpec::file).cloned().collect()),
        StepInput::Aoi => outside(&|files| files.aoi.iter().flat_map(|aoi| aoi.files.clone()).collect()),
        StepInput::Prediction => {
            of_scenes(Stage::Assemble, &|scene| (keys::prediction(run, &scene.header.id), "tif".into()))
        }
        StepInput::Scores => {
            of_scenes(Stage::Assemble, &|scene| (keys::scores(run, &scene.header.id), "scores.tif".into()))
        }
        StepInput::Confidence => of_scenes(Stage::Assemble, &|scene| {
            (keys::confidence(run, &scene.header.id), "confidence.tif".into())
        }),
        StepInput::Vectors => of_scenes(Stage::Vectorize, &|scene| {
            let format = record.vectors.as_ref().and_then(|plan| plan.formats.first());
            let ending = format.map_or("geojson", |format| format.extension());
            (format!("{}.{ending}", keys::vectors(run, &scene.header.id)), ending.to_owned())
        }),
        StepInput::Eval => one(keys::eval(run), "eval.json", None),
        StepInput::Bundle => one(keys::bundle(run), "bundle.zip", Some(Place::new(Stage::Bundle, 0, 0))),
        StepInput::Checkpoint => {
            one(keys::model(&record.predict.model.weights).unwrap_or_default(), "weights.safetensors", None)
        }
        StepInput::Chips => GivenFiles::Chips(plan::chips(record, lots.values(), is_made)),
        StepInput::Output { step, name } => {
            let Some(plan) = record.steps.get(*step as usize) else { return GivenFiles::Folder(Vec::new()) };
            if plan.each == StepFor::Run || found.scene.is_some() {
                let place = found.place_of(record, *step);
                let of = find(record, lots, place);
                let (scene, rect) =
                    of.map_or((None, None), |of| (of.scene.map(|scene| &scene.header.id), of.rect));
                return one(keys::step_output(run, &plan.name, scene, rect) + name, name, Some(place));
            }
            let of_step = places_of_step(record, lots, *step, None);
            let file = |place: Place| {
                let of = find(record, lots, place)?;
                let prefix =
                    keys::step_output(run, &plan.name, of.scene.map(|scene| &scene.header.id), of.rect);
                let below = prefix.strip_prefix(&keys::step_output(run, &plan.name, None, None))?.to_owned();
                Some(MadeFile { key: prefix + name, name: below + name, producer: Some(place) })
            };
            made(of_step.filter_map(file).collect())
        }
    }
}
