"""The loop that a good engineer writes: rasterio, a DataLoader, PyTorch with its channels last, a tiled GeoTIFF.

Reads an image, writes the class of each pixel: python hand.py IMAGE WEIGHTS OUT
"""

import sys
from pathlib import Path

import numpy
import rasterio
import torch
from rasterio.windows import Window
from torch.utils.data import DataLoader, Dataset

CHIP, BATCH, BLOCK = 256, 8, 512


class Windows(Dataset):
    def __init__(self, path):
        self.path, self.image = path, None
        with rasterio.open(path) as image:
            self.places = [(row, col) for row in range(0, image.height, CHIP) for col in range(0, image.width, CHIP)]

    def __len__(self):
        return len(self.places)

    def __getitem__(self, number):
        self.image = self.image or rasterio.open(self.path)
        row, col = self.places[number]
        window = Window(col, row, CHIP, CHIP)
        return torch.from_numpy(self.image.read(window=window, boundless=True, fill_value=0)), number


def main(image, weights, out):
    sys.path.insert(0, str(Path(__file__).parent / "model"))
    import hubconf

    torch.set_num_threads(1)
    network = hubconf.unet_resnet18(num_classes=2).eval()
    network.load_state_dict(torch.load(weights, map_location="cpu"))
    network = network.to(memory_format=torch.channels_last)
    with rasterio.open(image) as source:
        profile = dict(driver="GTiff", width=source.width, height=source.height, count=1, dtype="uint8",
                       crs=source.crs, transform=source.transform, tiled=True, blockxsize=BLOCK, blockysize=BLOCK,
                       compress="deflate")
    windows = Windows(image)
    classes = numpy.zeros((profile["height"], profile["width"]), numpy.uint8)
    with torch.inference_mode():
        for pixels, numbers in DataLoader(windows, batch_size=BATCH, num_workers=1):
            pixels = pixels.float().div_(255).contiguous(memory_format=torch.channels_last)
            found = network(pixels).argmax(1).to(torch.uint8).numpy()
            for plane, number in zip(found, numbers.tolist()):
                row, col = windows.places[number]
                part = classes[row : row + CHIP, col : col + CHIP]
                part[:] = plane[: part.shape[0], : part.shape[1]]
    with rasterio.open(out, "w", **profile) as raster:
        raster.write(classes, 1)


if __name__ == "__main__":
    main(*sys.argv[1:])
