"""`harness data show`: the very tensors of training, with the normalization undone."""

import sys
from dataclasses import replace

import numpy as np
import PIL.Image
import pytest
import torch
from layout_trees import make_cityscapes

import harness
from harness import registry
from harness.cli.app import main
from harness.data import open_source
from harness.data.prepared import PreparedSplit
from harness.execute import preview
from harness.train.batch_augment import finish_batch, read_batch
from harness.train.batches import training_order

SPEC = """
study: looks
question: What does training see?
base:
  data: {name: cityscapes, root: city, size: [32, 64], inputs: [rgb, depth]}
  model: {name: unet, base_channels: 4}
  loss: {cross_entropy: {}}
  optimizer: {name: adam}
  schedule: {name: constant}
  train: {epochs: 1, batch_size: 2}
variants:
  plain: {}
  augmented:
    set:
      augment.rotate: {degrees: 30}
      augment.flip: {}
      augment.crop: {size: [24, 40]}
seeds: [3]
"""


@pytest.fixture(autouse=True)
def study(tmp_path, monkeypatch):
    """Write a study with depth and the data it reads."""
    monkeypatch.chdir(tmp_path)
    torch.set_num_threads(1)
    make_cityscapes(tmp_path / "city", disparity=True)
    (tmp_path / "looks.yaml").write_text(SPEC)


def config_of(variant, inputs=("rgb", "depth"), augment_as="steps"):
    overrides = [f"data.inputs=[{', '.join(inputs)}]", f"train.augment_as={augment_as}"]
    spec = harness.load_spec("looks.yaml", overrides=overrides)
    return next(replace(item.config, seed=3) for item in spec.variants if item.name == variant)


def looks_of(config, monkeypatch, split="train", epoch=1):
    drawn = []
    with monkeypatch.context() as patch:
        patch.setattr(preview, "draw_previews", lambda looks, *rest, **named: drawn.extend(looks))
        preview.show_data(config, split, images=16, epoch=epoch, title="", path=None)
    return {look.name: look for look in drawn}


def batches_of(config, epoch):
    source = open_source(config.data, config.seed)
    split = PreparedSplit(
        source.splits["train"],
        source.taxonomy,
        config.data.size,
        config.evaluate.size,
        with_depth=True,
        cached=False,
    )
    augment = [registry.build("augment", step) for step in config.augment]
    order = training_order(len(split), 5, seed=config.seed, epoch=epoch)
    batches = (read_batch(config, split, augment, places, epoch) for places in order)
    return [finish_batch(config, split, augment, batch, epoch) for batch in batches]


def as_bytes(images, labels, depths):
    arrays = zip(images, labels, depths, strict=True)
    return sorted((i.tobytes(), lab.tobytes(), np.nan_to_num(d, nan=-1).tobytes()) for i, lab, d in arrays)


@pytest.mark.parametrize("variant", ["plain", "augmented"])
@pytest.mark.parametrize("epoch", [1, 4])
@pytest.mark.parametrize("augment_as", ["steps", "one_sampling"])
def test_what_is_shown_is_what_training_gets(monkeypatch, variant, epoch, augment_as):
    config = config_of(variant, augment_as=augment_as)
    looks = looks_of(config, monkeypatch, epoch=epoch).values()
    [batch] = batches_of(config, epoch)
    trained = as_bytes(
        batch.images_BCHW.permute(0, 2, 3, 1).numpy(), batch.labels_BHW.numpy(), batch.depths_BHW.numpy()
    )
    shown = as_bytes(
        [look.seen_image for look in looks], [look.seen_label for look in looks], [look.seen_depth for look in looks]
    )
    assert shown == trained


def test_epochs_and_variants_differ_and_val_is_never_augmented(monkeypatch):
    first, fourth = (looks_of(config_of("augmented"), monkeypatch, epoch=epoch) for epoch in (1, 4))
    assert any((first[name].seen_image != fourth[name].seen_image).any() for name in first)
    assert all(look.seen_image.shape == (24, 40, 3) for look in first.values())
    for look in looks_of(config_of("augmented"), monkeypatch, split="val").values():
        np.testing.assert_array_equal(look.seen_image, look.image)
        np.testing.assert_array_equal(look.seen_label, look.label)


def test_without_colour_or_depth_there_is_none_to_show(monkeypatch):
    for look in looks_of(config_of("plain", ["rgb"]), monkeypatch).values():
        assert look.seen_depth is None
    for look in looks_of(config_of("plain", ["depth"]), monkeypatch).values():
        assert look.seen_image is None
        assert np.isnan(look.seen_depth[:, :2]).all()


def call(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["harness", "data", "show", "looks.yaml", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code or 0


def test_the_sheet_is_written_and_the_same_each_time(monkeypatch, capsys, tmp_path):
    sheets = []
    for name in ("a.png", "b.png"):
        assert call(monkeypatch, "--variant", "augmented", "--images", "2", "--out", name) == 0
        sheets.append((tmp_path / name).read_bytes())
    assert sheets[0] == sheets[1]
    assert capsys.readouterr().out == "a.png\nb.png\n"
    with PIL.Image.open(tmp_path / "a.png") as picture:
        assert picture.width > 1000


def test_wrong_names_are_one_message(monkeypatch, capsys):
    assert call(monkeypatch, "--split", "vall") == 2
    assert capsys.readouterr().err == "error: there is no split 'vall'; did you mean 'val'? known: train, val\n"
    assert call(monkeypatch, "--variant", "augment") == 2
    assert "did you mean 'augmented'? known: plain, augmented" in capsys.readouterr().err
