"""Work done ahead: in order, with a bound, errors in their place, and nothing before somebody asks."""

import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsol.system.ahead import ahead


@settings(max_examples=30)
@given(st.lists(st.sampled_from([0.0, 0.001, 0.003]), max_size=20), st.integers(0, 4), st.integers(0, 8))
def test_results_keep_the_order_of_the_items(pauses: list[float], threads: int, waiting: int) -> None:
    def work(item: tuple[int, float]) -> int:
        time.sleep(item[1])
        return item[0]

    assert list(ahead(work, enumerate(pauses), threads, waiting)) == list(range(len(pauses)))


@pytest.mark.parametrize(("threads", "waiting", "taken_by_first"), [(0, 5, 1), (2, 0, 1), (2, 5, 6), (8, 3, 4)])
def test_no_more_is_begun_than_may_wait(threads: int, waiting: int, taken_by_first: int) -> None:
    taken: list[int] = []
    results = ahead(str, (taken.append(index) or index for index in range(100)), threads, waiting)
    assert taken == []
    for number in range(5):
        assert next(results) == str(number)
        assert len(taken) == taken_by_first + number


def test_items_are_taken_by_the_caller_and_worked_on_by_threads() -> None:
    def items() -> Iterator[int]:
        for _ in range(10):
            yield threading.get_ident()

    here = threading.get_ident()
    assert set(ahead(lambda taken_by: (taken_by, threading.get_ident() == here), items(), 2, 3)) == {(here, False)}
    assert set(ahead(lambda taken_by: (taken_by, threading.get_ident() == here), items(), 0, 3)) == {(here, True)}


@pytest.mark.parametrize("threads", [0, 1, 3])
def test_an_error_comes_in_its_place(threads: int) -> None:
    results = ahead(lambda value: 12 // value, [1, 2, 0, 3], threads, 10)
    assert [next(results), next(results)] == [12, 6]
    with pytest.raises(ZeroDivisionError):
        next(results)


@pytest.mark.parametrize("threads", [0, 1, 3])
def test_an_error_of_the_items_comes_behind_all_results_before_it(threads: int) -> None:
    def items() -> Iterator[int]:
        yield from range(3)
        raise KeyError("broken")

    results, got = ahead(str, items(), threads, 10), []
    with pytest.raises(KeyError, match="broken"):
        for result in results:
            got.append(result)
    assert got == ["0", "1", "2"]


def test_whoever_stops_asking_leaves_no_thread() -> None:
    before = threading.active_count()
    results = ahead(str, iter(int, 1), 4, 20)  # endless
    assert next(results) == "0" and threading.active_count() > before
    results.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before
