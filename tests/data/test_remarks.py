"""Pillow's remarks are not seen, whatever threads open photos, and everybody else's warnings are."""

import re
import threading
import warnings

import pytest

from wsol.data.remarks import OF_PILLOW, without_remarks


def remark() -> None:
    warnings.warn_explicit("corrupt EXIF", UserWarning, "TiffImagePlugin.py", 1, "PIL.TiffImagePlugin")


def test_pillow_says_nothing_and_others_do() -> None:
    with pytest.warns(UserWarning) as said:
        with without_remarks():
            remark()
            warnings.warn("skipped: a photo", stacklevel=1)
        remark()
    assert [str(warning.message) for warning in said] == ["skipped: a photo", "corrupt EXIF"]


def test_threads_that_leave_in_any_order_leave_the_filters_as_they_were() -> None:
    """`warnings.catch_warnings` does not: the last thread would put back what an earlier one had set."""
    before = list(warnings.filters)
    first_in, second_in, first_out = (threading.Event() for _ in range(3))

    def first() -> None:
        with without_remarks():
            first_in.set()
            second_in.wait(10)
        first_out.set()

    def second() -> None:
        first_in.wait(10)
        with without_remarks():
            second_in.set()
            first_out.wait(10)
            assert OF_PILLOW in warnings.filters

    threads = [threading.Thread(target=work) for work in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(warnings.filters) == before


def test_a_filter_is_known_again() -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        assert warnings.filters[0] == OF_PILLOW == ("ignore", None, Warning, re.compile(r"PIL\."), 0)
