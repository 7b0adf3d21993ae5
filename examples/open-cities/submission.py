"""Packs the maps of the chips as the Open Cities AI Challenge takes them, and tells its score of the validation scenes.

A map is one uint8 band of the chip's size and place, named as the chip: 1 is building, 0 is not. Scenes that were
evaluated have labels, and so are no chips of the challenge.
"""

import argparse
import gzip
import json
import pathlib
import sys
import tarfile


def pack(maps, archive):
    """The same maps give the same bytes."""
    with archive.open("wb") as whole, gzip.GzipFile("", "wb", fileobj=whole, mtime=0) as packed:
        with tarfile.open(fileobj=packed, mode="w") as tar:
            for file in maps:
                entry = tarfile.TarInfo(file.name)
                entry.size = file.stat().st_size
                with file.open("rb") as content:
                    tar.addfile(entry, content)


def jaccard(evaluation, name):
    """Pixels of both over pixels of either, of all validation scenes together."""
    for entry in evaluation["overall"]:
        if entry["class_name"] == name:
            return entry["metrics"]["iou"]
    sys.exit(f"eval.json knows no class {name}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--predictions", type=pathlib.Path, required=True, help="a folder with a map of each scene")
    parser.add_argument("--eval", type=pathlib.Path, required=True, help="eval.json of the run")
    parser.add_argument("--archive", type=pathlib.Path, required=True, help="the submission to write")
    parser.add_argument("--score", type=pathlib.Path, required=True, help="the JSON file to write")
    parser.add_argument("--class-name", default="Building")
    args = parser.parse_args()

    evaluation = json.loads(args.eval.read_text())
    evaluated = set(evaluation["per_scene"])
    maps = sorted(file for file in args.predictions.glob("*.tif") if file.stem not in evaluated)
    if not maps:
        sys.exit(f"no map of a chip lies in {args.predictions}")
    pack(maps, args.archive)
    score = {"jaccard": jaccard(evaluation, args.class_name), "validation_scenes": len(evaluated), "chips": len(maps)}
    args.score.write_text(json.dumps(score) + "\n")
    print(f"{len(maps)} chips packed; Jaccard of {len(evaluated)} validation scenes: {score['jaccard']}")


if __name__ == "__main__":
    main()
