"""A run goes on exactly where it was, whatever gives it its batches."""

import grain
import grain.python as pygrain
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_loop import BATCH, simple_op

import jslim as slim
from jslim import checkpoints, learning, training

RECORDS = np.random.default_rng(0).normal(size=(24, 4, 2)).astype(np.float32)
READ_OPTIONS = grain.ReadOptions(num_threads=1, prefetch_buffer_size=2)


class Images:
    def __len__(self):
        return len(RECORDS)

    def __getitem__(self, index):
        return {"x": RECORDS[index]}

    def __repr__(self):
        return "Images"


def data_loader():
    sampler = pygrain.IndexSampler(24, pygrain.NoSharding(), shuffle=True, seed=1)
    return grain.DataLoader(
        data_source=Images(), sampler=sampler, worker_count=0, read_options=READ_OPTIONS
    )


def map_dataset():
    return grain.MapDataset.source(Images()).shuffle(seed=2)


class Counting:
    """An iterator that counts in the dict that it gives away."""

    def __init__(self):
        self.state = {"next": 0, "mark": b"\0\xff"}

    def __iter__(self):
        return self

    def __next__(self):
        self.state["next"] += 1
        return {"x": RECORDS[self.state["next"] - 1]}

    def get_state(self):
        return self.state

    def set_state(self, state):
        assert state["mark"] == b"\0\xff"
        self.state = dict(state)


class Loader(Counting):
    """An iterable whose iterators are generators, so that it has the position itself."""

    def __iter__(self):
        while self.state["next"] < len(RECORDS):
            yield Counting.__next__(self)


class Repeating:
    """An iterable that makes an iterator with a position."""

    def __iter__(self):
        return Counting()


SOURCES = {
    "grain.DataLoader": data_loader,
    "grain.MapDataset": map_dataset,
    "the iterator of a grain.IterDataset": lambda: iter(
        map_dataset().to_iter_dataset(READ_OPTIONS).map(dict)
    ),
    "an iterator": Counting,
    "an iterable with a position": Loader,
    "an iterable of iterators": Repeating,
}


def train(directory, number_of_steps, batches, seen, function=learning.train):
    def loss(batch):
        step = slim.get_or_create_global_step()  # 0 also while initializing
        jax.debug.callback(
            lambda step, x: seen.update({int(step): float(x)}), step, batch["x"][0, 0]
        )
        w = slim.model_variable("w", [2, 1], initializer=1.0)
        return jnp.mean(jnp.square(batch["x"] @ w))

    state = function(simple_op(loss), batches, directory, number_of_steps=number_of_steps)
    jax.effects_barrier()
    return np.asarray(state.params["w"])


@pytest.mark.long
@pytest.mark.parametrize("make", SOURCES.values(), ids=SOURCES)
def test_records_and_parameters_are_those_of_an_unbroken_run(make, tmp_path):
    whole, parts = {}, {}
    expected = train(tmp_path / "whole", 6, make(), whole)
    for steps in (2, 4, 6):
        found = train(tmp_path / "parts", steps, make(), parts)
    assert len(set(whole.values())) == 6
    assert parts == whole
    np.testing.assert_array_equal(found, expected)


def test_training_train_goes_on_exactly_too(tmp_path):
    whole, parts = {}, {}
    train(tmp_path / "whole", 4, Repeating(), whole, training.train)
    for steps in (2, 4):
        train(tmp_path / "parts", steps, Repeating(), parts, training.train)
    assert parts == whole


def test_prefetching_any_iterator_keeps_its_position(tmp_path):
    sharding = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    whole, parts = {}, {}
    train(tmp_path / "whole", 4, Counting(), whole)
    for steps in (2, 4):
        with slim.data.prefetch_to_device(Counting(), sharding) as batches:
            train(tmp_path / "parts", steps, batches, parts)
    assert parts == whole


def test_a_checkpoint_without_a_position_starts_the_data_over_with_the_first_batch(tmp_path):
    seen = {}
    train(tmp_path, 1, ({"x": x} for x in RECORDS), seen)
    train(tmp_path, 3, Counting(), seen)
    assert list(seen.values()) == [float(RECORDS[index, 0, 0]) for index in (0, 0, 1)]


def test_steps_beyond_int32_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"must be at most 2147483647, .* got 2147483648"):
        learning.train(simple_op(), [BATCH], None, number_of_steps=2**31)
    train_op = simple_op()
    state = train_op.init(0, BATCH)
    with checkpoints.CheckpointManager(tmp_path) as manager:
        manager.save(2**31, state.replace(step=jnp.int32(-(2**31))))
    with pytest.raises(slim.RestoreError, match="of step 2147483648 and its state counts -2147"):
        learning.train(train_op, [BATCH], tmp_path)


def test_the_last_step_that_an_int32_holds_is_taken(tmp_path):
    train_op = simple_op()
    state = train_op.init(0, BATCH)
    with checkpoints.CheckpointManager(tmp_path) as manager:
        manager.save(2**31 - 2, state.replace(step=jnp.int32(2**31 - 2)))
    state = learning.train(train_op, [BATCH] * 3, tmp_path)
    assert int(state.step) == 2**31 - 1
    assert checkpoints.is_done(tmp_path)


def test_the_queue_of_unread_losses_is_bounded(monkeypatch):
    from jslim.learning import running

    lengths = []
    check = running.Run._check_losses

    def spy(self, unread=0):
        lengths.append(len(self.taken))
        return check(self, unread)

    monkeypatch.setattr(running.Run, "_check_losses", spy)
    learning.train(simple_op(), [BATCH] * 300, None, log_every_n_steps=10**6)
    assert max(lengths) == 129
    assert lengths[-1] < 129


def test_a_number_that_is_not_finite_is_found_long_before_the_log_line():
    def loss(batch):
        step = slim.get_or_create_global_step()
        w = slim.model_variable("w", [2, 1], initializer=1.0)
        return jnp.mean(batch["x"] @ w) * jnp.where(step == 6, jnp.nan, 1.0)

    taken = []
    with pytest.raises(FloatingPointError, match="the loss of step 7 is nan"):
        learning.train(
            simple_op(loss),
            [BATCH] * 1000,
            None,
            log_every_n_steps=10**6,
            after_step=lambda step, state: taken.append(step),
        )
    assert len(taken) < 150


def test_an_error_of_the_data_saves_the_steps_before_it(tmp_path, caplog):
    class Broken(Counting):
        def __next__(self):
            if self.state["next"] == 3:
                raise OSError("no such image")
            return super().__next__()

    for _ in range(2):
        caplog.clear()
        with pytest.raises(OSError, match="no such image"):
            learning.train(simple_op(), Broken(), tmp_path, number_of_steps=9)
        assert "the data failed after step 3, which is saved" in caplog.messages
        assert checkpoints.checkpoint_step(tmp_path) == 3
    seen = {}
    train(tmp_path, 4, Counting(), seen)
    assert seen[3] == float(RECORDS[3, 0, 0])
