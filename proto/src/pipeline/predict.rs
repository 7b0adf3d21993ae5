//! `[predict]`: how windows are laid over a scene.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{check::Check, classes::ClassEntry};
use crate::item::{Architecture, Blend, Compression, DeviceName, EngineName, Mixing, Views, WindowShape};

/// How the network goes over a scene.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PredictEntry {
    /// Pixels of a window that are kept; a power of two, and a multiple of `block_px`.
    #[schemars(range(min = 1, max = 8192))]
    pub core_px: u32,
    /// Context around the core that is computed, and cropped or blended.
    #[schemars(range(min = 0, max = 8192))]
    pub margin_px: u32,
    /// Windows are resized to so many pixels for the network, and what it says back to theirs: for networks that have learnt
    /// so, as Raster Vision's `img_sz`. Then `core_px` may be any number: windows at the borders of items are computed by
    /// both.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 16, max = 8192))]
    pub seen_px: Option<u32>,
    /// Windows that go through the network at a time: 1 for OpenVINO and 8 for libtorch, where it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 256))]
    pub batch: Option<u32>,
    /// Tiles of the output; a power of two.
    #[schemars(range(min = 64, max = 4096))]
    pub block_px: u32,
    /// How tiles of the output are compressed.
    pub compression: Compression,
    /// The value of pixels that do not count (missing, or outside the area of interest) in the map, which says so:
    /// viewers leave them out. That of the null class, or one that no class has; 255 is usual. Where it is left
    /// out they are of the null class like others, and the map has no such value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nodata: Option<u8>,
    /// Edge of an item; chosen from the measured speed where it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 64, max = 16384))]
    pub item_px: Option<u32>,
    /// Write a raster of scores beside the classes.
    pub scores: bool,
    /// Write a raster of how sure the class of each pixel is: its probability, 1 to 255; 0 is no data.
    pub confidence: bool,
    /// What becomes of the margins.
    pub blend: Blend,
    /// Views of each window that the network is shown; their probabilities are averaged.
    pub augment: Views,
    /// On what the network is computed.
    pub device: DeviceName,
    /// What computes the network. If nobody says, libtorch on cards; on processors libtorch in `fp32` for U-Net, FPN and DeepLabV3, and OpenVINO for all else that it can.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub engine: Option<EngineName>,
    /// In which numbers the network computes: `fp32` if nobody says. `int8` is taken only if the F1 of every class stays within half a point on the
    /// validation scenes; if not, it is said, and 32 bits are used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub precision: Option<PrecisionWord>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PrecisionWord {
    Fp32,
    /// The usual on cards. Much faster on processors that have instructions for it (AVX512_BF16, AMX), and refused on
    /// others.
    Bf16,
    /// On cards alone: finer than bf16, and not for networks whose values exceed 65,504.
    Fp16,
    /// Several times as fast on processors of the last years.
    Int8,
}

impl Default for PredictEntry {
    fn default() -> Self {
        Self {
            core_px: 256,
            margin_px: 32,
            seen_px: None,
            batch: None,
            block_px: 256,
            compression: Compression::default(),
            nodata: None,
            item_px: None,
            scores: false,
            confidence: false,
            blend: Blend::default(),
            augment: Views::default(),
            device: DeviceName::default(),
            engine: None,
            precision: None,
        }
    }
}

impl PredictEntry {
    pub fn mixing(&self) -> Mixing {
        Mixing { blend: self.blend, augment: self.augment }
    }

    /// What computes the network.
    pub fn engine(&self, architecture: Architecture) -> EngineName {
        let in_32_bits = self.precision.is_none_or(|precision| precision == PrecisionWord::Fp32);
        self.engine.unwrap_or_else(|| self.device.engine(architecture, in_32_bits))
    }

    pub(super) fn check(&self, architecture: Architecture, classes: &[ClassEntry], check: &mut Check<'_>) {
        self.check_nodata(classes, check);
        let Self { core_px, margin_px, seen_px, block_px, item_px, .. } = *self;
        let [core, margin, block, item, seen] = [
            "predict.core_px",
            "predict.margin_px",
            "predict.block_px",
            "predict.item_px",
            "predict.seen_px",
        ];
        if check.sound(&[block]) && !block_px.is_power_of_two() {
            check.wrong(
                block,
                format!("must be a power of two; {} is the nearest", power_near(block_px, 64, 4096)),
            );
        }
        if check.sound(&[block, core, seen]) && seen_px.is_none() {
            let near = power_near(core_px, block_px, 8192);
            if !core_px.is_multiple_of(block_px) {
                let why = format!("must be a multiple of block_px ({block_px}); {near} is the nearest");
                check.wrong(core, why);
            } else if !core_px.is_power_of_two() {
                let why =
                    format!("must be a power of two, so that cores tile an item; {near} is the nearest");
                check.wrong(core, why);
            }
        }
        if check.sound(&[core, margin]) && margin_px > core_px {
            check.wrong(margin, format!("must not be larger than core_px ({core_px})"));
        }
        self.check_engine(architecture, check);
        if check.sound(&[core, margin, "predict.blend"])
            && let Some(why) = self.mixing().problem(WindowShape { core_px, margin_px })
        {
            check.wrong(margin, why);
        }
        let multiple = architecture.edge_multiple_px();
        if let Some(seen_px) = seen_px
            && check.sound(&[seen, "model.architecture"])
            && !seen_px.is_multiple_of(multiple)
        {
            let near = seen_px.next_multiple_of(multiple);
            check.wrong(
                seen,
                format!("must be a multiple of {multiple} for this network; {near} is the next"),
            );
        }
        if check.sound(&[core, margin, seen, "model.architecture"])
            && seen_px.is_none()
            && !(core_px + 2 * margin_px).is_multiple_of(multiple)
        {
            let half = multiple / 2;
            let below = margin_px - margin_px % half;
            let near =
                if margin_px % half < half / 2 || below + half > core_px { below } else { below + half };
            let why = format!(
                "core_px + 2 margin_px must be a multiple of {multiple} for this network; {near} is the nearest"
            );
            check.wrong(margin, why);
        }
        if check.sound(&[core, item])
            && let Some(item_px) = item_px
            && (!item_px.is_power_of_two() || item_px < core_px.max(block_px))
        {
            let least = core_px.max(block_px).next_power_of_two();
            let (what, px) = if core_px < block_px { ("block_px", block_px) } else { ("core_px", core_px) };
            let near = power_near(item_px, least, 16384);
            let why = format!("must be a power of two from {what} ({px}) to 16384; {near} is the nearest");
            check.wrong(item, why);
        }
    }
}

impl PredictEntry {
    /// What computes, on what, and in which numbers.
    fn check_engine(&self, architecture: Architecture, check: &mut Check<'_>) {
        let [engine, device, precision] = ["predict.engine", "predict.device", "predict.precision"];
        let on_cards = self.device == DeviceName::Cuda;
        if let Some(name) = self.engine
            && check.sound(&[engine, "model.architecture"])
            && !architecture.runs_on(name)
        {
            let why = match name {
                EngineName::Libtorch => "libtorch runs no ONNX models: leave it out",
                EngineName::Openvino => {
                    "OpenVINO runs no TorchScript modules: leave it out, or export the module to ONNX"
                }
            };
            check.wrong(engine, why);
        }
        if on_cards && check.sound(&[device, engine]) && self.engine == Some(EngineName::Openvino) {
            check.wrong(engine, "only libtorch computes on cards: leave it out");
        }
        if on_cards && check.sound(&[device, "model.architecture"]) && architecture.is_program() {
            check.wrong(device, "only networks whose layers are known here are computed on cards");
        }
        if check.sound(&[precision, engine, device]) {
            let is_openvinos = self.engine(architecture) == EngineName::Openvino;
            let why = match self.precision {
                None | Some(PrecisionWord::Fp32) => None,
                Some(PrecisionWord::Bf16) if is_openvinos || on_cards => None,
                Some(PrecisionWord::Fp16) if on_cards => None,
                Some(PrecisionWord::Int8) if is_openvinos && !architecture.is_program() => None,
                Some(PrecisionWord::Bf16) => Some("on processors only OpenVINO computes in bf16"),
                Some(PrecisionWord::Fp16) => Some("only cards compute in fp16: it takes device = \"cuda\""),
                Some(PrecisionWord::Int8) => {
                    Some("only OpenVINO computes in int8, and only networks whose layers are known here")
                }
            };
            if let Some(why) = why {
                check.wrong(precision, why);
            }
        }
    }

    /// A class's pixels must not be taken for such that do not count; those of the null class may.
    fn check_nodata(&self, classes: &[ClassEntry], check: &mut Check<'_>) {
        let nodata = "predict.nodata";
        if let Some(class) = self.nodata.and_then(|value| classes.get(usize::from(value)))
            && check.sound(&[nodata])
            && !class.null
        {
            check.wrong(nodata, format!("is the class '{}'; 255 is what no class has", class.name));
        }
    }
}

/// The power of two that is nearest to a number, within limits that are powers of two.
fn power_near(number: u32, least: u32, most: u32) -> u32 {
    let above = number.clamp(least, most).next_power_of_two();
    let below = (above / 2).max(least);
    if number.abs_diff(below) <= number.abs_diff(above) { below } else { above.min(most) }
}

#[cfg(test)]
mod tests {
    use super::power_near;

    #[test]
    fn the_nearest_power_lies_within_the_limits() {
        for (number, near) in [(100, 256), (300, 256), (700, 512), (800, 1024), (9000, 8192), (256, 256)] {
            assert_eq!(power_near(number, 256, 8192), near, "{number}");
        }
    }
}
