"""Makes the samples beside this file, and expected.json: what PyTorch itself reads from them. Those that
are committed were made by PyTorch 2.11.0.

    pip install torch safetensors && python make_samples.py

Samples are frozen once committed: every run writes other bytes. Commit only new ones.
"""

import collections
import json
import os
import pickle
import sys
import types
import zipfile

sys.setdlopenflags(os.RTLD_LAZY)  # PyTorch's CUDA build on a machine without CUDA's libraries
import torch

HERE = os.path.dirname(os.path.abspath(__file__))
EXPECTED = {}


def path(name):
    return os.path.join(HERE, name)


def flat(tensors, prefix=""):
    for key, value in tensors.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def save(name, saved, tensors=None, **how):
    """What is expected is what torch.load gives; `tensors` picks the state dict from it."""
    torch.save(saved, path(name), **how)
    loaded = torch.load(path(name), weights_only=False)
    picked = tensors(loaded) if tensors else loaded
    EXPECTED[name] = {
        key: {
            "dtype": str(tensor.dtype).removeprefix("torch."),
            "shape": list(tensor.shape),
            "values": tensor.detach().to(torch.float32).flatten().tolist(),
        }
        for key, tensor in flat(picked)
    }


def both(name, saved, tensors=None):
    save(f"{name}.pth", saved, tensors)
    save(f"{name}-old.pth", saved, tensors, _use_new_zipfile_serialization=False)


def network():
    torch.manual_seed(1)
    return torch.nn.Sequential(torch.nn.Conv2d(2, 3, 3), torch.nn.BatchNorm2d(3), torch.nn.Linear(2, 4, bias=False))


def dtypes():
    values = torch.tensor([0.0, 1.0, 2.0, 100.0])
    floats = [torch.float64, torch.float32, torch.float16, torch.bfloat16]
    integers = [torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool]
    return {str(d).removeprefix("torch."): (values - 0.375 if d in floats else values).to(d) for d in floats + integers}


def views():
    base = torch.arange(24, dtype=torch.float32)
    halves = torch.arange(12, dtype=torch.float16).reshape(3, 4)
    return {
        "whole": base.reshape(2, 3, 4),
        "slice": base[5:9],
        "transposed": base.reshape(4, 6).t(),
        "permuted": base.reshape(2, 3, 4).permute(2, 0, 1),
        "every_third": base[1::3],
        "corner": halves[1:, 2:],
        "expanded": torch.tensor([[7.0], [8.0]]).expand(2, 5),
        "channels_last": base.reshape(1, 2, 3, 4).contiguous(memory_format=torch.channels_last),
        "scalar": torch.tensor(3.5, dtype=torch.float64),
        "empty": torch.zeros(0, 3),
    }


def checkpoint():
    wrapped = torch.nn.DataParallel(network())
    optimizer = torch.optim.Adam(wrapped.parameters())
    for parameter in wrapped.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    return {
        "epoch": 3,
        "best_acc1": torch.tensor(0.75),
        "loss": 0.5,
        "seed": 2**70,
        "arch": "tiny",
        "resumed": None,
        "size": torch.Size([4, 5]),
        "dtype": torch.float32,
        "classes": ["ground", "house"],
        "optimizer": optimizer.state_dict(),
        "model": wrapped.state_dict(),
    }


def unwrapped(loaded):
    return {key.removeprefix("module."): tensor for key, tensor in loaded["model"].items()}


class Ancient(pickle._Pickler):
    """Writes tensors as PyTorch did before 0.4, and OrderedDicts as Python 2 did."""

    def reducer_override(self, value):
        if isinstance(value, torch.Tensor):
            view = (value.storage_offset(), tuple(value.size()), value.stride())
            return torch._utils._rebuild_tensor, (value._typed_storage(), *view)
        if isinstance(value, collections.OrderedDict):
            return collections.OrderedDict, ([[key, item] for key, item in value.items()],)
        return NotImplemented


ANCIENT = types.SimpleNamespace(Pickler=Ancient, dump=pickle.dump, __name__="pickle")


class Hostile:
    def __reduce__(self):
        return os.system, ("touch /tmp/swath-weights-was-fooled",)


def repack(name, to, method, replaced={}, without=()):
    with zipfile.ZipFile(path(name)) as old, zipfile.ZipFile(path(to), "w", method) as new:
        for member in old.infolist():
            short = member.filename.split("/", 1)[1]
            if short in without:
                continue
            entry = zipfile.ZipInfo(member.filename)
            entry.compress_type = method
            new.writestr(entry, replaced.get(short, old.read(member)))


def refused(name, saved, **how):
    torch.save(saved, path(name), **how)


both("network", network().state_dict())
both("dtypes", dtypes())
both("views", views())
both("checkpoint", checkpoint(), unwrapped)
both("parameters", collections.OrderedDict(weight=torch.nn.Parameter(torch.ones(2, 2)), bias=torch.nn.Parameter(torch.zeros(2), requires_grad=False)))
save("nested.pth", {"encoder": {"conv": {"weight": torch.ones(1, 2)}}, "head": {"bias": torch.full((2,), 2.0)}})
save("custom.pth", {"network": {"state_dict": {"weight": torch.ones(3)}}}, lambda loaded: loaded["network"]["state_dict"])
for protocol in (3, 4, 5):
    save(f"protocol{protocol}.pth", network().state_dict(), pickle_protocol=protocol)
    save(f"protocol{protocol}-old.pth", network().state_dict(), pickle_protocol=protocol, _use_new_zipfile_serialization=False)
save("ancient-old.pth", collections.OrderedDict(views()), pickle_module=ANCIENT, _use_new_zipfile_serialization=False)

refused("nan.pth", {"good": torch.ones(2), "nan": torch.tensor([1.0, 2.0, float("nan")]), "inf": torch.tensor([float("-inf")]), "wide": torch.tensor([0.0, 1e300], dtype=torch.float64)})
refused("hostile.pth", {"weight": torch.ones(2), "extra": Hostile()})
refused("hostile-old.pth", {"weight": torch.ones(2), "extra": Hostile()}, _use_new_zipfile_serialization=False)
refused("module.pth", network())
refused("complex.pth", {"weight": torch.ones(2, dtype=torch.complex64)})
refused("none.pth", {"epoch": 1, "names": ["a"]})
refused("tensor.pth", torch.ones(2))
torch.jit.save(torch.jit.script(torch.nn.ReLU()), path("torchscript.pt"))
with open(path("plain.pkl"), "wb") as file:
    pickle.dump({"weight": [1.0, 2.0]}, file, protocol=2)
repack("nested.pth", "deflated.pth", zipfile.ZIP_DEFLATED)
repack("nested.pth", "stored.pth", zipfile.ZIP_STORED)
EXPECTED["stored.pth"] = EXPECTED["nested.pth"]
SINCE_2_1 = ("byteorder", ".format_version", ".storage_alignment", ".data/serialization_id")
repack("nested.pth", "before-2.1.pth", zipfile.ZIP_STORED, without=SINCE_2_1)
EXPECTED["before-2.1.pth"] = EXPECTED["nested.pth"]
repack("nested.pth", "big-endian.pth", zipfile.ZIP_STORED, {"byteorder": b"big"})

from safetensors.torch import save_file

save_file({key: value.contiguous() for key, value in dtypes().items()}, path("dtypes.safetensors"), metadata={"by": "python"})
EXPECTED["dtypes.safetensors"] = EXPECTED["dtypes.pth"]

with open(path("expected.json"), "w") as file:
    lines = [f"{json.dumps(name)}: {json.dumps(tensors)}" for name, tensors in sorted(EXPECTED.items())]
    file.write("{\n" + ",\n".join(lines) + "\n}\n")
print(f"made by PyTorch {torch.__version__}")
