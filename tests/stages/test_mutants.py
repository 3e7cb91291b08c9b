"""The suite of conformance catches stages in other languages that are broken."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline import languages
from pipeline.languages import LANGUAGES

ROOT = Path(__file__).parent.parent.parent

#: A file of each language, what is replaced in it, and the check that must fail.
MUTANTS = {
    "go": (
        "internal/events/rules.go",
        ("const minValue = 10", "const minValue = 11"),
        "result.payload",
    ),
    "rust": (
        "src/serve/payload.rs",
        ("    Batch {\n        number,", "    Batch {\n        number: number + 1,"),
        "reply.number",
    ),
    "typescript": (
        "src/transform.ts",
        ("await write(call, reply);", "void write(call, reply);"),
        "flow.slow-reader",
    ),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_broken_stage_fails_the_check_that_is_made_for_it(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same program passes when it is not broken."""
    language = LANGUAGES[name]
    if why := language.missing_toolchain():
        pytest.skip(f"{name}: {why}")
    broken_file, (right, wrong), check = MUTANTS[name]
    ignored = shutil.ignore_patterns("node_modules", "target", "dist", "bin")
    for folder in ("proto", f"stages/{language.folder}"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=ignored)
    source = tmp_path / "stages" / language.folder / broken_file
    text = source.read_text()
    assert text.count(right) == 1
    source.write_text(text.replace(right, wrong))
    monkeypatch.setattr(languages, "_sources", lambda: tmp_path)
    mutant = replace(language, name=f"{name}-mutant")
    mutant.build()

    program = " ".join(mutant.program())
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-p", "no:cacheprovider"),
            *("--pyargs", "pytest_pipeline.suite.conformance", "-k", check),
            *("--pipeline-stage", f"rules={program} --stage rules --workload events"),
        ],
        cwd=ROOT,
        capture_output=True,
        check=False,
        text=True,
    )

    assert done.returncode == 1, done.stdout[-3000:]
    assert f"test_conformance[rules-events-{check}]" in done.stdout
