"""What PyTorch's eager mode computes: the reference of this crate's networks.

Writes logits of freshly drawn networks (`reference.json`), of networks whose batch norms are as after
training (`settled.json`), of segmentation-models-pytorch's networks as its own files hold them
(`segmentation_models.json`), steps of learning (`steps.json`) and what options make of them (`options.json`); and
`module.pt` and `module.onnx`, a network as users export theirs. The seeded weights are drawn here a second time, from
their description alone. Takes the packages torch 2.11, torchvision, segmentation-models-pytorch 0.5 and numpy.
"""

import argparse
import hashlib
import json
import pathlib

import numpy as np
import segmentation_models_pytorch as models
import torch
import torchvision.models.resnet
from torch import nn
from torch.nn import functional as F
from torchvision.models.segmentation import deeplabv3

HERE = pathlib.Path(__file__).parent
EDGE, BANDS, CLASSES, SEED = 96, 4, 3, 11


def uniform(seed, name, n, first=0):
    """SplitMix64 from a hash of seed and name; the upper 24 bits, from 0 to 1."""
    start = np.frombuffer(hashlib.sha256(seed.to_bytes(8, "little") + name.encode()).digest()[:8], "<u8")
    with np.errstate(over="ignore"):
        z = start + np.arange(first + 1, first + n + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(40)).astype(np.float32) / np.float32(1 << 24)


def normal(seed, name, n):
    total = np.zeros(n, np.float32)
    for first in range(0, n, 1 << 16):
        piece = total[first : first + (1 << 16)]
        terms = uniform(seed, name, 12 * len(piece), 12 * first).reshape(-1, 12)
        for term in range(12):
            piece += terms[:, term]
    return total - np.float32(6)


def seed_(net, seed):
    """Draws the weights of a network; batch norms stay as PyTorch makes them."""
    for name, tensor in net.state_dict().items():
        if tensor.dim() == 4:
            scale = np.sqrt(np.float32(2) / np.float32(tensor[0].numel()))
            values = (normal(seed, name, tensor.numel()) * scale).reshape(tensor.shape)
            if name in ("hidden.weight", "head.weight") and tensor[0, 0].numel() > 1:
                values = values - values.mean(axis=(2, 3), keepdims=True)
            tensor.copy_(torch.from_numpy(values))
        elif name.endswith(".bias"):
            tensor.zero_()
    return net.eval()


def settle_(net, seed):
    """As after training: batch norms have something to fold, and biases are not zero."""
    for name, tensor in net.state_dict().items():
        if tensor.dim() == 1:
            values = uniform(seed, name, tensor.numel())
            offset, scale = {"weight": (0.25, 0.5), "running_var": (0.5, 1)}.get(name.split(".")[-1], (-0.5, 1))
            tensor.copy_(torch.from_numpy(values * np.float32(scale) + np.float32(offset)))
    return net.eval()


def conv(i, o, k, stride=1, bias=False):
    return nn.Conv2d(i, o, k, stride, k // 2, bias=bias)


def resnet(depth, bands, **options):
    """torchvision's, for any number of bands and without its classifier."""
    net = getattr(torchvision.models.resnet, depth)(**options)
    net.conv1 = conv(bands, 64, 7, 2)
    del net.fc, net.avgpool
    return net


def levels(net, x):
    stem = F.relu(net.bn1(net.conv1(x)))
    found = [stem, net.layer1(F.max_pool2d(stem, 3, 2, 1))]
    for layer in (net.layer2, net.layer3, net.layer4):
        found.append(layer(found[-1]))
    return found


class Stage(nn.Module):
    def __init__(self, i, o):
        super().__init__()
        self.conv1, self.bn1 = conv(i, o, 3), nn.BatchNorm2d(o)
        self.conv2, self.bn2 = conv(o, o, 3), nn.BatchNorm2d(o)

    def forward(self, x):
        return F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))))


class Unet(nn.Module):
    def __init__(self, depth, bands, classes):
        super().__init__()
        self.encoder = resnet(depth, bands)
        widths = [2048, 1024, 512, 256, 64] if depth in ("resnet50", "resnet101") else [512, 256, 128, 64, 64]
        below = widths[0]
        for k, (skip, o) in enumerate(zip(widths[1:] + [0], [256, 128, 64, 32, 16])):
            setattr(self, f"d{k}", Stage(below + skip, o))
            below = o
        self.head = conv(16, classes, 3, bias=True)

    def forward(self, x):
        *skips, y = levels(self.encoder, x)
        for stage in (self.d0, self.d1, self.d2, self.d3, self.d4):
            y = F.interpolate(y, scale_factor=2.0, mode="nearest")
            y = stage(torch.cat([y, skips.pop()], 1) if skips else y)
        return self.head(y)


class Deeplab(nn.Module):
    """torchvision's, whose state dict has the same names."""

    def __init__(self, depth, bands, classes):
        super().__init__()
        self.backbone = resnet(depth, bands, replace_stride_with_dilation=[False, True, True])
        self.classifier = deeplabv3.DeepLabHead(2048, classes)

    def forward(self, x):
        y = self.classifier(levels(self.backbone, x)[-1])
        return F.interpolate(y, size=x.shape[-2:], mode="bilinear", align_corners=False)


class Model(nn.Module):
    """segmentation-models-pytorch's, whose layers have the same names but for the head."""

    def __init__(self, kind, depth, bands, classes):
        super().__init__()
        net = kind(depth, encoder_weights=None, in_channels=bands, classes=classes)
        self.encoder, self.decoder = net.encoder, net.decoder
        self.head, self.up, _ = net.segmentation_head

    def forward(self, x):
        return self.up(self.head(self.decoder(self.encoder(x))))


class SmallDeeplab(nn.Module):
    """segmentation-models-pytorch's, with torchvision's names."""

    def __init__(self, depth, bands, classes):
        super().__init__()
        net = models.DeepLabV3(depth, encoder_weights=None, in_channels=bands, classes=classes)
        self.backbone, decoder, (head, self.up, _) = net.encoder, net.decoder, net.segmentation_head
        self.classifier = nn.Sequential(decoder.aspp, decoder.conv, decoder.bn, decoder.relu, head)

    def forward(self, x):
        return self.up(self.classifier(self.backbone(x)[-1]))


class Tiny(nn.Module):
    def __init__(self, bands, classes):
        super().__init__()
        self.hidden, self.head = conv(bands, 8, 3, bias=True), conv(8, classes, 1, bias=True)

    def forward(self, x):
        return self.head(F.relu(self.hidden(x)))


class Exported(nn.Module):
    """Batch norm, dropout and a change of scale: what an exported network may hold."""

    def __init__(self, bands, classes):
        super().__init__()
        self.first, self.norm = conv(bands, 8, 3, 2), nn.BatchNorm2d(8)
        self.drop, self.head = nn.Dropout(0.5), conv(8, classes, 1, bias=True)

    def forward(self, x):
        y = self.drop(F.relu(self.norm(self.first(x))))
        return F.interpolate(self.head(y), scale_factor=2.0, mode="bilinear", align_corners=False)


def window():
    values = uniform(1, "reference", EDGE * EDGE * BANDS).reshape(1, EDGE, EDGE, BANDS)
    return torch.from_numpy(values).permute(0, 3, 1, 2).contiguous()


def sample(logits):
    """One logit in 997, in the order of pixels with their classes side by side."""
    flat = logits.permute(0, 2, 3, 1).flatten()
    return [float(value) for value in flat[::997]]


NETWORKS = {
    "tiny": lambda: Tiny(BANDS, CLASSES),
    "unet-resnet18": lambda: Unet("resnet18", BANDS, CLASSES),
    "unet-resnet34": lambda: Unet("resnet34", BANDS, CLASSES),
    "unet-resnet50": lambda: Unet("resnet50", BANDS, CLASSES),
    "deeplabv3-resnet50": lambda: Deeplab("resnet50", BANDS, CLASSES),
    "deeplabv3-resnet101": lambda: Deeplab("resnet101", BANDS, CLASSES),
    "unet-resnet101": lambda: Unet("resnet101", BANDS, CLASSES),
    "fpn-resnet18": lambda: Model(models.FPN, "resnet18", BANDS, CLASSES),
    "deeplabv3-resnet18": lambda: SmallDeeplab("resnet18", BANDS, CLASSES),
    "deeplabv3plus-resnet18": lambda: Model(models.DeepLabV3Plus, "resnet18", BANDS, CLASSES),
}


@torch.no_grad()
def logits():
    exported = Exported(BANDS, CLASSES)
    exported.norm.running_mean.uniform_(-1, 1)
    exported.norm.running_var.uniform_(0.5, 2)
    # Saved as it trains: whoever loads it has to switch to evaluation.
    torch.jit.script(exported.train()).save(HERE / "module.pt")
    free = {0: "n", 2: "height", 3: "width"}
    torch.onnx.export(
        exported.eval(), (window(),), HERE / "module.onnx", dynamo=False, opset_version=17,
        input_names=["image"], output_names=["logits"], dynamic_axes={"image": free, "logits": free})
    nets = {"tiny": NETWORKS["tiny"](), "unet-resnet18": NETWORKS["unet-resnet18"]()}
    found = {name: sample(seed_(net, SEED)(window())) for name, net in nets.items()}
    found["torchscript"] = sample(exported.eval()(window()))
    (HERE / "reference.json").write_text(json.dumps(found) + "\n")


@torch.no_grad()
def settled():
    found = {}
    for name, build in NETWORKS.items():
        net = settle_(seed_(build(), SEED), SEED)
        found[name] = {"tensors": len(net.state_dict()), "logits": sample(net(window()))}
    (HERE / "settled.json").write_text(json.dumps(found) + "\n")


@torch.no_grad()
def segmentation_models():
    found = {}
    for kind, depth in [
        (models.Unet, "resnet18"), (models.FPN, "resnet50"), (models.DeepLabV3, "resnet34"),
        (models.DeepLabV3Plus, "resnet50"),
    ]:
        net = settle_(seed_(kind(depth, encoder_weights=None, in_channels=BANDS, classes=CLASSES), SEED), SEED)
        tensors = {name: list(tensor.shape) for name, tensor in net.state_dict().items() if tensor.dim()}
        name = f"{kind.__name__.lower()}-{depth}"
        found[name] = {"tensors": tensors, "logits": sample(net(window()))}
    (HERE / "segmentation_models.json").write_text(json.dumps(found) + "\n")


def some_of_all(named):
    """Of each tensor: eight numbers, evenly spread, and the largest."""
    def of(tensor):
        flat = tensor.detach().flatten()
        numbers = [flat[at * len(flat) // 8] for at in range(8)] + [flat.abs().max()]
        return [float(f"{float(number):.8g}") for number in numbers]

    return {name: of(tensor) for name, tensor in named}


def some(named):
    """Of every ninth tensor and of the last (if any)."""
    named = list(named)
    return some_of_all(named[::9] + named[-1:])


def learnt():
    """Images, and the class of each pixel."""
    n, edge = 3, 64
    pixels = uniform(2, "pixels", n * edge * edge * BANDS).reshape(n, edge, edge, BANDS)
    pixels = torch.from_numpy(pixels).permute(0, 3, 1, 2)
    draws = uniform(2, "labels", n * edge * edge).reshape(n, edge, edge)
    labels = np.where(draws < 0.1, 255, np.minimum(draws * CLASSES, CLASSES - 1).astype(np.int64))
    return pixels, torch.from_numpy(labels)


def steps():
    """Three steps of learning: losses, gradients of the first, weights after the last."""
    pixels, labels = learnt()
    found = {}
    for name, kind in [
        ("tiny", "adam"), ("tiny", "adamw"), ("unet-resnet18", "adam"), ("unet-resnet50", "adamw"),
        ("deeplabv3-resnet50", "adam"), ("fpn-resnet18", "adam"), ("deeplabv3plus-resnet18", "adam"),
    ]:
        with torch.no_grad():
            net = seed_(NETWORKS[name](), SEED)
        net = net.train().to(memory_format=torch.channels_last)
        for module in net.modules():
            if isinstance(module, nn.Dropout):
                # What is dropped is drawn in the order of memory.
                module.register_forward_pre_hook(
                    lambda _, x: (x[0].contiguous(memory_format=torch.channels_last),)
                )
        make = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[kind]
        optimizer = make(net.parameters(), lr=1e-3, weight_decay=0.01)
        loss_of = nn.CrossEntropyLoss(torch.tensor([0.5, 2.0, 1.0]), ignore_index=255)
        losses, gradients, statistics = [], None, None
        for step in range(3):
            torch.manual_seed(100 + step)
            optimizer.zero_grad()
            loss = loss_of(net(pixels), labels)
            loss.backward()
            losses.append(loss.item())
            if gradients is None:
                gradients = some((name, p.grad) for name, p in net.named_parameters())
                statistics = some([(name, b) for name, b in net.named_buffers() if b.dim()])
            optimizer.step()
        found[f"{name} {kind}"] = {"losses": losses, "gradients": gradients, "statistics": statistics}
        if name == "tiny":
            # Of the others, rounding decides the sign of small gradients, and so of Adam's first steps.
            found[f"{name} {kind}"]["after"] = some(net.named_parameters())
    (HERE / "steps.json").write_text(json.dumps(found) + "\n")


def loss_of(terms, logits, labels, weights):
    """The plain expressions, of pixels that count: those of a class that weighs something."""
    counts = (labels != 255) & (weights[labels.clamp(max=len(weights) - 1)] > 0)
    logits, labels = logits.permute(0, 2, 3, 1)[counts], labels[counts]
    of_pixels, log = weights[labels], F.log_softmax(logits, 1)
    own = log.gather(1, labels[:, None])[:, 0]
    dice, total = 0, 0
    for number, weight in enumerate(weights):
        actual, expected = (labels == number).float(), log[:, number].exp()
        if actual.sum() > 0:
            total += weight
            dice += weight * (1 - 2 * (actual * expected).sum() / (actual.sum() + expected.sum()))
    found = {
        "cross-entropy": F.cross_entropy(logits, labels, weights),
        "dice": dice / total,
        "focal": -(of_pixels * (1 - own.exp()) ** 2 * own).sum() / of_pixels.sum(),
    }
    return sum(part * found[term] for term, part in terms.items())


OPTIONS = {
    "dice": {"loss": {"dice": 1}},
    "focal": {"loss": {"focal": 1}},
    "sum": {"loss": {"cross-entropy": 0.5, "dice": 1, "focal": 2}},
    "clip": {"clip": 0.05},
    "ema": {"ema": 0.25},
}


def options():
    """Three steps of SGD with a momentum, each with one option: losses, gradients, weights, and their mean."""
    pixels, labels = learnt()
    # The last weighs nothing, so its pixels count for nothing.
    weights = torch.tensor([0.5, 2.0, 0.0])
    found = {}
    for name, given in OPTIONS.items():
        with torch.no_grad():
            net = seed_(NETWORKS["tiny"](), SEED)
        net = net.train().to(memory_format=torch.channels_last)
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
        means = {name: p.detach().clone() for name, p in net.named_parameters()}
        losses, gradients, norms = [], None, []
        for step in range(3):
            optimizer.zero_grad()
            loss = loss_of(given.get("loss", {"cross-entropy": 1}), net(pixels), labels, weights)
            loss.backward()
            losses.append(loss.item())
            if "clip" in given:
                norms.append(torch.nn.utils.clip_grad_norm_(net.parameters(), given["clip"]).item())
            if gradients is None:
                gradients = some_of_all((name, p.grad) for name, p in net.named_parameters())
            optimizer.step()
            for name_, p in net.named_parameters():
                kept = min(given.get("ema", 0), (step + 1) / (step + 10))
                means[name_].lerp_(p.detach(), 1 - kept)
        found[name] = {
            "options": given, "losses": losses, "gradients": gradients, "norms": norms,
            "after": some_of_all(net.named_parameters()), "means": some_of_all(means.items()),
        }
    (HERE / "options.json").write_text(json.dumps(found) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="*", default=["logits", "settled", "segmentation_models", "steps", "options"])
    torch.manual_seed(0)
    for what in parser.parse_args().what:
        globals()[what]()


if __name__ == "__main__":
    main()
