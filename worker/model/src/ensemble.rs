//! Several networks as one: what it says is the logarithm of the mean of their probabilities, whose softmax is that
//! mean again.

use swath_geo::softmax::softmax;

use crate::{
    engine::{Described, Engine, Shape},
    error::{ModelError, Result},
};

pub(crate) struct Ensemble {
    members: Vec<Box<dyn Engine>>,
    input: Vec<f32>,
    probabilities: Vec<f32>,
    means: Vec<f32>,
    n_classes: usize,
}

impl Ensemble {
    /// Of members of one shape.
    pub(crate) fn new(members: Vec<Box<dyn Engine>>, shape: Shape) -> Result<Self> {
        let (input, n_classes) = (shape.room(shape.bands)?, shape.classes as usize);
        let (probabilities, means) = (shape.room(shape.classes)?, shape.room(shape.classes)?);
        Ok(Self { members, input, probabilities, means, n_classes })
    }
}

impl Engine for Ensemble {
    /// Members run on one engine; the precision of each is told.
    fn describe(&self) -> Result<Described> {
        let described: Vec<Described> =
            self.members.iter().map(|member| member.describe()).collect::<Result<_>>()?;
        let precisions: Vec<&str> = described.iter().map(|one| one.precision.as_str()).collect();
        let precision = precisions.join(" and ");
        let first = described.into_iter().next();
        let first = first.ok_or_else(|| ModelError::internal("an ensemble has no members"))?;
        Ok(Described { precision, ..first })
    }

    fn input(&mut self) -> Result<&mut [f32]> {
        Ok(&mut self.input)
    }

    fn run(&mut self) -> Result<&[f32]> {
        let Self { members, input, probabilities, means, n_classes } = self;
        means.fill(0.0);
        for member in members.iter_mut() {
            member.input()?.copy_from_slice(input);
            probabilities.copy_from_slice(member.run()?);
            softmax(probabilities, *n_classes, 1.0);
            means.iter_mut().zip(&*probabilities).for_each(|(sum, one)| *sum += one);
        }
        let share = 1.0 / members.len() as f32;
        // No probability is so small that its logarithm is none. What is no number stays none: whoever asked tells of it.
        means.iter_mut().for_each(|sum| *sum = (*sum * share).clamp(f32::MIN_POSITIVE, 1.0).ln());
        Ok(means)
    }
}

#[cfg(test)]
mod tests {
    use swath_proto::{
        item::{Architecture, EngineName, Member, ModelRef, Precision, Weights, WindowShape},
        numeric::NumericClass,
    };

    use crate::{Files, drawn, load};

    const WINDOW: WindowShape = WindowShape { core_px: 64, margin_px: 0 };

    fn model(engine: EngineName, seeds: &[u64]) -> ModelRef {
        let member = |seed: &u64| Member {
            architecture: if *seed == 5 { Architecture::UnetResnet18 } else { Architecture::Tiny },
            weights: Weights::Seed(*seed),
            precision: Precision::Fp32,
        };
        let mut others: Vec<Member> = seeds.iter().map(member).collect();
        let Member { architecture, weights, precision } = others.remove(0);
        ModelRef { weights, classes: 3, precision, others, ..drawn(architecture, engine) }
    }

    /// Probabilities of one window in a batch of two, and the class that it was computed in.
    fn probabilities(engine: EngineName, seeds: &[u64]) -> (Vec<f64>, NumericClass) {
        let model = model(engine, seeds);
        let files = vec![Files::default(); seeds.len()];
        let mut predictor = load(&model, &files, WINDOW, 2, 1).unwrap();
        let mut draws = crate::weights::Stream::new(1, "window");
        let window: Vec<f32> = (0..64 * 64 * 3).map(|_| draws.uniform()).collect();
        let class = predictor.class().clone();
        let logits = predictor.forward(&window, 1).unwrap();
        let of_pixel = |logits: &[f32]| {
            let exponentials: Vec<f64> = logits.iter().map(|logit| f64::from(*logit).exp()).collect();
            let sum: f64 = exponentials.iter().sum();
            exponentials.into_iter().map(|one| one / sum).collect::<Vec<f64>>()
        };
        (logits.chunks_exact(3).flat_map(of_pixel).collect(), class)
    }

    #[test]
    fn probabilities_are_the_mean_of_those_of_its_members() {
        for engine in [EngineName::Libtorch, EngineName::Openvino] {
            // Drawn from seeds, they are far from each other.
            let members: Vec<_> = [3, 4, 5].iter().map(|seed| probabilities(engine, &[*seed])).collect();
            let (found, class) = probabilities(engine, &[3, 4, 5]);
            assert!(members.iter().all(|(_, member)| member.fingerprint != class.fingerprint));
            assert_eq!(class.precision, "fp32 and fp32 and fp32");
            for (at, found) in found.iter().enumerate() {
                let mean = members.iter().map(|(member, _)| member[at]).sum::<f64>() / 3.0;
                assert!((found - mean).abs() < 1e-6, "{engine:?}, {at}: {found} where {mean} belongs");
            }
        }
    }

    /// The same of one window whatever stands beside it, and an error where a member knows no answer.
    #[test]
    fn what_is_undefined_is_an_error_and_moves_nothing_beside_it() {
        let mut ensemble =
            load(&model(EngineName::Openvino, &[3, 4]), &[Files::default(), Files::default()], WINDOW, 2, 1)
                .unwrap();
        let good = vec![0.5; 64 * 64 * 3];
        let wanted = ensemble.forward(&good, 1).unwrap().to_vec();
        // Within what a float holds, and beyond it once multiplied.
        let beyond = vec![f32::MAX; 64 * 64 * 3];
        let error = ensemble.forward(&[good.clone(), beyond].concat(), 2).unwrap_err();
        assert!(error.to_string().contains("window 2 of 2"), "{error}");
        assert_eq!(ensemble.forward(&good, 1).unwrap(), wanted);
    }

    #[test]
    fn a_member_that_can_not_be_used_is_told() {
        let mut broken = model(EngineName::Openvino, &[3, 4]);
        broken.others[0].weights = Weights::Trained;
        let files = vec![Files::default(); 2];
        let error = load(&broken, &files, WINDOW, 2, 1).err().unwrap();
        assert!(error.to_string().contains("not trained yet"), "{error}");
        let error = load(&model(EngineName::Openvino, &[3, 4]), &files[..1], WINDOW, 2, 1).err().unwrap();
        assert!(error.to_string().contains("2 networks and the files of 1"), "{error}");
    }
}
