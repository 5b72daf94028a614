"""Preparations in; tables of what they left out and dropped out, and why, one function each."""

from collections.abc import Sequence

import pandas as pd

from danet.report.runs import BRIDGED, DROPPED, Preparation
from danet.skeleton.doubts import Doubts

PLACES = ("line", "frame", "body")


def totals(preparations: Sequence[Preparation]) -> pd.DataFrame:
    """One row per data set: recordings prepared and set aside, frames, and bodies by what became of them.

    `jumping`: recordings of which an actor goes on with a body further away than `prepare.longest_jump`. `retimed`:
    recordings in which the reference preparation puts some body at a frame where it was not seen.
    """
    rows = []
    for preparation in preparations:
        audit = preparation.audit
        rows.append(
            {
                "dataset": preparation.dataset,
                "title": preparation.title,
                "prepared": len(audit),
                "set_aside": len(preparation.set_aside),
                **audit[["frames", "lost_frames", "ids", "kept", *BRIDGED, *DROPPED]].sum().astype(int),
                "jumping": int((audit["jumps"] > 0).sum()),
                "retimed": int((audit["shifted"] > 0).sum()),
                "simulated": preparation.simulated,
            }
        )
    return pd.DataFrame(rows)


def reasons(preparation: Preparation) -> pd.DataFrame:
    """How many recordings were set aside for each reason, the most frequent first."""
    counts = (
        preparation.set_aside["reason"].value_counts(sort=False).rename_axis("reason").reset_index(name="recordings")
    )
    counts = counts.sort_values(["recordings", "reason"], ascending=[False, True], ignore_index=True)
    return counts.assign(simulated=preparation.simulated)


def set_aside(preparation: Preparation) -> pd.DataFrame:
    """One row per recording that was set aside: its name, file, reason, place, what was expected and what was got."""
    table = preparation.set_aside.copy()
    place = [
        ", ".join(f"{key} {value}" for key, value in zip(PLACES, row, strict=True) if value)
        for row in table[list(PLACES)].itertuples(index=False)
    ]
    table.insert(3, "place", pd.Series(place, index=table.index, dtype=object))
    return table.drop(columns=list(PLACES)).assign(simulated=preparation.simulated)


def audit(preparation: Preparation) -> pd.DataFrame:
    """One row per action that occurs: what was lost, bridged and dropped in its samples, jumps, unexpected actors.

    `jumping` and `retimed` are as for `totals`; `jump` is the largest at which a body continues another, in metres.
    `unexpected_second`: samples of a one-person action that end with two actors; `missing_second`: of a two-person
    action with fewer than two.
    """
    own = preparation.audit
    two_person = own["action"].isin(preparation.two_person)
    own = own.assign(
        samples=1,
        nobody=own["actors"] == 0,
        unexpected_second=~two_person & (own["actors"] > 1),
        missing_second=two_person & (own["actors"] < 2),
        jumping=own["jumps"] > 0,
        retimed=own["shifted"] > 0,
    )
    counts = ["samples", "frames", "lost_frames", "gaps", "ids", "kept", *BRIDGED, *DROPPED]
    counts += ["jumping", "nobody", "retimed", "unexpected_second", "missing_second"]
    by_action = own.groupby("action")
    table = by_action[counts].sum().astype(int).assign(jump=by_action["jump"].max())
    table.insert(3, "lost_frames_percent", 100 * table["lost_frames"] / table["frames"])
    names = table.index.map(dict(enumerate(preparation.actions)))
    people = [2 if action in preparation.two_person else 1 for action in table.index]
    table.insert(0, "people", people)
    table.insert(0, "action_name", names)
    return table.reset_index(names="action").assign(simulated=preparation.simulated)


def doubts(preparation: Preparation) -> list[str]:
    """A line for each kind of doubt about the recordings' numbers that is common among them."""
    return Doubts(kinds.split() for kinds in preparation.audit["doubts"]).lines()


def unexpected(preparation: Preparation) -> pd.DataFrame:
    """One row per sample whose action wants another number of people than it has actors."""
    audit = preparation.audit
    people = audit["action"].isin(preparation.two_person) + 1
    table = audit.loc[audit["actors"] != people, ["name", "action", "ids", "actors"]].reset_index(drop=True)
    table.insert(2, "action_name", table["action"].map(dict(enumerate(preparation.actions))))
    table.insert(3, "people", people[audit["actors"] != people].reset_index(drop=True))
    return table.assign(simulated=preparation.simulated)
