"""Writes evaluations.json: tables, and what Raster Vision 0.31.1 makes of them.

    python3.11 -m venv env && env/bin/pip install rastervision_core==0.31.1
    env/bin/python make_evaluations.py
"""
import json
import tempfile
from pathlib import Path

import numpy as np
from rastervision.core.data import ClassConfig
from rastervision.core.evaluation import SemanticSegmentationEvaluation

# For each case: names of classes, and a table for each scene.
CASES = {
    "two classes, two scenes": (["building", "background"], {"b": [[5, 3], [2, 90]], "a": [[7, 0], [1, 12]]}),
    "a class that is nowhere": (["a", "b", "c"], {"s": [[4, 1, 0], [2, 9, 0], [0, 0, 0]]}),
    "a class that is never found": (["a", "b"], {"s": [[0, 4], [0, 6]]}),
    "a class that is never right": (["a", "b"], {"s": [[0, 4], [3, 6]]}),
    "a class that is only predicted": (["a", "b"], {"s": [[0, 0], [5, 6]]}),
    "a class that is everywhere": (["a", "b"], {"s": [[11, 0], [0, 0]]}),
    "an empty scene beside another": (["a", "b"], {"empty": [[0, 0], [0, 0]], "s": [[5, 1], [2, 9]]}),
    "nothing at all": (["a", "b"], {"s": [[0, 0], [0, 0]]}),
    "one class": (["all"], {"s": [[9]]}),
    "drawn": (
        [f"class {n}" for n in range(7)],
        {
            name: np.random.default_rng(seed).integers(0, 20_000_000, (7, 7)).tolist()
            for seed, name in enumerate(["x", "y", "z"])
        },
    ),
}


class Pixels:
    """Labels that give the pixels of a table."""

    def __init__(self, pixels):
        self.pixels = pixels

    def get_windows(self):
        return [None]

    def get_label_arr(self, window, null_class_id):
        return self.pixels


def evaluate(config, table):
    table = np.array(table)
    n = len(table)
    evaluation = SemanticSegmentationEvaluation(config)
    if 0 < table.sum() < 1_000_000:
        cells = np.repeat(np.arange(n * n), table.ravel())
        evaluation.compute(Pixels(cells // n), Pixels(cells % n))
        assert (evaluation.conf_mat == table).all()
        return evaluation
    # Too many pixels to draw one by one, or none, which scikit-learn warns of: one of each, then the table.
    cells = np.arange(n * n)
    evaluation.compute(Pixels(cells // n), Pixels(cells % n))
    for class_id, item in evaluation.class_to_eval_item.items():
        made = type(item).from_multiclass_conf_mat(table.astype(float), class_id, item.class_name)
        evaluation.class_to_eval_item[class_id] = made
    evaluation.conf_mat = table.astype(float)
    evaluation.compute_avg()
    return evaluation


def expected(names, scenes):
    config = ClassConfig(names=names, null_class=names[-1])
    run = SemanticSegmentationEvaluation(config)
    for scene, table in scenes.items():
        run.merge(evaluate(config, table), scene_id=scene)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "eval.json"
        run.save(str(path))
        return json.loads(path.read_text())


cases = [
    {"name": name, "classes": classes, "scenes": list(scenes.items()), "expected": expected(classes, scenes)}
    for name, (classes, scenes) in CASES.items()
]
lines = ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases)
Path(__file__).with_name("evaluations.json").write_text(f"[\n{lines}\n]\n")
