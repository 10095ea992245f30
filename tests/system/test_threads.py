"""Work ahead: the order of results, how far ahead it goes, errors, and an end before the end."""

import threading
from collections.abc import Iterator

import pytest

from reslab.system.threads import map_ahead


def test_results_come_chunk_by_chunk_in_order() -> None:
    chunks = [[1, 2, 3], [4], [], [5, 6]]
    assert list(map_ahead(lambda number: number * number, chunks)) == [[1, 4, 9], [16], [], [25, 36]]
    assert list(map_ahead(str, [])) == []


@pytest.mark.parametrize("ahead", [0, 1, 2])
def test_chunks_are_read_no_further_than_needed(ahead: int) -> None:
    asked: list[int] = []

    def endless() -> Iterator[list[int]]:
        number = 0
        while True:
            asked.append(number)
            yield [number]
            number += 1

    results = map_ahead(lambda number: number, endless(), ahead=ahead)
    assert asked == []
    assert [next(results) for _ in range(3)] == [[0], [1], [2]]
    assert asked == list(range(3 + ahead))
    results.close()


def test_the_next_chunk_is_in_work_while_this_one_is_used() -> None:
    begun = threading.Event()

    def work(number: int) -> int:
        if number == 1:
            begun.set()
        return number

    results = map_ahead(work, [[0], [1]], ahead=1)
    next(results)
    assert begun.wait(60)
    assert list(results) == [[1]]


def test_an_error_is_raised_in_its_chunks_place_and_ends_the_threads() -> None:
    before = threading.active_count()
    results = map_ahead(lambda number: 6 // number, [[1, 2], [3, 0], [1]], ahead=1)
    assert next(results) == [6, 3]
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert list(results) == []
    assert threading.active_count() == before


def test_closing_ends_the_threads() -> None:
    before = threading.active_count()
    results = map_ahead(str, [[1], [2], [3]], num_threads=2)
    next(results)
    results.close()
    assert threading.active_count() == before
