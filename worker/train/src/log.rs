//! What each epoch came to: a row of `log.csv`, which is also where TensorBoard's file is made from.

use swath_geo::confusion::{Confusion, Measures};

use crate::{
    error::{Result, TrainError},
    events::{Scalar, event_file},
};

/// Empty cells are what can't be had: 0 / 0, or a loss without pixels.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub epoch: u32,
    /// When it ended, in seconds since 1970.
    pub time: f64,
    /// Of its last step.
    pub lr: f64,
    pub train_loss: Option<f64>,
    pub validation_loss: Option<f64>,
    /// Of each class, on the validation chips.
    pub classes: Vec<Measures>,
}

const FIRST: [&str; 9] =
    ["epoch", "time", "lr", "train_loss", "validation_loss", "precision", "recall", "f1", "iou"];

impl Row {
    pub(crate) fn measure(&mut self, table: &Confusion) {
        self.classes = (0..table.n_classes()).map(|class| table.measures(class)).collect();
    }

    /// The mean over classes that have the measure.
    pub fn mean(&self) -> Measures {
        let mean = |of: fn(&Measures) -> Option<f64>| {
            let known: Vec<f64> = self.classes.iter().filter_map(of).collect();
            (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64)
        };
        Measures {
            precision: mean(|of| of.precision),
            recall: mean(|of| of.recall),
            f1: mean(|of| of.f1),
            iou: mean(|of| of.iou),
        }
    }

    fn numbers(&self) -> Vec<Option<f64>> {
        let first = [Some(self.time), Some(self.lr), self.train_loss, self.validation_loss];
        let mean = self.mean();
        let measures = std::iter::once(&mean).chain(&self.classes);
        let four = measures.flat_map(|&Measures { precision, recall, f1, iou }| [precision, recall, f1, iou]);
        first.into_iter().chain(four).collect()
    }
}

/// The columns for so many classes.
fn columns(classes: u32) -> Vec<String> {
    let four = &FIRST[5..];
    let of_class = (0..classes).flat_map(|class| four.iter().map(move |name| format!("{name}_{class}")));
    FIRST.iter().map(|name| (*name).to_owned()).chain(of_class).collect()
}

/// Rows by epoch, each once.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Log {
    classes: u32,
    rows: Vec<Row>,
}

impl Log {
    pub(crate) fn new(classes: u32) -> Self {
        Self { classes, rows: Vec::new() }
    }

    pub(crate) fn read(key: &str, text: &str, classes: u32) -> Result<Self> {
        let damaged = |line: usize| {
            TrainError::data(format!(
                "{key}, line {line}: not as it was written; delete the file to go on without it"
            ))
        };
        let mut lines = text.lines();
        if lines.next() != Some(&columns(classes).join(",")) {
            return Err(damaged(1));
        }
        let row = |(line, text): (usize, &str)| row(text, classes).ok_or_else(|| damaged(line + 2));
        Ok(Self { classes, rows: lines.enumerate().map(row).collect::<Result<_>>()? })
    }

    /// In the place of what an earlier attempt at this epoch, or at a later one, left behind.
    pub(crate) fn push(&mut self, row: Row) {
        self.rows.retain(|other| other.epoch < row.epoch);
        self.rows.push(row);
    }

    /// Of that epoch, from 1.
    pub(crate) fn mean_iou(&self, epoch: u32) -> Option<f64> {
        self.rows.iter().find(|row| row.epoch == epoch)?.mean().iou
    }

    pub(crate) fn csv(&self) -> String {
        let mut text = columns(self.classes).join(",") + "\n";
        for row in &self.rows {
            text += &row.epoch.to_string();
            for number in row.numbers() {
                text += &number.map_or_else(|| ",".into(), |number| format!(",{number}"));
            }
            text.push('\n');
        }
        text
    }

    pub(crate) fn events(&self) -> Vec<u8> {
        let tags: Vec<String> = columns(self.classes).iter().map(|column| tag(column)).collect();
        let scalars = self.rows.iter().flat_map(|row| {
            // The time is in every event.
            let numbers = row.numbers().into_iter().zip(&tags[1..]).skip(1);
            numbers.filter_map(|(number, tag)| {
                let value = number? as f32;
                Some(Scalar { tag: tag.clone(), wall_time: row.time, step: row.epoch.into(), value })
            })
        });
        let scalars: Vec<Scalar> = scalars.collect();
        event_file(self.rows.first().map_or(0.0, |row| row.time), &scalars)
    }
}

/// TensorBoard groups by what is before a slash.
fn tag(column: &str) -> String {
    match column.split_once('_') {
        Some((of, "loss")) => format!("loss/{of}"),
        Some((measure, class)) => format!("{measure}/class {class}"),
        None if column == "lr" => "lr".into(),
        None => format!("{column}/mean"),
    }
}

fn row(text: &str, classes: u32) -> Option<Row> {
    let (epoch, rest) = text.split_once(',')?;
    let number = |cell: &str| if cell.is_empty() { Some(None) } else { cell.parse().ok().map(Some) };
    let numbers: Vec<Option<f64>> = rest.split(',').map(number).collect::<Option<_>>()?;
    if numbers.len() + 1 != columns(classes).len() {
        return None;
    }
    let &[time, lr, train_loss, validation_loss, _, _, _, _, ref of_classes @ ..] = numbers.as_slice() else {
        return None;
    };
    let four = of_classes.as_chunks().0.iter();
    let classes = four.map(|&[precision, recall, f1, iou]| Measures { precision, recall, f1, iou });
    Some(Row {
        epoch: epoch.parse().ok()?,
        time: time?,
        lr: lr?,
        train_loss,
        validation_loss,
        classes: classes.collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(epoch: u32) -> Row {
        let mut table = Confusion::new(2).unwrap();
        table.add(&[0, 0, 0], &[0, 0, 1]).unwrap();
        let time = 1.5 + f64::from(epoch);
        let mut row =
            Row { epoch, time, lr: 1e-4, train_loss: Some(0.25), validation_loss: None, classes: Vec::new() };
        row.measure(&table);
        row
    }

    #[test]
    fn what_is_written_reads_back() {
        let mut log = Log::new(2);
        (1..4).for_each(|epoch| log.push(row(epoch)));
        let text = log.csv();
        assert!(text.contains("\n1,2.5,0.0001,0.25,,0.5,"), "{text}");
        assert_eq!(Log::read("log.csv", &text, 2).unwrap(), log);
        for bad in
            ["", "epoch\n", &text.replace("0.25", "x"), &text.replace(",0.25", ""), &text[..text.len() - 9]]
        {
            let error = Log::read("log.csv", bad, 2).unwrap_err().to_string();
            assert!(error.contains("log.csv, line"), "{error}");
        }
        assert!(Log::read("log.csv", &text, 3).is_err());
    }

    #[test]
    fn an_epoch_that_is_done_again_has_one_row() {
        let mut log = Log::new(2);
        [1, 2, 3, 2].into_iter().for_each(|epoch| log.push(row(epoch)));
        assert_eq!(log.rows.iter().map(|row| row.epoch).collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn a_mean_is_over_the_classes_that_have_the_measure() {
        let mean = row(1).mean();
        // Nothing is of class 1, and one pixel was taken for it.
        assert_eq!(
            mean,
            Measures { precision: Some(0.5), recall: Some(2.0 / 3.0), f1: Some(0.4), iou: Some(1.0 / 3.0) }
        );
        assert_eq!(Row { classes: Vec::new(), ..row(1) }.mean().iou, None);
    }

    #[test]
    fn tags_group_what_belongs_together() {
        let tags = ["train_loss", "iou", "iou_1", "lr"].map(tag);
        assert_eq!(tags, ["loss/train", "iou/mean", "iou/class 1", "lr"]);
    }
}
