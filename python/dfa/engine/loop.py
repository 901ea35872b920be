"""The loop: keeps the oracle's batches full from a window of active images, until every image has its record.

An iteration of an image is the unit: all its candidates are sent, also after the first adversarial one, even if
they fall into different batches. So results do not depend on the batch size.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass, replace

from dfa.engine.bar import open_bar
from dfa.engine.checkpoint import Checkpoints
from dfa.engine.feed import Feed
from dfa.engine.jury import Jury
from dfa.engine.ledger import Ledger
from dfa.engine.oracle_thread import OracleThread
from dfa.engine.places import Searches
from dfa.engine.plan import Plan
from dfa.engine.scoring import degrees_of_all
from dfa.engine.searches import CoreSearches
from dfa.engine.stopwatch import Stopwatch
from dfa.engine.thread_choice import ThreadChoice
from dfa.engine.users_searches import UsersSearches
from dfa.engine.watch import Watch
from dfa.engine.window import Window
from dfa.errors import DfaError, DriftError, Interrupted, OracleError, PartialAnswer, StoreError, told
from dfa.interrupts import interrupts_held_back
from dfa.oracle.gate import Gate, Purpose
from dfa.results.images import AdversarialImages
from dfa.results.profile import Profile, Service
from dfa.results.record import Record, Status, rewritten
from dfa.results.result import Result
from dfa.runs.replay import ReplayOracle
from dfa.runs.store import FILES
from dfa.search.racos import Racos
from dfa.types import Image


def attack(plan: Plan) -> Result:
    """Attack every image of the plan.

    Raises:
        OracleError: The oracle failed or its answer cannot be used. `.result` holds what was found before.
        ObjectiveError: The degree function failed. `.result` likewise.
        OptimizerError: An optimizer of the user's failed. `.result` likewise.
        Interrupted: On KeyboardInterrupt. `.result` likewise.
        InvalidInputError: A label, target or rank does not fit the number of classes the oracle turned out to have.
        StoreError: The run's folder cannot be written, or what it holds does not fit the run. `.result` likewise.
        BaseException: Whatever else ends the run, an error of a user's callback say, as it is, with `.result` likewise.
    """
    loop = Loop(plan)
    # Where this fails nothing was done, so there is nothing to give back, and the folder stays as it was.
    loop.restore()
    try:
        return loop.run()
    except KeyboardInterrupt as error:
        with interrupts_held_back():
            partial = loop.partial_result("the run was interrupted")
        raise Interrupted("interrupted; what was finished is in the `result` of this error", result=partial) from error
    except BaseException as error:
        with interrupts_held_back() as interrupts:
            loop.keep_answers(error)
            reason = str(error) if isinstance(error, DfaError) else told(error)
            partial = loop.partial_result(f"the run ended: {reason}")
        if interrupts.came:
            raise Interrupted(f"interrupted, after this: {reason}", result=partial) from error
        try:
            error.result = partial  # type: ignore[attr-defined]
        except (AttributeError, TypeError):
            ended = DfaError(f"the run ended with an error that cannot carry its result: {reason}")
            ended.result = partial
            raise ended from error
        raise


class Loop:
    """One run, from its plan to its result.

    The feed reads images and asks for their clean answers; the window proposes candidates for those that are searched;
    the oracle answers; the degree scores; the window is told; a hit goes to the jury; the ledger settles its record.
    """

    def __init__(self, plan: Plan) -> None:
        """Make what takes part; nothing is asked yet."""
        # What counts or walks along in a run is this run's own, so that the plan stays what it was.
        plan = replace(plan, ids=deepcopy(plan.ids), questions=deepcopy(plan.questions))
        num_images = plan.inputs.num_images
        self._plan = plan
        self._stopwatch = Stopwatch()
        self._threads = ThreadChoice(plan.threads)
        self._gate = Gate(plan.oracle, num_images=num_images, max_queries=plan.max_queries, budgets=plan.budgets)
        searches = _searches(plan, self._gate, self._stopwatch)
        batch_size = searches.batch_size
        self._oracle = OracleThread(
            self._gate,
            self._stopwatch,
            plan.store,
            batch_size=batch_size,
            in_callers_thread=plan.oracle.in_callers_thread,
            calls_at_once=plan.oracle.calls_at_once,
            calls_in_line=plan.oracle.calls_in_line,
            is_exact=not plan.confirmation.is_repeated,
            replay=plan.oracle if isinstance(plan.oracle, ReplayOracle) else None,
        )
        self._window = Window(plan, searches, self._gate, self._oracle, self._stopwatch)
        self._bar = open_bar(num_images, lambda: self._gate.counts[Purpose.ATTACK]) if plan.shows_progress else None
        self._ledger = Ledger(
            num_images,
            plan.inputs.form,
            plan.store,
            plan.on_record,
            keeps_originals=not plan.inputs.is_held,
            bar=self._bar,
        )
        # Of a run in a folder the books are its own.
        self._use_before = None if plan.store or plan.oracle.books is None else plan.oracle.books.use
        self._watch = Watch(plan.oracle, self._oracle, self._ledger.unsettled, is_random=plan.confirmation.is_repeated)
        self._feed = Feed(plan, self._oracle, self._ledger, self._watch, self._save_if_due, batch_size=batch_size)
        # Where a call carries few images, there are several calls at once.
        most = 0 if plan.oracle.rows_per_call is None else plan.batch_size
        self._jury = Jury(plan, self._oracle, self._ledger, self._save_if_due, batch_size=batch_size, most=most)
        self._checkpoints = (
            None
            if plan.store is None
            else Checkpoints(
                plan.store,
                plan,
                self._gate,
                self._oracle,
                self._stopwatch,
                self._ledger,
                self._feed,
                self._window,
                self._jury,
                self._watch,
            )
        )

    def restore(self) -> None:
        """Take the run up where its last checkpoint left it, if it is kept and was begun before.

        Raises:
            StoreError: Images or oracle are not the same, or a file is gone.
            OracleError: The oracle failed.
        """
        if self._checkpoints is None:
            return
        try:
            self._checkpoints.restore()
            if self._checkpoints.store.resumes:
                self._checkpoints.store.go_on()
        except BaseException:
            self._close()
            raise

    def run(self) -> Result:
        """Run to the end."""
        try:
            self._gate.prepare(self._plan.inputs.shape, self._window.batch_size)
            self._window.send_again()
            while True:
                self._jury.settle_answered()
                self._watch.look()
                self._window.refill(self._feed)
                if self._window.is_worth_sending():
                    self._send()
                elif self._take_answers():
                    self._window.use_threads(self._threads.after_turn(self._stopwatch.seconds, self._window.rows_sent))
                else:
                    break
            self._jury.confirm_all()
            self._watch.look(waits=True)
            if self._checkpoints is not None:
                self._checkpoints.save_now()
        finally:
            self._close()
        return self._result()

    def keep_answers(self, error: BaseException) -> None:
        """Write down, in a run that is kept, what an oracle answered in or beside the batch in which it failed."""
        if self._checkpoints is not None and isinstance(error, OracleError):
            with suppress(StoreError):  # which is told below, or where the next one writes
                self._oracle.recall.drop_unusable(self._oracle.open, self._gate)
        is_partial = isinstance(self._oracle.failure, PartialAnswer) or self._oracle.asks_beside
        is_partial |= isinstance(error, DriftError)
        if self._checkpoints is None or not isinstance(error, OracleError) or not is_partial:
            return
        try:
            self._checkpoints.keep_answers()
        except StoreError as store_error:
            # Not add_note: the command line prints the error alone.
            error.args = (f"{error}; what it did answer could not be kept either: {store_error}",)

    def partial_result(self, reason: str) -> Result:
        """Return the result with a record for every image, unfinished ones included."""
        self._oracle.take_back()
        self._ledger.settle_kept()
        for place in list(self._window.jobs):
            draft = self._draft(place)
            if draft.found:
                self._jury.claims.append(self._window.claim(place, draft))
            else:
                self._ledger.leave_unfinished(draft, reason)
        self._jury.leave_unconfirmed(reason)
        self._feed.leave_unfinished(reason)
        for index in self._ledger.unsettled():
            source = self._plan.inputs.source(index)
            record = Record(index, 0, Status.UNFINISHED, source=source, label=self._plan.label(index))
            self._ledger.leave_unfinished(record, reason)
        return self._result()

    def _take_answers(self) -> bool:
        """Wait for batches, score them, and retire the images whose search ends with them; False if there are none."""
        with self._stopwatch.timing("wait"):
            flights = self._window.next_flights()
            if not flights:
                return False
            answers = [self._oracle.answers(flight.asked) for flight in flights]
        with self._stopwatch.timing("score"):
            # Here and not beside the oracle, which is busy with the next batch by now.
            scored = degrees_of_all(flights, answers, self._gate, self._plan)
            hits = [self._window.hits(*each) for each in zip(flights, scored, strict=True)]
        seconds = self._stopwatch.lap() / sum(map(len, scored))
        if self._plan.confirmation.is_repeated:
            scored = [
                self._jury.doubt(degrees, of_flight, flight.indices, flight.goals)
                for flight, degrees, of_flight in zip(flights, scored, hits, strict=True)
            ]
        with self._stopwatch.timing("update"):
            for flight, degrees in zip(flights, scored, strict=True):
                for place in self._window.tell(flight, degrees, seconds):
                    self._retire(place)
        if self._bar is not None:
            self._bar.look()
        self._oracle.forget(Purpose.ATTACK)
        if self._plan.confirmation.is_repeated:
            self._oracle.forget(Purpose.VERIFICATION)
        return True

    def _retire(self, place: int) -> None:
        draft = self._draft(place)
        if draft.found:
            self._jury.hear(self._window.claim(place, draft))
        else:
            reason = self._window.why_over(place, draft)
            self._ledger.settle(rewritten(draft, status=Status.FAILURE, reason=reason, found=draft.unconfirmed > 0))
        self._window.dismiss(place)

    def _send(self) -> None:
        batch_size = self._window.batch_size
        number = batch_size * self._plan.questions.queries_per_image
        if not self._jury.is_due:
            self._save_if_due(number)
            self._watch.after(self._window.send())
            self._jury.wait()
            return
        self._save_if_due(number + self._jury.num_due)
        # In this order the oracle works on the batch while the claims are settled, which takes a while.
        self._jury.ask_ahead()
        self._watch.after(self._window.send())
        if not self._oracle.asks_beside:
            self._jury.settle_asked()

    def _draft(self, place: int) -> Record:
        return self._window.draft(place, unconfirmed=self._jury.unconfirmed[self._window.jobs[place].index])

    def _save_if_due(self, number: int) -> None:
        """Write a checkpoint, in a run that is kept, if one must come before so many images are sent."""
        if self._checkpoints is not None:
            self._checkpoints.save_if_due(number)

    def _close(self) -> None:
        self._plan.oracle.hang_up()
        self._oracle.close()
        self._ledger.close()

    def _result(self) -> Result:
        return Result(
            records=self._ledger.records(),
            images=self._ledger.images,
            profile=self._profile(),
            config=self._plan.config,
            oracle=self._plan.oracle,
            originals=_Originals(self._plan.inputs.num_images, self._plan.inputs.load, self._ledger.originals),
        )

    def _service(self, asked: int) -> Service | None:
        """Return what was asked of a service, so many images in all, if it is one."""
        oracle, recall = self._plan.oracle, self._oracle.recall
        if oracle.books is None:
            return None
        use = oracle.books.use if self._use_before is None else oracle.books.use.since(self._use_before)
        return Service(asked, recall.from_record, recall.coalesced, use, oracle.currency, self._watch.drifts)

    def _profile(self) -> Profile:
        counts, seconds, wall = self._gate.counts, self._stopwatch.seconds, self._stopwatch.wall()
        # As the gate counts them: what the window had sent may have waited for the oracle when the run ended.
        rows_sent, batches = counts[Purpose.ATTACK], self._gate.calls[Purpose.ATTACK]
        logical = rows_sent + counts[Purpose.CLEAN] + counts[Purpose.VERIFICATION]
        logical += counts[Purpose.WATCH]
        sent, files = (0, 0) if self._plan.store is None else (self._plan.store.sent(), self._plan.store.sent(FILES))
        return Profile(
            wall=wall,
            oracle=self._gate.seconds[Purpose.ATTACK],
            **seconds,
            other=wall - sum(seconds.values()),
            rows_sent=rows_sent,
            rows_capacity=batches * self._window.batch_size,
            batches=batches,
            clean=counts[Purpose.CLEAN],
            verification=counts[Purpose.VERIFICATION],
            files=files,
            resent=self._gate.sent_again
            if self._plan.store is None
            else sent - files - logical + self._oracle.recall.spared,
            spans=self._stopwatch.spans,
            calls_over_time=self._stopwatch.calls_over_time,
            workers=self._plan.oracle.shares(),
            watch=counts[Purpose.WATCH],
            service=self._service(logical),
        )


def _searches(plan: Plan, gate: Gate, stopwatch: Stopwatch) -> Searches:
    """Return what holds the searches of a run: the core, or for another optimizer what asks that."""
    if isinstance(plan.optimizer, Racos):
        return CoreSearches(plan, plan.optimizer, gate, stopwatch)
    return UsersSearches(plan, plan.optimizer, stopwatch)


@dataclass(frozen=True)
class _Originals:
    """The run's images as a sequence, through the checks of `Inputs`; of what was attacked with success, that.

    A data set with a random transform gives another image each time that it is asked.
    """

    num_images: int
    load: Callable[[int], Image]
    kept: AdversarialImages | None

    def __len__(self) -> int:
        return self.num_images

    def __getitem__(self, index: int, /) -> Image:
        kept = None if self.kept is None else self.kept[index]
        return self.load(index) if kept is None else kept
