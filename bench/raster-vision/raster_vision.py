"""Raster Vision's side: the configuration of a pipeline, and its commands, each a process of its own."""

import json
import os
import shutil
import sys
import tempfile
import zipfile
from pathlib import Path

import cost

MODEL = Path(__file__).parent / "model"
ENVIRONMENT = {
    # What it imports is compiled once, and glibc keeps the blocks that torch frees: both in its favour.
    **{name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"},
    "MALLOC_MMAP_THRESHOLD_": "4000000000",
    "MALLOC_TRIM_THRESHOLD_": "8000000000",
    "MALLOC_TOP_PAD_": "1000000000",
    "NO_ALBUMENTATIONS_UPDATE": "1",
    "OMP_NUM_THREADS": "1",
}


def command(*words):
    """CPU seconds of `rastervision WORDS`."""
    main = "from rastervision.pipeline.cli import main; main()"
    return cost.run([sys.executable, "-c", main, *words], env=ENVIRONMENT)


def script(name, *words):
    """CPU seconds of a script beside this one, in the same environment."""
    return cost.run([sys.executable, Path(__file__).with_name(name), *words], env=ENVIRONMENT)


class Pipeline:
    """Scenes (paths without an ending) to chips of the first group and predictions of the second.

    `labels` is a pattern of the scene's name: a GeoJSON file, or a raster of classes. `model` is one of ours in model/, or
    none for Raster Vision's own: DeepLabV3 on ResNet-50. The network sees chips of `chip_sz` resized to `img_sz`."""

    def __init__(self, root, train, validation=(), labels="{id}.geojson", model="tiny", weights=None,
                 begin=None, solver=None, chip_sz=256, img_sz=256, augment=True):
        self.root = root
        root.mkdir(parents=True)
        config = _config(root, train, validation, labels, model, begin, solver or {}, chip_sz, img_sz, augment)
        self.file = config.get_config_uri()
        # 8-bit pixels stay as they are, but the file has to be there.
        statistics = root / "analyze/stats/train_scenes/stats.json"
        statistics.parent.mkdir(parents=True)
        statistics.write_text(json.dumps(dict(means=[0.0] * 3, stds=[1.0] * 3, counts=[1] * 3)))
        if weights:
            self._bundle(config, weights, has_module=model is not None)

    def run(self, stage):
        """CPU seconds of a stage."""
        return command("run_command", self.file, stage)

    def labels(self, scene):
        """The class raster of a scene, by its name."""
        return self.root / "predict" / scene / "labels.tif"

    def _bundle(self, config, weights, has_module):
        """What training would leave."""
        train = self.root / "train"
        train.mkdir()
        with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(train / "model-bundle.zip", "w") as bundle:
            learner = Path(folder) / "learner-config.json"
            config.backend.build(config, folder).learner_cfg.to_file(str(learner))
            bundle.write(learner, learner.name)
            bundle.write(weights, "model.pth")
            if has_module:
                bundle.write(MODEL / "hubconf.py", "modules/network/hubconf.py")
        shutil.copy(weights, train / "last-model.pth")


def _config(root, train, validation, labels, model, begin, solver, chip_sz, img_sz, augment):
    # Here, because they take seconds.
    from rastervision.pipeline import rv_config_
    from rastervision.pipeline.config import save_pipeline_config
    rv_config_.set_everett_config()
    from rastervision.core import data, rv_pipeline
    from rastervision.pytorch_backend import PyTorchSemanticSegmentationConfig
    from rastervision.pytorch_learner import (
        ExternalModuleConfig, SemanticSegmentationImageDataConfig, SemanticSegmentationModelConfig, SolverConfig)

    def classes(path):
        file = str(path.parent / labels.format(id=path.name))
        if file.endswith(".tif"):
            return data.RasterioSourceConfig(uris=[file])
        infer = data.ClassInferenceTransformerConfig(default_class_id=1)
        return data.RasterizedSourceConfig(
            vector_source=data.GeoJSONVectorSourceConfig(uris=[file], transformers=[infer]),
            rasterizer_config=data.RasterizerConfig(background_class_id=0))

    def scene(path):
        return data.SceneConfig(
            id=path.name,
            raster_source=data.RasterioSourceConfig(
                uris=[f"{path}.tif"], channel_order=[0, 1, 2], transformers=[data.StatsTransformerConfig()]),
            label_source=data.SemanticSegmentationLabelSourceConfig(raster_source=classes(path)),
            label_store=data.SemanticSegmentationLabelStoreConfig())

    windows = rv_pipeline.WindowSamplingConfig(
        method=rv_pipeline.WindowSamplingMethod.sliding, size=chip_sz, stride=chip_sz)
    network = model and ExternalModuleConfig(
        uri=str(MODEL), name="network", entrypoint=model, entrypoint_kwargs=dict(num_classes=2))
    changes = {} if augment else dict(augmentors=[])
    backend = PyTorchSemanticSegmentationConfig(
        data=SemanticSegmentationImageDataConfig(img_sz=img_sz, num_workers=0, **changes),
        model=SemanticSegmentationModelConfig(
            pretrained=False, external_def=network, init_weights=begin and str(begin)),
        solver=SolverConfig(**{"batch_sz": 8, **solver}), log_tensorboard=False, run_tensorboard=False)
    config = rv_pipeline.SemanticSegmentationConfig(
        root_uri=str(root),
        dataset=data.DatasetConfig(
            class_config=data.ClassConfig(
                names=["background", "building"], colors=["black", "orange"], null_class="background"),
            train_scenes=list(map(scene, train)),
            validation_scenes=list(map(scene, validation))),
        backend=backend,
        chip_options=rv_pipeline.SemanticSegmentationChipOptions(sampling=windows),
        predict_options=rv_pipeline.SemanticSegmentationPredictOptions(chip_sz=chip_sz, stride=chip_sz, batch_sz=8))
    config.update()
    save_pipeline_config(config, config.get_config_uri())
    return config
