"""The queue in hand, as an operator has it: drained, put in another order, and bounded in time."""

import signal

from admission_client.granted import whole
from tests.system.stage import Stage


def test_a_drain_ends_as_the_last_holder_does_and_nobody_is_granted_meanwhile(
    stage: Stage,
) -> None:
    first, second = stage.hold("--task", "first"), stage.hold("--task", "second")
    stage.until(lambda view: view.in_use() == 2)
    drain = stage.spawn("drain", "agents")
    stage.until(lambda view: "agents" in view.status["paused"])  # type: ignore[operator]
    waiter = stage.hold("--task", "later")
    stage.until(lambda view: waiter.pid in view.waiters)
    first.kill()
    stage.until(lambda view: view.in_use() == 1)
    assert drain.poll() is None
    second.kill()
    out, _ = drain.communicate(timeout=20)
    assert (drain.returncode, out) == (0, b'agents: empty; paused until "admission unpause"\n')
    assert stage.look().in_use() == 0
    assert stage.run("unpause", "agents").returncode == 0
    stage.until(lambda view: waiter.pid in view.holders)


def test_ctrl_c_gives_a_drain_up_and_grants_go_on(stage: Stage) -> None:
    stage.hold()
    stage.until(lambda view: view.in_use() == 1)
    drain = stage.spawn("drain", before=("env", "--default-signal=INT"))
    stage.until(lambda view: "agents" in view.status["paused"])  # type: ignore[operator]
    drain.send_signal(signal.SIGINT)
    assert drain.wait(20) == -signal.SIGINT
    assert stage.look().status["paused"] == {}
    refused = stage.run("drain", "agents", "--wait", "0.1", "--json")
    assert refused.returncode == 75
    assert "agents is not empty after 0.1 s: 1 still runs: lease 1 (cat, for" in refused.stderr
    assert stage.look().status["paused"] == {}


def test_a_queue_that_is_put_in_another_order_is_served_in_that(stage: Stage) -> None:
    holder = stage.hold("--weight", "5")
    stage.until(lambda view: view.in_use() == 5)
    waiters = []
    for task in ("a", "b", "c"):
        waiters.append(stage.hold("--weight", "5", "--task", task))
        stage.until(lambda view: waiters[-1].pid in view.waiters)
    tickets = {str(one["task"]): whole(one, "ticket") for one in stage.look().waiting}
    assert stage.run("queue", "move", str(tickets["c"])).returncode == 0
    assert stage.run("queue", "move", str(tickets["a"]), "--to", "back").returncode == 0
    shown = stage.run("queue").stdout.splitlines()
    assert [line.split()[5] for line in shown[1:]] == ["c", "b", "a"]
    assert stage.run("queue", "cancel", str(tickets["b"])).returncode == 0
    assert waiters[1].wait(20) == 75
    gone = stage.run("queue", "cancel", str(tickets["b"]))
    assert (gone.returncode, f"nobody waits with ticket {tickets['b']};" in gone.stderr) == (
        75,
        True,
    )
    holder.kill()
    stage.until(lambda view: waiters[2].pid in view.holders)


def test_who_can_not_start_by_then_is_told_at_once_and_who_might_is_dropped_by_then(
    stage: Stage,
) -> None:
    stage.hold("--weight", "5")
    stage.until(lambda view: view.in_use() == 5)
    # Nothing has ended yet, so there is no estimate.
    dropped = stage.run("run", "--by", "100ms", "--", "true")
    assert dropped.returncode == 75
    assert "no slot within 0.1 s: 5 of 5 agents run" in dropped.stderr
    # Of operations there is: what is out counts with what it has reached.
    assert stage.run("run", "--pool", "operations", "--", "sleep", "0.3").returncode == 0
    stage.hold("--pool", "operations", "--weight", "3")
    stage.until(lambda view: view.in_use("operations") == 3)
    told = stage.run("run", "--pool", "operations", "--by", "10ms", "--", "true")
    assert told.returncode == 75
    assert "it must start within 0 s, and by the estimate it could in" in told.stderr


def test_who_holds_for_longer_than_it_wished_to_is_ended_gently(stage: Stage) -> None:
    limits = ("--max-hold", "200ms", "--end-after-max")
    assert stage.spawn("run", *limits, "--", "sleep", "600").wait(20) == -signal.SIGTERM
    refused = stage.run("run", "--end-after-max", "--", "true")
    assert (refused.returncode, '"--end-after-max" needs "--max-hold' in refused.stderr) == (
        2,
        True,
    )
