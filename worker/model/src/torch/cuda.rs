//! One of NVIDIA's cards as an engine: the first that this process sees (`CUDA_VISIBLE_DEVICES` says which those are).
//! The network's tensors lie there in the precision that it computes in, channels innermost; images and logits travel
//! through pinned buffers; all batches have one shape.
//!
//! Nothing of CUDA is linked. The driver, and libtorch's half for cards, are opened when a card is asked for, so that
//! one program serves machines with cards and machines without.
//!
//! Two things are left out. CUDA graphs: tch has no door to them, and their class takes CUDA's own headers. Copying one
//! batch while another is computed: an [`Engine`] has one batch in hand, so a card rests while its images are cut and
//! its logits mixed. One worker a card: where memory gets short, cuDNN takes other kernels, whose bits are others.
//!
//! No card has run this yet: `docs/gpu.md` says what that means.

use std::{
    ffi::{CStr, c_char, c_int, c_uint},
    fmt,
    mem::ManuallyDrop,
    sync::OnceLock,
};

use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_LOCAL, RTLD_NOW, Symbol};
use swath_proto::item::Precision;
use tch::{Device, Tensor};

use super::library;
use crate::{
    engine::{Described, Engine, Shape},
    error::{Kind, ModelError, Result},
    network::{Home, Network, Pass},
};

const CARD: Device = Device::Cuda(0);
const DRIVER: &str = "libcuda.so.1";
const LIBRARY: &str = "libtorch_cuda.so";
/// Turing: for older ones this libtorch brings no kernels.
const LEAST: (c_int, c_int) = (7, 5);

pub(crate) struct Cuda {
    network: Box<dyn Network>,
    shape: Shape,
    precision: Precision,
    home: Home,
    // Pinned floats of a full batch, channels side by side.
    input: Tensor,
    output: Tensor,
}

impl Cuda {
    /// Where its network's tensors have to lie. An error where there is no card to compute on.
    pub(crate) fn home(precision: Precision) -> Result<Home> {
        let kind = match precision {
            Precision::Fp32 => tch::Kind::Float,
            Precision::Bf16 => tch::Kind::BFloat16,
            Precision::Fp16 => tch::Kind::Half,
            Precision::Int8(_) => return Err(ModelError::config("cards do not compute in int8 here")),
        };
        found()?;
        Ok(Home { device: CARD, kind, ..Home::PROCESSOR })
    }

    /// The network is at [`Cuda::home`].
    pub(crate) fn new(network: Box<dyn Network>, precision: Precision, shape: Shape) -> Result<Self> {
        alive()?;
        let home = Self::home(precision)?;
        let [batch, edge, bands, classes] = shape.sizes();
        let pinned = |channels| {
            let sizes = [batch, edge, edge, channels];
            Tensor::f_zeros(sizes, (tch::Kind::Float, Device::Cpu))?.f_pin_memory(CARD)
        };
        let (input, output) = (pinned(bands)?, pinned(classes)?);
        Ok(Self { network, shape, precision, home, input, output })
    }
}

impl Engine for Cuda {
    fn describe(&self) -> Result<Described> {
        Ok(Described {
            engine: library::engine(),
            precision: self.precision.name().into(),
            instruction_set: card()?,
        })
    }

    fn input(&mut self) -> Result<&mut [f32]> {
        Ok(floats(&mut self.input))
    }

    fn run(&mut self) -> Result<&[f32]> {
        alive()?;
        self.pass().inspect_err(|error| {
            if error.kind == Kind::Internal {
                let _ = DEAD.set(error.to_string());
            }
        })?;
        Ok(floats(&mut self.output))
    }
}

impl Cuda {
    fn pass(&mut self) -> Result<()> {
        let [batch, edge, _, classes] = self.shape.sizes();
        tch::no_grad(|| {
            // As floats: in half precision it would be turned before the copy, by the processor.
            let pixels = self.input.f_to_device_(CARD, tch::Kind::Float, true, true)?;
            // Pixels with their bands side by side are a channels-last tensor as they lie.
            let images = pixels.f_to_kind(self.home.kind)?.f_permute([0, 3, 1, 2])?;
            let output = self.network.forward(&images, Pass::Predict)?.f_permute([0, 2, 3, 1])?;
            let (found, wanted) = (output.size(), [batch, edge, edge, classes]);
            if found != wanted {
                return Err(ModelError::config(format!(
                    "the network gives {found:?} where {wanted:?} (batch, height, width, classes) belongs"
                )));
            }
            let logits = output.f_to_kind(tch::Kind::Float)?.f_contiguous()?;
            // Waits for all of it.
            Ok(self.output.f_copy_(&logits)?)
        })
    }
}

/// What the first pass that failed has said. A card that failed once answers nothing more to its process: another
/// process has to go on.
static DEAD: OnceLock<String> = OnceLock::new();

fn alive() -> Result<()> {
    match DEAD.get() {
        Some(why) => Err(ModelError::new(Kind::Unfit, format!("the card has failed in this process: {why}"))),
        None => Ok(()),
    }
}

fn floats(pinned: &mut Tensor) -> &mut [f32] {
    let (values, n) = (pinned.data_ptr().cast(), pinned.numel());
    // SAFETY: contiguous floats in this process's memory, written when they were made. Nobody else has the tensor, and
    // it outlives the borrow. What was copied from or to it was waited for, or failed and is looked at by nobody.
    unsafe { std::slice::from_raw_parts_mut(values, n) }
}

/// The card that this process computes on, as it is pinned in a run's numeric class. To be called before anything is asked
/// of libtorch in this process, its version included: it looks for cards once.
pub fn card() -> Result<String> {
    Ok(found()?.to_string())
}

/// Free bytes of the card that this process computes on, and all of them. To be asked on a thread that has computed
/// there; none elsewhere, and where no card computes.
pub fn card_memory() -> Option<(u64, u64)> {
    type Ask = unsafe extern "C" fn(*mut usize, *mut usize) -> c_int;
    static ASK: OnceLock<Option<Ask>> = OnceLock::new();
    // What is not in use is not opened for this.
    FOUND.get().filter(|found| found.is_ok())?;
    let ask = (*ASK.get_or_init(|| {
        let driver = opened(DRIVER, RTLD_NOW | RTLD_LOCAL).ok()?;
        // SAFETY: so is this function declared in cuda.h, for good; the driver stays open.
        unsafe { driver.get::<Ask>(b"cuMemGetInfo_v2\0") }.ok().map(|ask| *ask)
    }))?;
    let (mut free, mut total) = (0, 0);
    // SAFETY: it writes two numbers where it is told to; without a card on this thread it says so.
    let answer = unsafe { ask(&raw mut free, &raw mut total) };
    (answer == 0).then_some((free as u64, total as u64))
}

#[derive(Clone, Debug, PartialEq)]
struct Card {
    name: String,
    capability: (c_int, c_int),
}

impl fmt::Display for Card {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (major, minor) = self.capability;
        write!(f, "cuda {major}.{minor} {}", self.name)
    }
}

impl Card {
    fn usable(self) -> std::result::Result<Self, String> {
        let ((major, minor), (least, of)) = (self.capability, LEAST);
        if self.capability >= LEAST {
            return Ok(self);
        }
        Err(format!(
            "{} is of compute capability {major}.{minor}, and {least}.{of} is the least that is computed on",
            self.name
        ))
    }
}

static FOUND: OnceLock<std::result::Result<Card, String>> = OnceLock::new();

/// Where the network that this process learns has its tensors, on the card of this number. An error where there is none to
/// compute on. To be called before anything is asked of libtorch in this process.
pub(crate) fn learns_on(card: u32) -> Result<Home> {
    open(card).map_err(|why| ModelError::new(Kind::Unfit, why))?;
    Ok(Home { device: Device::Cuda(card as usize), ..Home::PROCESSOR })
}

fn found() -> Result<&'static Card> {
    FOUND.get_or_init(|| open(0)).as_ref().map_err(|why| ModelError::new(Kind::Unfit, why.clone()))
}

fn open(number: u32) -> std::result::Result<Card, String> {
    let card = nth(number)?.usable()?;
    // The loader looks where it has found the half for processors.
    opened(LIBRARY, RTLD_NOW | RTLD_GLOBAL).map_err(|error| {
        format!(
            "there is a card ({card}), but libtorch's half for it can't be opened: {error}. docs/gpu.md says what to \
             install"
        )
    })?;
    if !tch::Cuda::is_available() || !swath_engine_fix_kernels() {
        return Err(format!(
            "there is a card ({card}), but libtorch does not see it: its driver may be too old for CUDA 13 (580 is \
             needed)"
        ));
    }
    Ok(card)
}

/// Of the cards that the driver shows, counted from 0.
fn nth(number: u32) -> std::result::Result<Card, String> {
    const MAJOR: c_int = 75;
    const MINOR: c_int = 76;
    let driver = opened(DRIVER, RTLD_NOW | RTLD_LOCAL)
        .map_err(|error| format!("there is no card: the NVIDIA driver can't be opened: {error}"))?;
    let lacks = |error: libloading::Error| format!("the NVIDIA driver lacks what it should have: {error}");
    let (mut n, mut card, mut major, mut minor, mut name) = (0, 0, 0, 0, [0_u8; 256]);
    // SAFETY: so are these functions declared in cuda.h, for good. They write where they are told to, the name into no
    // more than the room that it is given, and may be called whatever the ones before have answered.
    let answers = unsafe {
        let init: Symbol<unsafe extern "C" fn(c_uint) -> c_int> = driver.get(b"cuInit\0").map_err(lacks)?;
        let count: Symbol<unsafe extern "C" fn(*mut c_int) -> c_int> =
            driver.get(b"cuDeviceGetCount\0").map_err(lacks)?;
        let get: Symbol<unsafe extern "C" fn(*mut c_int, c_int) -> c_int> =
            driver.get(b"cuDeviceGet\0").map_err(lacks)?;
        let get_name: Symbol<unsafe extern "C" fn(*mut c_char, c_int, c_int) -> c_int> =
            driver.get(b"cuDeviceGetName\0").map_err(lacks)?;
        let get_attribute: Symbol<unsafe extern "C" fn(*mut c_int, c_int, c_int) -> c_int> =
            driver.get(b"cuDeviceGetAttribute\0").map_err(lacks)?;
        [
            ("cuInit", init(0)),
            ("cuDeviceGetCount", count(&raw mut n)),
            ("cuDeviceGet", get(&raw mut card, c_int::try_from(number).unwrap_or(c_int::MAX))),
            ("cuDeviceGetName", get_name(name.as_mut_ptr().cast(), name.len() as c_int, card)),
            ("cuDeviceGetAttribute", get_attribute(&raw mut major, MAJOR, card)),
            ("cuDeviceGetAttribute", get_attribute(&raw mut minor, MINOR, card)),
        ]
    };
    let seen = u32::try_from(n).unwrap_or_default();
    if (1..=number).contains(&seen) {
        return Err(format!(
            "card {number}, counted from 0, is asked for, and {seen} are seen: start no more ranks on a machine than it \
             has cards, or look at CUDA_VISIBLE_DEVICES and LOCAL_RANK"
        ));
    }
    match answers.into_iter().find(|(_, answer)| *answer != 0) {
        Some((asked, answer)) => Err(format!(
            "there is no card: {asked} of the NVIDIA driver ({DRIVER}) answers {answer}; CUDA_VISIBLE_DEVICES may \
             hide it"
        )),
        None => {
            let name = CStr::from_bytes_until_nul(&name).unwrap_or_default();
            Ok(Card { name: name.to_string_lossy().into_owned(), capability: (major, minor) })
        }
    }
}

/// A library that stays open until the process ends.
fn opened(name: &str, flags: c_int) -> std::result::Result<ManuallyDrop<Library>, libloading::Error> {
    // SAFETY: what these libraries do when they are opened may be done on any thread.
    unsafe { Library::open(Some(name), flags) }.map(ManuallyDrop::new)
}

unsafe extern "C" {
    safe fn swath_engine_fix_kernels() -> bool;
}

#[cfg(test)]
mod tests {
    use swath_proto::item::{Architecture, DeviceName, EngineName, ModelRef, WindowShape};

    use super::*;
    use crate::{Files, Predictor, drawn, load, weights::Stream};

    const WINDOW: WindowShape = WindowShape { core_px: 64, margin_px: 16 };

    fn loaded(device: DeviceName, precision: Precision) -> Result<Box<dyn Predictor>> {
        let model = ModelRef { precision, device, ..drawn(Architecture::UnetResnet18, EngineName::Libtorch) };
        load(&model, &[Files::default()], WINDOW, 2, 1)
    }

    const CHILD: &str = "SWATH_CARD_CHILD";

    /// In a process of its own, since libtorch looks for cards once.
    #[test]
    fn a_network_is_loaded_exactly_where_a_card_can_be_used() {
        if std::env::var_os(CHILD).is_some() {
            let seen = nth(0).and_then(Card::usable);
            for precision in [Precision::Fp32, Precision::Bf16, Precision::Fp16] {
                match (&seen, loaded(DeviceName::Cuda, precision).err()) {
                    (Ok(_), None) => {}
                    (Ok(_), Some(error)) => assert!(error.to_string().contains(LIBRARY), "{error}"),
                    (Err(why), error) => {
                        let error = error.expect("there is no card");
                        assert_eq!((error.kind, &error.to_string()), (Kind::Unfit, why));
                        assert!(why.contains(DRIVER) || why.contains("compute capability"), "{why}");
                    }
                }
            }
            return;
        }
        let name = "torch::cuda::tests::a_network_is_loaded_exactly_where_a_card_can_be_used";
        let ended = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name, "--nocapture"])
            .env(CHILD, "1")
            .output()
            .unwrap();
        assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stdout));
        assert!(String::from_utf8_lossy(&ended.stdout).contains("1 passed"));
    }

    #[test]
    fn cards_that_are_too_old_are_refused_in_words() {
        let card = |capability| Card { name: "V100".into(), capability }.usable();
        let why = card((7, 0)).unwrap_err();
        assert_eq!(why, "V100 is of compute capability 7.0, and 7.5 is the least that is computed on");
        assert!(card((6, 9)).is_err());
        for capability in [(7, 5), (8, 0), (12, 0)] {
            let found = card(capability).unwrap();
            assert_eq!(found.to_string(), format!("cuda {}.{} V100", capability.0, capability.1));
        }
    }

    #[test]
    fn no_precision_is_taken_for_another() {
        for precision in [Precision::Bf16, Precision::Fp16] {
            let error = loaded(DeviceName::Cpu, precision).err().unwrap();
            assert_eq!(error.kind, Kind::Config);
            assert!(error.to_string().contains(precision.name()), "{error}");
        }
    }

    /// Near what a processor says in 32 bits, and the same in every place of a batch, beside anything.
    #[test]
    #[ignore = "needs a card"]
    fn on_a_card_a_network_says_nearly_the_same() {
        card().unwrap();
        let mut stream = Stream::new(2, "images");
        let images: Vec<f32> = (0..2 * 3 * WINDOW.edge_px().pow(2)).map(|_| stream.uniform()).collect();
        let (first, second) = images.split_at(images.len() / 2);
        let mut processor = loaded(DeviceName::Cpu, Precision::Fp32).unwrap();
        let wanted = processor.forward(&images, 2).unwrap();
        let largest = wanted.iter().fold(0.0_f32, |largest, logit| largest.max(logit.abs()));
        for (precision, most) in [(Precision::Fp32, 1e-4), (Precision::Fp16, 0.01), (Precision::Bf16, 0.05)] {
            let mut card = loaded(DeviceName::Cuda, precision).unwrap();
            let found = card.forward(&images, 2).unwrap().to_vec();
            let apart = found.iter().zip(wanted).fold(0.0_f32, |apart, (a, b)| apart.max((a - b).abs()));
            assert!(apart < most * largest, "{precision:?}: {apart} of {largest}");
            let (before, behind) = found.split_at(found.len() / 2);
            let turned = card.forward(&[second, first].concat(), 2).unwrap();
            assert!(turned == [behind, before].concat(), "{precision:?}: the place in a batch moves bits");
            assert!(
                card.forward(second, 1).unwrap() == behind,
                "{precision:?}: what stands beside moves bits"
            );
        }
    }
}
