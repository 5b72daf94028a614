"""Messages: one line, bounded, with nothing in it that a terminal acts on, whatever a user's file holds."""

import copy
import io
import time

import pandas as pd
import pytest

from danet.cli import exit_code
from danet.errors import MOST_MESSAGE, MOST_PART, BadRecording, UserError, one_line, shown
from danet.inference.output import Prediction, as_json_text, as_table, write_csv
from danet.io.csv_text import as_csv, safe_cell
from danet.io.files import readable_json

RED = "\x1b]0;pwned\x07\x1b[31mred\x9b31m\u202e"
HOSTILE = [RED, "a\nb\r", "x" * 10_000, "\x1b" * 10_000, "\n" * 479, "\udcff", ""]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_messages_are_one_bounded_line(text, capsys):
    def fail(error):
        def command():
            raise error

        return command

    for error in (
        UserError(f"{text}: expected {text}, got {text}"),
        BadRecording(text, text, text, line=3),
        copy.copy(BadRecording(text, text, text, frame=1)),  # made anew as in another process
    ):
        assert len(str(error)) <= MOST_MESSAGE
        assert str(error).isprintable()
        assert exit_code(fail(error)) == 2
        assert capsys.readouterr().err == f"danet: {error}\n"


def test_messages_keep_the_file_and_what_was_got():
    told = str(UserError("table.csv, line 3: expected one of " + "x, " * 1000 + "got 'y'"))
    assert told.startswith("table.csv, line 3: expected one of x, ")
    assert told.endswith("x, got 'y'")
    told = str(BadRecording("f" * 5000, "e" * 5000, "g" * 5000, line=3))
    assert ", line 3: expected eee" in told
    assert ("e" * (MOST_PART - 3) + "...") in told
    assert told.endswith("g...")


def test_short_messages_stay_as_they_are():
    assert str(UserError("a.csv: expected 'x', got '–'")) == "a.csv: expected 'x', got '–'"
    assert str(BadRecording("a", "b", "c", 1, 2, 3)) == "a, line 1, frame 2, body 3: expected b, got c"
    assert one_line("a" * 10, 10) == "a" * 10
    assert one_line("a" * 11, 10) == "a" * 7 + "..."
    assert one_line("abcdefghijklmnop", 12, keep_end=True) == "abcde...mnop"


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (True, "true"),
        (None, "nothing"),
        ((1, 2), "[1, 2]"),
        ({"danet": 3}, "{'danet': 3}"),
        (3, "3"),
        ("\x1b", "'\\x1b'"),
    ],
)
def test_shown_speaks_the_words_of_the_settings(value, told):
    assert shown(value) == told


def test_shown_writes_no_endless_numbers():
    for number in (10**6000, -(10**6000)):
        assert shown([number]) == "[a number of more than 40 digits]"


def test_shown_takes_no_time_for_what_it_does_not_show():
    bomb: list = ["x"] * 10
    for _ in range(12):
        bomb = [bomb] * 10
    begun = time.perf_counter()
    for value in (bomb, {"a": bomb, "b": bomb}, "x" * 10_000_000, ["x" * 10_000] * 10):
        assert len(shown(value)) <= MOST_PART
    assert time.perf_counter() - begun < 30, "it ends, whatever comes"


class Predicted(list):
    """What `danet predict` prints, without a network."""

    views = False


def test_predictions_print_nothing_that_a_terminal_acts_on():
    predicted = Predicted([Prediction([RED], RED, [{"action": f"{RED}\n", "score": 0.5}])])
    table, json_text, written = "\n".join(as_table(predicted)), as_json_text(predicted), io.StringIO()
    write_csv(predicted, written)
    for text in (table, json_text, written.getvalue(), readable_json({RED: [RED]})):
        assert text.replace("\n", "").isprintable()
    assert len(table.splitlines()) == 2
    assert pd.read_json(io.StringIO(json_text))["file"].tolist() == [RED], "JSON says the same text"
    assert readable_json(["heben", "舉"]) == '["heben", "舉"]'


FORMULAS = ['=HYPERLINK("http://a/","x")', "@SUM(1+1)*cmd|'/C calc'!A0", "+1+1", "-1+1", "\t=1", "\r=1", " =1", "-"]
HARMLESS = ["-1", "+0.5e3", "-inf", "wave", "a=b", "'=1", "", "1-2", 3, -2.5, None]


@pytest.mark.parametrize("text", FORMULAS)
def test_cells_of_csv_are_no_formulas(text):
    written = io.StringIO()
    write_csv([Prediction([text], text, [{"action": text, "score": 0.5}])], written)
    table = as_csv(pd.DataFrame({"action": [text], text: [-1.0], "kind": pd.Categorical([text])}))
    for made in (written.getvalue(), table):
        cells = pd.read_csv(io.StringIO(made), keep_default_na=False).iloc[0].tolist()
        texts = [cell for cell in cells if isinstance(cell, str)]
        assert len(texts) == 2
        assert all(cell.startswith("'") for cell in texts)
    assert table.splitlines()[0].split(",", 1)[1].lstrip('"').startswith("'")


@pytest.mark.parametrize("value", HARMLESS)
def test_other_cells_of_csv_stay(value):
    assert safe_cell(value) == value


def test_as_csv_writes_other_tables_as_pandas_does():
    frame = pd.DataFrame({"a": [1, 2], "b": [0.1, None], "c": ["x,y", None], "d": [True, False], "e": [[1], (2,)]})
    assert as_csv(frame) == frame.to_csv(index=False, lineterminator="\n")
