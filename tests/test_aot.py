"""benchmarks.aot counts what programs compute, move and send; the compilers themselves are not here."""

import dataclasses
import importlib.util
from collections import Counter

import jax
import jax.numpy as jnp
import pytest
from jax import lax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from benchmarks.aot import __main__ as aot
from benchmarks.aot.costs import Costs, Event, costs_of
from benchmarks.aot.hlo import Program as Hlo
from benchmarks.aot.hlo import arrays
from benchmarks.aot.network import has_model, seconds_of_all_reduce, seconds_of_step
from benchmarks.aot.programs import Compiled, Program, values_of
from benchmarks.aot.targets import CHIPS, Target

V5E, H100 = CHIPS["v5e"], CHIPS["h100"]


def counted(function, *shapes, **options):
    arguments = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
    text = jax.jit(function, **options).lower(*arguments).compile().as_text()
    return costs_of(Hlo(text), V5E)


@pytest.mark.parametrize(
    ("stride", "padding", "pairs"),
    [
        (1, "SAME", 22 * 22),  # of 8 rows and 3 of a window, 2 lie outside
        (2, "SAME", 11 * 11),  # of 4 rows and 3 of a window, 1
        (1, "VALID", 18 * 18),
    ],
)
def test_a_convolution_counts_products_with_numbers_and_not_with_padding(stride, padding, pairs):
    def convolve(images, kernel):
        sides = (stride, stride)
        layouts = ("NHWC", "HWIO", "NHWC")
        return lax.conv_general_dilated(images, kernel, sides, padding, dimension_numbers=layouts)

    costs = counted(convolve, (2, 8, 8, 3), (3, 3, 3, 4))
    assert costs.flops == 2 * pairs * 2 * 3 * 4
    assert list(costs.convolutions.items()) == [("f32 x f32 -> f32", 1)]


def test_a_product_and_what_it_reads_and_writes():
    costs = counted(lambda a, b: a @ b, (64, 256), (256, 128))
    assert costs.flops == 2 * 64 * 256 * 128
    assert costs.num_bytes >= 4 * (64 * 256 + 256 * 128 + 64 * 128)
    assert costs.seconds == pytest.approx(costs.num_bytes / V5E.bandwidth)
    assert costs.bytes_seconds == costs.seconds


def test_of_a_flat_array_that_is_cut_only_the_cut_is_read():
    text = """\
HloModule step, is_scheduled=true

ENTRY %main (a: f32[1024]) -> f32[16] {
  %a = f32[1024]{0} parameter(0)
  ROOT %cut = f32[16]{0} slice(%a), slice={[32:48]}
}
"""
    assert costs_of(Hlo(text), H100).num_bytes == 2 * 4 * 16


def test_donated_leaves_are_counted():
    assert counted(lambda a, b: (a + 1, b), (8,), (4,), donate_argnums=0).num_donated == 1


def test_a_loops_body_counts_once_and_its_operations_are_found():
    costs = counted(lambda a: lax.fori_loop(0, 9, lambda _, x: x @ x, a), (32, 32))
    assert costs.flops == 2 * 32**3


def test_collectives_have_kind_dtype_and_bytes():
    mesh = Mesh(jax.devices()[:8], ("data",))
    whole, split = (NamedSharding(mesh, PartitionSpec(*axes)) for axes in ((), ("data",)))
    summed = jax.jit(lambda x: jnp.sum(x, 0), in_shardings=split, out_shardings=whole)
    text = summed.lower(jax.ShapeDtypeStruct((16, 5), jnp.float32)).compile().as_text()
    costs = costs_of(Hlo(text), V5E)
    assert costs.collectives == {("all-reduce", "f32", False): 1}
    assert costs.sent_bytes == {("all-reduce", "f32", False): 20}


def test_a_tpus_tiles_pad_and_what_lies_on_the_chip_is_told_apart():
    (array,) = arrays("bf16[100,28,28,3]{0,3,2,1:T(8,128)(2,1)}")
    assert array.num_bytes == 100 * 28 * 28 * 3 * 2
    assert array.padded_bytes == 128 * 28 * 28 * 8 * 2
    first, second = arrays("(f32[64]{0:T(128)S(1)}, /*index=5*/u32[]{:S(2)})")
    assert (first.space, second.space) == (1, 2)
    assert second.num_bytes == 4


# In the words of libtpu and of XLA:GPU, cut down.
TPU = """\
HloModule step, is_scheduled=true, input_output_alias={ {0}: (0, {}, may-alias) }

%joined (param_0.1: bf16[1,1,64,16]) -> bf16[1,1,64,64] {
  %param_0.1 = bf16[1,1,64,16]{3,2,1,0:T(8,128)(2,1)} parameter(0)
  ROOT %all-gather.1 = bf16[1,1,64,64]{3,2,1,0:T(8,128)(2,1)} all-gather(%param_0.1), dimensions={3}
}

%cut (param_0.2: bf16[64,64]) -> bf16[16,64] {
  %param_0.2 = bf16[64,64]{1,0:T(8,128)(2,1)} parameter(0)
  %all-reduce.1 = bf16[64,64]{1,0:T(8,128)(2,1)} all-reduce(%param_0.2), to_apply=%add
  %constant.1 = u32[] constant(0)
  ROOT %dynamic-slice.1 = bf16[16,64]{1,0:T(8,128)(2,1)} dynamic-slice(%all-reduce.1, %constant.1)
}

ENTRY %main (a: f32[256], b: bf16[1,1,64,16], c: bf16[64,64]) -> bf16[16,64] {
  %a = f32[256]{0:T(256)} parameter(0)
  %b = bf16[1,1,64,16]{3,2,1,0:T(8,128)(2,1)} parameter(1)
  %c = bf16[64,64]{1,0:T(8,128)(2,1)} parameter(2)
  %copy-start = (f32[256]{0:T(256)S(1)}, f32[256]{0:T(256)}, u32[]{:S(2)}) copy-start(%a)
  %copy-done = f32[256]{0:T(256)S(1)} copy-done(%copy-start)
  %negate.1 = f32[256]{0:T(256)S(1)} negate(%copy-done), backend_config={"estimated_cycles":"7"}
  %async-collective-start.3 = bf16[1,1,64,64]{3,2,1,0:T(8,128)(2,1)} fusion(%b), kind=kCustom, calls=%joined
  %fusion.5 = bf16[1,1,64,64]{3,2,1,0:T(8,128)(2,1)} fusion(%b), kind=kOutput, calls=%joined
  %async-collective-done.3 = bf16[1,1,64,64]{3,2,1,0:T(8,128)(2,1)} fusion(%b), kind=kCustom, calls=%joined
  ROOT %fusion.6 = bf16[16,64]{1,0:T(8,128)(2,1)} fusion(%c), kind=kCustom, calls=%cut
}
"""
GPU = """\
HloModule step, is_scheduled=true

ENTRY %main (x: bf16[8,14,14,32], k: bf16[64,3,3,32], ct: bf16[8,14,14,64]) -> bf16[64,3,3,32] {
  %x = bf16[8,14,14,32]{3,2,1,0} parameter(0)
  %k = bf16[64,3,3,32]{3,2,1,0} parameter(1)
  %ct = bf16[8,14,14,64]{3,2,1,0} parameter(2)
  %conv = (bf16[8,14,14,64]{3,2,1,0}, u8[0]{0}) custom-call(%x, %k), window={size=3x3 pad=1_1x1_1}, dim_labels=b01f_o01i->b01f, custom_call_target="__cudnn$convForward"
  %input = (bf16[8,14,14,32]{3,2,1,0}, u8[0]{0}) custom-call(%ct, %k), window={size=3x3 pad=1_1x1_1}, dim_labels=b01f_o01i->b01f, custom_call_target="__cudnn$convBackwardInput"
  %filter = (bf16[64,3,3,32]{3,2,1,0}, u8[0]{0}) custom-call(%x, %ct), window={size=3x3 pad=1_1x1_1}, dim_labels=b01f_o01i->b01f, custom_call_target="__cudnn$convBackwardFilter"
  %gather = (bf16[16]{0}, bf16[128]{0}) all-gather-start(%x), dimensions={0}
  %done = bf16[128]{0} all-gather-done(%gather)
  %sum = f32[4]{0} all-reduce-start(%x), backend_config={"collective_backend_config":{"is_sync":true}}
  ROOT %got = bf16[64,3,3,32]{3,2,1,0} get-tuple-element(%filter), index=0
}
"""


def test_a_tpus_program_moves_to_the_chip_once_and_joins_collectives():
    costs = costs_of(Hlo(TPU), V5E)
    assert costs.bytes_of["copy-start"] == 4 * 256
    assert costs.bytes_of["negate"] == 0
    assert costs.cycles == 7
    assert costs.num_donated == 1
    assert costs.sent_bytes == {
        ("all-gather", "bf16", True): 2 * 64 * 64,
        ("reduce-scatter", "bf16", False): 2 * 64 * 64,
    }
    assert set(costs.collectives.values()) == {1}


def test_a_gpus_convolutions_are_counted_forward_and_back():
    costs = costs_of(Hlo(GPU), H100)
    assert costs.flops == 3 * 2 * 8 * 14 * 14 * 64 * 9 * 32
    assert list(costs.convolutions.items()) == [("bf16 x bf16 -> bf16", 3)]
    assert costs.sent_bytes == {("all-gather", "bf16", True): 256, ("all-reduce", "f32", False): 16}


def test_a_timeline_has_operations_and_collectives_in_the_compilers_order():
    def told(text, chip):
        timeline = costs_of(Hlo(text), chip).timeline
        return [(e.kind, e.name, e.size) for e in timeline if e.kind != "compute"]

    joined = "async-collective-start.3"
    assert told(TPU, V5E) == [
        ("start", joined, 8192),
        ("done", joined, 0),
        ("both", "fusion.6", 8192),
    ]
    images = 2 * 8 * 14 * 14 * 32
    assert told(GPU, H100) == [
        ("start", "gather", images),
        ("done", "gather", 0),
        ("start", "sum", images),
    ]
    costs = costs_of(Hlo(TPU), V5E)
    assert sum(event.seconds for event in costs.timeline) >= 7 / V5E.clock


def test_operations_beside_a_collective_hide_it():
    target = Target("h100:1x1x8")
    spent = seconds_of_all_reduce(1e9, target)
    beside, after = Event("compute", seconds=0.75 * spent), Event("compute", seconds=2.0)
    start, done = Event("start", "a", collective="all-reduce", size=10**9), Event("done", "a")
    both = dataclasses.replace(start, kind="both")

    def waited(*timeline):
        whole, computing = seconds_of_step(timeline, target)
        return (whole - computing) / spent

    assert waited(start, beside, done, after) == pytest.approx(0.25)
    assert waited(start, done, beside, after) == pytest.approx(1.0)
    assert waited(start, after, done) == 0
    # The network takes one after the other.
    second, its_end = dataclasses.replace(start, name="b"), Event("done", "b")
    assert waited(start, second, beside, done, its_end) == pytest.approx(1.25)
    # Sums are scattered and gathered, each of which takes half.
    assert waited(both, beside) == pytest.approx(1.0)
    assert waited(dataclasses.replace(both, collective="all-gather"), beside) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("h100:1x1x8", 2 * 7 / 8 * 1e8 / 450e9 + 6 * 3e-6),
        ("h100:1x8x8", 2 * 7 / 8 * (1e8 / 450e9 + 1e8 / 8 / 50e9) + 6 * 3e-6 + 6 * 15e-6),
        ("v5e:2x2", 3 / 4 * 1e8 / 50e9 + 4e-6),  # a chip has two links to others
        ("v5e:4x4", 15 / 16 * 1e8 / 50e9 + 12e-6),  # at the ends of lines too
        ("v5e:16x16", 255 / 256 * 1e8 / 100e9 + 32e-6),  # rings
    ],
    ids=["a host", "eight hosts", "a square", "lines", "rings"],
)
def test_the_model_of_an_all_reduce_is_its_formula(target, expected):
    assert seconds_of_all_reduce(1e8, Target(target)) == pytest.approx(expected)


def test_one_chip_and_chips_of_unknown_links_have_no_model():
    assert not any(has_model(Target(name)) for name in ("v5e:1x1", "h100:1x1x1", "v5p:2x2x1"))


OURS = aot.Measured(
    Program("lenet", "h100:1x1x1"),
    Compiled("", num_leaves=3, temporaries=100, seconds=0.0),
    Costs(flops=100.0, num_bytes=90, touched_bytes=200, num_donated=3),
)
FLAX = dataclasses.replace(
    OURS,
    program=Program("lenet", "h100:1x1x1", "flax"),
    costs=Costs(flops=100.0, num_bytes=100, touched_bytes=200),
)


def worse(**changes):
    compiled = {name: changes.pop(name) for name in ("temporaries",) if name in changes}
    target = changes.pop("target", "h100:1x1x1")
    return aot.Measured(
        dataclasses.replace(OURS.program, target=target),
        dataclasses.replace(OURS.compiled, **compiled),
        dataclasses.replace(OURS.costs, **changes),
    )


@pytest.mark.parametrize(
    ("ours", "missed"),
    [
        (OURS, []),
        (worse(flops=102.0), ["FLOPs are 1.020 of Flax's, not within 1%"]),
        (worse(num_donated=2), ["2 of 3 leaves are donated"]),
        (worse(num_bytes=94), ["bytes are 0.9400 of Flax's, not at most 0.93, and touched 1.0000"]),
        (worse(num_bytes=100, target="v5e:1x1"), []),
        (worse(num_bytes=101, target="v5e:1x1"), []),  # of which less lies on the chip
        (
            worse(num_bytes=101, touched_bytes=201, target="v5e:1x1"),
            ["bytes are 1.0100 of Flax's, not at most 1.0, and touched 1.0050"],
        ),
        (worse(temporaries=101), ["temporaries are 1.0100 of Flax's"]),
        (worse(operations=Counter(scatter=1)), ["1 scatters"]),
    ],
)
def test_bars_name_what_they_miss(ours, missed):
    flax = dataclasses.replace(FLAX, program=dataclasses.replace(FLAX.program))
    assert list(aot.misses(ours, flax)) == missed


def test_a_flax_side_that_computes_in_float32_is_refused():
    wide = dataclasses.replace(FLAX.costs, convolutions=Counter({"f32 x f32 -> f32": 2}))
    with pytest.raises(SystemExit, match=r"convolutions of f32 x f32 -> f32 in a step in bfloat16"):
        aot.check_alike(dataclasses.replace(FLAX, costs=wide))
    aot.check_alike(FLAX)


def test_without_the_compilers_it_says_so_and_is_content(monkeypatch, capsys):
    find_spec = importlib.util.find_spec
    absent = ("libtpu", "jax_cuda12_plugin")
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name in absent else find_spec(name)
    )
    assert aot.main(["lenet", "--target=v5e:2x2"]) == 0
    assert "nothing measured, since libtpu cannot be imported" in capsys.readouterr().out


def test_options_are_booleans_numbers_or_words():
    text = "xla_gpu_enable_pipelined_p2p=True,most_shifts_for_max=32,xla_dump_to=a=b"
    assert values_of(text) == {
        "xla_gpu_enable_pipelined_p2p": True,
        "most_shifts_for_max": 32,
        "xla_dump_to": "a=b",
    }
    assert values_of("") == {}


@pytest.mark.parametrize("target", ["v9:2x2", "v5e", "h100:8", "v5e:2xa"])
def test_a_target_that_is_none_is_refused(target, capsys):
    with pytest.raises(SystemExit):
        aot.main([f"--target={target}"])
    assert "must be a chip of v4, v5e, v5p, v6e, h100, h200 and a shape" in capsys.readouterr().err
    assert Target("v5e:4x4").count == 16
