"""What goes wrong in a way that a person can mend, and the exit code that a command ends with."""

from __future__ import annotations


class PhloemError(Exception):
    """Something could not be done: the message says in one line what was asked, and what to do.

    Its message is ours, and holds no text of a document: it may be printed, logged and kept.
    """

    exit_code = 1


class UseError(PhloemError):
    """Something was asked for that cannot be: the message says what can."""

    exit_code = 2
