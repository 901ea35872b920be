"""What is sent to a service is counted before it is sent, and costs no more than is allowed."""

from __future__ import annotations

import pickle
import threading

import pytest

from dfa.errors import InvalidInputError, OracleError
from dfa.oracle.services.books import Books, Outcome, ServiceUse


class Shelf:
    """Keeps totals as a run's folder would, and each state that they had."""

    def __init__(self):
        self.states = []

    def load(self):
        return self.states[-1] if self.states else {}

    def save(self, totals):
        self.states.append(dict(totals))


def test_each_outcome_has_its_own_bill():
    books = Books(price=0.25)
    for outcome in Outcome:
        books.reserve(3)
        books.settle(outcome)
    books.reserve(1)
    books.add_retry()
    books.add_wait(0.5)
    books.add_wait(0.25)
    assert books.use == ServiceUse(
        requests=5,
        images=13,
        retries=1,
        rejected=1,
        answered=1,
        billed_low=1,
        billed_high=3,
        cost_low=0.25,
        cost_high=0.75,
        waited=0.75,
    )


def test_without_a_price_nobody_knows_the_cost():
    books = Books()
    books.reserve(1)
    books.settle(Outcome.ANSWERED)
    assert (books.use.cost_low, books.use.cost_high) == (None, None)
    assert Books(price=0).use.cost_high == 0


def test_three_requests_at_a_tenth_cost_three_tenths_and_a_fourth_is_not_sent():
    books = Books(price=0.1, max_cost=0.3)
    for _ in range(3):
        books.reserve(1)
        books.settle(Outcome.ANSWERED)
    with pytest.raises(OracleError, match=r"costs 0\.1,.*max_cost=0\.3.*may have cost 0\.3 .*higher max_cost"):
        books.reserve(1)
    assert (books.use.requests, books.use.images, books.use.cost_high) == (3, 3, 0.3)


def test_what_may_be_billed_counts_against_the_ceiling_and_what_is_not_does_not():
    books = Books(price="1", max_cost=2)
    books.reserve(1)  # under way
    books.reserve(1)
    with pytest.raises(OracleError, match="surely 0"):
        books.reserve(1)
    books.settle(Outcome.REJECTED)
    books.reserve(1)
    books.settle(Outcome.UNSURE)
    with pytest.raises(OracleError):
        books.reserve(1)


def test_the_ceiling_holds_for_threads_that_reserve_at_once():
    books = Books(price=1, max_cost=50)
    refused = []

    def reserve():
        for _ in range(20):
            try:
                books.reserve(1)
            except OracleError:
                refused.append(1)

    threads = [threading.Thread(target=reserve) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (books.use.requests, books.use.cost_high, len(refused)) == (50, 50, 110)


def test_a_process_that_was_killed_has_counted_too_much_rather_than_too_little():
    shelf = Shelf()
    books = Books(price=0.1, keeper=shelf)
    books.reserve(2)
    # Killed here: what was kept already has the request.
    again = Books(price=0.1, keeper=shelf)
    assert (again.use.requests, again.use.images, again.use.billed_low, again.use.billed_high) == (1, 2, 0, 1)
    again.reserve(1)
    again.settle(Outcome.ANSWERED)
    third = Books(price=0.2, max_cost=0.4, keeper=shelf)
    third.reserve(1)
    assert (third.use.cost_low, third.use.cost_high) == (0.1, 0.4)
    with pytest.raises(OracleError):
        third.reserve(1)


def test_the_totals_of_a_run_are_its_own_and_memory_goes_on_from_them():
    shelf = Shelf()
    shelf.save({"requests": 5, "images": 6, "billed_high": 5, "cost_high": "0.5", "waited": 2.5})
    books = Books(price=0.1)
    books.reserve(2)
    books.settle(Outcome.ANSWERED)
    books.add_wait(1.0)
    books.keep_with(shelf)
    use = books.use
    assert (use.requests, use.images, use.answered, use.cost_low, use.cost_high, use.waited) == (5, 6, 0, 0.0, 0.5, 2.5)
    assert Books(keeper=shelf).use == use
    books.keep_with(None)
    books.reserve(1)
    assert books.use.since(use) == ServiceUse(1, 1, 0, 0, 0, 0, 1, 0.0, 0.1, 0.0)
    assert Books(keeper=shelf).use == use


def test_what_one_run_has_kept_is_not_the_next_ones():
    first, second = Shelf(), Shelf()
    books = Books(price=1)
    books.keep_with(first)
    books.reserve(1)
    books.keep_with(second)
    assert books.use.requests == 0
    books.keep_with(first)
    assert books.use.requests == 1


def test_another_process_begins_with_nothing_sent():
    books = Books(price=0.1, max_cost=5, keeper=Shelf())
    books.reserve(1)
    copy = pickle.loads(pickle.dumps(books))
    assert (copy.use.requests, str(copy.price), str(copy.max_cost)) == (0, "0.1", "5")


@pytest.mark.parametrize("price", [-1, float("nan"), float("inf"), "a lot", True, [1], b"1"])
def test_a_price_is_an_amount_of_money(price):
    with pytest.raises(InvalidInputError, match="price must be an amount of money"):
        Books(price=price)


def test_a_ceiling_needs_a_price():
    with pytest.raises(InvalidInputError, match="needs the price"):
        Books(max_cost=5)
