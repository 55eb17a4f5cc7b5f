"""Data sets: opening one by its name in a spec, and what every one of them offers (`harness.data.source`)."""

from __future__ import annotations

from pathlib import Path

from harness.data import desert, layouts
from harness.data.faults import refuse, without_bad_images
from harness.data.plugin_data import checked
from harness.data.remote import fetch, is_url
from harness.data.source import Source
from harness.data.subsets import fold, shrink
from harness.errors import HarnessError, InputError, SettingError, describe, describe_missing, is_out_of_memory
from harness.randomness import make_rng
from harness.registry import build, find_part
from harness.settings import DataChoice

__all__ = ["desert", "layouts", "open_source", "open_whole", "varies_with_seed"]


def open_source(choice: DataChoice, seed: int = 0) -> Source:
    """Open a chosen data set as a run of a seed sees it: its files are listed, but no image is decoded.

    With `on_bad_image: skip` and with `fraction`, the labels are read too, once for one content.

    Raises:
        InputError: its files are not where the settings say, or do not belong together.
    """
    source = open_whole(choice)
    if choice.on_bad_image == "skip":
        source = without_bad_images(source)
    else:
        refuse(source, source.listed)
    lacking = [name for name, split in source.splits.items() if split.read_depth is None]
    if "depth" in choice.inputs and lacking:
        raise InputError(
            f"data.inputs: '{choice.name}' has no depth for {', '.join(lacking)} here; write data.inputs: [rgb]"
            f" (harness parts data {choice.name} tells which depth files it reads, if any)"
        )
    if choice.folds is not None:
        source = fold(source, choice.folds, seed % choice.folds)
    if choice.fraction < 1:
        source = shrink(source, choice.fraction, make_rng(seed, "fraction"))
    return source


def open_whole(choice: DataChoice) -> Source:
    """Open a chosen data set as it is: bad images, and files without a counterpart, are in its list of faults.

    Of a data set at a URL, this machine's copy is opened.
    """
    part = find_part("data", choice.name)
    copies = {name: str(fetch(place)) for name in part.locations if is_url(place := choice.own[name])}
    who = f"data '{choice.name}' ({part.place})"
    try:
        source: Source = build("data", choice.with_settings(**copies))
    except SettingError as error:
        raise SettingError(("data", *error.path), error.problem) from None
    except InputError:
        for name in set(part.locations) - copies.keys():
            if isinstance(place := choice.own[name], str) and not Path(place).expanduser().exists():
                raise InputError(f"data.{name}: {describe_missing(place)}") from None
        raise
    except Exception as error:
        if isinstance(error, HarnessError) or part.plugin is None or is_out_of_memory(error):
            raise
        raise InputError(f"{who}: it cannot be opened: {describe(error)}") from error
    return source if part.plugin is None else checked(source, who)


def varies_with_seed(choice: DataChoice) -> bool:
    """Tell whether runs of different seeds see different images."""
    return choice.folds is not None or choice.fraction < 1
