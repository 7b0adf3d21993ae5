"""Cuts an image into squares, as other programs need them of large scenes; Swath itself does not.

A square is kept where some pixel of it has data (alpha is 255). It is a tiled TIFF of JPEG, of the image's own pixels up
to its last column and row; alpha becomes its mask, which JPEG would blur. Needs GDAL's programs (gdal_translate, gdalinfo).
"""

import argparse
import csv
import json
import pathlib
import subprocess
import sys
import tempfile

# Files in a bucket are written as a whole.
WRITING = ["--config", "GDAL_TIFF_INTERNAL_MASK", "YES", "--config", "CPL_VSIL_USE_TEMP_FILE_FOR_RANDOM_WRITE", "YES"]
COLOR = ["COMPRESS=JPEG", "JPEG_QUALITY=100", "PHOTOMETRIC=YCBCR", "TILED=YES", "BLOCKXSIZE=512", "BLOCKYSIZE=512"]


def run(*words):
    """What a program says; ends where it fails."""
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{words[0]} has failed: {done.stderr.strip()}")
    return done.stdout


def place(name):
    """Where GDAL finds a file."""
    return f"/vsis3/{name[len('s3://'):]}" if name.startswith("s3://") else name


def squares(width, height, edge):
    """Column by column; the last ones are as small as what is left."""
    for left in range(0, width, edge):
        for top in range(0, height, edge):
            yield left, top, min(edge, width - left), min(edge, height - top)


def has_data(image, square, folder):
    alpha = str(folder / "alpha.vrt")
    run("gdal_translate", "-q", "-of", "VRT", "-b", "4", "-srcwin", *map(str, square), image, alpha)
    return json.loads(run("gdalinfo", "-json", "-mm", alpha))["bands"][0]["computedMax"] == 255


def cut(image, square, target):
    options = [word for option in COLOR for word in ("-co", option)]
    bands = ["-b", "1", "-b", "2", "-b", "3", "-mask", "4"]
    half = target
    if not target.startswith("/vsi"):
        pathlib.Path(target).parent.mkdir(parents=True, exist_ok=True)
        # Nothing half-written has the name of a square.
        half = target + ".part"
    run("gdal_translate", "-q", *WRITING, "-of", "GTiff", *bands, *options, "-srcwin", *map(str, square), image, half)
    if half != target:
        pathlib.Path(half).rename(target)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--image", required=True, help="RGB and alpha")
    parser.add_argument("--labels", required=True, help="its labels, which are those of each square")
    parser.add_argument("--split-dir", required=True, help="a folder or s3://bucket/prefix")
    parser.add_argument("--edge", type=int, default=9000)
    parser.add_argument("--list", type=pathlib.Path, required=True, help="the CSV of squares to write")
    args = parser.parse_args()

    image = place(args.image)
    about = json.loads(run("gdalinfo", "-json", image))
    if len(about["bands"]) != 4:
        sys.exit(f"{args.image} has {len(about['bands'])} bands, and not red, green, blue and alpha")
    area, name = pathlib.PurePosixPath(args.image).parts[-3:-1]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for square in squares(*about["size"], args.edge):
            if has_data(image, square, pathlib.Path(folder)):
                target = f"{args.split_dir.rstrip('/')}/{area}/{name}/{name}_{len(rows)}.tif"
                cut(image, square, place(target))
                rows.append([f"{name}_{len(rows)}", target, args.labels])
    with args.list.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "image", "labels"])
        writer.writerows(rows)
    print(f"{args.image}: {len(rows)} squares")


if __name__ == "__main__":
    main()
