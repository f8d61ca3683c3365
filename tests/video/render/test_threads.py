"""Threads beside the network: the same items, nothing lost, no error swallowed, nobody left waiting."""

import threading
import time

import pytest

from video.render.threads import Behind, ahead


def workers() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name in ("decode", "encode")]


@pytest.fixture(autouse=True)
def no_thread_is_left_behind():
    yield
    assert workers() == []


def test_items_come_in_order_and_only_a_few_ahead():
    made = []

    def source():
        for k in range(20):
            made.append(k)
            yield k

    for k in ahead(source(), 3):
        time.sleep(0.005)
        assert len(made) <= k + 1 + 3 + 1  # this one, those that wait, and the one in the making
    assert made == list(range(20)) and k == 19


def test_items_are_made_while_others_are_used():
    both = threading.Barrier(2, timeout=10)

    def source():
        yield 0
        both.wait()  # passes only while the other side is busy with item 0
        yield 1

    for k in ahead(source()):
        if k == 0:
            both.wait()


def test_errors_of_the_source_come_behind_what_was_made_before():
    def source():
        yield 1
        raise OSError("unplugged")

    seen = []
    with pytest.raises(OSError, match="unplugged"):
        for item in ahead(source()):
            seen.append(item)
    assert seen == [1]


def test_leaving_early_ends_the_source():
    ended = []

    def source():
        try:
            while True:
                yield 0
        finally:
            ended.append(threading.current_thread().name)

    items = ahead(source())
    assert next(items) == 0
    items.close()
    assert ended == ["decode"]


def test_everything_put_is_consumed_in_order_in_another_thread():
    seen = []
    with Behind(lambda item: seen.append((item, threading.current_thread().name))) as behind:
        for k in range(20):
            behind.put(k)
    assert seen == [(k, "encode") for k in range(20)]


def test_errors_of_the_consumer_stop_who_puts():
    def fail(item):
        if item == 3:
            raise OSError("disk full")

    count = 0
    with pytest.raises(OSError, match="disk full"), Behind(fail, 2) as behind:
        while True:
            behind.put(count)
            count += 1
    assert 3 <= count <= 6


def test_an_error_at_the_last_item_is_not_lost():
    def fail(item):
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"), Behind(fail) as behind:
        behind.put(1)


def test_an_interruption_goes_before_and_what_was_put_is_still_consumed():
    seen = []

    def consume(item):
        time.sleep(0.01)
        seen.append(item)

    with pytest.raises(KeyboardInterrupt), Behind(consume) as behind:
        behind.put(1)
        behind.put(2)
        raise KeyboardInterrupt
    assert seen == [1, 2]
