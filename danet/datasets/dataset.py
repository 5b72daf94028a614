"""What a data set is: how its files are named and read, and which samples each protocol trains and tests on."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from danet.errors import UserError
from danet.skeleton.layout import Layout
from danet.skeleton.recording import Bodies

Reader = Callable[[str, str, bytes], Bodies]  # of a sample's name, its file's path and content


@dataclass(frozen=True)
class Sample:
    """All that a sample's name says.

    `action` counts from 0. Samples of one `performance` show the same person doing the same thing at the same time
    from different views; NW-UCLA's three recordings of a performance are not frame-synchronous.
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

    `part` says of a sample: "train", "test", "" when the protocol leaves it out, or "validation" where it is not to be
    chosen from the training samples. Each test recording is scored in
    `segments` equal consecutive parts.
    """

    about: str
    by: str
    part: Callable[[Sample], str]
    segments: int = 1


@dataclass(frozen=True)
class Dataset:
    """One data set. `parse_name` takes a file's stem and returns None for a name that is no sample of this set.

    `read` takes a sample's name, the path of its file (for messages) and the file's bytes, and raises BadRecording.
    `samples` counts those of the full data set, 0 where unknown, and `known_copies` those among them that show the
    same as another. `siblings` gives the names of all samples that must be there when one is, in a data set without
    holes. `left_out` names the samples that the authors advise to leave out. `folders` lie below the data folder; all
    must be there, and files are found in them at any depth; or `files` gives each sample's name and path, and raises
    UserError for one that is not there. `folder` holds the table of own data, and is None for the others: by it and
    the name, another process finds the same data set. `revision` is a hash of what defines the data set beside the
    code. A protocol of several folds has one entry a fold, "cross_view_1/front". With `keeps_copies`, known copies
    stay, because every published figure counts them. The recordings of one performance are `synchronous` where all
    cameras ran at one time.
    """

    name: str
    title: str
    layout: Layout
    actions: tuple[str, ...]
    folders: tuple[str, ...]
    suffixes: tuple[str, ...]
    parse_name: Callable[[str], Sample | None]
    read: Reader
    protocols: dict[str, Protocol]
    request: str
    samples: int = 0
    known_copies: int = 0
    siblings: Callable[[Sample], Iterable[str]] = lambda _: ()
    left_out: frozenset[str] = frozenset()
    two_person: frozenset[int] = frozenset()
    simulated: bool = False
    keeps_copies: bool = False
    synchronous: bool = True
    files: Callable[[], Iterable[tuple[str, str]]] | None = None
    folder: Path | None = None
    revision: str = ""

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

    def describe(self) -> dict[str, Any]:
        """What a file of its recordings says of itself."""
        return {"dataset": self.name, "layout": self.layout.described, "simulated": self.simulated}

    @property
    def protocol_names(self) -> list[str]:
        """The protocols, folds counted as one."""
        return list(dict.fromkeys(name.split("/")[0] for name in self.protocols))

    def folds(self, protocol: str) -> list[str]:
        """The entries of `protocols` that belong to a protocol: itself, or its folds."""
        found = [name for name in self.protocols if name == protocol or name.split("/")[0] == protocol]
        if not found:
            self.protocol(protocol)
        return found


def split_by(
    condition: Callable[[Sample], bool], among: Callable[[Sample], bool] = lambda _: True
) -> Callable[[Sample], str]:
    """A protocol's rule: of the samples in `among`, those that meet `condition` train and the rest test."""

    def part(sample: Sample) -> str:
        if not among(sample):
            return ""
        return "train" if condition(sample) else "test"

    return part
