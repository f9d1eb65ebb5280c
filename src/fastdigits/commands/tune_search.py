"""Successive halving: many recipes train for a few epochs, the best of them for more.

Each round trains from the beginning, as schedules depend on the number of epochs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, replace

from ..recipes import Recipe

ROUNDS, KEEP = 3, 3  # each round keeps one of three recipes, and trains it three times as long
MOST_TRIALS = 500  # where only the time ends the first round
_LOOK = 0.5  # seconds between two moments at which Ctrl-C is noticed, on Windows


@dataclass(frozen=True, kw_only=True)
class Score:
    """What the training of a recipe gave.

    Attributes
    ----------
    accuracy, loss : float or None
        On images that were held out; None if the training diverged.
    seconds : float
        Of the training.
    """

    accuracy: float | None
    loss: float | None
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Trial(Score):
    """A recipe that was trained in a round.

    Attributes
    ----------
    number : int
        Place of the recipe among those that the space gave, from 0.
    recipe : Recipe
        With the epochs of the round.
    elapsed : float
        Seconds of the search until the end of the training.
    """

    number: int
    recipe: Recipe
    elapsed: float

    @property
    def rank(self) -> tuple[float, float, int]:
        """Less for a better trial: by accuracy, then by loss; the first of equal ones."""
        if self.accuracy is None or self.loss is None:
            return 1.0, math.inf, self.number
        return -self.accuracy, self.loss, self.number


@dataclass(frozen=True)
class Task:
    """A recipe to train, and the seconds that it may take; less is expected."""

    number: int
    recipe: Recipe
    expected: float


@dataclass(frozen=True)
class Plan:
    """Recipes, and how long to train them.

    Attributes
    ----------
    recipes : list of Recipe
        Of the first round.
    epochs : list of int
        Of each round, ascending.
    seconds : float
        Of the whole search. Each round gets the same part of them.
    """

    recipes: list[Recipe]
    epochs: list[int]
    seconds: float = math.inf

    def end(self, number: int) -> float:
        """Return the second in which a round ends."""
        return self.seconds * (number + 1) / len(self.epochs)

    def tasks(self, number: int, trials: Iterable[Trial]) -> tuple[list[Task], int]:
        """Return the tasks of a round, the most promising first, and how many of them to train."""
        epochs = self.epochs[number]
        if number == 0:
            recipes = [replace(one, epochs=epochs) for one in self.recipes]
            return [Task(place, one, 0.0) for place, one in enumerate(recipes)], len(recipes)
        before = sorted(in_round(trials, self.epochs[number - 1]), key=lambda trial: trial.rank)
        tasks = [
            Task(
                trial.number,
                replace(trial.recipe, epochs=epochs),
                trial.seconds * epochs / trial.recipe.epochs,
            )
            for trial in before
            if trial.accuracy is not None
        ]
        return tasks, math.ceil(len(before) / KEEP)


def rounds(most: int) -> list[int]:
    """Return the epochs of each round, of which the last has ``most``."""
    return sorted({max(1, round(most / KEEP**number)) for number in range(ROUNDS)})


def in_round(trials: Iterable[Trial], epochs: int) -> list[Trial]:
    """Return the trials of the round with these epochs."""
    return [trial for trial in trials if trial.recipe.epochs == epochs]


def search(
    plan: Plan,
    trials: list[Trial],
    submit: Callable[[Task, int], Future[Score | None]],
    processes: int,
    elapsed: Callable[[], float],
    begun: Callable[[int, int], None],
    ended: Callable[[Trial], None],
) -> None:
    """Train the recipes of a plan; append to ``trials``, which may hold those of an interrupted search.

    Parameters
    ----------
    plan : Plan
    trials : list of Trial
    submit : callable
        Takes a task and a number of threads, and returns what will have the score, or None if time was over first.
    processes : int
        Tasks that run at the same time.
    elapsed : callable
        Returns the seconds of the search so far.
    begun, ended : callable
        Called with the number of a round and of its tasks, and with each trial.
    """
    for number, epochs in enumerate(plan.epochs):
        tasks, count = plan.tasks(number, trials)
        begun(number, count)
        done = {trial.number for trial in in_round(trials, epochs)}
        threads = max(1, processes // max(1, count))
        waiting, started = iter(tasks), 0
        running: dict[Future[Score | None], Task] = {}
        while True:
            while len(running) < processes and started < count and (task := next(waiting, None)):
                if task.number in done:
                    started += 1
                elif elapsed() + task.expected < plan.end(number):
                    running[submit(task, threads)] = task
                    started += 1
            if not running:
                break
            for future in wait(running, timeout=_LOOK, return_when=FIRST_COMPLETED).done:
                task, score = running.pop(future), future.result()
                if score is not None:
                    trial = Trial(number=task.number, recipe=task.recipe, elapsed=elapsed(), **vars(score))
                    trials.append(trial)
                    ended(trial)
