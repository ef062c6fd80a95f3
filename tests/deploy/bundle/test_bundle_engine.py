"""The queue: first come first served, batches only where they help, nothing lost."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from model_server.engine import INLINE_SECONDS, Engine
from model_server.errors import ModelError, RequestError
from model_server.locate import locate
from model_server.settings import Settings
from model_server.signature import Signature
from model_server.speed import Speed, warm
from model_server.telemetry import Metrics
from model_server.values import Batch, Method, Output

from deploy.bundle.pack import Bundle

SLOW = Speed(one_row=1.0, each_row=0.0, gain=32.0, measured=True)
QUICK = Speed(one_row=1e-5, each_row=1e-6, gain=5.0, measured=True)
WORTH_SHARING = Speed(one_row=1e-3, each_row=1e-6, gain=30.0, measured=True)


class Doubler:
    """A model whose every call waits for `gate`, and remembers the rows it was given."""

    def __init__(self) -> None:
        self.signature = Signature(n_features=1, input_dtype="float64", input_shape=[None, 1])
        self.gate = threading.Event()
        self.gate.set()
        self.calls: list[list[float]] = []

    def predict(self, batch: Batch, method: Method) -> Output:
        self.gate.wait(10)
        self.calls.append(batch.data[:, 0].tolist())
        if (batch.data < 0).any():
            raise ValueError("negative numbers do not double")
        return Output(batch.data[:, 0] * 2)


def row(*values: float) -> Batch:
    return Batch("array", np.array(values, dtype=float).reshape(-1, 1), len(values))


def engine(model: Doubler, speed: Speed, **more: int) -> Engine:
    return Engine(model, speed, Metrics(), **more)


def test_what_queues_behind_a_call_goes_out_as_one() -> None:
    async def scenario() -> None:
        model = Doubler()
        model.gate.clear()
        queue = engine(model, SLOW)
        futures = [queue.submit(row(i, i + 0.5), "default") for i in range(5)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        futures += [queue.submit(row(9), "default")]
        model.gate.set()
        found = [(await f).values.tolist() for f in futures]
        assert found == [[2 * i, 2 * i + 1] for i in range(5)] + [[18]]
        assert len(model.calls) == 2
        assert model.calls[1] == [9]
        queue.close()

    asyncio.run(scenario())


def test_requests_that_come_one_a_turn_still_share_a_call() -> None:
    async def scenario() -> None:
        model = Doubler()
        queue = engine(model, SLOW)

        async def ask(number: int) -> list[float]:
            for _ in range(number):
                await asyncio.sleep(0)
            found: list[float] = (await queue.submit(row(number), "default")).values.tolist()
            return found

        assert await asyncio.gather(*map(ask, range(6))) == [[2 * i] for i in range(6)]
        assert model.calls == [[0, 1, 2, 3, 4, 5]]
        queue.close()

    asyncio.run(scenario())


def test_reading_on_ends_with_the_time_of_one_call() -> None:
    """Not only when nobody asks any more, or nobody would ever be answered."""

    async def scenario() -> None:
        model = Doubler()
        speed = Speed(one_row=3e-3, gain=32.0, measured=True)
        queue = engine(model, speed, max_batch_rows=100_000, queue_size=100_000)
        asked = []
        while not model.calls and len(asked) < 50_000:
            asked.append(queue.submit(row(len(asked)), "default"))
            await asyncio.sleep(0)
        await asyncio.gather(*asked)
        assert 1 < len(model.calls[0]) <= len(asked) < 50_000
        queue.close()

    asyncio.run(scenario())


def test_who_asks_alone_is_answered_at_once_and_who_asks_with_others_shares() -> None:
    async def scenario() -> None:
        model = Doubler()
        queue = engine(model, WORTH_SHARING)

        async def together(count: int) -> list[bool]:
            waits = []
            for i in range(count):
                if queue.now(row(i), "default") is None:
                    waits.append(queue.submit(row(i), "default"))
                else:
                    waits.append(None)
            await asyncio.gather(*(w for w in waits if w is not None))
            await asyncio.sleep(0)
            return [w is None for w in waits]

        assert await together(1) == [True]
        assert await together(3) == [True, False, False]
        assert await together(3) == [False] * 3  # the last call was shared
        assert await together(1) == [False]  # this one was not
        assert await together(1) == [True]
        assert [len(rows) for rows in model.calls] == [1, 1, 2, 3, 1, 1]

    asyncio.run(scenario())


def test_one_turn_of_the_loop_does_not_serve_without_end() -> None:
    """What does not fit queues, so that new connections are taken meanwhile."""

    class Long(Doubler):
        def predict(self, batch: Batch, method: Method) -> Output:
            time.sleep(INLINE_SECONDS)
            return super().predict(batch, method)

    async def scenario() -> None:
        queue = engine(Long(), Speed(one_row=INLINE_SECONDS / 2, measured=True))
        for _ in range(2):
            found = queue.now(row(1), "default")
            assert found is not None
            assert found.values.tolist() == [2]
            assert queue.now(row(2), "default") is None
            await asyncio.sleep(0)

    asyncio.run(scenario())


def test_a_model_that_does_not_gain_is_called_row_by_row_in_order() -> None:
    async def scenario() -> None:
        model = Doubler()
        queue = engine(model, Speed(one_row=1.0, gain=1.1, measured=True))
        assert not queue.batching
        futures = [queue.submit(row(i), "default") for i in range(4)]
        await asyncio.gather(*futures)
        assert model.calls == [[0], [1], [2], [3]]
        queue.close()

    asyncio.run(scenario())


def test_quick_calls_run_on_the_loop_and_still_batch() -> None:
    async def scenario() -> None:
        model = Doubler()
        queue = engine(model, WORTH_SHARING, workers=4)
        assert queue.is_quick(row(1))
        found = await asyncio.gather(*[queue.submit(row(i), "default") for i in range(8)])
        assert [f.values.tolist() for f in found] == [[2 * i] for i in range(8)]
        assert len(model.calls) < 8

    asyncio.run(scenario())


def test_a_lone_quick_request_is_answered_at_once_and_never_before_others() -> None:
    async def scenario() -> None:
        model = Doubler()
        quick = engine(model, QUICK)
        found = quick.now(row(4), "default")
        assert found is not None
        assert found.values.tolist() == [8]
        waiting = quick.submit(row(1), "default")
        assert quick.now(row(5), "default") is None  # it would overtake
        await waiting
        with pytest.raises(RequestError, match="negative"):
            quick.now(row(-1), "default")
        assert engine(model, SLOW).now(row(1), "default") is None

    asyncio.run(scenario())


def test_a_call_that_saves_less_than_sharing_costs_is_not_shared() -> None:
    """Requests of one turn of the loop: a model of 10 us answers each at once, one of 1 ms waits
    for the others that have arrived."""

    async def scenario(speed: Speed) -> list[list[float]]:
        model = Doubler()
        queue = engine(model, speed)

        async def ask(value: float) -> None:
            if queue.now(row(value), "default") is None:
                await queue.submit(row(value), "default")

        await asyncio.gather(*(ask(i) for i in range(4)))
        return model.calls

    assert asyncio.run(scenario(QUICK)) == [[0], [1], [2], [3]]
    assert asyncio.run(scenario(WORTH_SHARING)) == [[0], [1, 2, 3]]


def test_a_failing_batch_is_tried_again_off_the_loop() -> None:
    """The loop keeps answering health checks while each request of the batch is tried alone."""

    async def scenario() -> None:
        model = Doubler()
        queue = engine(model, SLOW)
        threads: list[str] = []
        predict = model.predict

        def watched(batch: Batch, method: Method) -> Output:
            threads.append(threading.current_thread().name)
            return predict(batch, method)

        model.predict = watched  # type: ignore[method-assign]
        futures = [queue.submit(row(v), "default") for v in (1, -1, 3)]
        await asyncio.gather(*futures, return_exceptions=True)
        assert len(threads) == 4
        assert all(name.startswith("predict") for name in threads)
        queue.close()

    asyncio.run(scenario())


def test_methods_are_never_mixed_and_the_row_limit_holds() -> None:
    async def scenario() -> None:
        model = Doubler()
        queue = engine(model, SLOW, max_batch_rows=3)
        kinds: list[Method] = ["default", "default", "predict", "predict", "predict", "predict"]
        futures = [queue.submit(row(i), kind) for i, kind in enumerate(kinds)]
        await asyncio.gather(*futures)
        assert model.calls == [[0, 1], [2, 3, 4], [5]]
        queue.close()

    asyncio.run(scenario())


def test_the_queue_refuses_what_it_cannot_hold() -> None:
    async def scenario() -> None:
        model = Doubler()
        model.gate.clear()
        queue = engine(model, SLOW, queue_size=2, workers=1, max_batch_rows=1)
        held = [queue.submit(row(0), "default")]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        held += [queue.submit(row(i), "default") for i in (1, 2)]
        with pytest.raises(RequestError) as refused:
            queue.submit(row(3), "default")
        assert refused.value.status == 429
        assert int(refused.value.headers["retry-after"]) == 2
        with pytest.raises(RequestError, match="2 requests wait already; try again in 2 s"):
            queue.check_room()
        model.gate.set()
        await asyncio.gather(*held)
        queue.check_room()
        queue.submit(row(4), "default").cancel()
        queue.close()

    asyncio.run(scenario())


def test_one_bad_row_fails_alone() -> None:
    async def scenario() -> None:
        model = Doubler()
        queue = engine(model, SLOW)
        futures = [queue.submit(row(v), "default") for v in (1, -1, 3)]
        found = await asyncio.gather(*futures, return_exceptions=True)
        assert isinstance(found[1], RequestError)
        assert (found[1].status, "negative" in found[1].message) == (422, True)
        assert [f.values.tolist() for f in (found[0], found[2])] == [[2], [6]]  # type: ignore[union-attr]
        queue.close()

    asyncio.run(scenario())


def test_a_cancelled_request_is_never_predicted() -> None:
    async def scenario() -> None:
        model = Doubler()
        model.gate.clear()
        queue = engine(model, SLOW, max_batch_rows=1)
        first = queue.submit(row(1), "default")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        gone, last = queue.submit(row(2), "default"), queue.submit(row(3), "default")
        gone.cancel()
        model.gate.set()
        await asyncio.gather(first, last)
        assert model.calls == [[1], [3]]
        queue.close()

    asyncio.run(scenario())


def test_workers_share_a_queue_fairly() -> None:
    async def scenario() -> None:
        model = Doubler()
        model.gate.clear()
        queue = engine(model, SLOW, workers=2)
        futures = [queue.submit(row(i), "default") for i in range(6)]
        await asyncio.sleep(0.05)
        model.gate.set()
        await asyncio.gather(*futures)
        assert sorted(map(len, model.calls)) == [3, 3]
        queue.close()

    asyncio.run(scenario())


def test_warming_measures_what_batches_gain() -> None:
    speed = warm(Doubler(), row(1), budget=0.05)
    assert speed.measured
    assert speed.gain > 1
    assert warm(Doubler(), None) == Speed()


def test_settings_come_from_the_environment() -> None:
    found = Settings.from_env({"AIP_HTTP_PORT": "9000", "WORKERS": "3", "MAX_BODY_MB": "5"})
    assert (found.port, found.workers, found.max_body) == (9000, 3, 5_000_000)
    assert Settings.from_env({"PORT": "7000", "AIP_HTTP_PORT": "9000"}).port == 7000
    assert Settings.from_env({}).host == "0.0.0.0"
    for name, value in (("PORT", "70000"), ("WORKERS", "0"), ("DRAIN_S", "-1")):
        with pytest.raises(ModelError, match=f"{name} is '{value}'"):
            Settings.from_env({name: value})


def test_the_model_is_found_where_each_platform_puts_it(
    bundles: dict[str, Bundle], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = bundles["onnx"].path
    assert locate({}, bundle).path == bundle / "model" / "model.onnx"
    deep = tmp_path / "azureml-models" / "tumours" / "3"
    deep.mkdir(parents=True)
    (deep / "model.onnx").write_bytes((bundle / "model" / "model.onnx").read_bytes())
    assert (
        locate({"AZUREML_MODEL_DIR": str(tmp_path / "azureml-models")}, bundle).path.parent == deep
    )
    mounted = tmp_path / "mnt"
    mounted.mkdir()
    monkeypatch.setattr("model_server.locate.MOUNTS", (str(mounted),))
    assert locate({}, bundle).path.parent == bundle / "model"  # an empty mount holds nothing
    (mounted / "model.onnx").write_bytes((bundle / "model" / "model.onnx").read_bytes())
    assert locate({}, bundle).path.parent == mounted
    bare = tmp_path / "bare"
    bare.mkdir()
    (bare / "bundle.json").write_text((bundle / "bundle.json").read_text())
    monkeypatch.setattr("model_server.locate.MOUNTS", ())
    with pytest.raises(ModelError, match="gs://b/m is not downloaded"):
        locate({"AIP_STORAGE_URI": "gs://b/m"}, bare)
