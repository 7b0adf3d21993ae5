//! Files of segmentation-models-pytorch: what it calls the tensors of networks that compute the same as ours.

use swath_proto::item::{Architecture, Decoder, Made};

/// Whether these are names of its tensors.
pub(super) fn is_its<'a>(mut names: impl Iterator<Item = &'a str>) -> bool {
    names.any(|name| name.starts_with("segmentation_head."))
}

/// Whether its network computes what ours does; else why not.
pub(super) fn check(architecture: Architecture) -> Result<(), String> {
    match architecture.made() {
        Made::OnResnet(Decoder::Deeplabv3, depth) if depth.has_bottlenecks() => Err(format!(
            "segmentation-models-pytorch dilates its encoder otherwise than torchvision, whose network \
             {name} is: export this one and give architecture = \"onnx\", or take torchvision's weights",
            name = architecture.name()
        )),
        _ => Ok(()),
    }
}

/// Its name for one of ours, or for what such names begin with. Where it has no other, ours is that.
pub(super) fn name(ours: &str) -> String {
    const BEGINNINGS: [(&str, &str); 6] = [
        ("head.", "segmentation_head.0."),
        // DeepLabV3, whose names are torchvision's here.
        ("backbone.", "encoder."),
        ("classifier.0.", "decoder.aspp."),
        ("classifier.1.", "decoder.conv."),
        ("classifier.2.", "decoder.bn."),
        ("classifier.4.", "segmentation_head.0."),
    ];
    let begins =
        |(ours_begins, its): &(&str, &str)| Some(format!("{its}{}", ours.strip_prefix(ours_begins)?));
    BEGINNINGS.iter().find_map(begins).or_else(|| of_unet(ours)).unwrap_or_else(|| ours.into())
}

/// `d0.conv1.weight` is `decoder.blocks.0.conv1.0.weight`, and its batch norm `decoder.blocks.0.conv1.1`.
fn of_unet(ours: &str) -> Option<String> {
    let (stage, rest) = ours.strip_prefix('d')?.split_once('.')?;
    let (layer, rest) = rest.split_once('.')?;
    let layer = match layer {
        "conv1" => "conv1.0",
        "bn1" => "conv1.1",
        "conv2" => "conv2.0",
        "bn2" => "conv2.1",
        _ => return None,
    };
    let stage: u8 = stage.parse().ok()?;
    Some(format!("decoder.blocks.{stage}.{layer}.{rest}"))
}
