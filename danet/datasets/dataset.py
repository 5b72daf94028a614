"""Defines what a data set is: how its files are named and read, and what each protocol trains and tests on."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from danet.errors import UserError
from danet.skeleton.layout import Layout
from danet.skeleton.recording import Bodies

# Takes a sample's name, the path of its file (for messages) and the file's bytes; raises BadRecording.
Reader = Callable[[str, str, bytes], Bodies]


@dataclass(frozen=True)
class Sample:
    """All that a sample's name says.

    `action` counts from 0. Samples of one `performance` show the same person doing the same thing at the same time,
    from different views. Their frames are synchronous where the data set is.
    """

    name: str
    action: int
    subject: int
    view: str
    performance: str
    setup: int = 0


@dataclass(frozen=True)
class Protocol:
    """A protocol splits `by` one field of a sample: "subject", "view" or "setup".

    `part` maps a sample to "train" or "test", or to "" when the protocol leaves it out. It maps to "validation" where
    that part is not to be chosen from the training samples. `about` says the rule in words. Each test recording is
    scored in `segments` equal consecutive parts.
    """

    about: str
    by: str
    part: Callable[[Sample], str]
    segments: int = 1


@dataclass(frozen=True)
class Dataset:
    """One data set; the comments say what each field holds."""

    name: str
    title: str
    layout: Layout
    actions: tuple[str, ...]
    folders: tuple[str, ...]  # below the data folder; those that are there are searched, at any depth
    suffixes: tuple[str, ...]
    parse_name: Callable[[str], Sample | None]  # from a file's stem; None for a name that is no sample of this set
    read: Reader
    protocols: dict[str, Protocol]  # a protocol of several folds has an entry for each: "cross_view_1/front"
    request: str  # where the recordings are asked for
    samples: int = 0  # of the full data set; 0 where unknown
    known_copies: int = 0  # those of the samples that show the same as another one
    siblings: Callable[[Sample], Iterable[str]] = lambda _: ()  # the names that a full data set holds beside a sample
    left_out: frozenset[str] = frozenset()  # samples that the authors advise to leave out
    two_person: frozenset[int] = frozenset()  # actions, counted from 0
    simulated: bool = False
    keeps_copies: bool = False  # known copies stay, because every published figure counts them
    synchronous: bool = True  # the cameras of a performance ran at one time
    files: Callable[[], Iterable[tuple[str, str]]] | None = None  # names and paths, where no folder is searched
    folder: Path | None = None  # of own data: with it and the name, another process finds the same data set
    guessed_from: str = ""  # what the layout was guessed from: "20 joints"; empty where it is known
    revision: str = ""  # a hash of what defines the data set beside the code

    def sample(self, name: str) -> Sample:
        """What a sample's name says. Errors: UserError for a name that is no sample of this data set."""
        sample = self.parse_name(name)
        if sample is None:
            raise UserError(f"{self.name}: expected the name of a sample, got '{name}'")
        return sample

    def protocol(self, name: str) -> Protocol:
        """The protocol, or the fold of one, of that name. Errors: UserError that lists the names there are."""
        if name not in self.protocols:
            raise UserError(f"{self.name}: expected one of the protocols {', '.join(self.protocols)}, got '{name}'")
        return self.protocols[name]

    @property
    def usable_samples(self) -> int:
        """How many samples the full data set has, without those on the list to leave out; 0 where unknown."""
        return self.samples - sum(self.parse_name(name) is not None for name in self.left_out)

    def describe(self) -> dict[str, Any]:
        """What a file of its recordings says of itself."""
        return {"dataset": self.name, "layout": self.layout.described, "simulated": self.simulated}

    @property
    def layout_told(self) -> str:
        """The layout's name, and what it was guessed from."""
        return self.layout.name + (f", guessed from {self.guessed_from}" if self.guessed_from else "")

    @property
    def protocol_names(self) -> list[str]:
        """The protocols, folds counted as one."""
        return list(dict.fromkeys(name.split("/")[0] for name in self.protocols))

    def folds(self, protocol: str) -> list[str]:
        """The entries of `protocols` that belong to one: itself, or its folds. Errors: UserError as for `protocol`."""
        folds = [name for name in self.protocols if name == protocol or name.split("/")[0] == protocol]
        if not folds:
            self.protocol(protocol)
        return folds


def split_by(
    condition: Callable[[Sample], bool], among: Callable[[Sample], bool] = lambda _: True
) -> Callable[[Sample], str]:
    """A protocol's rule: of the samples in `among`, those that meet `condition` train and the rest test."""

    def part(sample: Sample) -> str:
        if not among(sample):
            return ""
        return "train" if condition(sample) else "test"

    return part
