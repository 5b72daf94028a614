"""Reads Kinect's `.skeleton` text.

The bytes of a file become the sightings of bodies in it: joints (R, V, 3) float32 in metres, frames (R,), ids (R,).
The grammar, by line: frame count; per frame the body count; per body a header, the joint count, and a line per joint.
A header has ten fields, the first of them the body's id. A joint's line has twelve, the first three of them x, y, z.
Fields are parted by spaces or tabs. Lines end with LF or CR LF; blank ones are skipped. Nothing may follow the last
frame.
"""

from functools import partial

import numpy as np
from numba import types

from danet.compiled import compiled
from danet.errors import BadRecording
from danet.skeleton.layout import KINECT_V2
from danet.skeleton.recording import MOST_BODIES, MOST_FRAMES, Bodies

JOINTS = KINECT_V2.size
HEADER_FIELDS = 10
JOINT_FIELDS = 12
SHORTEST_JOINT_LINE = 2 * JOINT_FIELDS - 1  # bytes: what bounds the memory taken, whatever the file claims

# What the scanner expected where it stopped.
NOTHING, FRAME_COUNT, BODY_COUNT, BODY_HEADER, JOINT_COUNT, COORDINATE, JOINT_LINE, FILE_END = range(8)
EXPECTED = {
    FRAME_COUNT: f"the number of frames, at most {MOST_FRAMES:,}, alone on its line",
    BODY_COUNT: f"the number of bodies, at most {MOST_BODIES}, alone on its line",
    BODY_HEADER: f"a body: an integer id and {HEADER_FIELDS - 1} more fields",
    JOINT_COUNT: f"the number of joints, {JOINTS}, alone on its line",
    COORDINATE: "x, y and z as decimal numbers",
    JOINT_LINE: f"a joint: {JOINT_FIELDS} fields",
    FILE_END: "the end of the file after its last frame",
}

scanner = partial(compiled, error_model="numpy")
memchr = types.ExternalFunction("memchr", types.uintp(types.uintp, types.intc, types.uintp))

SPACE, TAB, LF, CR, PLUS, MINUS, POINT, ZERO = 32, 9, 10, 13, 43, 45, 46, 48
POWERS = 10.0 ** np.arange(23)  # exact in float64
INTEGER_POWERS = 10 ** np.arange(9, dtype=np.uint64)
LARGEST_EXACT = 1 << 53
LARGEST_ID, LOWEST_ID = np.uint64(2**64 - 1), np.uint64(2**63)
WORD = 8


@scanner
def _next_line(text, at, line):
    """Skips what is blank: the index of the next field and the number of its line."""
    while at < len(text) and (text[at] == LF or text[at] == SPACE or text[at] == CR or text[at] == TAB):
        if text[at] == LF:
            line += 1
        at += 1
    return at, line


@scanner
def _next_field(text, at):
    while at < len(text) and (text[at] == SPACE or text[at] == TAB):
        at += 1
    return at


@scanner
def _ends_field(text, at):
    return at >= len(text) or text[at] == SPACE or text[at] == LF or text[at] == CR or text[at] == TAB


@scanner
def _integer(text, at):
    """An unsigned integer of at most 18 digits, up to the end of its field: (value, index after it); -1 if not."""
    value, start = np.int64(0), at
    while at < len(text) and ZERO <= text[at] <= ZERO + 9 and at - start < 18:
        value = value * 10 + (text[at] - ZERO)
        at += 1
    if at == start or not _ends_field(text, at):
        return np.int64(-1), at
    return value, at


@scanner
def _id(text, at):
    """An integer of 64 bits, with or without a sign, up to the end of its field: (value, whether it is one).

    One without a sign is taken for the signed one of the same bits: an id is only a name.
    """
    negative = at < len(text) and text[at] == MINUS
    at += negative
    value, start = np.uint64(0), at
    while at < len(text) and ZERO <= text[at] <= ZERO + 9 and at - start < 20:
        before = value
        value = value * np.uint64(10) + np.uint64(text[at] - ZERO)
        if before > (LARGEST_ID - np.uint64(text[at] - ZERO)) // np.uint64(10):
            return np.int64(0), False
        at += 1
    if at == start or not _ends_field(text, at) or (negative and value > LOWEST_ID):
        return np.int64(0), False
    return np.int64(np.uint64(0) - value if negative else value), True


@scanner
def _line_end(text, at):
    """The index of the next LF, or the end of the text, found by the C library's vectorised search."""
    start = np.uintp(text.ctypes.data) + np.uintp(at)
    address = memchr(start, np.intc(LF), np.uintp(len(text) - at))
    return len(text) if address == 0 else at + np.int64(address - start)


@scanner
def _rest_of_line(text, at):
    """Counts the fields that start from here to the end of the line: (fields, index of the line end).

    Without a branch, and with an index that cannot be negative, so that it compiles to vector instructions.
    """
    end = _line_end(text, at)
    fields = np.int64(at == 0 and end > 0 and text[0] > SPACE)
    for index in range(np.uint64(max(at, 1)), np.uint64(end)):
        fields += np.int64((text[index] > SPACE) & (text[index - np.uint64(1)] <= SPACE))
    return fields, end


@scanner
def _plain_number(text, words, at):
    """A number such as -0.2035654 up to the end of its field: (value, index after it), index -1 for any other form.

    At most 15 digits, eight of them after the point, and no exponent: then one division gives the float64 nearest to
    the text. `words[i]` holds bytes i to i + 7, so that the digits after the point are taken all at once, by the three
    multiplications of D. Lemire and others (https://arxiv.org/abs/2101.11408).
    """
    index = np.uint64(at)
    negative = text[index] == MINUS
    index += np.uint64(negative)
    mantissa, start = np.uint64(0), index
    while True:
        digit = np.uint64(text[index]) - np.uint64(ZERO)  # wraps round below "0"
        if digit > np.uint64(9):
            break
        mantissa = mantissa * np.uint64(10) + digit
        index += np.uint64(1)
    digits, decimals = index - start, np.uint64(0)
    if text[index] == POINT:
        index += np.uint64(1)
        values = words[index] ^ np.uint64(0x3030303030303030)  # a digit's byte becomes its value
        others = (values | (values + np.uint64(0x7676767676767676))) & np.uint64(0x8080808080808080)
        first = (others & (~others + np.uint64(1))) >> np.uint64(7)  # the lowest bit of the first that is no digit
        below = (first - np.uint64(1)) & np.uint64(0x0101010101010101)
        decimals = (below * np.uint64(0x0101010101010101)) >> np.uint64(56)
        if decimals:
            values <<= np.uint64(64) - (decimals << np.uint64(3))
            values = values * np.uint64(10) + (values >> np.uint64(8))
            high = (values & np.uint64(0x000000FF000000FF)) * np.uint64(0x000F424000000064)
            low = ((values >> np.uint64(16)) & np.uint64(0x000000FF000000FF)) * np.uint64(0x0000271000000001)
            mantissa = mantissa * INTEGER_POWERS[decimals] + ((high + low) >> np.uint64(32))
            index += decimals
    digits += decimals
    if digits == np.uint64(0) or digits > np.uint64(15) or not _ends_field(text, index):
        return 0.0, np.int64(-1)
    value = np.int64(mantissa) / POWERS[decimals]
    return -value if negative else value, np.int64(index)


@scanner
def _number(text, at):
    """A decimal number up to the end of its field: (value, index after it, state).

    State 1: the value is exact (mantissa below 2^53, power of ten up to 22, so one correctly rounded operation);
    2: well-formed, but exact only by other means; 0: no number.
    """
    negative = at < len(text) and text[at] == MINUS
    if negative or (at < len(text) and text[at] == PLUS):
        at += 1
    mantissa, digits, scale = np.int64(0), 0, 0
    whole = True
    exact = True
    while at < len(text):
        byte = text[at]
        if ZERO <= byte <= ZERO + 9:
            digits += 1
            if mantissa < LARGEST_EXACT // 10:
                mantissa = mantissa * 10 + (byte - ZERO)
                scale -= not whole
            else:
                exact = False
        elif byte == POINT and whole:
            whole = False
        else:
            break
        at += 1
    if digits == 0:
        return 0.0, at, 0
    if at < len(text) and (text[at] | 32) == 101:  # e or E
        at += 1
        down = at < len(text) and text[at] == MINUS
        if down or (at < len(text) and text[at] == PLUS):
            at += 1
        power, start = 0, at
        while at < len(text) and ZERO <= text[at] <= ZERO + 9:
            power = min(power * 10 + (text[at] - ZERO), 9999)
            at += 1
        if at == start:
            return 0.0, at, 0
        scale += -power if down else power
    if not _ends_field(text, at):
        return 0.0, at, 0
    if not exact or abs(scale) > 22:
        return 0.0, at, 2
    value = mantissa / POWERS[-scale] if scale < 0 else mantissa * POWERS[scale]
    return -value if negative else value, at, 1


@scanner
def _not_a_number(text, at):
    """The index after a field such as nan, -NaN, inf or -1.#IND; -1 for any other field."""
    at += at < len(text) and (text[at] == MINUS or text[at] == PLUS)
    start = at
    while not _ends_field(text, at):
        at += 1
    if at - start < 3:
        return -1
    first, second, third = text[start] | 32, text[start + 1] | 32, text[start + 2] | 32
    word = (first == 110 and second == 97 and third == 110) or (first == 105 and second == 110 and third == 102)
    microsoft = text[start] == ZERO + 1 and text[start + 1] == POINT and text[start + 2] == 35  # 1.#
    return at if (word and at - start == 3) or (microsoft and at - start > 3) else -1


@scanner
def _scan(text, words, frame_of, body_of, joints, hard):
    """Scans a text that ends in LFs, at least a word of them, and fills the arrays.

    Returns (what was expected where it stopped, index, line, frame, body, frames, sightings, hard numbers).

    `hard` (n, 3) takes start, end and flat index of the coordinates that need more than one exact operation.
    """
    at, line = _next_line(text, 0, 1)
    seen, hards = 0, 0
    frames, _ = _integer(text, at)
    fields, after = _rest_of_line(text, at)
    if frames < 0 or frames > MOST_FRAMES or fields != 1:
        return FRAME_COUNT, at, line, 0, 0, 0, 0, 0
    at = after
    for frame in range(frames):
        at, line = _next_line(text, at, line)
        bodies, _ = _integer(text, at)
        fields, after = _rest_of_line(text, at)
        if bodies < 0 or bodies > MOST_BODIES or fields != 1:
            return BODY_COUNT, at, line, frame + 1, 0, frames, seen, hards
        at = after
        for body in range(bodies):
            at, line = _next_line(text, at, line)
            number, is_id = _id(text, at)
            fields, after = _rest_of_line(text, at)
            if not is_id or fields != HEADER_FIELDS:
                return BODY_HEADER, at, line, frame + 1, body + 1, frames, seen, hards
            at, line = _next_line(text, after, line)
            count, _ = _integer(text, at)
            fields, after = _rest_of_line(text, at)
            if count != JOINTS or fields != 1:
                return JOINT_COUNT, at, line, frame + 1, body + 1, frames, seen, hards
            at = after
            for joint in range(JOINTS):
                at, line = _next_line(text, at, line)
                start = at
                for axis in range(3):
                    at = _next_field(text, at)
                    value, after = _plain_number(text, words, at)
                    if after < 0:
                        value, after, state = _number(text, at)
                        if state == 0:
                            value, after = np.nan, _not_a_number(text, at)
                        if after < 0:
                            return COORDINATE, start, line, frame + 1, body + 1, frames, seen, hards
                        if state == 2:
                            hard[hards, 0], hard[hards, 1] = at, after
                            hard[hards, 2] = (seen * JOINTS + joint) * 3 + axis
                            hards += 1
                    joints[seen, joint, axis] = value
                    at = after
                fields, at = _rest_of_line(text, at)
                if fields != JOINT_FIELDS - 3:
                    return JOINT_LINE, start, line, frame + 1, body + 1, frames, seen, hards
            frame_of[seen] = frame
            body_of[seen] = number
            seen += 1
    at, line = _next_line(text, at, line)
    if at < len(text):
        return FILE_END, at, line, 0, 0, frames, seen, hards
    return NOTHING, at, line, 0, 0, frames, seen, hards


def read_skeleton_text(name: str, path: str, content: bytes) -> Bodies:
    """Reads the content of one `.skeleton` file.

    Coordinates are the float32 nearest to the float64 nearest to the decimal text, as Python and numpy read it. Where
    nan, inf or Windows' -1.#IND stands they are NaN. Errors: BadRecording, with line, frame and body, when the text
    departs from the grammar or one frame holds two bodies of one id. A claim in the file never decides how much memory
    is taken.
    """
    content = content.removeprefix(b"\xef\xbb\xbf")
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise BadRecording(path, "text in ASCII or UTF-8", "UTF-16", line=1)
    zero = content.find(b"\0")
    if zero >= 0:
        raise BadRecording(path, "text", "a NUL byte", line=content.count(b"\n", 0, zero) + 1)
    text = np.frombuffer(content + b"\n" * WORD, np.uint8)
    words = np.ndarray(len(text) - WORD + 1, np.dtype("<u8"), text, strides=(1,))
    most = len(text) // (JOINTS * (SHORTEST_JOINT_LINE + 1)) + 1
    frame_of = np.empty(most, np.int32)
    body_of = np.empty(most, np.int64)
    joints = np.empty((most, JOINTS, 3), np.float32)
    hard = np.empty((3 * JOINTS * most, 3), np.int64)
    expected, at, line, frame, body, frames, seen, hards = _scan(text, words, frame_of, body_of, joints, hard)
    if expected != NOTHING:
        line = min(line, content.count(b"\n") + 1)
        raise BadRecording(path, EXPECTED[expected], _excerpt(content, at), line=line, frame=frame, body=body)
    flat = joints.reshape(-1)
    with np.errstate(over="ignore"):  # what is too large becomes infinite
        for start, end, index in hard[:hards]:
            flat[index] = float(content[start:end])
    frame_of, body_of, joints = frame_of[:seen].copy(), body_of[:seen].copy(), joints[:seen].copy()
    bodies = Bodies(name, frames, frame_of, body_of, joints)
    if bodies.index.twin >= 0:
        row = bodies.index.twin
        got = f"id {body_of[row]} twice" + (", and no other in the file" if len(bodies.index.ids) == 1 else "")
        raise BadRecording(path, "each body id once in a frame", got, frame=int(frame_of[row]) + 1)
    return bodies


def _excerpt(content: bytes, at: int, most: int = 60) -> str:
    """The line at an index, shortened, for a message."""
    if at >= len(content):
        return "the end of the file"
    line = (
        content[at:].split(b"\n", 1)[0]
        if at + 4 * most >= len(content)
        else content[at : at + 4 * most].split(b"\n", 1)[0]
    )
    text = line.decode("utf-8", "backslashreplace").strip()
    return f"'{text[:most]}…'" if len(text) > most else f"'{text}'"
