"""Writes dashboards/*.json. With --check it writes nothing, and fails where they are not what this gives."""

import pathlib
import sys

import fleet
import queues
import run
import training
import workers
from panels import read_back, text

HERE = pathlib.Path(__file__).resolve().parent.parent
BOARDS = {"run": run, "workers": workers, "queues": queues, "training": training, "fleet": fleet}

differ = False
for name, module in BOARDS.items():
    path, made = HERE / f"{name}.json", text(module.BOARD)
    if read_back(made) != made:
        sys.exit(f"{name}: Grafana's schema does not hold all that is in it")
    if "--check" not in sys.argv[1:]:
        path.write_text(made)
    elif not path.exists() or path.read_text() != made:
        print(f"{path.relative_to(HERE.parent)} is not what its source gives: run `make dashboards`", file=sys.stderr)
        differ = True
sys.exit(1 if differ else 0)
