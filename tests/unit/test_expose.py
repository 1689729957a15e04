"""Filter and the other values of a listing."""

from __future__ import annotations

import pytest

from ipcq import Filter, Page, StatType, Status


@pytest.mark.parametrize(("page", "size", "offset"), [(1, 10, 0), (2, 10, 10), (7, 1, 6), (3, 1000, 2000)])
def test_a_filter_knows_where_its_page_starts(page: int, size: int, offset: int) -> None:
    """Pages count from 1; the offset is what comes before."""
    wanted = Filter(page=page, page_size=size)

    assert (wanted.offset(), wanted.limit()) == (offset, size)


@pytest.mark.parametrize("page", [0, -1])
def test_there_is_no_page_before_the_first(page: int) -> None:
    """Such a page is a ValueError."""
    with pytest.raises(ValueError, match=f"page must be 1 or more, not {page}"):
        Filter(page=page)


@pytest.mark.parametrize("size", [0, -5, 1001])
def test_a_page_has_1_to_1000_items(size: int) -> None:
    """Another size is a ValueError."""
    with pytest.raises(ValueError, match=f"page_size must be 1 to 1000, not {size}"):
        Filter(page_size=size)


def test_by_default_all_statuses_are_listed() -> None:
    """No status, the first page, ten items."""
    assert Filter() == Filter(status=None, page=1, page_size=10, worker=None)
    assert Filter(status=Status.KILLED) != Filter()


def test_values_cannot_be_changed() -> None:
    """A page is a snapshot."""
    page = Page([1], 1, 10, 1)
    with pytest.raises(AttributeError):
        page.total = 2  # type: ignore[misc]


def test_kinds_of_statistics_have_the_names_of_the_original() -> None:
    """Boards written for apalis read these four."""
    assert [kind.value for kind in StatType] == ["Timestamp", "Number", "Decimal", "Percentage"]
