"""The sixteen weak points of the libraries that this one learned from, and the checks of each."""

from __future__ import annotations

from pathlib import Path

from ipcq.testing import cases

ROOT = Path(__file__).parents[2]

WEAK_POINTS = {
    "acknowledgement outside layers": ["layers.acknowledged_outside_of_layers"],
    "fencing after a false death verdict": ["leases.late_completion", "leases.late_failure"],
    "poison tasks bounded": ["deaths.poison_is_bounded"],
    "a claim without an owner found": ["deaths.of_the_one_who_holds_it", "deaths.of_the_one_who_runs_it"],
    "worker rows cleaned": ["workers.rows_of_the_dead_are_cleaned", "vacuum.rows_of_the_dead"],
    "prefetched tasks returned at stop at no charge": ["leases.returned_at_stop_at_no_charge"],
    "status given to push honoured or refused": ["sink.a_status_is_refused"],
    "failure never stored as done": ["layers.a_failure_is_never_done"],
    "wait on an unknown id ends": ["waiting.an_unknown_id_at_once"],
    "page 0 refused": ["paging.no_page_before_the_first"],
    "filter None means all": ["paging.none_means_all", "listing.all_of_a_status"],
    "activity zero-filled": ["listing.activity_of_seven_days"],
    "durations without queue time": ["metrics.durations_without_queue_time"],
    "ids unique across processes and forks": ["sink.ids_are_unique"],
    "poll strategies reusable": [
        "handout.a_restarted_worker_on_the_same_object",
        "tests/unit/test_polling.py::test_each_worker_goes_through_an_iterable",
    ],
    "results and finished tasks bounded in memory": ["full.fetched_results_give_way", "full.without_results"],
}


def test_there_are_sixteen() -> None:
    """Each weak point has a check, and none is counted twice."""
    assert len(WEAK_POINTS) == 16
    named = [name for names in WEAK_POINTS.values() for name in names]
    assert len(set(named)) == len(named)


def test_each_has_a_check_that_is_part_of_the_contract() -> None:
    """What is named here is a check that every backend of ours is bound to, or a test of this repository."""
    known = {check.name for check in cases()}
    missing = {name for names in WEAK_POINTS.values() for name in names if name not in known}
    assert [name for name in missing if not _is_test(name)] == []
    assert [point for point, names in WEAK_POINTS.items() if not set(names) & known] == []


def _is_test(name: str) -> bool:
    path, _, function = name.partition("::")
    return bool(function) and f"def {function}(" in (ROOT / path).read_text(encoding="utf-8")
