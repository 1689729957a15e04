"""The capability table that is committed, and what the contract finds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ipcq.testing.capabilities import WITH
from ipcq.testing.columns import COLUMNS
from ipcq.testing.table import PAGES, ROWS, measure, parse, render, replace

from .backends import COMING

ROOT = Path(__file__).parents[2]
COMMITTED = {page: (ROOT / page).read_text(encoding="utf-8") for page in PAGES}
TABLE = parse(COMMITTED["README.md"])

pytestmark = pytest.mark.one_fork_server


@pytest.mark.parametrize("page", PAGES)
def test_each_page_has_the_table_as_it_is_printed(page: str) -> None:
    """Every page with the table shows the same one, of all backends, in the form of the command."""
    assert list(parse(COMMITTED[page])) == list(COLUMNS)
    assert replace(COMMITTED[page], TABLE) == COMMITTED[page]


@pytest.mark.parametrize("name", COLUMNS)
def test_a_backend_says_what_the_table_says(name: str, private_directory: Path) -> None:
    """The yes cells of a backend are what its `capabilities` name; the slow test below asks the contract.

    The whole contract takes a quarter of a minute for each backend, too long for every run: here the
    committed table is held against what backends claim, there against what they do.
    """
    backend = COLUMNS[name](private_directory)()
    claimed = backend.capabilities()
    backend.close()
    wanted = {row for row in ROWS if WITH.get(row, row) in claimed}
    assert TABLE[name] - COMING.get(name, frozenset()) == wanted - COMING.get(name, frozenset())


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in COLUMNS if name not in COMING])
def test_a_backend_does_what_the_table_says(name: str) -> None:
    """The yes cells of a backend are those that the whole contract gives it."""
    assert measure({name: COLUMNS[name]}) == {name: TABLE[name]}


def test_a_table_survives_its_page() -> None:
    """What is put into a page is read from it again, and what stands around it stays."""
    table = {"One": frozenset({"Backend", "Metrics"}), "Two": frozenset({"Update"})}
    page = replace("above\n<!-- capabilities -->\nold\n<!-- /capabilities -->\nbelow\n", table)
    assert parse(page) == table
    assert page.startswith("above\n<!-- capabilities -->\n| capability | One | Two |\n| --- | --- | --- |\n")
    assert page.endswith("| `Codec` | no | no |\n<!-- /capabilities -->\nbelow\n")
    assert render(table)[2] == "| `Backend` | yes | no |"


@pytest.mark.parametrize("change", [lambda page: page.replace("/", ""), lambda _: ""])
def test_a_page_without_a_place_for_it(change: Callable[[str], str]) -> None:
    """A page without the marks is refused, and tells what to put there."""
    with pytest.raises(ValueError, match="put them where the table is to stand"):
        parse(change("<!-- capabilities -->\n<!-- /capabilities -->\n"))
