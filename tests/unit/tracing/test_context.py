"""The texts of W3C Trace Context: what is read, what is refused, and what is written."""

from __future__ import annotations

import string

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ipcq.tracing import TraceContext

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{SPAN}-01"

_hex = "0123456789abcdef"
_ids = {
    size: st.text(_hex, min_size=size, max_size=size).filter(lambda text: text.strip("0"))
    for size in (16, 32)
}
_names = string.ascii_lowercase + string.digits + "_-*/"
_letter = st.sampled_from(string.ascii_lowercase)
_simple = st.builds(str.__add__, _letter, st.text(_names, max_size=20))
_tenant = st.builds(
    lambda first, tenant, system: f"{first}{tenant}@{system}",
    st.sampled_from(string.ascii_lowercase + string.digits),
    st.text(_names, max_size=20),
    st.builds(str.__add__, _letter, st.text(_names, max_size=13)),
)
_printable = [chr(code) for code in range(0x20, 0x7F) if chr(code) not in ",="]
_value = st.builds(str.__add__, st.text(_printable, max_size=20), st.sampled_from(_printable[1:]))
_states = st.lists(st.tuples(_simple | _tenant, _value), max_size=7, unique_by=lambda pair: pair[0]).map(
    tuple
)
contexts = st.builds(TraceContext, _ids[32], _ids[16], st.integers(0, 3), _states)


@given(contexts)
def test_what_is_written_is_read_again(context: TraceContext) -> None:
    """Every place in a trace comes back from its two texts."""
    assert TraceContext.parse(context.traceparent, context.tracestate) == context


@given(
    st.one_of(st.text(), st.text(_hex + "-", min_size=50, max_size=60), st.binary(), st.none(), st.integers())
)
@example(PARENT)
@example(PARENT + "\n")
def test_what_is_read_is_well_formed(text: object) -> None:
    """Whatever stands in a message never raises, and what is taken for a place is written the same."""
    found = TraceContext.parse(text)
    if found is not None and str(text).startswith("00-") and found.flags == int(str(text)[53:55], 16):
        assert found.traceparent == text


def test_the_parts_of_a_traceparent() -> None:
    """Version, trace, span and flags stand in it in this order."""
    found = TraceContext.parse(PARENT)
    assert found == TraceContext(TRACE, SPAN, 1)
    assert found.sampled
    assert not TraceContext(TRACE, SPAN, 0).sampled


@pytest.mark.parametrize(
    "text",
    [
        "",
        PARENT[:-1],
        PARENT + "0",
        PARENT + "\n",
        PARENT + "-more",
        " " + PARENT,
        PARENT.upper(),
        PARENT.replace("-", "_"),
        f"ff-{TRACE}-{SPAN}-01",
        f"ff-{TRACE}-{SPAN}-01-more",
        f"0-{TRACE}-{SPAN}-01",
        f"01-{TRACE}-{SPAN}-01more",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE[:-1]}g-{SPAN}-01",
        f"00-{TRACE[:-1]}٣-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-0x",
        f"00-{TRACE}-{SPAN}",
        PARENT.encode(),
        None,
        7,
        [PARENT],
    ],
)
def test_a_malformed_traceparent_is_none(text: object) -> None:
    """Anything else than the form of the Recommendation is as if it were missing."""
    assert TraceContext.parse(text, "a=1") is None


@pytest.mark.parametrize("text", [f"01-{TRACE}-{SPAN}-01", f"cc-{TRACE}-{SPAN}-01-what-comes-later"])
def test_a_later_version_is_read_as_far_as_it_is_known(text: str) -> None:
    """More may follow its flags; what is sent on is of the version that we know."""
    found = TraceContext.parse(text)
    assert found is not None
    assert found.traceparent == PARENT


def test_unknown_flags_are_not_sent_on() -> None:
    """They may mean what we do not do."""
    found = TraceContext.parse(PARENT[:-2] + "ff")
    assert found is not None
    assert found.traceparent[-2:] == "03"


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("a=1,b=2", (("a", "1"), ("b", "2"))),
        (" a=1\t, ,,b= 2 ", (("a", "1"), ("b", " 2"))),
        ("1t@sys=x;y:z", (("1t@sys", "x;y:z"),)),
        (",".join(f"k{n}={n}" for n in range(32)), tuple((f"k{n}", str(n)) for n in range(32))),
        (",".join(f"k{n}={n}" for n in range(33)), ()),
        ("a=1,a=2", ()),
        ("a=1,b", ()),
        ("A=1", ()),
        ("1=1", ()),
        ("a=", ()),
        ("a=1=2", ()),
        ("a =1", ()),
        ("a@1=1", ()),
        ("a=ä", ()),
        ("a=1\n", ()),
        (f"a={'x' * 256}", (("a", "x" * 256),)),
        (f"a={'x' * 257}", ()),
        ("", ()),
        (None, ()),
        (b"a=1", ()),
    ],
)
def test_a_tracestate_is_read_whole_or_not_at_all(text: object, state: tuple[tuple[str, str], ...]) -> None:
    """One malformed member spoils it, but not the ids."""
    found = TraceContext.parse(PARENT, text)
    assert found == TraceContext(TRACE, SPAN, 1, state)


def test_a_long_tracestate_is_cut_where_it_hurts_least() -> None:
    """Long members go first, the last of them at first, then the oldest, until 512 characters are left."""
    long, middle = "x" * 200, "y" * 100
    parts = (("a", long), ("b", middle), ("c", long), ("d", middle))
    assert TraceContext(TRACE, SPAN, 1, parts).tracestate == f"a={long},b={middle},d={middle}"
    many = tuple((f"k{n}", middle) for n in range(6))
    assert [part[:2] for part in TraceContext(TRACE, SPAN, 1, many).tracestate.split(",")] == [
        "k0", "k1", "k2", "k3",
    ]  # fmt: skip


def test_a_new_trace_is_another_one() -> None:
    """Its ids are random; a step of it keeps the trace and has a span of its own."""
    one, other = TraceContext.new(), TraceContext.new(sampled=False)
    assert one.trace_id != other.trace_id
    assert (one.sampled, other.sampled) == (True, False)
    step = one.child()
    assert (step.trace_id, step.flags) == (one.trace_id, one.flags)
    assert step.span_id != one.span_id


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (("0" * 32, SPAN), "a trace's id is 32"),
        ((TRACE[1:], SPAN), "a trace's id is 32"),
        ((TRACE, SPAN.upper()), "a span's id is 16"),
        ((TRACE, "0" * 16), "a span's id is 16"),
        ((TRACE, SPAN, 256), "flags are 0 to 255"),
        ((TRACE, SPAN, 1, (("A", "1"),)), "no form as tracestate"),
        ((TRACE, SPAN, 1, (("a", "1"), ("a", "2"))), "no form as tracestate"),
    ],
)
def test_a_place_that_cannot_be_written_is_refused(parts: tuple[str, str, int], message: str) -> None:
    """A mistake is found where it is made, not by whoever reads the text."""
    with pytest.raises(ValueError, match=message):
        TraceContext(*parts)
