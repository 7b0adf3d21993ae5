//! A network that has learnt on windows of another size: they are resized for it, and what it says is resized back.
//! Probabilities are, and not logits, as in the programs that train so.

use std::time::Duration;

use swath_geo::{resize::Resize, softmax::softmax};
use swath_proto::{
    item::{ModelRef, WindowShape},
    numeric::NumericClass,
};

use crate::{engine::Shape, error::Result, predictor::Predictor};

pub(crate) struct Resized {
    inner: Box<dyn Predictor>,
    class: NumericClass,
    /// Of the windows, and of what the network sees of them.
    whole: Shape,
    seen: Shape,
    to_seen: Resize,
    to_whole: Resize,
    input: Vec<f32>,
    probs: Vec<f32>,
    output: Vec<f32>,
}

impl Resized {
    /// `inner` sees [`ModelRef::seen`] of the windows.
    pub(crate) fn new(
        inner: Box<dyn Predictor>,
        model: &ModelRef,
        window: WindowShape,
        batch: u32,
    ) -> Result<Self> {
        let (whole, seen) = (Shape::new(model, window, batch), Shape::new(model, model.seen(window), batch));
        let (edge_px, seen_px) = (window.edge_px(), seen.window.edge_px());
        Ok(Self {
            class: NumericClass { window, ..inner.class().clone() },
            inner,
            whole,
            seen,
            to_seen: Resize::new(edge_px, seen_px),
            to_whole: Resize::new(seen_px, edge_px),
            input: whole.room(whole.bands)?,
            probs: vec![0.0; seen.window_values(seen.classes)],
            output: whole.room(whole.classes)?,
        })
    }
}

impl Predictor for Resized {
    fn input(&mut self, n: usize) -> Result<&mut [f32]> {
        let values = self.whole.values_of(n, self.whole.bands)?;
        Ok(&mut self.input[..values])
    }

    fn run(&mut self, n: usize) -> Result<&[f32]> {
        let Self { whole, seen, .. } = *self;
        let (bands, classes) = (whole.bands as usize, whole.classes as usize);
        let windows = self.input.chunks_exact(whole.window_values(whole.bands));
        let inputs = self.inner.input(n)?.chunks_exact_mut(seen.window_values(seen.bands));
        windows.zip(inputs).for_each(|(window, input)| self.to_seen.pixels(window, bands, input));
        let logits = self.inner.run(n)?;
        let per_output = whole.window_values(whole.classes);
        let said = logits.chunks_exact(seen.window_values(seen.classes));
        for (logits, out) in said.zip(self.output.chunks_exact_mut(per_output)) {
            self.probs.copy_from_slice(logits);
            softmax(&mut self.probs, classes, 1.0);
            self.to_whole.numbers(&self.probs, classes, out);
            // Logits of which the softmax is just that; by way of more digits, the same from every C library.
            out.iter_mut().for_each(|p| *p = f64::from(p.max(f32::MIN_POSITIVE)).ln() as f32);
        }
        Ok(&self.output[..n * per_output])
    }

    fn class(&self) -> &NumericClass {
        &self.class
    }

    fn first_pass(&self) -> Duration {
        self.inner.first_pass()
    }

    fn computed(&self) -> Duration {
        self.inner.computed()
    }
}

#[cfg(test)]
mod tests {
    use swath_proto::item::{Architecture, EngineName};

    use super::*;
    use crate::{Files, drawn, load};

    const WINDOW: WindowShape = WindowShape { core_px: 10, margin_px: 1 };

    fn resized(seen_px: Option<u32>) -> Box<dyn Predictor> {
        let model = ModelRef { seen_px, ..drawn(Architecture::Tiny, EngineName::Libtorch) };
        load(&model, &[Files::default()], WINDOW, 2, 1).unwrap()
    }

    #[test]
    fn windows_of_one_colour_are_the_same_at_any_size_away_from_their_edges() {
        let colour = [0.2_f32, 0.4, 0.6];
        let image: Vec<f32> = colour.iter().copied().cycle().take(12 * 12 * 3).collect();
        let middle = |predictor: &mut dyn Predictor| {
            let logits = predictor.forward(&image, 1).unwrap();
            assert_eq!(logits.len(), 12 * 12 * 2);
            let at = (6 * 12 + 6) * 2;
            logits[at + 1] - logits[at]
        };
        let wanted = middle(&mut *resized(None));
        for seen_px in [9, 12, 24] {
            let found = middle(&mut *resized(Some(seen_px)));
            assert!((found - wanted).abs() < 1e-3, "{seen_px} px: {found} where {wanted} belongs");
        }
    }

    #[test]
    fn its_class_is_that_of_its_windows_and_of_no_other_size() {
        let (plain, small) = (resized(None), resized(Some(8)));
        assert_eq!(small.class().window, WINDOW);
        assert_ne!(small.class().id(), plain.class().id());
        assert_ne!(small.class().id(), resized(Some(9)).class().id());
    }

    #[test]
    fn what_does_not_fit_the_batch_is_refused() {
        let mut predictor = resized(Some(8));
        for (values, n) in [(12 * 12 * 3, 2), (3 * 12 * 12 * 3, 3)] {
            assert_eq!(predictor.forward(&vec![0.5; values], n).unwrap_err().kind, crate::Kind::Internal);
        }
        let mut bad = vec![0.5; 12 * 12 * 3];
        bad[100] = f32::NAN;
        assert_eq!(predictor.forward(&bad, 1).unwrap_err().kind, crate::Kind::Data);
    }
}
