import collections

import pytest

from jslim.data.order import Order, epoch_permutation, example_generator, steps_of_epochs


def test_epoch_permutation_is_the_same_for_ever():
    # Written down from the first version: another order would break every saved position.
    assert epoch_permutation(0, 0, 8).tolist() == [0, 2, 1, 5, 4, 3, 6, 7]
    assert epoch_permutation(0, 1, 8).tolist() == [7, 4, 2, 6, 5, 0, 1, 3]
    assert epoch_permutation(2**64 - 1, 10**9, 8).tolist() == [2, 0, 4, 6, 3, 1, 7, 5]


def test_epoch_permutation_gives_all_orders_equally_often():
    counts = collections.Counter(tuple(epoch_permutation(0, epoch, 3)) for epoch in range(3000))
    assert len(counts) == 6
    # 500 each are expected, with a standard deviation of 20.4.
    assert max(abs(count - 500) for count in counts.values()) < 5 * 20.4


def test_order_goes_through_all_records_in_every_epoch():
    order = Order(seed=3, num_records=10, shuffle=True)
    epochs = [[order(epoch * 10 + index) for index in range(10)] for epoch in range(4)]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 4


def test_order_depends_on_seed_and_position_alone():
    order, again = (Order(seed=3, num_records=10, shuffle=True) for _ in range(2))
    forwards = [order(position) for position in range(35)]
    backwards = [again(position) for position in reversed(range(35))]
    assert forwards == backwards[::-1]
    other = Order(seed=4, num_records=10, shuffle=True)
    assert forwards != [other(position) for position in range(35)]


def test_order_without_shuffle_repeats_the_records():
    order = Order(seed=0, num_records=3, shuffle=False)
    assert [order(position) for position in range(7)] == [0, 1, 2, 0, 1, 2, 0]


def test_example_generators_differ_by_seed_and_position():
    draws = [
        example_generator(seed, position).integers(2**62)
        for seed in (0, 1, 2**64 - 1)
        for position in (0, 1, 2, 10**12)
    ]
    assert len(set(draws)) == len(draws)
    assert example_generator(1, 2).integers(2**62) == example_generator(1, 2).integers(2**62)


@pytest.mark.parametrize("seed", [-1, 2**64])
def test_order_refuses_a_seed_out_of_range(seed):
    with pytest.raises(ValueError, match=rf"seed must be in \[0, 2\*\*64\), got {seed}"):
        Order(seed, 3, shuffle=True)


@pytest.mark.parametrize(
    ("num_epochs", "num_samples", "batch_size", "steps"),
    [
        (1, 10, 10, 1),
        (1, 11, 10, 2),
        (3, 11, 10, 4),  # 33 records: epochs share batches
        (0.5, 11, 10, 1),
        (1.1, 100, 10, 11),  # 1.1 * 100 / 10 is a little more than 11 in binary
        (2.3, 100, 10, 23),  # and this a little less than 23
        (1e-5, 10**6, 10, 1),
        (90, 1281167, 256, 450411),
    ],
)
def test_steps_of_epochs_are_rounded_up_from_the_exact_number(
    num_epochs, num_samples, batch_size, steps
):
    assert steps_of_epochs(num_epochs, num_samples, batch_size) == steps


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 10, 2), "steps_of_epochs: num_epochs must be in (0, inf), got 0"),
        ((float("inf"), 10, 2), "steps_of_epochs: num_epochs must be in (0, inf), got inf"),
        ((1, 0, 2), "steps_of_epochs: num_samples must be at least 1, got 0"),
        ((1, 10, 0), "steps_of_epochs: batch_size must be at least 1, got 0"),
    ],
)
def test_steps_of_epochs_refuses_what_makes_no_sense(arguments, message):
    with pytest.raises(ValueError) as error:
        steps_of_epochs(*arguments)
    assert str(error.value) == message


def test_the_batches_of_whole_epochs_hold_each_record_so_often():
    order = Order(seed=3, num_records=11, shuffle=True)
    steps = steps_of_epochs(3, 11, batch_size=4)
    seen = collections.Counter(order(position) for position in range(steps * 4))
    assert (steps, steps * 4 - 33) == (9, 3)
    assert sorted(seen.values()) == [3] * 8 + [4] * 3
