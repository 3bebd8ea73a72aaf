# cython: language_level=3, freethreading_compatible=True
"""The two functions that the project began with: the same usleep, with and without the GIL.

Declared safe for free-threaded builds (they share nothing), since importing an undeclared module would
bring the GIL back for the whole process and disturb every other contestant.
"""

from posix.unistd cimport usleep


def sleep_nogil(unsigned int ms):
    """Sleeps with the GIL released."""
    with nogil:
        usleep(ms * 1000)


def sleep_gil(unsigned int ms):
    """Sleeps and holds the GIL meanwhile."""
    usleep(ms * 1000)
