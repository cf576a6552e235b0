"""Work that threads do beside the program, in order and with a bound."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def ahead(function: Callable[[T], R], items: Iterable[T], threads: int, waiting: int) -> Iterator[R]:
    """What a function gives of each item, in the order of the items.

    An error comes in its item's place, one of the items themselves behind all results before it.

    items: gone through by the caller's thread alone, as results are asked for.
    threads: that run the function before its result is asked for; 0 runs it then, without any.
    waiting: how many results there may be, begun or done, that nobody has asked for.
    """
    if not threads:
        yield from map(function, items)
        return
    begun: deque[Future[R]] = deque()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="wsol")
    try:
        for future in _begun(pool, function, items):
            begun.append(future)
            if len(begun) > waiting:
                yield begun.popleft().result()
        while begun:
            yield begun.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _begun(pool: Executor, function: Callable[[T], R], items: Iterable[T]) -> Iterator["Future[R]"]:
    try:
        for item in items:
            yield pool.submit(function, item)
    except Exception as error:
        failed: Future[R] = Future()
        failed.set_exception(error)
        yield failed
