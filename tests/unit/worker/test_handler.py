from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from ipcq.errors import HandlerNotFound
from ipcq.worker.handler import check_handler, resolve


@pytest.fixture
def broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Modules that raise or exit when they are imported."""
    (tmp_path / "raises_at_import.py").write_text("1 / 0\n")
    (tmp_path / "exits_at_import.py").write_text("raise SystemExit('usage:\\n  me')\n")
    monkeypatch.syspath_prepend(tmp_path)


class Awaitable:
    async def __call__(self, args: int) -> int:
        return args


def test_a_name_is_resolved() -> None:
    """A name gives the function, an attribute of a class too."""
    assert resolve("os.path:basename")("a/b") == "b"
    assert resolve("fractions:Fraction.from_float")(0.5) == Fraction(1, 2)


@pytest.mark.parametrize("name", ["", "json", "json.dumps", "json:", ":dumps", "json:a b", "../json:dumps"])
def test_a_name_of_another_form_is_refused(name: str) -> None:
    """The message shows the form that is expected, before anything is imported."""
    for refuse in (resolve, check_handler):
        with pytest.raises(HandlerNotFound, match=r"expected module:function, as in 'package\.tasks:resize'"):
            refuse(name)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("no_such_module:f", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("raises_at_import:f", "ZeroDivisionError: division by zero"),
        ("exits_at_import:f", "SystemExit: usage: me"),
        ("json:no_such", "module 'json' has no attribute 'no_such' (in "),
        ("json:decoder", "is no function but a module"),
        ("sys:maxsize", "is no function but an int"),
    ],
)
@pytest.mark.usefixtures("broken")
def test_what_cannot_be_called_is_told_in_one_line(name: str, reason: str) -> None:
    """The message says which name, what is wrong with it, and what to do."""
    with pytest.raises(HandlerNotFound) as caught:
        resolve(name)

    message = str(caught.value)
    assert repr(name) in message
    assert reason in message
    assert "\n" not in message


def test_only_callables_are_handlers() -> None:
    """Functions of both kinds are; other values are named as no functions."""
    check_handler(len)
    check_handler("not.imported:yet")
    check_handler(Awaitable())
    with pytest.raises(HandlerNotFound, match="pass a function, or"):
        check_handler(3)  # type: ignore[arg-type]
