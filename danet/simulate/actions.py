"""Names the actions of the demo; the two-person ones come last. What each looks like stands in `scripts.py`.

Some resemble one another on purpose: drinking and phoning, throwing and punching, picking up and bowing; sitting down
and standing up are one another backwards. Pointing, kicking and bending ahead or to a side differ only in where they go
as seen from the person, which looks different to every camera: a model that takes what it sees for what it is fails on
them from a new view.
"""

ACTIONS: tuple[str, ...] = (
    "hand waving",
    "throwing",
    "punching",
    "kicking ahead",
    "kicking to the side",
    "pointing ahead",
    "pointing to the left",
    "pointing to the right",
    "drinking",
    "phoning",
    "picking up",
    "bowing",
    "bending to the side",
    "sitting down",
    "standing up",
    "handshaking",
    "pushing the other person",
)
TWO_PERSON: frozenset[int] = frozenset({15, 16})  # counted from 0
