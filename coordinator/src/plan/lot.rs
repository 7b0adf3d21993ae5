//! A lot of scenes, laid out once it is surveyed: which items it has, and where each stands.

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

/// One lot of scenes after its survey: scenes to learn from, or scenes to predict.
pub struct Lot {
    pub lot: u32,
    /// Scenes whose pixels are measured before any is scaled.
    pub measured: Vec<MeasuredScene>,
    pub scenes: Vec<PlannedScene>,
    pub learnt: Vec<LearntScene>,
    pub unreadable: Vec<(String, String)>,
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
    /// Index of its first predict item in the lot.
    pub first: u32,
    /// Its index among the lot's scenes, as the survey listed them.
    pub ordinal: u32,
}

impl PlannedScene {
    /// Pixels of one of its predict items; none where the item is another scene's.
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
        Self { lot, measured, scenes: Vec::new(), learnt, unreadable }
    }

    fn to_predict(record: &RunRecord, lot: u32, surveyed: Vec<SurveyedScene>) -> Self {
        let item_px = record.predict.item_px.unwrap_or(2048);
        let (mut scenes, mut unreadable, mut first) = (Vec::new(), Vec::new(), 0);
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
                    let scene = PlannedScene { header, files, grid, first, ordinal };
                    first += scene.grid.len();
                    scenes.push(scene);
                }
                Err(why) => unreadable.push(why),
            }
        }
        let measured = match record.learn_lots() {
            0 => Self::measure(record, scenes.iter().map(|scene: &PlannedScene| &scene.header)),
            _ => Vec::new(),
        };
        Self { lot, measured, scenes, learnt: Vec::new(), unreadable }
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

    /// The scene that a predict item belongs to.
    pub fn scene_of_predict(&self, index: u32) -> Option<&PlannedScene> {
        let after = self.scenes.partition_point(|scene| scene.first <= index);
        self.scenes.get(after.checked_sub(1)?).filter(|scene| index < scene.first + scene.grid.len())
    }

    pub fn scene(&self, ordinal: u32) -> Option<&PlannedScene> {
        self.scenes.iter().find(|scene| scene.ordinal == ordinal)
    }

    /// The places of a stage that has one item a scene, where the run has that stage.
    pub fn dependents(&self, record: &RunRecord, stage: Stage) -> Vec<Place> {
        let has_item = |scene: &&PlannedScene| stage != Stage::Eval || scene.files.labels.is_some();
        let scenes = self.scenes.iter().filter(|_| record.has(stage)).filter(has_item);
        scenes.map(|scene| Place::new(stage, self.lot, scene.ordinal)).collect()
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
