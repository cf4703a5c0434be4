"""What an exercise is: the one source of its text, its stub, its solution and its check."""

from collections.abc import Callable
from dataclasses import dataclass

Answer = Callable  # what a student wrote


@dataclass(frozen=True)
class Exercise:
    """One exercise; ``make/exercises.py`` writes its cells into the notebook.

    Attributes
    ----------
    title, task, why : str
        Markdown: the heading, what to write, and what is said below the solution.
    minutes, difficulty : int
        Difficulty from 1 to 5.
    hints : tuple of str
        Folded, from vague to nearly the answer.
    reference : function
        Its name, signature and docstring are the student's stub, its body is the folded solution.
    test : function
        ``test(answer)`` raises AssertionError, saying what is wrong, for all but a right answer.
    wrong : tuple of (function, str)
        Answers that students give, each with words of the message that ``test`` must have for it.
    """

    title: str
    minutes: int
    difficulty: int
    task: str
    hints: tuple[str, ...]
    reference: Callable
    why: str
    test: Callable[[Answer], None]
    wrong: tuple[tuple[Answer, str], ...]
