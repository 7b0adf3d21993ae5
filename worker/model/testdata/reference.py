"""What PyTorch's eager mode computes: the reference of this crate's networks.

Writes the logits in `reference.json`, and `module.pt`, a scripted network as users export theirs.
The seeded weights are drawn here a second time, from their description alone. `--weights FILE` instead
writes the U-Net with batch norms as after training (safetensors), and prints its logits. Takes the
packages torch 2.11, numpy and safetensors.
"""

import argparse
import hashlib
import json
import pathlib

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

HERE = pathlib.Path(__file__).parent
EDGE, BANDS, CLASSES, SEED = 96, 4, 3, 11


def uniform(seed, name, n):
    """SplitMix64 from a hash of seed and name; the upper 24 bits, from 0 to 1."""
    start = np.frombuffer(hashlib.sha256(seed.to_bytes(8, "little") + name.encode()).digest()[:8], "<u8")
    with np.errstate(over="ignore"):
        z = start + np.arange(1, n + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(40)).astype(np.float32) / np.float32(1 << 24)


def normal(seed, name, n):
    terms = uniform(seed, name, 12 * n).reshape(n, 12)
    total = np.zeros(n, np.float32)
    for term in range(12):
        total += terms[:, term]
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
        elif name in ("head.bias", "hidden.bias"):
            tensor.zero_()
    return net.eval()


def conv(i, o, k, stride=1, bias=False):
    return nn.Conv2d(i, o, k, stride, k // 2, bias=bias)


class Block(nn.Module):
    def __init__(self, i, o, stride):
        super().__init__()
        self.conv1, self.bn1 = conv(i, o, 3, stride), nn.BatchNorm2d(o)
        self.conv2, self.bn2 = conv(o, o, 3), nn.BatchNorm2d(o)
        changes = stride != 1 or i != o
        self.downsample = nn.Sequential(conv(i, o, 1, stride), nn.BatchNorm2d(o)) if changes else None

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + (self.downsample(x) if self.downsample else x))


class Encoder(nn.Module):
    def __init__(self, bands):
        super().__init__()
        self.conv1, self.bn1 = conv(bands, 64, 7, 2), nn.BatchNorm2d(64)
        for k, (i, o, stride) in enumerate([(64, 64, 1), (64, 128, 2), (128, 256, 2), (256, 512, 2)], 1):
            setattr(self, f"layer{k}", nn.Sequential(Block(i, o, stride), Block(o, o, 1)))

    def forward(self, x):
        stem = F.relu(self.bn1(self.conv1(x)))
        levels = [stem, self.layer1(F.max_pool2d(stem, 3, 2, 1))]
        for layer in (self.layer2, self.layer3, self.layer4):
            levels.append(layer(levels[-1]))
        return levels


class Stage(nn.Module):
    def __init__(self, i, o):
        super().__init__()
        self.conv1, self.bn1 = conv(i, o, 3), nn.BatchNorm2d(o)
        self.conv2, self.bn2 = conv(o, o, 3), nn.BatchNorm2d(o)

    def forward(self, x):
        return F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))))


class Unet(nn.Module):
    def __init__(self, bands, classes):
        super().__init__()
        self.encoder = Encoder(bands)
        for k, (i, o) in enumerate([(768, 256), (384, 128), (192, 64), (128, 32), (32, 16)]):
            setattr(self, f"d{k}", Stage(i, o))
        self.head = conv(16, classes, 3, bias=True)

    def forward(self, x):
        *skips, y = self.encoder(x)
        for stage in (self.d0, self.d1, self.d2, self.d3, self.d4):
            y = F.interpolate(y, scale_factor=2.0, mode="nearest")
            y = stage(torch.cat([y, skips.pop()], 1) if skips else y)
        return self.head(y)


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


@torch.no_grad()
def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", help="write the U-Net's weights there")
    args = parser.parse_args()
    torch.manual_seed(0)
    unet, tiny = seed_(Unet(BANDS, CLASSES), SEED), seed_(Tiny(BANDS, CLASSES), SEED)
    exported = Exported(BANDS, CLASSES)
    exported.norm.running_mean.uniform_(-1, 1)
    exported.norm.running_var.uniform_(0.5, 2)
    # Saved as it trains: whoever loads it has to switch to evaluation.
    torch.jit.script(exported.train()).save(HERE / "module.pt")
    exported.eval()
    if args.weights:
        from safetensors.torch import save_file

        # Statistics as after training, so that folding has something to fold.
        for module in unet.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.uniform_(-1, 1)
                module.running_var.uniform_(0.5, 2)
                module.weight.uniform_(0.5, 1.5)
                module.bias.uniform_(-0.5, 0.5)
        save_file(unet.state_dict(), args.weights)
        print(json.dumps(sample(unet(window()))))
        return
    nets = {"tiny": tiny, "unet-resnet18": unet, "torchscript": exported}
    found = {name: sample(net(window())) for name, net in nets.items()}
    (HERE / "reference.json").write_text(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
