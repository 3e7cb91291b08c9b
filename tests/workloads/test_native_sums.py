"""The compiled sums have the bits of numpy's, and nobody needs them."""

from __future__ import annotations

import importlib.util
import shutil
import struct
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.workloads.work_items import arithmetic
from pipeline.workloads.work_items.native import NativeSums, native_sums

ROOT = Path(__file__).parents[2]
SOURCE = Path(arithmetic.__file__).with_name("sums.c")

#: Also those that overflow, underflow, or are no numbers.
values = st.floats() | st.sampled_from([0.0, -0.0, 5e-324, 1.7e308, -1e-300])
#: numpy works in chunks of 1,024.
iterations = st.integers(0, 40) | st.sampled_from([1023, 1024, 1025, 2049])

with_a_compiler = pytest.mark.skipif(
    shutil.which("cc") is None, reason="there is no C compiler"
)


def bits(number: float) -> bytes:
    """Return the bytes of a double; those of any NaN are alike."""
    return b"NaN" if number != number else struct.pack("d", number)  # noqa: PLR0124


@pytest.fixture(scope="module")
def hook() -> ModuleType:
    """The module that builds the library."""
    pytest.importorskip("hatchling")
    spec = importlib.util.spec_from_file_location("hook", ROOT / "hatch_build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def native(hook: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> NativeSums:
    """The sums, compiled as for a wheel."""
    library = tmp_path_factory.mktemp("native") / "sums.so"
    assert hook.compile_sums(SOURCE, library) == ""
    return NativeSums(library)


@pytest.fixture(autouse=True)
def with_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `arithmetic` use numpy, whether or not the sums were built in."""
    monkeypatch.setattr(arithmetic, "_native", None)


@with_a_compiler
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@given(value=values, count=iterations)
def test_the_sum_of_a_value_has_the_same_bits(
    native: NativeSums, value: float, count: int
) -> None:
    """Whatever the value, over the chunks of numpy, too."""
    assert bits(native.work(value, count)) == bits(arithmetic.work(value, count))


@with_a_compiler
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@given(several=st.lists(values, min_size=2, max_size=40), count=iterations)
def test_the_sums_of_several_values_have_the_same_bits(
    native: NativeSums, several: list[float], count: int
) -> None:
    """Each by itself."""
    compiled = native.work_on_each(several, count)

    expected = arithmetic.work_on_each(several, count)
    assert list(map(bits, compiled)) == list(map(bits, expected))


def test_without_a_library_numpy_does_the_work(tmp_path: Path) -> None:
    """A wheel of pure Python has none, and one for another machine can't be loaded."""
    broken = tmp_path / "broken.so"
    broken.write_bytes(b"of another machine")

    assert native_sums(tmp_path / "missing.so") is None
    assert native_sums(broken) is None


def test_the_build_goes_on_without_a_compiler(
    hook: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says why there are no compiled sums."""
    monkeypatch.setenv("CC", "no-such-compiler")

    assert hook.compile_sums(SOURCE, tmp_path / "sums.so") == "there is no C compiler"


@with_a_compiler
def test_the_build_goes_on_if_the_compiler_fails(
    hook: ModuleType, tmp_path: Path
) -> None:
    """It says what the compiler has said."""
    wrong = tmp_path / "wrong.c"
    wrong.write_text("this is no C")

    reason = hook.compile_sums(wrong, tmp_path / "sums.so")

    assert "failed: " in reason
    assert "wrong.c" in reason
