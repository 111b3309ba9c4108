"""What goes wrong in a way that a person can mend, and the exit code that a command ends with."""

from __future__ import annotations

from phloem.catalog.withheld import withheld


class PhloemError(Exception):
    """Something could not be done: the message says in one line what was asked, and what to do.

    Its message is ours, and holds no text of a document, no secret of an address and no person's
    e-mail address: it may be printed, logged and kept.

    Example:
        >>> import phloem
        >>> try:
        ...     phloem.open_release("phloem-data", "frist", sequence_length=512, seed=1)
        ... except phloem.PhloemError as error:
        ...     print(error)
        no release 'frist' in phloem-data; did you mean first?
    """

    exit_code = 1

    def __init__(self, *said: object) -> None:
        """Say so, without what is never told: names of others may stand in a message."""
        super().__init__(*(withheld(each) if isinstance(each, str) else each for each in said))


class UseError(PhloemError):
    """Something was asked for that cannot be: the message says what can.

    Example:
        >>> import phloem
        >>> try:
        ...     phloem.load_recipe("quikstart")
        ... except phloem.UseError as error:
        ...     print(error)
        no recipe named 'quikstart'; did you mean quickstart?
    """

    exit_code = 2
