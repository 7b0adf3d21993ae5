//! Which networks there are, and what they are made of.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::EngineName;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Architecture {
    /// Two small convolutions: for trying things out, and for tests.
    Tiny,
    /// U-Net on a ResNet encoder, with torchvision's layer names under `encoder.`.
    UnetResnet18,
    UnetResnet34,
    UnetResnet50,
    UnetResnet101,
    /// FPN on a ResNet encoder, as segmentation-models-pytorch defines it.
    FpnResnet18,
    FpnResnet34,
    FpnResnet50,
    FpnResnet101,
    /// DeepLabV3 as segmentation-models-pytorch defines it, since torchvision's needs bottlenecks.
    Deeplabv3Resnet18,
    Deeplabv3Resnet34,
    /// torchvision's DeepLabV3, with its layer names.
    Deeplabv3Resnet50,
    Deeplabv3Resnet101,
    /// DeepLabV3+ on a ResNet encoder, as segmentation-models-pytorch defines it.
    Deeplabv3plusResnet18,
    Deeplabv3plusResnet34,
    Deeplabv3plusResnet50,
    Deeplabv3plusResnet101,
    /// A TorchScript module; its file says what it computes.
    Torchscript,
    /// An ONNX model; its file says what it computes.
    Onnx,
}

/// What a network is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Made {
    Tiny,
    OnResnet(Decoder, Depth),
    /// As its file says.
    Program,
}

/// What makes classes of pixels of what a ResNet sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decoder {
    Unet,
    Fpn,
    Deeplabv3,
    Deeplabv3plus,
}

/// Of a ResNet, in layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    D18,
    D34,
    D50,
    D101,
}

impl Depth {
    /// Whether its blocks are narrow inside; the blocks of the others are two plain convolutions.
    pub const fn has_bottlenecks(self) -> bool {
        matches!(self, Self::D50 | Self::D101)
    }
}

impl Architecture {
    /// As pipeline files spell it, and what it is made of.
    const fn told(self) -> (&'static str, Made) {
        use {Decoder::*, Depth::*, Made::*};
        match self {
            Self::Tiny => ("tiny", Tiny),
            Self::UnetResnet18 => ("unet-resnet18", OnResnet(Unet, D18)),
            Self::UnetResnet34 => ("unet-resnet34", OnResnet(Unet, D34)),
            Self::UnetResnet50 => ("unet-resnet50", OnResnet(Unet, D50)),
            Self::UnetResnet101 => ("unet-resnet101", OnResnet(Unet, D101)),
            Self::FpnResnet18 => ("fpn-resnet18", OnResnet(Fpn, D18)),
            Self::FpnResnet34 => ("fpn-resnet34", OnResnet(Fpn, D34)),
            Self::FpnResnet50 => ("fpn-resnet50", OnResnet(Fpn, D50)),
            Self::FpnResnet101 => ("fpn-resnet101", OnResnet(Fpn, D101)),
            Self::Deeplabv3Resnet18 => ("deeplabv3-resnet18", OnResnet(Deeplabv3, D18)),
            Self::Deeplabv3Resnet34 => ("deeplabv3-resnet34", OnResnet(Deeplabv3, D34)),
            Self::Deeplabv3Resnet50 => ("deeplabv3-resnet50", OnResnet(Deeplabv3, D50)),
            Self::Deeplabv3Resnet101 => ("deeplabv3-resnet101", OnResnet(Deeplabv3, D101)),
            Self::Deeplabv3plusResnet18 => ("deeplabv3plus-resnet18", OnResnet(Deeplabv3plus, D18)),
            Self::Deeplabv3plusResnet34 => ("deeplabv3plus-resnet34", OnResnet(Deeplabv3plus, D34)),
            Self::Deeplabv3plusResnet50 => ("deeplabv3plus-resnet50", OnResnet(Deeplabv3plus, D50)),
            Self::Deeplabv3plusResnet101 => ("deeplabv3plus-resnet101", OnResnet(Deeplabv3plus, D101)),
            Self::Torchscript => ("torchscript", Program),
            Self::Onnx => ("onnx", Program),
        }
    }

    /// As pipeline files spell it.
    pub const fn name(self) -> &'static str {
        self.told().0
    }

    pub const fn made(self) -> Made {
        self.told().1
    }

    /// Whether its layers drop values where they learn, by a draw.
    pub const fn drops(self) -> bool {
        matches!(self.made(), Made::OnResnet(Decoder::Fpn | Decoder::Deeplabv3 | Decoder::Deeplabv3plus, _))
    }

    /// Images that a step of learning needs. DeepLabV3 and V3+ norm the mean of each image over its batch, and of one
    /// image that leaves nothing.
    pub const fn least_images(self) -> u32 {
        match self.made() {
            Made::OnResnet(Decoder::Deeplabv3 | Decoder::Deeplabv3plus, _) => 2,
            _ => 1,
        }
    }

    /// Edges of windows and chips are multiples of this.
    pub const fn edge_multiple_px(self) -> u32 {
        match self.made() {
            Made::OnResnet(Decoder::Unet | Decoder::Fpn, _) => 32,
            Made::OnResnet(Decoder::Deeplabv3plus, _) => 16,
            Made::OnResnet(Decoder::Deeplabv3, depth) if !depth.has_bottlenecks() => 8,
            Made::OnResnet(Decoder::Deeplabv3, _) | Made::Tiny | Made::Program => 1,
        }
    }

    /// The encoder, as torchvision calls it.
    pub const fn backbone(self) -> Option<&'static str> {
        match self.made() {
            Made::OnResnet(_, Depth::D18) => Some("resnet18"),
            Made::OnResnet(_, Depth::D34) => Some("resnet34"),
            Made::OnResnet(_, Depth::D50) => Some("resnet50"),
            Made::OnResnet(_, Depth::D101) => Some("resnet101"),
            Made::Tiny | Made::Program => None,
        }
    }

    /// What computes it fastest on a processor. Where 3 x 3 convolutions are most of the work, that is libtorch in 32 bits:
    /// it has some of our own, and OpenVINO's can be no faster than the processor multiplies.
    pub const fn engine(self, in_32_bits: bool) -> EngineName {
        match (self, self.made()) {
            (Self::Torchscript, _) => EngineName::Libtorch,
            (_, Made::OnResnet(Decoder::Unet | Decoder::Fpn | Decoder::Deeplabv3, _)) if in_32_bits => {
                EngineName::Libtorch
            }
            _ => EngineName::Openvino,
        }
    }

    /// Whether that engine can compute it.
    pub const fn runs_on(self, engine: EngineName) -> bool {
        match engine {
            EngineName::Libtorch => !matches!(self, Self::Onnx),
            EngineName::Openvino => !matches!(self, Self::Torchscript),
        }
    }

    /// Endings of the files that its weights come in.
    pub const fn endings(self) -> &'static [&'static str] {
        match self {
            Self::Torchscript => &["pt"],
            Self::Onnx => &["onnx"],
            _ => &["safetensors", "pth", "pt"],
        }
    }

    /// Whether its file says what it computes; else its layers are known here, and it can be trained.
    pub const fn is_program(self) -> bool {
        matches!(self.made(), Made::Program)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::schema;

    #[test]
    fn every_name_is_what_files_say_and_tells_what_it_is_made_of() {
        let schema = schema();
        let choices = schema["$defs"]["Architecture"]["oneOf"].as_array().unwrap();
        let words = choices.iter().flat_map(|choice| match choice["enum"].as_array() {
            Some(words) => words.clone(),
            None => vec![choice["const"].clone()],
        });
        let mut n = 0;
        for word in words {
            let architecture: Architecture = serde_json::from_value(word.clone()).unwrap();
            assert_eq!(word, architecture.name());
            if let (Made::OnResnet(decoder, _), Some(backbone)) =
                (architecture.made(), architecture.backbone())
            {
                let decoder = format!("{decoder:?}").to_lowercase();
                assert_eq!(word, format!("{decoder}-{backbone}"));
            } else {
                assert!(architecture == Architecture::Tiny || architecture.is_program());
            }
            n += 1;
        }
        assert_eq!(n, 19);
    }
}
