"""The errors that a user can mend."""


class UserError(Exception):
    """A mistake in options, files or arguments: one line saying what, where and what to do.

    Command-line programs print it without a traceback and exit with status 2 (`utils.cli.run`). Anything else
    that escapes is a defect of the program and keeps its traceback.
    """


class OptionsError(UserError):
    """An options file or override that cannot be used; the text names file, line and dotted key."""
