"""A trainer of one's own: reads the chips of a run through WebDataset, teaches torchvision's DeepLabV3 and writes a bundle.

pipeline.toml runs it as a step, which gives it the shards of the run: those to learn from in a folder `train`, those to
validate on in a folder `validation`. By hand, with all shards under a root in one folder:

    swath run FILE --stages survey,chip
    python3 train.py --pipeline FILE --chips swath/chips --validation SCENE --bundle bundle.zip
    swath predict bundle.zip IMAGE OUT.tif

Needs torch, torchvision, webdataset and Pillow. Change `network` and `learn` as you like; what the bundle says of the network
(`architecture`, and its layers' names) has to be what Swath knows. For all others there is `architecture = "onnx"`.
"""

import argparse
import hashlib
import io
import json
import pathlib
import struct
import tomllib
import zipfile

import numpy
import PIL.Image
import torch
import torchvision
import webdataset

ARCHITECTURE = "deeplabv3-resnet50"
IGNORED = 255


def network(classes):
    """Its layers have the names of torchvision's, as those of Swath have."""
    return torchvision.models.segmentation.deeplabv3_resnet50(weights=None, weights_backbone=None, num_classes=classes)


def chips(folder, of, wanted):
    """Images from 0 to 1, and the class of each pixel, of the scenes that are wanted. `of` is the folder that a step has them
    in."""
    folder = folder / of if (folder / of).is_dir() else folder
    shards = sorted(str(shard) for shard in folder.rglob("shard-*.tar"))
    if not shards:
        raise SystemExit(f"there are no shards in {folder}")
    # Bytes are decoded by hand: "pil" would make colours of labels.
    dataset = webdataset.WebDataset(shards, shardshuffle=False)
    dataset = dataset.select(lambda sample: wanted(json.loads(sample["json"])["scene"])).shuffle(200, initial=100)
    return dataset.to_tuple("img.png", "label.png").map_tuple(
        lambda image: pixels(image).permute(2, 0, 1).float() / 255, lambda label: pixels(label).long()
    )


def pixels(png):
    image = numpy.array(PIL.Image.open(io.BytesIO(png)))
    if image.dtype != numpy.uint8:
        raise SystemExit(f"chips of {image.dtype} are not read here: only of 8 bits")
    return torch.from_numpy(image)


def learn(model, dataset, epochs, batch):
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)
    loss_of = torch.nn.CrossEntropyLoss(ignore_index=IGNORED)
    model.train()
    for epoch in range(1, epochs + 1):
        losses = []
        # The last, smaller batch is left out: DeepLabV3's means over a whole image take two of them.
        for images, labels in dataset.batched(batch, partial=False):
            optimizer.zero_grad()
            loss = loss_of(model(images)["out"], labels)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        if not losses:
            raise SystemExit(f"fewer than {batch} chips to train on")
        print(f"epoch {epoch}: loss {sum(losses) / len(losses):.4f}", flush=True)


@torch.no_grad()
def iou(model, dataset, classes):
    """One number a class; None where neither labels nor network know of it."""
    both, either = numpy.zeros(classes), numpy.zeros(classes)
    model.eval()
    for image, label in dataset:
        found = model(image[None])["out"][0].argmax(0)
        for number in range(classes):
            seen, true = (found == number) & (label != IGNORED), label == number
            both[number] += (seen & true).sum().item()
            either[number] += (seen | true).sum().item()
    return [round(float(b / e), 4) if e else None for b, e in zip(both, either)]


def safetensors(tensors):
    """The bytes of a safetensors file: what is where, then all numbers as 32-bit floats."""
    header, bodies, at = {}, [], 0
    for name, tensor in sorted(tensors.items()):
        body = tensor.detach().cpu().numpy().astype("<f4").tobytes()
        header[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [at, at + len(body)]}
        at += len(body)
        bodies.append(body)
    words = json.dumps(header).encode()
    words += b" " * (-len(words) % 8)
    return struct.pack("<Q", len(words)) + words + b"".join(bodies)


def write_bundle(path, model, pipeline):
    """As docs/bundle-format.md says: members that are stored, and their sums."""
    # Batch norms count their batches, which nobody asks for later.
    tensors = {name: value for name, value in model.state_dict().items() if not name.endswith("num_batches_tracked")}
    weights = safetensors(tensors)
    classes = pipeline["classes"]
    predict, data = pipeline.get("predict", {}), pipeline.get("data", {})
    bands, masked = data.get("bands", [1, 2, 3]), data.get("mask", "use") == "use"
    about = {
        "version": "1",
        "program": "train.py",
        "model": {
            "architecture": ARCHITECTURE,
            "bands": len(bands),
            "classes": [{"name": one["name"], "rgb": list(bytes.fromhex(one["color"][1:]))} for one in classes],
            "null_class": next(number for number, one in enumerate(classes) if one.get("null")),
            "window": {"core_px": predict.get("core_px", 256), "margin_px": predict.get("margin_px", 32)},
            "batch": predict.get("batch", 1),
            "pixels": {"bands": [band - 1 for band in bands], "use_mask": masked, "scaling": {"by": "cast"}},
        },
        "members": {"weights.safetensors": {"len": len(weights), "sha256": hashlib.sha256(weights).hexdigest()}},
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as bundle:
        for name, content in [("bundle.json", json.dumps(about, indent=2).encode()), ("weights.safetensors", weights)]:
            bundle.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), content)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pipeline", type=pathlib.Path, required=True, help="the file whose chips these are")
    parser.add_argument("--chips", type=pathlib.Path, required=True, help="a folder of shards")
    parser.add_argument("--validation", action="append", default=[], help="a scene that is not learnt from; can be repeated")
    parser.add_argument("--bundle", type=pathlib.Path, required=True, help="the file to write")
    parser.add_argument("--scores", type=pathlib.Path, help="the JSON file to write: IoU of each class")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--batch", type=int, default=2)
    args = parser.parse_args()

    pipeline = tomllib.loads(args.pipeline.read_text())
    if pipeline.get("data", {}).get("scale", "auto") not in ("auto", "cast"):
        raise SystemExit("data.scale: only \"auto\" and \"cast\" are written into bundles here")
    torch.manual_seed(0)
    model = network(len(pipeline["classes"]))
    learn(model, chips(args.chips, "train", lambda scene: scene not in args.validation), args.epochs, args.batch)
    scores = {}
    if args.validation or (args.chips / "validation").is_dir():
        held_out = chips(args.chips, "validation", lambda scene: not args.validation or scene in args.validation)
        scores = {"iou": iou(model, held_out, len(pipeline["classes"]))}
    print("on validation scenes:", json.dumps(scores))
    if args.scores:
        args.scores.write_text(json.dumps(scores) + "\n")
    write_bundle(args.bundle, model, pipeline)
    print(args.bundle)


if __name__ == "__main__":
    main()
