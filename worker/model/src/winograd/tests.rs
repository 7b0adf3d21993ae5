use tch::{Device, Kind, Tensor};

use super::*;
use crate::{network::channels_last, torch::instruction_set};

/// Images, edge, channels taken and given, dilation: whole tiles and broken ones, one register of columns and several.
const SHAPES: [(i64, i64, i64, i64, i64); 7] = [
    (1, 32, 32, 64, 1),
    (3, 37, 64, 48, 1),
    (2, 16, 128, 32, 1),
    (2, 40, 16, 16, 1),
    (1, 64, 48, 80, 2),
    (2, 61, 32, 32, 3),
    (9, 8, 64, 64, 1),
];

struct Case {
    input: Tensor,
    weight: Tensor,
    bias: Tensor,
    dilation: i64,
}

impl Case {
    fn new((images, edge, from, to, dilation): (i64, i64, i64, i64, i64)) -> Self {
        let drawn = |shape: &[i64]| Tensor::randn(shape, (Kind::Float, Device::Cpu));
        let weight = drawn(&[to, from, 3, 3]) / (9.0 * from as f64).sqrt();
        Self {
            input: channels_last(&drawn(&[images, from, edge, edge + 3])).unwrap(),
            weight: channels_last(&weight).unwrap(),
            bias: drawn(&[to]),
            dilation,
        }
    }

    fn ours(&self, input: &Tensor, bias: Option<&Tensor>, relu: bool) -> Tensor {
        let plain = Plain { weight: &self.weight, bias, dilation: self.dilation, relu };
        conv(input, &plain, None).unwrap().expect("it pays")
    }

    /// In doubles, by PyTorch.
    fn theirs(&self, bias: Option<&Tensor>) -> Tensor {
        let bias = bias.map(|bias| bias.to_kind(Kind::Double));
        let (input, weight) = (self.input.to_kind(Kind::Double), self.weight.to_kind(Kind::Double));
        input.conv2d(&weight, bias.as_ref(), [1; 2], [self.dilation; 2], [self.dilation; 2], 1)
    }
}

/// Root mean squares.
fn apart(ours: &Tensor, theirs: &Tensor) -> f64 {
    let size = |tensor: &Tensor| tensor.square().mean(Kind::Double).sqrt().double_value(&[]);
    size(&(ours.to_kind(Kind::Double) - theirs)) / size(theirs)
}

#[test]
fn images_and_gradients_are_those_of_a_plain_convolution() {
    println!("on {}", instruction_set());
    for shape in SHAPES {
        let mut case = Case::new(shape);
        let ours = case.ours(&case.input, Some(&case.bias), false);
        let theirs = case.theirs(Some(&case.bias));
        assert_eq!(ours.size(), theirs.size());
        assert!(apart(&ours, &theirs) < 1e-5, "{shape:?}: {}", apart(&ours, &theirs));
        let ours = case.ours(&case.input, Some(&case.bias), true);
        assert!(apart(&ours, &theirs.relu()) < 1e-5, "{shape:?}");

        case.input = case.input.set_requires_grad(true);
        case.weight = case.weight.set_requires_grad(true);
        let ours = case.ours(&case.input, None, false);
        let theirs = case.theirs(None);
        let gradient = Tensor::randn(ours.size(), (Kind::Float, Device::Cpu));
        let of = |output: &Tensor, gradient: &Tensor| {
            Tensor::run_backward(&[(output * gradient).sum(None)], &[&case.input, &case.weight], false, false)
        };
        let ours = of(&ours, &gradient);
        let theirs = of(&theirs, &gradient.to_kind(Kind::Double));
        for (ours, theirs) in ours.iter().zip(&theirs) {
            assert_eq!(ours.size(), theirs.size());
            let apart = apart(ours, &theirs.to_kind(Kind::Double));
            assert!(apart < 1e-4, "{shape:?}: gradients {apart}");
        }
    }
}

/// Processors without the wider registers get the same; in a process of its own, since libtorch chooses once.
#[test]
fn narrower_registers_do_too() {
    let child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture"])
        .arg("winograd::tests::images_and_gradients_are_those_of_a_plain_convolution")
        .env("ATEN_CPU_CAPABILITY", "avx2")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success() && text.contains("on AVX2") && text.contains("1 passed"), "{text}");
}

/// Packed once, they are taken again; what is below zero becomes zero, and what is no number stays none.
#[test]
fn kept_weights_give_the_same_and_numbers_that_overflow_are_not_hidden() {
    let case = Case::new((1, 32, 32, 64, 1));
    let (kept, once) = (Kept::default(), case.ours(&case.input, Some(&case.bias), true));
    let plain = Plain { weight: &case.weight, bias: Some(&case.bias), dilation: 1, relu: true };
    for _ in 0..2 {
        assert!(conv(&case.input, &plain, Some(&kept)).unwrap().unwrap() == once);
    }
    assert!(kept.0.get().is_some() && once.min().double_value(&[]) == 0.0);
    let nan = &case.input * f64::NAN;
    assert_eq!(case.ours(&nan, Some(&case.bias), true).isfinite().any().int64_value(&[]), 0);
}

/// So do the gradients of all.
#[test]
fn an_image_has_the_same_bits_alone_and_on_several_threads() {
    for (edge, from, to, dilation) in [(8, 64, 64, 1), (13, 16, 48, 1), (32, 32, 16, 2)] {
        let case = Case::new((17, edge, from, to, dilation));
        let together = case.ours(&case.input, None, false);
        for image in [0, 7, 16] {
            let alone = case.ours(&case.input.narrow(0, image, 1), None, false);
            assert!(alone == together.narrow(0, image, 1), "{edge} px, image {image}");
        }
        let gradients = |threads| {
            tch::set_num_threads(threads);
            let input = case.input.copy().set_requires_grad(true);
            let weight = case.weight.copy().set_requires_grad(true);
            let plain = Plain { weight: &weight, bias: None, dilation, relu: false };
            let output = conv(&input, &plain, None).unwrap().unwrap();
            // A gradient that is one number, as often as there are pixels.
            output.sum(None).backward();
            [output.detach(), input.grad(), weight.grad()]
        };
        assert!(gradients(1) == gradients(3), "{edge} px");
    }
}

#[test]
fn what_would_gain_nothing_or_is_no_such_convolution_is_left_to_others() {
    let case = |shape| Case::new(shape);
    let is_taken = |case: &Case, input: &Tensor| {
        let plain = Plain { weight: &case.weight, bias: None, dilation: case.dilation, relu: false };
        conv(input, &plain, None).unwrap().is_some()
    };
    let good = case((2, 32, 32, 32, 1));
    assert!(is_taken(&good, &good.input));
    assert!(!is_taken(&good, &good.input.to_kind(Kind::BFloat16)), "other numbers");
    assert!(!is_taken(&good, &good.input.narrow(1, 0, 16)), "other channels");
    let weight = good.weight.shallow_clone().set_requires_grad(true);
    let learns = Plain { weight: &weight, bias: Some(&good.bias), dilation: 1, relu: false };
    assert!(conv(&good.input, &learns, None).unwrap().is_none(), "a bias that learns with it");
    for (shape, why) in [
        ((2, 32, 3, 32, 1), "few channels taken"),
        ((2, 32, 32, 2, 1), "few channels given"),
        ((1, 2, 32, 32, 1), "tiles that are mostly empty"),
        ((1, 32, 32, 32, 12), "pixels far apart"),
    ] {
        let case = case(shape);
        assert!(!is_taken(&case, &case.input), "{why}");
    }
}
