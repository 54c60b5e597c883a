import collections

import pytest

from jslim.data.order import Order, epoch_permutation, example_generator


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
