"""Every public word with wrong arguments: a builtin error with a message, and nobody is harmed."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import gilpool
from _tools import settle


class Hostile:
    """Raises whatever it is asked."""

    def _refuse(self, *_: object) -> Any:
        raise ZeroDivisionError("hostile")

    __index__ = __float__ = __bool__ = __iter__ = __eq__ = _refuse
    __hash__ = __repr__ = __len__ = _refuse


class HasNothing:
    """Raises for every attribute, too."""

    def __getattr__(self, name: str) -> Any:
        raise ZeroDivisionError(name)


class CannotBeLinked:
    """Looks like a task until it is linked."""

    def rawlink(self, callback: object) -> None:
        raise ZeroDivisionError("rawlink")


def wrong_values() -> Iterator[Any]:
    """Fresh ones each time: some are used up."""
    yield from (None, True, 0, -1, 2**63, -(2**63) - 1, 10**400, 1.5, math.nan, math.inf)
    yield from ("text", b"bytes", [], [1], [None], {}, (KeyError, 1), iter([1]), object())
    yield from (int, KeyError, KeyError("x"), gilpool.TaskExit, gilpool.Pool, lambda: None)
    yield from (Hostile(), HasNothing(), CannotBeLinked())
    yield from ([Hostile()], [HasNothing()], [CannotBeLinked()])


class Stage:
    """A pool, a group and tasks in each state, new for each call."""

    def __init__(self) -> None:
        self.pool = gilpool.Pool(2)
        self.group = gilpool.Group()
        self.done = gilpool.spawn(int)
        self.done.join()
        self.fresh: gilpool.Task[int] = gilpool.Task(int)

    def call(self, where: str, word: str) -> Callable[..., object]:
        """The function; what it returns is used, too, as far as that cannot wait."""
        function = getattr(gilpool if where == "gilpool" else getattr(self, where), word)
        if word in ("imap", "imap_unordered", "iwait"):
            return lambda *args, **kwargs: list(function(*args, **kwargs))
        return function  # type: ignore[no-any-return]


Arguments = Callable[[Stage], tuple[Any, ...]]

COLLECTION: dict[str, Arguments] = {
    "add": lambda stage: (stage.done,),
    "apply": lambda _: (max, (1, 2), {"key": abs}),
    "apply_async": lambda _: (max, (1, 2), {"key": abs}, abs),
    "apply_cb": lambda _: (max, (1, 2), {"key": abs}, abs),
    "discard": lambda stage: (stage.done,),
    "imap": lambda _: (max, [1], [2]),
    "imap_unordered": lambda _: (max, [1], [2]),
    "join": lambda _: (1.0, False),
    "kill": lambda _: (KeyError, True, 1.0),
    "killone": lambda stage: (stage.done, KeyError, True, 1.0),
    "map": lambda _: (abs, [-1]),
    "map_async": lambda _: (abs, [-1], len),
    "map_cb": lambda _: (abs, [-1], len),
    "spawn": lambda _: (abs, -1),
    "spawn_many": lambda _: (abs, [-1]),
    "start": lambda stage: (stage.fresh,),
    "wait_available": lambda _: (1.0,),
}
NO_ARGUMENTS = {"free_count", "full", "stats", "ready", "successful", "features", "getcurrent"}
WORDS: dict[str, dict[str, Arguments]] = {
    "pool": {**COLLECTION, "start": lambda stage: (stage.fresh, True, 1.0)},
    "group": COLLECTION,
    "fresh": {
        "kill": lambda _: (KeyError, True, 1.0),
        "start": lambda _: (),
        **dict.fromkeys(
            ("link", "link_exception", "link_value", "rawlink", "unlink"), lambda _: (repr,)
        ),
    },
    "gilpool": {
        "Group": lambda stage: ([stage.done],),
        "Pool": lambda _: (3,),
        "Task": lambda _: (abs, -1),
        "collect_stats": lambda _: (False,),
        "iwait": lambda stage: ([stage.done], 1.0, 1),
        "joinall": lambda stage: ([stage.done], 1.0, False, 1),
        "killall": lambda stage: ([stage.done], KeyError, True, 1.0),
        "spawn": lambda _: (abs, -1),
        "spawn_later": lambda _: (0.001, abs, -1),
        "stats": lambda _: (),
        "wait": lambda stage: ([stage.done], 1.0, 1),
    },
}
WORDS["done"] = {
    **WORDS["fresh"],
    "get": lambda _: (False, 0.0),
    "join": lambda _: (0.0,),
}
# Numbers are what these take, and how long they then sleep; test_sleep.py has their errors.
SLEEPS = {"sleep", "sleep_gil", "sleep_nogil"}
EXPECTED = (TypeError, ValueError, OverflowError, ZeroDivisionError)
LATE = (gilpool.PoolFull, gilpool.WaitTimeout)


@pytest.mark.parametrize("where", ["gilpool", "pool", "group", "done"])
def test_every_word_is_known_here(where: str) -> None:
    stage = Stage()
    owner = gilpool if where == "gilpool" else getattr(stage, where)
    names = gilpool.__all__ if where == "gilpool" else dir(owner)
    calls = {
        name
        for name in names
        if not name.startswith("_")
        and callable(word := getattr(owner, name))
        and not (isinstance(word, type) and issubclass(word, BaseException))
    }

    assert calls - NO_ARGUMENTS - SLEEPS == set(WORDS[where]) - NO_ARGUMENTS


def error_of(call: Callable[..., object], arguments: list[Any]) -> BaseException | None:
    try:
        result = call(*arguments)
    except BaseException as error:
        return error
    if isinstance(result, gilpool.Task):
        result.kill()  # before its time, if that is still to come
    return None


@pytest.mark.parametrize("where", list(WORDS))
def test_wrong_arguments_get_a_builtin_error_and_harm_nobody(
    where: str, reports: list[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Callbacks that take no argument, and tasks that fail, are reported: not what is tested here.
    monkeypatch.setattr("sys.unraisablehook", lambda _: None)
    refused = 0
    for word, arguments in WORDS[where].items():
        stage = Stage()
        stage.call(where, word)(*arguments(stage))
        count = len(arguments(stage))
        for place in range(count + 1):  # the last one is one too many
            for number, wrong in enumerate(wrong_values()):
                stage = Stage()
                given = [*arguments(stage), None][: max(count, place + 1)]
                given[place] = wrong
                where_wrong = (word, place, number)
                error = error_of(stage.call(where, word), given)
                if not isinstance(error, LATE):
                    assert error is None or isinstance(error, EXPECTED), where_wrong
                    assert error is None or str(error), where_wrong
                    refused += error is not None
                stage.pool.discard(given[0] if given and word in ("add", "start") else None)
                stage.fresh.kill()
                assert stage.pool.spawn(abs, -2).get() == 2, where_wrong
        with pytest.raises(TypeError):
            stage.call(where, word)(nonsense=1)
    settle()
    reports.clear()
    assert refused > 100


def test_nobody_is_killed_if_one_of_them_is_no_task() -> None:
    task = gilpool.Task(int)
    with pytest.raises(TypeError, match="not str"):
        gilpool.killall([task, "task"])  # type: ignore[list-item]
    task.start()
    assert task.get() == 0


@pytest.mark.parametrize("collection", [gilpool.Pool(1), gilpool.Group()])
def test_only_a_task_can_be_started(collection: Any) -> None:
    for wrong in (3, None, int):
        with pytest.raises(TypeError, match=f"task must be a Task, not {type(wrong).__name__}"):
            collection.start(wrong)
    assert len(collection) == 0
