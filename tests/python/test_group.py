"""Group: tracking tasks until they are done, to wait for them and to kill them together."""

import gc
import weakref
from typing import Any

import pytest

import gilpool
from _tools import PATIENCE, Held, fail, gil_kept, settle, wait_until


def test_a_group_tracks_what_it_spawns_until_it_is_done() -> None:
    group = gilpool.Group()
    with Held(group) as held:
        assert len(group) == 1
        assert held.task in group
        assert list(group) == [held.task]
        assert repr(group).startswith("<Group tasks=1 at 0x")
    assert group.join()
    assert len(group) == 0
    assert held.task not in group


def test_a_group_is_true_and_never_full() -> None:
    group = gilpool.Group()

    assert group
    assert (len(group), group.full(), group.free_count(), group.wait_available()) == (
        (0, False, 1, 1)
    )


def test_a_group_may_begin_with_tasks() -> None:
    with Held(count=3) as held:
        group = gilpool.Group(held.tasks)
        assert set(group) == set(held.tasks)
        assert group.join(timeout=0.01) is False
    assert group.join() is True


def test_done_tasks_leave_without_anybody_asking() -> None:
    group = gilpool.Group()
    tasks = [group.spawn(int) for _ in range(100)]
    gilpool.joinall(tasks)
    settle()  # the links have run

    assert len(group) == 0


def test_adding_twice_or_adding_what_is_done_changes_nothing() -> None:
    done = gilpool.spawn(int)
    done.join()
    with Held() as held:
        group = gilpool.Group()
        for task in (held.task, held.task, done):
            group.add(task)
        assert list(group) == [held.task]


def test_a_task_added_before_its_start_is_waited_for() -> None:
    group = gilpool.Group()
    task = gilpool.Task(pow, 2, 3)
    group.add(task)
    assert group.join(timeout=0.01) is False
    group.start(task)

    assert group.join() is True
    assert task.get() == 8


def test_discarded_tasks_go_on_untracked() -> None:
    group = gilpool.Group()
    with Held(group) as held:
        group.discard(held.task)
        group.discard(held.task)
        group.discard(gilpool.Task(int))
        assert len(group) == 0
        assert group.join(timeout=0) is True
        assert not held.task.ready()
    assert held.task.get() == "released"


def test_join_never_raises_unless_asked(reports: list[BaseException]) -> None:
    group = gilpool.Group()
    task = group.spawn(fail, KeyError("lost"))
    assert group.join() is True
    assert isinstance(task.exception, KeyError)

    with gil_kept():
        group.spawn(fail, KeyError("lost"))
        members = list(group)
        with pytest.raises(KeyError, match="lost"):
            group.join(raise_error=True)
    members.clear()
    gc.collect()
    assert reports == []


def test_join_sees_tasks_that_come_while_it_waits() -> None:
    group = gilpool.Group()
    done: list[int] = []

    def generation(n: int) -> None:
        if n:
            group.spawn(generation, n - 1)
        done.append(n)

    group.spawn(generation, 50)
    assert group.join()

    assert sorted(done) == list(range(51))


def test_a_task_cannot_join_its_own_group() -> None:
    group = gilpool.Group()
    with pytest.raises(RuntimeError, match="group it is in"):
        group.spawn(group.join).get()


def test_kill_ends_all_and_lets_nothing_begin() -> None:
    ran: list[int] = []
    group = gilpool.Group()
    running = [group.spawn(gilpool.sleep, 1000) for _ in range(5)]
    with gil_kept():
        queued = [group.spawn(ran.append, number) for number in range(5)]
        fresh = gilpool.Task(ran.append, 99)
        group.add(fresh)
        group.kill(block=False)
    group.kill()

    assert ran == []
    assert len(group) == 0
    assert all(isinstance(task.get(), gilpool.TaskExit) for task in [*running, *queued, fresh])


def test_kill_fires_once() -> None:
    """A task that cleans up is not disturbed by the same container's second kill."""
    caught: list[BaseException] = []
    group = gilpool.Group()

    def clean_up() -> None:
        for _ in range(3):
            try:
                gilpool.sleep(0.2)
            except gilpool.TaskExit as error:
                caught.append(error)

    task = group.spawn(clean_up)
    while "running" not in repr(task):
        gilpool.sleep(0.001)
    for _ in range(3):
        group.kill(block=False)
        group.killone(task, block=False)
    group.kill()

    assert task.ready()
    assert len(caught) <= 1
    caught.clear()


def test_the_memory_of_who_was_killed_swallows_nobody_elses_kill(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Python drops an exception that is raised in a weak reference's callback, a kill included."""
    swallowed: list[object] = []
    monkeypatch.setattr("sys.unraisablehook", swallowed.append)
    group = gilpool.Group()

    class Unlinked:
        """Nobody but the loop below keeps it."""

        def kill(self, *_: object, **__: object) -> None: ...

    def kill_others() -> None:
        while True:
            other = Unlinked()
            group.add(other)
            group.killone(other)  # type: ignore[arg-type]
            group.discard(other)

    for _ in range(200):
        task = gilpool.spawn(kill_others)
        wait_until(lambda task=task: "running" in repr(task))  # type: ignore[misc]
        while not task.ready() and len(swallowed) < 10:
            task.kill(timeout=1)
    assert swallowed == []
    settle()


def test_kill_with_a_timeout_returns_silently() -> None:
    group = gilpool.Group()
    with Held(group) as held:
        group.kill(timeout=0.01)
        assert not held.task.ready()
    assert isinstance(held.task.get(), gilpool.TaskExit)


def test_killone_ends_only_tracked_tasks() -> None:
    group = gilpool.Group()
    mine, other = group.spawn(gilpool.sleep, 1000), gilpool.spawn(gilpool.sleep, 1000)
    group.killone(mine)
    group.killone(other)

    assert isinstance(mine.get(block=False), gilpool.TaskExit)
    assert not other.ready()
    other.kill()


def test_a_member_that_kills_the_group_ends_last() -> None:
    group = gilpool.Group()
    others = [group.spawn(gilpool.sleep, 1000) for _ in range(3)]
    killer = group.spawn(group.kill)

    assert isinstance(killer.get(timeout=PATIENCE), gilpool.TaskExit)
    assert all(isinstance(task.get(block=False), gilpool.TaskExit) for task in others)


def test_a_task_may_be_in_several_groups_and_a_pool() -> None:
    groups = [gilpool.Group() for _ in range(3)]
    pool = gilpool.Pool(1)
    with Held(pool) as held:
        for group in groups:
            group.add(held.task)
    assert all(group.join() for group in groups)
    assert pool.join()


def test_objects_without_links_stay_until_discarded() -> None:
    group = gilpool.Group()
    thing: Any = object()
    group.add(thing)
    settle()
    assert thing in group
    assert group.join(timeout=0.01) is False
    task = gilpool.spawn(gilpool.sleep, 0.01)
    group.add(task)
    assert group.join(timeout=0.1) is False
    assert task.ready()
    joiner = gilpool.spawn(group.join, PATIENCE)
    wait_until(lambda: group._joiners)
    group.discard(thing)
    assert joiner.get() is True
    assert len(group) == 0


@pytest.mark.parametrize("make", [gilpool.Pool, gilpool.Group])
@pytest.mark.parametrize("thing", [3, ()])
def test_what_has_no_weak_reference_is_discarded_by_a_kill(make: Any, thing: Any) -> None:
    collective = make()
    collective.add(thing)
    with pytest.raises(TypeError, match=f"not {type(thing).__name__}"):
        collective.killone(thing)
    collective.kill(block=False)
    assert list(collective) == [thing]
    collective.kill(timeout=PATIENCE)
    assert list(collective) == []
    assert collective.join(PATIENCE)


def test_an_idle_group_is_in_no_cycle() -> None:
    group = gilpool.Group()
    group.spawn(int).join()
    group.join()
    settle()
    gone = weakref.ref(group)
    del group

    assert gone() is None


def test_mapping_works_on_a_group() -> None:
    group = gilpool.Group()

    assert group.map(abs, range(-3, 3)) == [3, 2, 1, 0, 1, 2]
    assert list(group.imap(pow, [2, 3], [4, 5])) == [16, 243]
    assert sorted(group.imap_unordered(abs, [-1, 2])) == [1, 2]
    assert group.apply(pow, (2, 3)) == 8
    assert group.apply_async(pow, (2, 3)).get() == 8
    assert group.map_async(abs, [-1]).get() == [1]
    assert group.join()
