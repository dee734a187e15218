"""A clock that stands still between the steps of a test."""


class Clock:
    """Seconds that pass when they are told to."""

    now = 100.0

    def __call__(self):
        return self.now
