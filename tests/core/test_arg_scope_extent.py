"""For how long an `arg_scope` lasts, and for which threads."""

import contextvars
import threading

import pytest
from arg_scope_ops import seen

import jslim as slim


def test_scope_as_a_decorator():
    @slim.arg_scope([seen], a=1)
    def net(depth):
        return seen() if depth == 0 else net(depth - 1)

    assert net(0) == (1, None, None)
    assert net(3) == (1, None, None)
    assert seen() == (None, None, None)


def test_one_scope_object_can_be_entered_again_and_within_itself():
    scope = slim.arg_scope([seen], a=1)
    for _ in range(2):
        with scope:
            with slim.arg_scope([seen], a=2), scope:
                assert seen() == (1, None, None)
            assert seen() == (1, None, None)
    assert seen() == (None, None, None)


def test_exception_in_the_body_ends_the_scope():
    with slim.arg_scope([seen], a=1):
        with pytest.raises(KeyError), slim.arg_scope([seen], a=2):
            raise KeyError
        assert seen() == (1, None, None)
    assert seen() == (None, None, None)


def test_generator_that_is_closed_early_ends_its_scope():
    def values():
        with slim.arg_scope([seen], a=1):
            yield seen()
            yield seen()

    generator = values()
    assert next(generator) == (1, None, None)
    generator.close()
    assert seen() == (None, None, None)


def test_failed_entry_leaves_the_enclosing_scope():
    with slim.arg_scope([seen], a=1):
        with pytest.raises(slim.ScopeError), slim.arg_scope([len], a=2):
            pass
        with pytest.raises(slim.ScopeError), slim.arg_scope([seen], nonsense=2):
            pass
        assert seen() == (1, None, None)


def test_scope_is_not_seen_by_another_thread():
    results = {}

    def work(name):
        results[name] = seen()
        with slim.arg_scope([seen], b=name):
            barrier.wait(10)
            results[name] += seen()
            barrier.wait(10)

    barrier = threading.Barrier(3)
    with slim.arg_scope([seen], a=1):
        threads = [threading.Thread(target=work, args=(name,)) for name in ("p", "q")]
        for thread in threads:
            thread.start()
        barrier.wait(10)
        assert seen() == (1, None, None)
        barrier.wait(10)
        for thread in threads:
            thread.join()
    assert results["p"] == (None, None, None, None, "p", None)
    assert results["q"] == (None, None, None, None, "q", None)


def test_one_scope_object_entered_by_two_threads_at_once():
    shared = slim.arg_scope([seen], a=1)
    results = {}
    worker_is_in, main_is_in = threading.Event(), threading.Event()

    def work():
        with slim.arg_scope([seen], b=2):
            with shared:
                worker_is_in.set()
                main_is_in.wait(10)
                results["inside"] = seen()
            results["after"] = seen()

    thread = threading.Thread(target=work)
    thread.start()
    worker_is_in.wait(10)
    with shared:
        main_is_in.set()
        thread.join()
        assert seen() == (1, None, None)
    assert results == {"inside": (1, 2, None), "after": (None, 2, None)}
    assert seen() == (None, None, None)


def test_scope_belongs_to_the_thread_and_not_to_a_context():
    # JAX's caches look at the thread; a scope that followed the context would go stale.
    with slim.arg_scope([seen], a=1):
        assert contextvars.Context().run(seen) == (1, None, None)
        copied = contextvars.copy_context()
    assert copied.run(seen) == (None, None, None)
