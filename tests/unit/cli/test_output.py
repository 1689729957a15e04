"""Lines of output."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ipcq import CodecError, ErrorInfo
from ipcq.cli.output import error_line, value_line


def test_a_value_is_one_json_line() -> None:
    """Item and value in UTF-8, ended by a newline; line breaks inside are escaped."""
    assert value_line("ä\n", [1, "é", None]) == '{"item": "ä\\n", "value": [1, "é", null]}\n'.encode()


def test_bytes_that_are_no_text_are_escaped() -> None:
    """The file name that is not UTF-8 can be had back from the line."""
    name = b"\xff.jpg".decode("utf-8", "surrogateescape")
    line = value_line(name, "é")
    assert line.isascii()
    assert json.loads(line) == {"item": name, "value": "é"}


@pytest.mark.parametrize("value", [object(), {1, 2}, float("nan"), b"bytes", {(1, 2): 3}])
def test_a_value_without_a_json_form_is_an_error(value: Any) -> None:
    """The error names the type and what may be returned instead; nan is refused, too."""
    with pytest.raises(
        CodecError, match=rf"of type {type(value).__name__}, has no JSON form .*; return None, bool"
    ):
        value_line("item", value)


def test_a_value_inside_itself_is_an_error() -> None:
    """A circular value does not end the worker."""
    circle: list[Any] = []
    circle.append(circle)
    with pytest.raises(CodecError):
        value_line("item", circle)


def test_an_error_tells_type_message_facts_and_traceback() -> None:
    """Facts, such as the pid of a dead worker, stand beside type and message."""
    error = ErrorInfo("WorkerDied", "killed", "", {"pid": 7, "signal": 9, "rss": 1})
    assert json.loads(error_line("a", error)) == {
        "item": "a",
        "error": {"type": "WorkerDied", "message": "killed", "pid": 7, "signal": 9, "rss": 1},
    }
    assert json.loads(error_line("a", ErrorInfo("E", "m", "trace")))["error"]["traceback"] == "trace"
