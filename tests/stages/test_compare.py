"""What is stored of an error, against plain numpy over the same answers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from navigator_lab.stages import compare as module
from navigator_lab.stages.compare import compare
from navigator_lab.stages.elements import Hull
from navigator_lab.types.samples import Case

DRAW = np.random.default_rng(5)


@pytest.fixture
def against(bench, sign):
    """Accuracy of made-up answers: one case a sample, or the cases given."""

    def run(got, reference, spec=("batch", 3), dtype="float32", cases=None, one=None, two=None):
        shapes = dict.fromkeys(reference[0], (dtype, spec))
        made = sign({"x": ("float32", ("batch", 2))}, shapes)
        samples = bench.samples([{"x": np.zeros((1, 2), np.float32)}], made)
        value, _ = bench.do(
            compare,
            candidate=bench.outputs(got, cases, **(one or {})),
            reference=bench.outputs(reference, cases, **(two or {})),
            samples=samples,
        )
        return value

    return run


def draws(count=5, shape=(1, 3), dtype=np.float32):
    return [{"y": DRAW.normal(size=shape).astype(dtype)} for _ in range(count)]


def noisy(answers, scale):
    return [
        {k: (v + scale * DRAW.normal(size=v.shape)).astype(v.dtype) for k, v in one.items()}
        for one in answers
    ]


def test_extremes_are_exact_and_have_their_place(against):
    wanted = draws(shape=(1, 40))
    got = noisy(wanted, 1e-3)
    got[3]["y"][0, 7] += 5
    one = against(got, wanted, ("batch", 40)).outputs[0]
    assert (one.absolute.case, one.absolute.sample, one.absolute.index) == (3, 3, (0, 7))
    a, b = (np.concatenate([o["y"] for o in x]).astype(np.float64) for x in (got, wanted))
    assert one.absolute.error == np.abs(a - b).max()
    assert one.absolute.got == got[3]["y"][0, 7]
    assert one.absolute.reference == wanted[3]["y"][0, 7]
    assert one.relative.error == (np.abs(a - b) / np.abs(b)).max()
    assert one.elements == 200
    assert one.exact == (a == b).sum()
    assert one.reference_std == pytest.approx(b.std())
    assert one.bias == pytest.approx((a - b).mean())
    cosine = (a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum())
    assert one.cosine == pytest.approx(cosine)


def test_signal_to_noise_is_of_the_part_that_depends_on_the_input(against):
    wanted = draws(shape=(1, 40))
    got = noisy(wanted, 1e-2)
    a, b = (np.concatenate([o["y"] for o in x]).astype(np.float64) for x in (got, wanted))
    signal, error = b - b.mean(0), (a - b) - (a - b).mean(0)
    expected = 10 * math.log10((signal**2).sum() / (error**2).sum())
    one = against(got, wanted, ("batch", 40)).outputs[0]
    assert one.sqnr_db == pytest.approx(expected)
    assert one.moved_share == pytest.approx(math.sqrt((signal**2).sum() / (b**2).sum()))
    # A constant on top changes neither: it is not of the input.
    far = [{"y": o["y"] + np.float32(64)} for o in got]
    assert against(far, wanted, ("batch", 40)).outputs[0].sqnr_db == pytest.approx(
        expected, abs=0.1
    )


def test_noise_behind_a_large_constant_is_seen(against):
    offset = DRAW.normal(size=(1, 10)).astype(np.float32) * 10
    wanted = [{"y": offset + o["y"] * np.float32(0.01)} for o in draws(8, (1, 10))]
    got = [{"y": offset + o["y"] * np.float32(0.01)} for o in draws(8, (1, 10))]
    made = against(got, wanted, ("batch", 10))
    assert made.outputs[0].cosine > 0.999
    assert made.outputs[0].top1_agreement == 1.0
    assert made.outputs[0].sqnr_db < 0
    assert "move y by only 0.1" in made.warnings[0] or "move y by only 0.0" in made.warnings[0]


def test_samples_of_different_shapes_are_each_among_their_own(against):
    wanted = [*draws(3, (1, 4)), *draws(3, (1, 6)), *draws(1, (1, 9))]
    got = noisy(wanted, 0.1)
    signal = error = 0.0
    for part in (slice(0, 3), slice(3, 6)):
        a, b = (np.concatenate([o["y"] for o in x[part]]).astype(float) for x in (got, wanted))
        signal += ((b - b.mean(0)) ** 2).sum()
        error += ((a - b - (a - b).mean(0)) ** 2).sum()
    one = against(got, wanted, ("batch", "length")).outputs[0]
    assert one.sqnr_db == pytest.approx(10 * math.log10(signal / error))


def test_equal_answers(against):
    wanted = draws()
    made = against(wanted, wanted)
    one = made.outputs[0]
    assert one.exact == one.elements == 15
    assert one.problem == ""
    assert one.hull == ((one.hull[0][0], 0.0),)
    assert one.sqnr_db == math.inf
    assert one.top1_agreement == 1.0
    assert made.warnings == ()


@pytest.mark.parametrize("chunk", [1, 7, 1 << 20])
def test_any_tolerance_is_judged_exactly_from_the_hull(monkeypatch, against, chunk):
    monkeypatch.setattr(module, "CHUNK", chunk)  # a size, not a part of ours replaced
    for trial in range(12 if chunk == 1 else 40):
        kind, n = trial % 5, int(DRAW.integers(1, 60))
        wanted = DRAW.normal(size=(4, n)) * 10.0 ** DRAW.integers(-6, 6, size=(4, n))
        if kind == 0:
            got = wanted * (1 + 1e-3 * DRAW.normal(size=wanted.shape))
        elif kind == 1:
            got = wanted + 1e-3 * DRAW.normal(size=wanted.shape)
        elif kind == 2:  # few distinct values, many ties and zeros
            wanted, got = DRAW.integers(-2, 3, (4, n)), DRAW.integers(-2, 3, (4, n))
        elif kind == 3:
            got = wanted + 10.0 ** DRAW.uniform(-9, 3, size=wanted.shape)
        else:  # convex on purpose: each point is a vertex
            wanted = np.linspace(0, 1, 4 * n).reshape(4, n)
            got = wanted + np.sqrt(np.maximum(0, 1 - (1 - wanted) ** 2))
        split = lambda x: [{"y": row[None].astype(np.float64)} for row in x]  # noqa: E731
        one = against(split(got), split(wanted), ("batch", n), "float64").outputs[0]
        got, wanted = np.asarray(got, float), np.asarray(wanted, float)
        delta, size = np.abs(got - wanted), np.abs(wanted)
        for _ in range(20):
            a = 0.0 if DRAW.random() < 0.2 else 10.0 ** DRAW.uniform(-9, 4)
            r = 0.0 if DRAW.random() < 0.2 else 10.0 ** DRAW.uniform(-6, 1)
            allowed = a + r * size
            passes = bool((delta <= allowed).all())
            said = all(d <= a + r * s for s, d in one.hull)
            assert said == passes
            if a:
                worst = np.unravel_index(np.argmax(delta / allowed), delta.shape)
                ratios = [d / (a + r * s) for s, d in one.hull]
                best = int(np.argmax(ratios))
                assert ratios[best] == pytest.approx((delta / allowed)[worst], rel=1e-9)
                case, sample, zero, column = one.hull_at[best]
                assert case == sample
                assert zero == 0
                assert (delta / allowed)[case, column] == pytest.approx(ratios[best], rel=1e-9)


def test_the_hull_of_huge_and_tiny_values():
    hull = Hull()
    x, y = np.array([1e-300, 1e300, 5e299]), np.array([1e-300, 1e300, 1e-5])
    hull.add(x, y, np.arange(3), lambda at: (at,))
    assert hull.points == [(1e-300, 1e-300), (1e300, 1e300)]
    assert hull.places == [(0,), (1,)]


def test_the_histogram_counts_every_finite_element(against):
    wanted, got = [{"y": np.array([[0.0, 1.0, 100.0]], np.float32)}], None
    got = [{"y": np.array([[0.0, 1.02, 100.0]], np.float32)}]
    one = against(got, wanted).outputs[0]
    assert sum(map(sum, one.histogram)) == 3
    assert len(one.histogram) == len(one.edges) - 1
    assert one.histogram[0][0] == 1  # equal, and zero
    cell = [
        (i, j)
        for i, r in enumerate(one.histogram)
        for j, n in enumerate(r)
        if n and (i, j) != (0, 0)
    ]
    (_, hundred), (i, j) = sorted(cell)
    assert one.edges[i] <= math.log10(0.02) < one.edges[i + 1]
    assert one.edges[j] <= 0 < one.edges[j + 1]
    assert one.edges[hundred] <= 2 < one.edges[hundred + 1]


def test_nan_and_infinity_in_the_same_places_are_equal(against):
    odd = np.array([[np.nan, np.inf, -np.inf]], np.float32)
    one = against([{"y": odd}], [{"y": odd.copy()}]).outputs[0]
    assert one.problem == ""
    assert one.exact == 3
    assert one.cosine == 1.0


@pytest.mark.parametrize(
    ("got", "wanted", "said"),
    [
        (np.nan, 2.0, "NaN where the reference has 2"),
        (2.0, np.nan, "2 where the reference has NaN"),
        (np.inf, 70000.0, "Inf where the reference has 7e+04"),
        (np.inf, -np.inf, "Inf where the reference has -Inf"),
    ],
)
def test_nan_and_infinity_elsewhere_are_a_problem(against, got, wanted, said):
    a, b = np.ones((1, 3), np.float32), np.ones((1, 3), np.float32)
    a[0, 1], b[0, 1] = got, wanted
    problem = against([{"y": a}], [{"y": b}]).outputs[0].problem
    assert said in problem
    assert "sample 0, index (0, 1); 1 of 3" in problem


def test_another_shape_is_a_problem_that_names_the_case(against):
    wanted = draws(3)
    got = [*draws(2), {"y": np.zeros((3,), np.float32)}]
    assert against(got, wanted).outputs[0].problem == (
        "shape (3,) where (1, 3) was wanted, at case 2 (batch 1)"
    )


@pytest.mark.parametrize("dtype", [np.float16, np.float64, np.int32])
def test_another_type_is_a_problem(against, dtype):
    wanted = draws()
    got = [{"y": o["y"].astype(dtype)} for o in wanted]
    assert (
        f"{np.dtype(dtype).name} where float32 was wanted"
        in against(got, wanted).outputs[0].problem
    )


def test_bfloat16_goes_by_its_name(against):
    wanted = draws()
    said = against(wanted, wanted, one={"dtypes": {"y": "bfloat16"}}).outputs[0]
    assert said.problem == "bfloat16 where float32 was wanted"
    both = {"dtypes": {"y": "bfloat16"}}
    assert against(wanted, wanted, one=both, two=both).outputs[0].problem == ""


def test_doubles_are_compared_as_doubles(against):
    wanted = draws(dtype=np.float64)
    got = [{"y": o["y"] * (1 + 1e-12)} for o in wanted]
    one = against(got, wanted, dtype="float64").outputs[0]
    assert 5e-13 < one.relative.error < 2e-12


def test_large_integers_that_one_float_would_make_equal(against):
    wanted = [{"y": np.array([[2**60, 5, 6]], np.int64)}]
    got = [{"y": np.array([[2**60 + 1, 5, 6]], np.int64)}]
    one = against(got, wanted, dtype="int64").outputs[0]
    assert one.discrete
    assert (one.exact, one.elements) == (2, 3)
    assert one.absolute.error >= 1
    assert one.absolute.index == (0, 0)
    assert one.top1_agreement is None


def test_truth_and_text(against):
    wanted = [{"y": np.array([[True, False, True]])}]
    got = [{"y": np.array([[True, True, True]])}]
    one = against(got, wanted, dtype="bool").outputs[0]
    assert (one.discrete, one.exact, one.absolute.index) == (True, 2, (0, 1))
    wanted = [{"y": np.array([["cat", "dog", "ox"]])}]
    got = [{"y": np.array([["cat", "horse", "ox"]])}]
    one = against(got, wanted, dtype="object").outputs[0]
    assert (one.discrete, one.exact, one.problem, one.absolute.index) == (True, 2, "", (0, 1))


def test_complex_numbers_by_both_parts(against):
    wanted = [{"y": np.array([[1 + 2j, 3 + 4j, 5 + 6j]], np.complex64)}]
    got = [{"y": np.array([[1 + 2j, 3 + 4.5j, 5 + 6j]], np.complex64)}]
    one = against(got, wanted, dtype="complex64").outputs[0]
    assert (one.elements, one.exact) == (6, 5)
    assert one.absolute.error == 0.5
    assert one.absolute.index == (0, 1)


def test_empty_outputs(against):
    wanted = [{"y": np.zeros((1, 0), np.float32)}] * 2
    made = against(wanted, wanted, ("batch", "found"))
    assert made.outputs[0].problem == ""
    assert made.outputs[0].elements == 0
    assert made.outputs[0].absolute is None
    assert "every output is empty: nothing was compared" in made.warnings
    bad = against([{"y": np.zeros((1, 1), np.float32)}] * 2, wanted, ("batch", "found"))
    assert "shape (1, 1) where (1, 0) was wanted" in bad.outputs[0].problem


def test_scalars(against):
    wanted = [{"y": np.array(v, np.float32)} for v in (1, 2, 4)]
    got = [{"y": np.array(v, np.float32)} for v in (1, 2, 5)]
    one = against(got, wanted, ()).outputs[0]
    assert one.absolute.index == ()
    assert one.absolute.sample == 2
    assert one.absolute.error == 1


@pytest.mark.parametrize(
    ("spec", "shape", "index", "sample"),
    [
        (("batch", 3), (2, 3), (1, 2), 8),
        ((3, "batch"), (3, 2), (2, 0), 7),
        ((3,), (3,), (1,), -1),  # no batch axis: it is nobody's
        (("batch", 3), (4, 3), (1, 2), -1),  # several rows a sample: it can't be told
    ],
)
def test_the_sample_is_told_by_the_batch_axis(against, spec, shape, index, sample):
    wanted, got = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    got[index] = 1
    one = against([{"y": got}], [{"y": wanted}], spec, cases=[Case((7, 8))]).outputs[0]
    assert one.absolute.index == index
    assert one.absolute.sample == sample


@pytest.mark.parametrize(
    ("spec", "shape", "logits"),
    [
        (("batch", 5), (1, 5), True),
        (("batch", 1), (1, 1), False),
        ((1, 5), (1, 5), False),
        (("batch", 5, 4), (1, 5, 4), False),
    ],
)
def test_what_looks_like_logits(against, spec, shape, logits):
    answers = draws(3, shape)
    agreement = against(answers, answers, spec).outputs[0].top1_agreement
    assert agreement == (1.0 if logits else None)


def test_top1_counts_ties_as_right_and_nan_as_wrong(against):
    wanted = [
        {"y": np.array([r], np.float32)} for r in ([2, 2, 0], [1, 0, 0], [0, 5, 0], [9, 0, 0])
    ]
    got = [
        {"y": np.array([r], np.float32)} for r in ([1, 2, 0], [0, 1, 0], [0, 4, 0], [np.nan, 1, 0])
    ]
    assert against(got, wanted).outputs[0].top1_agreement == 0.5


def test_samples_that_move_nothing_are_warned_about(against):
    same = draws(1) * 4
    made = against(noisy(same, 1e-3), same)
    assert not made.outputs[0].moved
    assert made.outputs[0].sqnr_db is None
    assert "don't move y" in made.warnings[0]
    tiny = [{"y": same[0]["y"] * np.float32(1 + i * 1e-7)} for i in range(4)]
    assert not against(tiny, tiny).outputs[0].moved  # the rounding of float32 is no signal


def test_integers_that_move(against):
    labels = [{"y": np.array([v])} for v in (3, 1)]
    assert against(labels, labels, ("batch",), "int64").outputs[0].moved
    assert not against(labels[:1] * 2, labels[:1] * 2, ("batch",), "int64").outputs[0].moved


def test_one_sample_is_warned_about(against):
    made = against(draws(1), draws(1))
    assert "there is only one sample" in made.warnings[0]
    assert made.outputs[0].sqnr_db is None


def test_a_stateful_reference_is_said(against):
    answers = draws()
    made = against(answers, answers, two={"stateful": True})
    assert "keeps state or draws random numbers" in made.warnings[0]
    made = against(answers, answers, one={"stateful": True, "notes": ("the same call …",)})
    assert made.warnings == ("the same call …",)


def test_missing_and_extra_outputs(against):
    a = draws(2)
    both = [{"y": o["y"], "z": o["y"]} for o in a]
    assert "no such output" in against(a, both).outputs[1].problem
    assert any("outputs that the source lacks: z" in w for w in against(both, a).warnings)


def test_other_cases_are_an_error(against, bench, sign):
    made = sign({"x": ("float32", ("batch", 2))}, {"y": ("float32", ("batch", 3))})
    samples = bench.samples([{"x": np.zeros((1, 2), np.float32)}], made)
    with pytest.raises(ValueError, match="run both with the same samples and batch"):
        bench.do(
            compare,
            candidate=bench.outputs(draws(2)),
            reference=bench.outputs(draws(3)),
            samples=samples,
        )


@pytest.mark.parametrize(("scale", "decibels"), [(0.0, math.inf), (1e-4, 80.0)])
def test_what_the_reference_itself_keeps_between_batches(against, scale, decibels):
    alone = draws(8, (1, 400))
    batches = [
        {"y": np.concatenate([one["y"] for one in noisy(part, scale)])}
        for part in (alone[:4], alone[4:])
    ]
    cases = [*(Case((i,)) for i in range(8)), Case((0, 1, 2, 3)), Case((4, 5, 6, 7))]
    wanted = [*alone, *batches]
    one = against(noisy(wanted, 1e-2), wanted, ("batch", 400), cases=cases).outputs[0]
    assert one.reference_sqnr_db == pytest.approx(decibels, abs=1.0)
    assert one.sqnr_db == pytest.approx(40, abs=1.0)
