"""Models of many kinds: looked at, loaded and asked as a client would, beside their frameworks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import orjson
import pytest
from model_check import look
from model_server import loaders
from model_server.errors import RequestError
from model_server.payload import Decoder
from model_server.signature import Signature

RNG = np.random.default_rng(5)
X = RNG.normal(size=(120, 4))
SIDES = np.where(X[:, 0] > 0.3, "up", np.where(X[:, 1] > 0, "down", "level"))
TWO = np.c_[X[:, 0] > 0, SIDES == "up"].astype(int)
THREES = np.c_[X[:, 0] > 0, np.searchsorted(["down", "level", "up"], SIDES)]
ROWS = X[:4].tolist()


class Served:
    """A model file as the server takes it up, without HTTP."""

    def __init__(self, path: Path) -> None:
        found = look.run({"path": str(path), "name": path.name})
        assert "signature" in found, found.get("message")
        self.signature = Signature.of(found["signature"])
        self.model = loaders.load(found["format"], path, self.signature)
        self.decoder = Decoder(self.signature)

    def ask(self, body: Any, kind: str = "application/json") -> list[Any]:
        raw = body.encode() if isinstance(body, str) else orjson.dumps(body)
        asked = self.decoder.decode(raw, kind)
        return self.model.predict(asked.batch, asked.method).as_json()

    def refused(self, body: Any, kind: str = "application/json") -> str:
        with pytest.raises(RequestError) as wrong:
            self.ask(body, kind)
        assert wrong.value.status == 422
        return wrong.value.message


@pytest.fixture
def served(tmp_path: Path) -> Callable[[Any], Served]:
    def one(model: Any) -> Served:
        joblib.dump(model, tmp_path / "model.joblib")
        return Served(tmp_path / "model.joblib")

    return one


def shares(rows: Any) -> dict[str, Any]:
    return {"instances": rows, "parameters": {"method": "predict_proba"}}


def test_several_outputs_tell_their_probabilities_by_row(served: Callable[[Any], Served]) -> None:
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.multioutput import MultiOutputClassifier

    alike = MultiOutputClassifier(LogisticRegression()).fit(X, TWO)
    got = served(alike).ask(shares(ROWS))
    first, second = alike.predict_proba(X[:4])
    assert np.allclose([row[0] for row in got], first)
    assert np.allclose([row[1] for row in got], second)

    uneven = RandomForestClassifier(5, random_state=0).fit(X, THREES)
    server = served(uneven)
    assert server.ask(ROWS) == uneven.predict(X[:4]).tolist()
    got = server.ask(shares(ROWS))
    two, three = uneven.predict_proba(X[:4])
    assert [row[0] for row in got] == two.tolist()
    assert [row[1] for row in got] == three.tolist()


def test_a_mixture_tells_its_probabilities_when_asked(served: Callable[[Any], Served]) -> None:
    from sklearn.mixture import GaussianMixture

    mixture = GaussianMixture(2, random_state=0).fit(X)
    server = served(mixture)
    assert server.ask(ROWS) == mixture.predict(X[:4]).tolist()
    assert np.allclose(server.ask(shares(ROWS)), mixture.predict_proba(X[:4]))


def test_what_takes_single_precision_alone_gets_it(served: Callable[[Any], Served]) -> None:
    from sklearn.cluster import KMeans

    single = X.astype(np.float32)
    means = KMeans(3, random_state=0, n_init=1).fit(single)
    assert served(means).ask(ROWS) == means.predict(single[:4]).tolist()


def test_columns_picked_by_kind_and_by_place(served: Callable[[Any], Served]) -> None:
    import pandas as pd
    from sklearn.compose import ColumnTransformer, make_column_selector
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    frame = pd.DataFrame({"age": X[:, 0], "zip": np.where(X[:, 1] > 0, "75001", "07000")})
    frame["open"] = X[:, 2] > 0
    kinds = ColumnTransformer(
        [
            ("n", StandardScaler(), make_column_selector(dtype_include=np.number)),
            ("t", OneHotEncoder(handle_unknown="ignore"), make_column_selector("zip")),
        ],
        remainder="passthrough",
    )
    named = make_pipeline(kinds, Ridge()).fit(frame, X[:, 3])
    expected = named.predict(frame[:4])
    server = served(named)
    records = frame[:4].to_dict("records")
    assert np.allclose(server.ask({"instances": records}), expected)
    assert np.allclose(server.ask(frame[:4].to_csv(index=False), "text/csv"), expected)

    places = ColumnTransformer([("n", StandardScaler(), [0]), ("t", OneHotEncoder(), [1])])
    table = frame[["age", "zip"]].to_numpy(dtype=object)
    placed = make_pipeline(places, Ridge()).fit(table, X[:, 3])
    expected = placed.predict(table[:4])
    server = served(placed)
    assert np.allclose(server.ask(table[:4].tolist()), expected)
    lines = frame[["age", "zip"]][:4].to_csv(index=False, header=False)
    assert np.allclose(server.ask(lines, "text/csv"), expected)  # "75001" stays a text


def test_texts_through_a_union_and_records(served: Callable[[Any], Served]) -> None:
    from sklearn.feature_extraction import DictVectorizer
    from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline, make_union

    texts = ["good day", "bad day", "good", "bad"] * 5
    union = make_union(TfidfVectorizer(), CountVectorizer(analyzer="char"))
    words = make_pipeline(union, LogisticRegression()).fit(texts, [1, 0, 1, 0] * 5)
    assert [r["label"] for r in served(words).ask(texts[:2])] == [1, 0]

    records = [{"city": "Rome", "n": 1.0}, {"city": "Oslo", "n": 2.0}]
    known = make_pipeline(DictVectorizer(), LogisticRegression()).fit(records * 5, [0, 1] * 5)
    server = served(known)
    assert [r["label"] for r in server.ask(records)] == [0, 1]
    assert [r["label"] for r in server.ask("city,n\nRome,1\nOslo,2\n", "text/csv")] == [0, 1]
    assert "an object of feature names" in server.refused([["Rome", 1]])
    assert "3 cells; its first line names 2" in server.refused("city,n\nRome,1,2\n", "text/csv")


def test_xgboost_answers_with_the_rounds_that_it_was_kept_for(tmp_path: Path) -> None:
    import xgboost

    noise = RNG.integers(0, 2, 120)
    early = xgboost.XGBClassifier(n_estimators=30, early_stopping_rounds=3, learning_rate=1.0)
    early.fit(X[:80], noise[:80], eval_set=[(X[80:], noise[80:])], verbose=False)
    assert early.best_iteration < early.get_booster().num_boosted_rounds() - 1
    early.save_model(tmp_path / "early.json")
    got = Served(tmp_path / "early.json").ask(shares(ROWS))
    assert np.allclose(got, early.predict_proba(X[:4]), atol=1e-6)

    plain = early.get_booster()
    plain.set_attr(scikit_learn=None)  # a Booster of one's own predicts with all of its trees
    plain.save_model(tmp_path / "plain.json")
    got = [row[1] for row in Served(tmp_path / "plain.json").ask(shares(ROWS))]
    assert np.allclose(got, plain.predict(xgboost.DMatrix(X[:4])), atol=1e-6)

    line = xgboost.train({"booster": "gblinear"}, xgboost.DMatrix(X, X[:, 0]), 3)
    line.save_model(tmp_path / "line.json")
    got = Served(tmp_path / "line.json").ask(ROWS)
    assert np.allclose(got, line.predict(xgboost.DMatrix(X[:4])), atol=1e-6)


def test_a_booster_in_a_pickle_is_told_how_to_be_saved(tmp_path: Path) -> None:
    import xgboost

    booster = xgboost.train({}, xgboost.DMatrix(X, X[:, 0]), 1)
    joblib.dump(booster, tmp_path / "model.joblib")
    found = look.run({"path": str(tmp_path / "model.joblib"), "name": "model.joblib"})
    assert "booster.save_model('model.json')" in found["message"]


def onnx(path: Path, inputs: dict[str, tuple[int, list[Any]]], nodes: list[Any]) -> Path:
    """A graph with the output y of any shape."""
    from onnx import TensorProto, helper, save

    graph = helper.make_graph(
        nodes, "g",
        [helper.make_tensor_value_info(n, kind, shape) for n, (kind, shape) in inputs.items()],
        [helper.make_tensor_value_info("y", TensorProto.DOUBLE, None)],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    save(model, path)
    return path


@pytest.mark.parametrize(
    ("kind", "rows", "said"),
    [
        ("UINT8", [[0, 255]], None),
        ("UINT8", [[0, 256]], "row 0, feature 1 is 256; the model takes 0 to 255 (uint8)"),
        ("UINT8", [[-1, 0]], "is -1; the model takes 0 to 255"),
        ("INT32", [[1, 2], [3, 2**31]], "row 1, feature 1 is 2147483648; the model takes"),
        ("INT64", [[2**63 - 1, -(2**63)]], None),
        ("INT64", [[2**63, 0]], "is 9223372036854775808; the model takes"),
        ("INT64", [[1e300, 0]], "the model takes -9223372036854775808 to"),
        ("INT64", [[1.5, 0]], "is 1.5; the model takes whole numbers (int64)"),
        ("BOOL", [[True, 0]], None),
        ("BOOL", [[2, 0]], "is 2; the model takes 0 to 1 (bool)"),
    ],
)
def test_whole_numbers_are_taken_as_sent_or_not_at_all(
    tmp_path: Path, kind: str, rows: Any, said: str | None
) -> None:
    from onnx import TensorProto, helper

    code = getattr(TensorProto, kind)
    node = helper.make_node("Cast", ["x"], ["y"], to=TensorProto.DOUBLE)
    server = Served(onnx(tmp_path / "m.onnx", {"x": (code, [None, 2])}, [node]))
    if said is None:
        assert server.ask(rows) == [[float(v) for v in row] for row in rows]
    else:
        assert said in server.refused(rows)


def test_whole_numbers_in_columns_are_exact(tmp_path: Path) -> None:
    from onnx import TensorProto, helper

    nodes = [
        helper.make_node("Mod", ["id", "by"], ["rest"]),
        helper.make_node("Cast", ["rest"], ["y"], to=TensorProto.DOUBLE),
    ]
    inputs = {"id": (TensorProto.INT64, [None, 1]), "by": (TensorProto.INT64, [None, 1])}
    server = Served(onnx(tmp_path / "m.onnx", inputs, nodes))
    assert server.ask([{"id": 2**53 + 1, "by": 10}]) == [float((2**53 + 1) % 10)]
    assert "'id'" in server.refused([{"id": 1.5, "by": 10}])
    assert "row 1, feature 0 ('id') is 9.2" in server.refused(
        [{"id": 1, "by": 2}, {"id": 2**63 * 1.0, "by": 1}]
    ).replace("9223372036854775808", "9.2")
    assert "null" in server.refused([{"id": None, "by": 10}])


def test_an_output_for_each_class(tmp_path: Path) -> None:
    from skl2onnx import to_onnx
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression().fit(X, SIDES)
    single = X.astype(np.float32)
    for form in ("columns", False, True):
        made = to_onnx(model, single[:1], options={id(model): {"zipmap": form}})
        (tmp_path / "m.onnx").write_bytes(made.SerializeToString())
        server = Served(tmp_path / "m.onnx")
        wanted = model.predict_proba(single[:4])
        assert np.allclose(server.ask(shares(ROWS)), wanted, atol=1e-5)
        answer = server.ask(ROWS)
        assert [row["label"] for row in answer] == model.predict(single[:4]).tolist()
        got = [[row["probabilities"][c] for c in model.classes_] for row in answer]
        assert np.allclose(got, wanted, atol=1e-5)


IDS = [[1, 2, 0], [4, 5, 6]]
MASK = [[1, 1, 0], [1, 1, 1]]


def masked(path: Path) -> Path:
    """The sum of ids where the mask is 1: two tensors of any length, as a language model has."""
    from onnx import TensorProto, helper

    nodes = [
        helper.make_node("Mul", ["ids", "mask"], ["kept"]),
        helper.make_node("Cast", ["kept"], ["wide"], to=TensorProto.DOUBLE),
        helper.make_node("Constant", [], ["axis"], value_ints=[1]),
        helper.make_node("ReduceSum", ["wide", "axis"], ["y"], keepdims=0),
    ]
    sides = {name: (TensorProto.INT64, ["rows", "length"]) for name in ("ids", "mask")}
    return onnx(path, sides, nodes)


def test_several_tensors_by_name_in_order_and_by_the_v2_protocol(tmp_path: Path) -> None:
    from model_server import kserve

    server = Served(masked(tmp_path / "m.onnx"))
    rows = [{"ids": i, "mask": m} for i, m in zip(IDS, MASK, strict=True)]
    assert server.ask({"instances": rows}) == [3.0, 15.0]
    assert server.ask([[i, m] for i, m in zip(IDS, MASK, strict=True)]) == [3.0, 15.0]
    assert server.ask(rows[0]) == [3.0]
    told = kserve.metadata(server.signature, "m", "onnx")["inputs"]
    assert [t["shape"] for t in told] == [[-1, -1], [-1, -1]]
    tensors = [
        {"name": name, "datatype": "INT64", "shape": [2, 3], "data": data}
        for name, data in (("ids", IDS), ("mask", MASK))
    ]
    asked, _ = kserve.decode(orjson.dumps({"inputs": tensors}), server.decoder)
    assert server.model.predict(asked.batch, "default").as_json() == [3.0, 15.0]
    assert server.ask([server.signature.example]) == [0.0]

    assert "lacks 1 feature(s): 'mask'" in server.refused([{"ids": [1]}])
    assert "ids: row 0, feature 0 is a text" in server.refused([{"ids": ["a"], "mask": [1]}])
    assert "mask: row 0, feature 1 is 0.5" in server.refused([{"ids": [1, 2], "mask": [1, 0.5]}])
    assert "pad them" in server.refused([rows[0], {"ids": [1], "mask": [1]}])
    assert "no form in CSV" in server.refused("1,2\n", "text/csv")


def test_rows_of_other_lengths_do_not_share_a_call(tmp_path: Path) -> None:
    from model_server.calls import stackable

    decoder = Served(masked(tmp_path / "m.onnx")).decoder
    short, long = (decoder.batch([{"ids": [1] * n, "mask": [1] * n}]) for n in (2, 3))
    assert stackable(short, short)
    assert not stackable(short, long)


def test_what_the_model_itself_refuses_is_the_client_s(tmp_path: Path) -> None:
    from model_server.calls import as_request_error

    server = Served(masked(tmp_path / "m.onnx"))
    asked = server.decoder.batch([{"ids": [1, 2], "mask": [1, 1, 1]}])
    with pytest.raises(Exception) as wrong:
        server.model.predict(asked, "default")
    assert type(wrong.value).__name__ == "Fail"
    assert as_request_error(wrong.value).status == 422


def test_columns_without_a_dimension_of_their_own(tmp_path: Path) -> None:
    from onnx import TensorProto, helper

    node = helper.make_node("Add", ["a", "b"], ["y"])
    inputs = {name: (TensorProto.DOUBLE, [None]) for name in ("a", "b")}
    server = Served(onnx(tmp_path / "m.onnx", inputs, [node]))
    assert server.ask([{"a": 1, "b": 2}, {"a": 3, "b": 4}]) == [3.0, 7.0]


def test_answers_that_are_not_by_row_are_not_handed_out(tmp_path: Path) -> None:
    from model_server.errors import ModelError
    from onnx import TensorProto, helper

    node = helper.make_node("ReduceSum", ["x"], ["y"], keepdims=1)
    server = Served(onnx(tmp_path / "m.onnx", {"x": (TensorProto.DOUBLE, [None, 2])}, [node]))
    with pytest.raises(ModelError, match="not with an answer a row"):
        server.ask([[1, 2], [3, 4]])


@pytest.mark.torch
def test_torch_programs_of_other_inputs_than_one_of_floats(tmp_path: Path) -> None:
    import torch

    class Two(torch.nn.Module):
        def forward(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
            return first.sum(1) - second.sum(1)

    class Words(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = torch.nn.Embedding(10, 3)

        def forward(self, ids: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"mean": self.table(ids).mean(1), "all": self.table(ids)}

    class Wide(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.line = torch.nn.Linear(2, 1).double()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.line(x)

    pair, ids = torch.tensor([[1.0, 2.0], [3.0, 5.0]]), torch.tensor([[1, 2], [3, 4]])
    rows = [{"first": [1, 2], "second": [0.5, 0]}, {"first": [3, 5], "second": [1, 1]}]
    free = {0: torch.export.Dim("rows", min=1, max=64)}
    torch.jit.trace(Two(), (pair, pair.clone())).save(tmp_path / "two.pt")
    exported = torch.export.export(Two(), (pair, pair.clone()), dynamic_shapes=(free, free))
    torch.export.save(exported, tmp_path / "two.pt2")
    for name in ("two.pt", "two.pt2"):
        assert Served(tmp_path / name).ask(rows) == [2.5, 6.0]

    words = Words()
    torch.jit.trace(words, (ids,), strict=False).save(tmp_path / "words.pt")
    server = Served(tmp_path / "words.pt")
    wanted = words(ids)["mean"].tolist()
    assert np.allclose(server.ask(ids.tolist()), wanted)
    assert "index out of range" in server.refused([[99, 1]])

    wide = Wide()
    torch.jit.trace(wide, (pair.double(),)).save(tmp_path / "wide.pt")
    server = Served(tmp_path / "wide.pt")
    assert np.allclose(server.ask(pair.tolist()), wide(pair.double()).reshape(-1).tolist())
    assert "shapes" in server.refused([[1, 2, 3]])

    flat = torch.jit.script(torch.nn.Flatten())  # says nothing of shapes: pictures pass
    flat.save(tmp_path / "flat.pt")
    picture = [[[1, 2], [3, 4]], [[5, 6], [7, 8]]]
    assert Served(tmp_path / "flat.pt").ask({"instances": [picture]}) == [
        [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]
    ]

    fixed = torch.export.export(Two(), (pair[:1], pair[1:]))
    torch.export.save(fixed, tmp_path / "fixed.pt2")
    assert Served(tmp_path / "fixed.pt2").ask(rows) == [2.5, 6.0]


def towns() -> Any:
    import pandas as pd

    frame = pd.DataFrame({"age": np.round(X[:, 0] * 10), "code": np.where(X[:, 1] > 0, 10, 20)})
    frame["town"] = np.where(X[:, 2] > 0.5, "Rome", np.where(X[:, 2] < -0.5, "Oslo", "Bonn"))
    return frame.astype({"code": "category", "town": "category"})


def records(frame: Any) -> list[dict[str, Any]]:
    rows = frame.astype({"code": int, "town": str}).to_dict("records")
    return [{str(k): v for k, v in row.items()} for row in rows]


AIM = 3 * X[:, 0] + np.where(X[:, 1] > 0, 5, 0) + np.where(X[:, 2] > 0.5, 20, 0)
FEW = {"n_estimators": 5, "min_child_samples": 2, "min_data_per_group": 1, "verbose": -1}


def test_lightgbm_s_categories_are_taken_by_their_values(
    served: Callable[[Any], Served], tmp_path: Path
) -> None:
    import lightgbm

    frame = towns()
    model = lightgbm.LGBMRegressor(**FEW).fit(frame, AIM)
    model.booster_.save_model(tmp_path / "model.txt")
    wanted = model.predict(frame[:9])
    lines = frame[:9].to_csv(index=False)
    for server in (served(model), Served(tmp_path / "model.txt")):
        assert np.allclose(server.ask({"instances": records(frame[:9])}), wanted)
        assert np.allclose(server.ask(lines, "text/csv"), wanted)
        assert len(server.ask([server.signature.example])) == 1
        other = frame[:1].astype({"town": object}).assign(town="Bern").astype({"town": "category"})
        assert np.allclose(server.ask(records(other)), model.predict(other))  # as missing
        assert "'town' is a number" in server.refused([{"age": 1, "code": 10, "town": 3}])
    with_codes = model.booster_.predict(np.array([[frame["age"][0], 1.0, 1.0]]))
    assert wanted.size  # a value is not a code: 10 is the first of "code", whose code is 0
    assert not np.allclose(with_codes, wanted[0]) or frame["code"][0] == 20


def test_xgboost_s_categories_are_taken_by_their_values(tmp_path: Path) -> None:
    import xgboost

    frame = towns()[["age", "town"]]
    model = xgboost.XGBRegressor(n_estimators=5, enable_categorical=True).fit(frame, AIM)
    rows = [{"age": a, "town": t} for a, t in zip(frame["age"], frame["town"], strict=True)][:9]
    for name in ("model.json", "model.ubj"):
        model.save_model(tmp_path / name)
        server = Served(tmp_path / name)
        assert np.allclose(server.ask(rows), model.predict(frame[:9]), rtol=1e-5)
        assert "never saw; it knows" in server.refused([{"age": 1, "town": "Bern"}])


def test_histogram_boosting_with_categories(served: Callable[[Any], Served]) -> None:
    from sklearn.ensemble import HistGradientBoostingRegressor

    frame = towns()[["age", "town"]]
    model = HistGradientBoostingRegressor(max_iter=5, categorical_features="from_dtype")
    model.fit(frame, AIM)
    rows = [{"age": a, "town": t} for a, t in zip(frame["age"], frame["town"], strict=True)][:9]
    assert np.allclose(served(model).ask(rows), model.predict(frame[:9]))


class Calls:
    """Pickled as a call of `function` with `args`, then filled with `state`."""

    def __init__(self, function: Any, args: tuple[Any, ...], state: Any = None) -> None:
        self.told = (function, args) if state is None else (function, args, state)

    def __reduce__(self) -> Any:
        return self.told


def _partials() -> dict[str, Any]:
    import copyreg
    import functools

    from sklearn.metrics import accuracy_score
    from sklearn.utils.validation import check_array

    of = functools.partial
    return {
        "another function": Calls(of, (accuracy_score,)),
        "arguments of its own": Calls(of, (check_array, "x")),
        "another function, filled in": Calls(of, (check_array,), (accuracy_score, (), {}, None)),
        "settings of its own": Calls(of, (check_array,), (check_array, (), {"estimator": 1}, None)),
        "attributes": Calls(of, (check_array,), (check_array, (), {}, {"func": len})),
        "made as an instance": Calls(copyreg._reconstructor, (of, of, accuracy_score)),
        "made without a call": b"\x80\x02cfunctools\npartial\ncsklearn.metrics\naccuracy_score\n"
        b"\x85\x81.",
    }


@pytest.mark.parametrize("name", list(_partials()))
def test_no_other_partial_is_made(name: str, tmp_path: Path) -> None:
    import pickle

    from model_server import safe_pickle
    from model_server.errors import ModelError

    made = _partials()[name]
    (tmp_path / "m.pkl").write_bytes(made if isinstance(made, bytes) else pickle.dumps(made, 4))
    with pytest.raises(ModelError):
        safe_pickle.load(tmp_path / "m.pkl")


def test_an_early_stopped_xgboost_is_converted_with_its_best_rounds(tmp_path: Path) -> None:
    import xgboost
    from model_check import convert

    noise = RNG.integers(0, 2, 120)
    early = xgboost.XGBClassifier(n_estimators=30, early_stopping_rounds=3, learning_rate=1.0)
    early.fit(X[:80], noise[:80], eval_set=[(X[80:], noise[80:])], verbose=False)
    early.save_model(tmp_path / "early.json")
    signature = Served(tmp_path / "early.json").signature
    data, _ = convert._booster("xgboost", tmp_path / "early.json", signature)
    (tmp_path / "early.onnx").write_bytes(data)
    got = Served(tmp_path / "early.onnx").ask(shares(ROWS))
    assert np.allclose(got, early.predict_proba(X[:4]), atol=1e-5)
