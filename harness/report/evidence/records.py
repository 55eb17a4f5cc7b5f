"""Where a difference between two variants comes from, as data. Fractions; nothing here is tested for significance."""

from __future__ import annotations

from harness.report.study.base import Record


class Paired(Record):
    """A score of two variants over the seeds that both have, and its difference paired by seed."""

    here: float | None
    """Mean over the seeds; null where nothing defines it."""
    against: float | None
    delta: float | None
    """`here` minus `against`: the mean of `by_seed`."""
    sd: float | None
    """Sample standard deviation of `by_seed`; null with fewer than two seeds."""
    seeds: tuple[int, ...]
    by_seed: tuple[float, ...]


class RegionDelta(Record):
    """IoU counted only on the pixels of one region of each image."""

    region: str
    """`all`, `border`, `interior`, `top`, `middle` or `bottom`."""
    share: float | None
    """Share of the split's counted pixels that lie in it."""
    miou_dataset: Paired
    """Over the classes that occur in the ground truth of the region."""
    iou_class: dict[str, Paired]


class Move(Record):
    """Pixels of one true class that one variant predicts as `source` and the other as `target`, net.

    Counts hold how often each variant predicted a class, not what the two predicted at the same pixel. So a move is
    read off the difference of the two confusion matrices: `source` lost, `target` gained, and `share` of the class went
    from one to the other if what was lost is spread over what was gained in proportion. `least` and `most` are what the
    two matrices allow at all for the smallest total movement that explains them.
    """

    true: str
    source: str
    """Class that these pixels were predicted as by the other variant; the true class itself stands for right."""
    target: str
    """Class that they are predicted as here."""
    share: float
    """Of the true class's pixels; mean over seeds."""
    least: float
    most: float
    pixels: int
    """Pixels of the true class in the split's ground truth, all of them."""
    agreeing: int
    """Seeds in which `source` lost and `target` gained, of those behind the evidence."""


class ImageChange(Record):
    """What a change did to one image."""

    image: str
    change: float
    """The image's part in the difference of miou_dataset, mean of `by_seed`; those of all images add up to it."""
    by_seed: tuple[float, ...]
    right: float
    """Change of the share of the image's counted pixels that are right; mean over seeds."""


class Evidence(Record):
    """Where two variants differ on one split: in which region, between which classes, in which images."""

    variant: str
    against: str
    split: str
    seeds: tuple[int, ...]
    """Seeds that both have: everything below is paired by seed and averaged over them."""
    regions: tuple[RegionDelta, ...]
    """`all` first; the others only where all results hold them."""
    moves: tuple[Move, ...]
    """The largest ones, by their share of the true class."""
    lost: tuple[ImageChange, ...]
    """The images of the split that lower the score most, the worst first."""
    gained: tuple[ImageChange, ...]
    images: int
    """Images of the split."""
    kept: int
    """Those of which both variants kept a picture."""
    pictured_lost: tuple[ImageChange, ...]
    """Among those kept: the ones that are drawn."""
    pictured_gained: tuple[ImageChange, ...]
    pictured_seed: int | None
    """The seed whose predictions are drawn; null where no picture is."""
    flow_figure: str | None
    """File below `figures/`; null where it is not drawn."""
    images_figure: str | None
