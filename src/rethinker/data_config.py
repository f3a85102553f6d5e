"""The part of the configuration that says where problems come from."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from rethinker.config_section import Count, Natural, Positive, Section, Share


class GymLevel(Section):
    """One ingredient of a gym mixture."""

    family: str
    """Name of a problem family (`rethinker gym list`)."""
    level: Count = 1
    """Difficulty, from 1."""
    weight: Positive = 1.0
    """Relative share in the mixture."""


class GymDataConfig(Section):
    """Procedurally drawn visual-reasoning problems."""

    kind: Literal["gym"] = "gym"
    mixture: tuple[GymLevel, ...] = (
        GymLevel(family="counting"),
        GymLevel(family="bars"),
        GymLevel(family="spatial"),
    )
    """Families, levels and weights."""


class FileDataConfig(Section):
    """What every data set of files has."""

    held_out: Share = 0.2
    """Share of rows held out for evaluation, above 0 and below 1, chosen by the hash of their id."""
    max_quarantined: Share = 0.05
    """The run stops when a larger share of the rows is bad."""
    max_image_pixels: Count = 50_000_000
    """Larger images are quarantined before they are decoded."""
    image_bytes: Natural = 500_000_000
    """Bound on decoded images in memory: half for the rows to come, half for rows that come again."""
    threads: Natural = 2
    """Threads that decode the rows to come; 0 decodes them when they are needed."""

    @model_validator(mode="after")
    def _both_sides_have_rows(self) -> Self:
        if self.held_out in (0, 1):
            raise ValueError(f"data.held_out={self.held_out:g} leaves one side no rows; give a share between")
        return self


class ColumnsConfig(Section):
    """Which column holds what."""

    question: str = ""
    """Text, with `<image>` marks or without; empty means `question`, else `problem`."""
    answer: str = ""
    """Text or a number, in a `\\boxed{}` or not; empty means `answer`."""
    images: str = ""
    """One image or a list: paths, base64, bytes or `{bytes, path}`; empty means `images`, else `image`."""
    choices: str = ""
    """The options' texts; empty means `choices`, else `options`, where there is one."""
    id: str = ""
    """Empty means `id`, else `qid`, else file and row."""
    category: str = ""
    """What breakdowns go by; empty means `category`, where there is one."""
    source: str = ""
    """Where a row comes from; empty means `source`, else the file's name."""


class JsonlDataConfig(FileDataConfig):
    """A JSON-lines file: `question`, `answer`, and optionally `image`, `choices`, `id`, `category`, `source`."""

    kind: Literal["jsonl"] = "jsonl"
    path: str
    """The file."""
    images: str = ""
    """Folder that image paths are relative to; empty means the file's own."""
    columns: ColumnsConfig = ColumnsConfig()
    """Names of the fields."""


class LogicVistaDataConfig(FileDataConfig):
    """LogicVista's own `dataset.json` beside its `images/`."""

    kind: Literal["logicvista"] = "logicvista"
    path: str = "fixtures"
    """The file; `fixtures` is the handful shipped in the package."""


class ParquetDataConfig(FileDataConfig):
    """Parquet shards with images in them, as Hugging Face stores `images / problem / answer`, or with image paths."""

    kind: Literal["parquet"] = "parquet"
    path: str
    """A file, a folder of shards, or a data set's name on the hub, whose parquet files are then fetched."""
    revision: str = ""
    """Branch, tag or commit on the hub; empty means its main branch."""
    split: str = ""
    """Take the shards named after this split (`train`); empty takes all, unless they are of several splits."""
    images: str = ""
    """Folder that image paths are relative to; empty means the first file's own."""
    columns: ColumnsConfig = ColumnsConfig()
    """Names of the columns."""
    row_group_bytes: Count = 256_000_000
    """Bound on row groups in memory."""


class VirlDataConfig(FileDataConfig):
    """ViRL39K: a parquet file beside a folder of images."""

    kind: Literal["virl"] = "virl"
    path: str
    """The parquet file, or its folder."""
    images: str = ""
    """Folder that image paths are relative to; empty means the file's own."""
    subset: Literal["none", "virl-7b", "virl-32b"] = "none"
    """Rows by the pass rates of the paper's models: above 0 for 7B (paper), and below 1 too for 32B (ours)."""
    row_group_bytes: Count = 256_000_000
    """Bound on row groups in memory."""


SingleDataConfig = Annotated[
    GymDataConfig | JsonlDataConfig | LogicVistaDataConfig | ParquetDataConfig | VirlDataConfig,
    Field(discriminator="kind"),
]


class MixturePart(Section):
    """One part of a mixture."""

    data: SingleDataConfig
    """Any section that `data` can be, but a mixture."""
    weight: Positive = 1.0
    """Relative share of the training problems drawn, whatever the part's size."""
    name: str = ""
    """Goes before the ids of the part's rows; empty means its kind and place, as in `virl-0`."""


class MixtureDataConfig(Section):
    """Several data sets, drawn by weight; each holds out its own rows, the strictest `max_quarantined` is for all."""

    kind: Literal["mixture"] = "mixture"
    parts: tuple[MixturePart, ...]
    """What is mixed."""

    @property
    def names(self) -> tuple[str, ...]:
        """What goes before the ids of each part."""
        return tuple(part.name or f"{part.data.kind}-{place}" for place, part in enumerate(self.parts))

    @model_validator(mode="after")
    def _parts_are_told_apart(self) -> Self:
        if not self.parts or len(set(self.names)) < len(self.parts):
            raise ValueError(f"data.parts needs at least one part and names that differ, got {list(self.names)}")
        return self


DataConfig = Annotated[
    GymDataConfig | JsonlDataConfig | LogicVistaDataConfig | ParquetDataConfig | VirlDataConfig | MixtureDataConfig,
    Field(discriminator="kind"),
]
