//! What the network says of an item's rectangle, plane by plane.

use swath_proto::geometry::RectPx;

/// Pixels row by row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planes {
    pub classes: Vec<u8>,
    /// Softmax as 0 to 255, the classes of a pixel side by side.
    pub scores: Option<Vec<u8>>,
    /// The score of the class that was decided for. 0 stands for a pixel that does not count, and for no other.
    pub confidence: Option<Vec<u8>>,
    /// No pixel counts.
    pub is_blank: bool,
}

/// What is kept beside the classes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    pub scores: bool,
    pub confidence: bool,
}

/// What stands for pixels that do not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missing {
    pub in_map: u8,
    /// What they are for certain, in scores.
    pub null_class: u8,
}

impl Planes {
    pub fn new(rect: RectPx, n_classes: usize, kept: Kept) -> Self {
        let pixels = rect.width as usize * rect.height as usize;
        Self {
            classes: vec![0; pixels],
            scores: kept.scores.then(|| vec![0; pixels * n_classes]),
            confidence: kept.confidence.then(|| vec![0; pixels]),
            is_blank: false,
        }
    }

    /// Of a rectangle of which no pixel counts.
    pub fn of_nothing(rect: RectPx, n_classes: usize, kept: Kept, missing: Missing) -> Self {
        let Missing { in_map, null_class } = missing;
        let mut planes = Self::new(rect, n_classes, kept);
        planes.classes.fill(in_map);
        let pixels = planes.scores.iter_mut().flat_map(|scores| scores.chunks_exact_mut(n_classes));
        pixels.for_each(|pixel| pixel[usize::from(null_class)] = u8::MAX);
        Self { is_blank: true, ..planes }
    }

    /// What does not count (0 in `mask`) is of the null class, and that for certain.
    pub fn blank(&mut self, mask: &[u8], Missing { in_map, null_class }: Missing) {
        let left_out = || mask.iter().enumerate().filter(|(_, counts)| **counts == 0).map(|(at, _)| at);
        left_out().for_each(|at| self.classes[at] = in_map);
        if let Some(scores) = &mut self.scores {
            let n_classes = scores.len() / mask.len().max(1);
            for at in left_out() {
                let pixel = &mut scores[at * n_classes..][..n_classes];
                pixel.fill(0);
                pixel[usize::from(null_class)] = u8::MAX;
            }
        }
        if let Some(confidence) = &mut self.confidence {
            left_out().for_each(|at| confidence[at] = 0);
        }
        self.is_blank = !mask.contains(&1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_count_is_of_the_null_class_for_certain_and_nobody_is_sure_of_it() {
        let rect = RectPx::new(0, 0, 2, 2);
        let kept = Kept { scores: true, confidence: true };
        let mut planes = Planes::new(rect, 3, kept);
        planes.classes = vec![2; 4];
        planes.scores = Some([1, 2, 252].repeat(4));
        planes.confidence = Some(vec![252; 4]);
        let missing = Missing { in_map: 255, null_class: 1 };
        planes.blank(&[1, 0, 1, 0], missing);
        assert_eq!(planes.classes, [2, 255, 2, 255]);
        assert_eq!(planes.scores.as_deref().unwrap(), [1, 2, 252, 0, 255, 0].repeat(2));
        assert_eq!(planes.confidence.as_deref().unwrap(), [252, 0, 252, 0]);
        assert!(!planes.is_blank);
        planes.blank(&[0; 4], missing);
        assert_eq!(planes, Planes::of_nothing(rect, 3, kept, missing));
    }
}
