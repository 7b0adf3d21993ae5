//! A lot of scenes, laid out once it is surveyed: which items it has, and where each stands.

use std::ops::Range;

use swath_geo::{
    chips::{BadChips, RandomWindows, SlidingWindows},
    grid::ItemGrid,
};
use swath_proto::{
    item::{Place, Stage},
    learn::{ChipSet, ChipWindows, LearnPlan},
    run::RunRecord,
    scene::{SceneFiles, SceneHeader, SurveyedScene},
};

use super::share::Sharing;

/// Edge of an item where none is chosen yet.
pub(super) const ITEM_PX: u32 = 2048;

/// One lot of scenes after its survey: scenes to learn from, or scenes to predict.
pub struct Lot {
    pub lot: u32,
    /// Scenes whose pixels are measured before any is scaled.
    pub measured: Vec<MeasuredScene>,
    pub scenes: Vec<PlannedScene>,
    pub learnt: Vec<LearntScene>,
    pub unreadable: Vec<(String, String)>,
    /// As the survey listed them.
    n_listed: u32,
    /// Small scenes that share their items, by where they stand in `scenes`.
    groups: Vec<Range<usize>>,
}

/// A scene to measure, and the places of its analyze items.
pub struct MeasuredScene {
    pub header: SceneHeader,
    pub grid: ItemGrid,
    /// Index of its first analyze item in the lot.
    pub first: u32,
}

/// Edge of what an analyze item measures: a few seconds of work.
const ANALYZE_PX: u32 = 8192;

/// A scene to learn from, and the places of its chip items.
pub struct LearntScene {
    pub header: SceneHeader,
    pub files: SceneFiles,
    pub set: ChipSet,
    pub n_windows: u64,
    /// Index of its first chip item in the lot, and how many there are.
    pub first: u32,
    pub n_items: u32,
}

/// A scene and the places of its items.
pub struct PlannedScene {
    pub header: SceneHeader,
    pub files: SceneFiles,
    pub grid: ItemGrid,
    /// Index of its first predict item in the lot; the only one, and that of others too, in a group.
    pub first: u32,
    /// Index of the first of its rectangles, counted over the lot.
    pub first_rect: u32,
    /// Its index among the lot's scenes, as the survey listed them.
    pub ordinal: u32,
    /// Number of the group of small scenes that it shares its items with. Nothing of it is assembled.
    pub group: Option<u32>,
}

/// Small scenes of a lot that share their items: one item a stage.
#[derive(Clone, Copy)]
pub struct Group<'a> {
    pub predict: Place,
    pub eval: Place,
    pub vectorize: Place,
    pub scenes: &'a [PlannedScene],
}

impl PlannedScene {
    /// Its pixels in one of its predict items; none where the item is another scene's.
    pub fn pixels_of(&self, predict: Place) -> u64 {
        let index = predict.index.checked_sub(self.first);
        index.and_then(|index| self.grid.rect(index)).map_or(0, |rect| rect.pixels())
    }

    pub fn predict_places(&self, lot: u32) -> impl Iterator<Item = Place> + use<> {
        (self.first..self.first + self.grid.len()).map(move |index| Place::new(Stage::Predict, lot, index))
    }
}

impl Lot {
    /// Lays out a surveyed lot. Unreadable scenes are left out and listed.
    pub fn new(record: &RunRecord, lot: u32, surveyed: Vec<SurveyedScene>) -> Self {
        match &record.learn {
            Some(learn) if lot < record.learn_lots() => Self::to_learn(record, learn, lot, surveyed),
            _ => Self::to_predict(record, lot, surveyed),
        }
    }

    /// Statistics are those of the scenes that are trained on; of all scenes where nothing is trained.
    fn measure<'a>(record: &RunRecord, headers: impl Iterator<Item = &'a SceneHeader>) -> Vec<MeasuredScene> {
        let wanted = headers.filter(|header| record.has(Stage::Analyze) && record.needs_statistics(header));
        let mut first = 0;
        let measured = wanted.filter_map(|header| {
            let grid = ItemGrid::new(header.size, ANALYZE_PX).ok()?;
            let scene = MeasuredScene { header: header.clone(), grid, first };
            first += scene.grid.len();
            Some(scene)
        });
        measured.collect()
    }

    fn to_learn(record: &RunRecord, learn: &LearnPlan, lot: u32, surveyed: Vec<SurveyedScene>) -> Self {
        let (mut learnt, mut unreadable, mut first) = (Vec::new(), Vec::new(), 0);
        for (ordinal, surveyed) in (0..).zip(surveyed) {
            let Some(scene) = record.learn_scene(lot, ordinal) else { break };
            let header = match usable(record, surveyed) {
                Ok(header) => header,
                Err(why) => {
                    unreadable.push(why);
                    continue;
                }
            };
            let n_windows = match n_windows(&learn.windows, &header) {
                Ok(n_windows) => n_windows,
                Err(error) => {
                    unreadable.push((header.id.to_string(), error.to_string()));
                    continue;
                }
            };
            let n_items = n_windows.div_ceil(u64::from(learn.windows_per_shard)).min(1 << 24) as u32;
            learnt.push(LearntScene {
                header,
                files: scene.files.clone(),
                set: scene.set,
                n_windows,
                first,
                n_items,
            });
            first += n_items;
        }
        let to_train_on = learnt.iter().filter(|scene| scene.set == ChipSet::Train);
        let measured = Self::measure(record, to_train_on.map(|scene: &LearntScene| &scene.header));
        Self { lot, measured, scenes: Vec::new(), learnt, unreadable, n_listed: 0, groups: Vec::new() }
    }

    fn to_predict(record: &RunRecord, lot: u32, surveyed: Vec<SurveyedScene>) -> Self {
        let item_px = record.predict.item_px.unwrap_or(ITEM_PX);
        let n_listed = surveyed.len() as u32;
        let mut sharing = Sharing::new(record);
        let (mut scenes, mut unreadable) = (Vec::<PlannedScene>::new(), Vec::new());
        let (mut first, mut first_rect) = (0, 0);
        for ((ordinal, files), surveyed) in (0..).zip(record.lot(lot)).zip(surveyed) {
            match usable(record, surveyed) {
                Ok(header) => {
                    let grid = match ItemGrid::new(header.size, item_px) {
                        Ok(grid) => grid,
                        Err(error) => {
                            unreadable.push((header.id.to_string(), error.to_string()));
                            continue;
                        }
                    };
                    let n_rects = grid.len();
                    let at = scenes.len();
                    let share = |sharing: &mut Sharing| sharing.take(at, n_rects, &header, &files);
                    let group = sharing.as_mut().and_then(share);
                    let joins = group.is_some() && scenes.last().is_some_and(|before| before.group == group);
                    let first_of = if joins { first - 1 } else { first };
                    first = first_of + n_rects;
                    scenes.push(PlannedScene {
                        header,
                        files,
                        grid,
                        first: first_of,
                        first_rect,
                        ordinal,
                        group,
                    });
                    first_rect += n_rects;
                }
                Err(why) => unreadable.push(why),
            }
        }
        let measured = match record.learn_lots() {
            0 => Self::measure(record, scenes.iter().map(|scene: &PlannedScene| &scene.header)),
            _ => Vec::new(),
        };
        let groups = sharing.map(Sharing::groups).unwrap_or_default();
        Self { lot, measured, scenes, learnt: Vec::new(), unreadable, n_listed, groups }
    }

    pub fn n_analyze(&self) -> u32 {
        self.measured.last().map_or(0, |scene| scene.first + scene.grid.len())
    }

    pub fn n_chip(&self) -> u32 {
        self.learnt.last().map_or(0, |scene| scene.first + scene.n_items)
    }

    pub fn n_predict(&self, record: &RunRecord) -> u32 {
        if !record.has(Stage::Predict) {
            return 0;
        }
        self.scenes.last().map_or(0, |scene| scene.first + scene.grid.len())
    }

    /// Rectangles that are predicted, whichever items they are in.
    pub fn n_rects(&self, record: &RunRecord) -> u32 {
        if !record.has(Stage::Predict) {
            return 0;
        }
        self.scenes.last().map_or(0, |scene| scene.first_rect + scene.grid.len())
    }

    /// The scenes that a predict item works on: one, or those of a group.
    pub fn scenes_of_predict(&self, index: u32) -> &[PlannedScene] {
        let after = self.scenes.partition_point(|scene| scene.first <= index);
        let Some(last) = after.checked_sub(1).and_then(|at| self.scenes.get(at)) else { return &[] };
        match last.group {
            Some(number) if index == last.first => self.group(number).map_or(&[], |group| group.scenes),
            None if index < last.first + last.grid.len() => &self.scenes[after - 1..after],
            _ => &[],
        }
    }

    pub fn scene_of_rect(&self, nth: u32) -> Option<&PlannedScene> {
        let after = self.scenes.partition_point(|scene| scene.first_rect <= nth);
        let scene = self.scenes.get(after.checked_sub(1)?);
        scene.filter(|scene| nth < scene.first_rect + scene.grid.len())
    }

    pub fn scene(&self, ordinal: u32) -> Option<&PlannedScene> {
        let at = self.scenes.binary_search_by_key(&ordinal, |scene| scene.ordinal).ok()?;
        self.scenes.get(at)
    }

    pub fn groups(&self) -> impl Iterator<Item = Group<'_>> {
        (0..self.groups.len() as u32).filter_map(move |number| self.group(number))
    }

    /// Behind the ordinals of scenes stand the groups: an item of several has the place of none of them.
    pub fn group(&self, number: u32) -> Option<Group<'_>> {
        let scenes = self.scenes.get(self.groups.get(number as usize)?.clone())?;
        let of = |stage| Place::new(stage, self.lot, self.n_listed + number);
        let predict = Place::new(Stage::Predict, self.lot, scenes.first()?.first);
        Some(Group { predict, eval: of(Stage::Eval), vectorize: of(Stage::Vectorize), scenes })
    }

    /// The group whose eval or vectorize item has this index.
    pub fn group_at(&self, index: u32) -> Option<Group<'_>> {
        self.group(index.checked_sub(self.n_listed)?)
    }

    /// The group of the scene that has this ordinal.
    pub fn group_of(&self, ordinal: u32) -> Option<Group<'_>> {
        self.group(self.scene(ordinal)?.group?)
    }

    /// The item that makes what a stage makes of a scene.
    pub fn maker(&self, stage: Stage, scene: &PlannedScene) -> Place {
        let own = Place::new(stage, self.lot, scene.ordinal);
        let Some(group) = scene.group.and_then(|number| self.group(number)) else { return own };
        match stage {
            Stage::Assemble => group.predict,
            Stage::Eval => group.eval,
            Stage::Vectorize => group.vectorize,
            _ => own,
        }
    }

    /// The items of a stage that has one a scene, or one a group, where the run has that stage. In the order
    /// of scenes.
    pub fn dependents(&self, record: &RunRecord, stage: Stage) -> Vec<Place> {
        let has_item = |scene: &&PlannedScene| match stage {
            Stage::Assemble => scene.group.is_none(),
            Stage::Eval => scene.files.labels.is_some(),
            _ => true,
        };
        let scenes = self.scenes.iter().filter(|_| record.has(stage)).filter(has_item);
        let mut places: Vec<Place> = scenes.map(|scene| self.maker(stage, scene)).collect();
        places.dedup();
        places
    }
}

/// A scene that the run can work on, or its name and what is wrong with it.
fn usable(record: &RunRecord, surveyed: SurveyedScene) -> Result<SceneHeader, (String, String)> {
    let header = match surveyed {
        SurveyedScene::Readable(header) => header,
        SurveyedScene::Unreadable { id, message } => return Err((id.to_string(), message)),
    };
    if !record.needs_statistics(&header) || record.has(Stage::Analyze) {
        return Ok(header);
    }
    let file = header.source.files.first().map_or("it", |file| file.uri.as_str());
    let why = format!(
        "{file} has pixels of type {}, and it is not said how they are scaled: name analyze in stages, or the limits as data.scale = {{ min = .., max \
         = .. }}",
        header.data_type
    );
    Err((header.id.to_string(), why))
}

fn n_windows(windows: &ChipWindows, scene: &SceneHeader) -> Result<u64, BadChips> {
    match windows {
        ChipWindows::Sliding(spec) => SlidingWindows::new(scene.size, spec).map(|windows| windows.n()),
        ChipWindows::Random(spec) => {
            RandomWindows::new(scene.id.clone(), scene.size, spec.clone()).map(|windows| windows.n())
        }
    }
}
