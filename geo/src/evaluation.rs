//! `eval.json`, in the words of Raster Vision 0.31 and one of ours, `iou`. All counts are floats there,
//! and what would be 0 / 0 is null.

use serde::{Deserialize, Serialize, Serializer, ser::SerializeMap as _};

use crate::confusion::{BadConfusion, Confusion};

/// A run's scores: of all scenes together, and of each.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Evaluation {
    overall: Scores,
    #[serde(serialize_with = "in_order")]
    per_scene: Vec<(String, Scores)>,
}

impl Evaluation {
    /// `classes` are the names of the tables' classes, in order. Scenes keep theirs.
    pub fn new(
        classes: &[String],
        scenes: impl IntoIterator<Item = (String, Confusion)>,
    ) -> Result<Self, BadConfusion> {
        let mut overall = Confusion::new(classes.len() as u32)?;
        let mut per_scene = Vec::new();
        for (scene, confusion) in scenes {
            overall.merge(&confusion)?;
            per_scene.push((scene, Scores::new(classes, &confusion)));
        }
        Ok(Self { overall: Scores::new(classes, &overall), per_scene })
    }

    pub const fn overall(&self) -> &Scores {
        &self.overall
    }
}

fn in_order<S: Serializer>(scenes: &[(String, Scores)], serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(scenes.len()))?;
    for (scene, scores) in scenes {
        map.serialize_entry(scene, scores)?;
    }
    map.end()
}

/// A list in the file: every class, and their average behind them.
#[derive(Clone, Debug, PartialEq)]
pub struct Scores {
    pub classes: Vec<ClassScore>,
    pub average: Average,
}

impl Serialize for Scores {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        #[serde(untagged)]
        enum Entry<'a> {
            Class(&'a ClassScore),
            Average(&'a Average),
        }
        let classes = self.classes.iter().map(Entry::Class);
        serializer.collect_seq(classes.chain([Entry::Average(&self.average)]))
    }
}

/// How well a class was told from all others.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClassScore {
    pub class_id: u32,
    pub class_name: String,
    /// Pixels that are of the class.
    pub gt_count: f64,
    /// Pixels that were predicted to be.
    pub pred_count: f64,
    pub count_error: f64,
    pub relative_frequency: Option<f64>,
    pub metrics: Metrics,
    /// `[[TN, FP], [FN, TP]]`
    pub conf_mat: [[f64; 2]; 2],
    pub conf_mat_frac: [[Option<f64>; 2]; 2],
    pub conf_mat_dict: Cells<f64>,
    pub conf_mat_frac_dict: Cells<Option<f64>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metrics {
    pub recall: Option<f64>,
    pub precision: Option<f64>,
    /// The harmonic mean of the two above: null where one of them is, or both are 0.
    pub f1: Option<f64>,
    pub sensitivity: Option<f64>,
    pub specificity: Option<f64>,
    pub iou: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub struct Cells<T> {
    pub tn: T,
    pub fp: T,
    pub r#fn: T,
    pub tp: T,
}

/// Metrics are weighted by ground truth, and count as 0 where they are null. Counts are sums.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Average {
    class_name: &'static str,
    pub metrics: Metrics,
    pub gt_count: f64,
    pub pred_count: f64,
    pub count_error: f64,
    /// A row for each true class, a column for each predicted one.
    pub conf_mat: Vec<Vec<f64>>,
    pub conf_mat_frac: Vec<Vec<Option<f64>>>,
}

impl Scores {
    /// # Panics
    /// If there are more names than classes in the table.
    pub fn new(classes: &[String], confusion: &Confusion) -> Self {
        let classes: Vec<_> =
            classes.iter().zip(0..).map(|(name, class)| ClassScore::new(name, confusion, class)).collect();
        Self { average: Average::new(&classes, confusion), classes }
    }
}

impl ClassScore {
    fn new(name: &str, confusion: &Confusion, class: u32) -> Self {
        let total = confusion.counted();
        let truth: u64 = (0..confusion.n_classes()).map(|other| confusion.count(class, other)).sum();
        let predicted: u64 = (0..confusion.n_classes()).map(|other| confusion.count(other, class)).sum();
        let tp = confusion.count(class, class);
        let (fp, r#fn) = (predicted - tp, truth - tp);
        let tn = total - tp - fp - r#fn;
        let share = |part| ratio(part, total);
        let measures = confusion.measures(class);
        let f1 = measures.precision.zip(measures.recall).filter(|(p, r)| p + r > 0.0);
        Self {
            class_id: class,
            class_name: name.to_owned(),
            gt_count: truth as f64,
            pred_count: predicted as f64,
            count_error: truth.abs_diff(predicted) as f64,
            relative_frequency: share(truth),
            metrics: Metrics {
                recall: measures.recall,
                precision: measures.precision,
                f1: f1.map(|(p, r)| 2.0 * (p * r) / (p + r)),
                sensitivity: measures.recall,
                specificity: ratio(tn, tn + fp),
                iou: measures.iou,
            },
            conf_mat: [[tn as f64, fp as f64], [r#fn as f64, tp as f64]],
            conf_mat_frac: [[share(tn), share(fp)], [share(r#fn), share(tp)]],
            conf_mat_dict: Cells { tn: tn as f64, fp: fp as f64, r#fn: r#fn as f64, tp: tp as f64 },
            conf_mat_frac_dict: Cells { tn: share(tn), fp: share(fp), r#fn: share(r#fn), tp: share(tp) },
        }
    }
}

impl Average {
    fn new(classes: &[ClassScore], confusion: &Confusion) -> Self {
        let total = confusion.counted();
        let sum = |count: fn(&ClassScore) -> f64| classes.iter().map(count).sum::<f64>();
        let weighted = |metric: fn(&Metrics) -> Option<f64>| {
            let metrics = classes.iter().map(|class| (metric(&class.metrics), class.relative_frequency));
            Some(metrics.filter_map(|(metric, weight)| Some(metric? * weight?)).sum())
        };
        let rows = || confusion.counts().chunks(confusion.n_classes() as usize);
        Self {
            class_name: "average",
            metrics: Metrics {
                recall: weighted(|m| m.recall),
                precision: weighted(|m| m.precision),
                f1: weighted(|m| m.f1),
                sensitivity: weighted(|m| m.sensitivity),
                specificity: weighted(|m| m.specificity),
                iou: weighted(|m| m.iou),
            },
            gt_count: sum(|class| class.gt_count),
            pred_count: sum(|class| class.pred_count),
            count_error: sum(|class| class.count_error),
            conf_mat: rows().map(|row| row.iter().map(|&n| n as f64).collect()).collect(),
            conf_mat_frac: rows().map(|row| row.iter().map(|&n| ratio(n, total)).collect()).collect(),
        }
    }
}

fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}
