"""Says what each action looks like, as joint angles over time.

A script maps (T,) times from 0 to 1 and the number of repetitions to the channels of `body.CHANNELS` that it moves:
(T,) angles in degrees, and shifts in metres. The arm or leg that acts is called "main", the one opposite "other".
Angles are departures from standing at ease.
"""

from collections.abc import Callable

import numpy as np

Angles = dict[str, np.ndarray]
Script = Callable[[np.ndarray, float], Angles]


def path(time: np.ndarray, *keys: tuple[float, float]) -> np.ndarray:
    """(T,): a smooth way through (time, value) keys that rests at each of them (minimum jerk from one to the next)."""
    at, values = np.array(keys, dtype=float).T
    after = np.clip(np.searchsorted(at, time, side="right"), 1, len(at) - 1)
    share = np.clip((time - at[after - 1]) / (at[after] - at[after - 1]), 0, 1)
    share = share**3 * (10 - 15 * share + 6 * share**2)
    return values[after - 1] + share * (values[after] - values[after - 1])


def hold(time: np.ndarray, start: float, there: float, back: float, end: float) -> np.ndarray:
    """(T,): 0, rising to 1 from `start` to `there`, held until `back`, 0 again from `end`."""
    return path(time, (start, 0), (there, 1), (back, 1), (end, 0))


def beat(time: np.ndarray, start: float, end: float, times: float) -> np.ndarray:
    """(T,): swings between -1 and 1 that many times between `start` and `end`."""
    return np.sin(2 * np.pi * times * np.clip((time - start) / (end - start), 0, 1))


def hand_waving(time: np.ndarray, repetitions: float) -> Angles:  # noqa: D103 - the names say it, here and below
    up = hold(time, 0.05, 0.25, 0.8, 0.97)
    swing = up * beat(time, 0.2, 0.85, 3 * repetitions)
    return {"main spread": 55 * up, "main raise": 75 * up, "main elbow": 85 * up + 30 * swing, "lean": 2 * swing}


def throwing(time: np.ndarray, repetitions: float) -> Angles:  # noqa: D103
    return {
        "main raise": path(time, (0.08, 0), (0.42, 95), (0.6, 80), (0.75, 35), (0.95, 0)),
        "main spread": path(time, (0.08, 0), (0.42, 60), (0.6, 25), (0.75, 0), (0.95, 0)),
        "main elbow": path(time, (0.08, 0), (0.42, 95), (0.58, 5), (0.95, 0)),
        "main roll": path(time, (0.08, 0), (0.42, -45), (0.6, -20), (0.95, 0)),
        "towards other": path(time, (0.08, 0), (0.42, -30), (0.62, 30), (0.95, 0)),
        "bend": path(time, (0.1, 0), (0.42, -8), (0.65, 20), (0.95, 0)),
        "other raise": path(time, (0.08, 0), (0.4, 45), (0.65, -20), (0.95, 0)),
        "other thigh": path(time, (0.2, 0), (0.5, 22), (0.75, 18), (0.97, 0)),
        "other knee": path(time, (0.2, 0), (0.4, 25), (0.55, 8), (0.97, 0)),
        "main thigh": path(time, (0.3, 0), (0.6, -14), (0.97, 0)),
    }


def punching(time: np.ndarray, repetitions: float) -> Angles:  # noqa: D103
    guard = hold(time, 0.03, 0.22, 0.8, 0.97)
    strike = path(time, (0.3, 0), (0.42, 1), (0.55, 0), (0.66, 1), (0.8, 0))
    return {
        "main raise": 30 * guard + 58 * strike,
        "main elbow": 105 * guard - 100 * strike,
        "main roll": -5 * guard + 5 * strike,
        "other raise": 35 * guard,
        "other elbow": 110 * guard,
        "towards other": -12 * guard + 38 * strike,
        "bend": 4 * guard + 8 * strike,
        "other thigh": 18 * guard,
        "other knee": 14 * guard,
        "main thigh": -10 * guard,
        "main knee": 8 * guard,
    }


def kicking_ahead(time: np.ndarray, repetitions: float) -> Angles:  # noqa: D103
    return _support(time) | {
        "main thigh": path(time, (0.08, 0), (0.36, -16), (0.56, 58), (0.66, 50), (0.92, 0)),
        "main knee": path(time, (0.08, 0), (0.38, 45), (0.56, 8), (0.68, 30), (0.92, 0)),
        "bend": -10 * hold(time, 0.3, 0.56, 0.6, 0.92),
    }


def kicking_aside(time: np.ndarray, repetitions: float) -> Angles:  # noqa: D103
    return _support(time) | {
        "main splay": path(time, (0.08, 0), (0.36, -4), (0.56, 54), (0.66, 47), (0.92, 0)),
        "main knee": path(time, (0.08, 0), (0.38, 45), (0.56, 8), (0.68, 30), (0.92, 0)),
        "towards other lean": 10 * hold(time, 0.3, 0.56, 0.6, 0.92),
    }


def _support(time: np.ndarray) -> Angles:
    """The standing leg, and the arms that keep the balance."""
    arms = {f"{side} spread": 24 * hold(time, 0.15, 0.5, 0.65, 0.95) for side in ("main", "other")}
    bent = hold(time, 0.1, 0.4, 0.5, 0.9)
    return arms | {"other knee": 12 * bent, "other thigh": 6 * bent}


def _pointing(time: np.ndarray, side: float) -> Angles:
    """With the right arm: ahead (0), away from the body (1), or across it (-1)."""
    up = hold(time, 0.08, 0.36, 0.72, 0.95)
    outward, across = max(side, 0), max(-side, 0)
    return {
        "right raise": (82 - 52 * outward) * up,
        "right spread": (72 * outward - 52 * across) * up,
        "right elbow": 35 * hold(time, 0.05, 0.2, 0.22, 0.38) + 10 * across * up,
        "right roll": -10 * up,
        "twist": -16 * side * up,
        "look": -28 * side * up,
    }


def pointing_ahead(time: np.ndarray, repetitions: float) -> Angles:  # noqa: D103
    return _pointing(time, 0)


def pointing_left(time: np.ndarray, repetitions: float) -> Angles:  # noqa: D103
    return _pointing(time, -1)


def pointing_right(time: np.ndarray, repetitions: float) -> Angles:  # noqa: D103
    return _pointing(time, 1)


def drinking(time: np.ndarray, repetitions: float) -> Angles:  # noqa: D103
    up = hold(time, 0.05, 0.34, 0.7, 0.96)
    tip = hold(time, 0.34, 0.5, 0.62, 0.74)
    return {
        "main raise": 40 * up + 12 * tip,
        "main spread": 12 * up + 6 * tip,
        "main elbow": 112 * up + 8 * tip,
        "main roll": 12 * up,
        "main wrist": 15 * up + 15 * tip,
        "nod": -16 * tip,
    }


def phoning(time: np.ndarray, repetitions: float) -> Angles:  # noqa: D103
    up = hold(time, 0.05, 0.28, 0.82, 0.98)
    talk = up * beat(time, 0.25, 0.85, 1.5 * repetitions)
    return {
        "main raise": 36 * up,
        "main spread": 34 * up,
        "main elbow": 128 * up,
        "main roll": -14 * up,
        "main wrist": 10 * up,
        "nod": 5 * up + 4 * talk,
        "towards main look": 8 * up + 8 * talk,
        "lean": 1.5 * talk,
    }


def picking_up(time: np.ndarray, repetitions: float) -> Angles:  # noqa: D103
    down = hold(time, 0.06, 0.42, 0.54, 0.9)
    carry = hold(time, 0.5, 0.85, 0.97, 1.05)
    legs = {f"{side} {angle}": value for side in ("main", "other") for angle, value in _crouch(58 * down).items()}
    return legs | {
        "bend": 62 * down,
        "nod": -8 * down,
        "main raise": 22 * down + 14 * carry,
        "main elbow": 55 * carry - 8 * down,
        "other raise": -25 * down,
        "towards other": 14 * down,
    }


def bowing(time: np.ndarray, repetitions: float) -> Angles:  # noqa: D103
    down = hold(time, 0.1, 0.4, 0.58, 0.9)
    legs = {f"{side} thigh": 6 * down for side in ("main", "other")}
    return legs | {"bend": 46 * down, "nod": 10 * down, "main raise": -16 * down, "other raise": -16 * down}


def bending_aside(time: np.ndarray, repetitions: float) -> Angles:  # noqa: D103
    down = hold(time, 0.1, 0.4, 0.58, 0.9)
    return {"towards main lean": 40 * down, "bend": 3 * down, "main spread": 14 * down, "other spread": -6 * down}


def _crouch(degrees: np.ndarray) -> Angles:
    """Thigh and knee angles that keep the weight over the feet."""
    return {"thigh": degrees, "knee": 1.35 * degrees}


def _sit(seated: np.ndarray, moving: np.ndarray) -> Angles:
    legs = {"thigh": 84 * seated + 4 * moving, "knee": 84 * seated + 16 * moving, "splay": 4 * seated}
    arms = {"raise": 12 * seated + 20 * moving, "elbow": 40 * seated, "spread": 4 * moving}
    both = {f"{side} {angle}": value for side in ("main", "other") for angle, value in (legs | arms).items()}
    return both | {"bend": 34 * moving - 4 * seated, "nod": -6 * moving}


def sitting_down(time: np.ndarray, repetitions: float) -> Angles:  # noqa: D103
    return _sit(path(time, (0.2, 0), (0.66, 1)), hold(time, 0.12, 0.44, 0.48, 0.8))


def standing_up(time: np.ndarray, repetitions: float) -> Angles:  # noqa: D103
    return _sit(path(time, (0.3, 1), (0.76, 0)), hold(time, 0.14, 0.4, 0.44, 0.78))


def handshaking(time: np.ndarray, repetitions: float) -> Angles:  # noqa: D103
    out = hold(time, 0.06, 0.34, 0.74, 0.95)
    shake = out * beat(time, 0.32, 0.76, 3 * repetitions)
    return {
        "right raise": 42 * out + 5 * shake,
        "right elbow": 34 * out + 9 * shake,
        "right roll": 8 * out,
        "twist": 12 * out,
        "bend": 6 * out,
        "forward": 0.05 * hold(time, 0.02, 0.3, 0.78, 1.0),
    }


def pushing(time: np.ndarray, repetitions: float) -> Angles:  # noqa: D103
    ready = hold(time, 0.03, 0.28, 0.72, 0.95)
    push = path(time, (0.32, 0), (0.48, 1), (0.6, 1), (0.78, 0))
    arm = {"raise": 34 * ready + 42 * push, "elbow": 88 * ready - 80 * push, "roll": -8 * ready}
    both = {f"{side} {angle}": value for side in ("main", "other") for angle, value in arm.items()}
    return both | {
        "bend": -3 * ready + 20 * push,
        "other thigh": 20 * push,
        "other knee": 16 * push,
        "main thigh": -16 * push,
        "forward": 0.15 * path(time, (0.28, 0), (0.48, 1), (0.7, 1), (0.98, 0)),
    }


def being_pushed(time: np.ndarray, repetitions: float) -> Angles:  # noqa: D103
    fall = path(time, (0.42, 0), (0.54, 1), (0.66, 0.8), (0.9, 0.1), (1.0, 0))
    arms = {f"{side} {angle}": value for side in ("main", "other") for angle, value in _flung(fall).items()}
    back = path(time, (0.42, 0), (0.62, -0.3), (1.0, -0.34))
    return arms | {
        "bend": -16 * fall,
        "nod": 12 * fall,
        "main thigh": -20 * fall,
        "main knee": 10 * fall,
        "forward": back,
    }


def _flung(fall: np.ndarray) -> Angles:
    return {"raise": 32 * fall, "spread": 20 * fall, "elbow": 30 * fall}


SCRIPTS: dict[str, tuple[Script, ...]] = {  # one script for each person who takes part
    "hand waving": (hand_waving,),
    "throwing": (throwing,),
    "punching": (punching,),
    "kicking ahead": (kicking_ahead,),
    "kicking to the side": (kicking_aside,),
    "pointing ahead": (pointing_ahead,),
    "pointing to the left": (pointing_left,),
    "pointing to the right": (pointing_right,),
    "drinking": (drinking,),
    "phoning": (phoning,),
    "picking up": (picking_up,),
    "bowing": (bowing,),
    "bending to the side": (bending_aside,),
    "sitting down": (sitting_down,),
    "standing up": (standing_up,),
    "handshaking": (handshaking, handshaking),
    "pushing the other person": (pushing, being_pushed),
}
