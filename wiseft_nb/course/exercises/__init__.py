"""Exercises that check themselves: a stub runs on with the reference, a wrong answer is told why.

Each notebook has a module here, ``nb_03`` and so on: the one source of its exercises. Their cells are written
from it by ``wiseft_nb/make/exercises.py``.

Explained in notebook 00_start_here.
"""

import functools
import os
import pkgutil
from collections.abc import Callable
from importlib import import_module

from IPython.display import Markdown, display

from wiseft_nb.course.exercises.exercise import Exercise
from wiseft_nb.errors import unknown

MODULES = sorted(found.name for found in pkgutil.iter_modules(__path__) if found.name.startswith("nb_"))
EXERCISES: dict[str, Exercise] = {
    key: exercise for name in MODULES for key, exercise in import_module(f"{__name__}.{name}").EXERCISES.items()
}


def check(key: str, answer: Callable) -> Callable:
    """Test an answer to an exercise.

    Parameters
    ----------
    key : str
        The exercise, such as ``"03.1"``.
    answer : function
        The student's.

    Returns
    -------
    function
        The answer if it is right; the reference if the stub still raises NotImplementedError.

    Raises
    ------
    AssertionError
        If the answer is wrong; the message says what was expected. Under nbgrader also for a stub.

    Explained in notebook 00_start_here.
    """
    if key not in EXERCISES:
        raise unknown("exercise", key, EXERCISES)
    exercise = EXERCISES[key]
    try:
        exercise.test(functools.partial(returning, answer))
    except NotImplementedError:
        if "NBGRADER_EXECUTION" in os.environ:  # where answers earn points, none is no right answer
            raise AssertionError(f"exercise {key}: not attempted") from None
        display(Markdown(f"Exercise {key}: not attempted yet, going on with the reference solution."))
        return exercise.reference
    except AssertionError:
        raise
    except Exception as error:  # whatever a student's code raises
        raise AssertionError(
            f"exercise {key}: your function stopped, or gave something of another kind "
            f"({type(error).__name__}: {error}): did you forget a return?"
        ) from error
    display(Markdown(f"Exercise {key}: right."))
    return answer


def returning(answer: Callable, *arguments: object, **named: object) -> object:
    """What an answer returns; that it returns nothing is the commonest of all mistakes."""
    given = answer(*arguments, **named)
    assert given is not None, "your function gave None: did you forget a return?"
    return given
