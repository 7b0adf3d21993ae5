"""Networks as torch.hub loads them: `unet_resnet18`, whose weights have the names that they have in Swath, so that
both read the same file, and `tiny`, of one convolution, where the network does not matter."""

dependencies = ["torch", "torchvision"]

import torch
from torch import nn
from torch.nn import functional as F


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        from torchvision.models import resnet18

        whole = resnet18(weights=None)
        for name in ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4"):
            setattr(self, name, getattr(whole, name))

    def forward(self, x):
        half = self.relu(self.bn1(self.conv1(x)))
        quarter = self.layer1(self.maxpool(half))
        eighth = self.layer2(quarter)
        sixteenth = self.layer3(eighth)
        return self.layer4(sixteenth), sixteenth, eighth, quarter, half


class Stage(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)

    def forward(self, below, skipped):
        x = F.interpolate(below, scale_factor=2.0, mode="nearest")
        x = x if skipped is None else torch.cat([x, skipped], 1)
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)
        return F.relu(self.bn2(self.conv2(x)), inplace=True)


class UNet(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.encoder = Encoder()
        self.d0 = Stage(512 + 256, 256)
        self.d1 = Stage(256 + 128, 128)
        self.d2 = Stage(128 + 64, 64)
        self.d3 = Stage(64 + 64, 32)
        self.d4 = Stage(32, 16)
        self.head = nn.Conv2d(16, num_classes, 3, padding=1)

    def forward(self, x):
        x, *skips = self.encoder(x)
        for stage, skipped in zip([self.d0, self.d1, self.d2, self.d3, self.d4], [*skips, None]):
            x = stage(x, skipped)
        return self.head(x)


def unet_resnet18(num_classes, **_):
    return UNet(num_classes)


def tiny(num_classes, **_):
    return nn.Conv2d(3, num_classes, 1)
