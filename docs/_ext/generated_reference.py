"""Directives that generate the reference from the code itself.

``pytest-options``, ``pytest-ini-keys``, ``pytest-markers`` and ``pytest-fixtures``
list what the plugin declares; ``public-names`` documents the ``__all__`` of a module.
So a new option, fixture or name is on its page without an edit.
"""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from google.protobuf.message import Message
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective
from sphinx.util.typing import ExtensionMetadata

#: Pages of the site whose source stands at the root of the repository.
ROOT_PAGES = {
    "ARCHITECTURE.md": "explanation/architecture",
    "CHANGELOG.md": "project/changelog",
    "CONTRIBUTING.md": "project/contributing",
    "SECURITY.md": "project/security",
}

logger = logging.getLogger(__name__)

#: The modules whose ``__all__`` is documented, the best place for a name first.
PUBLIC_MODULES = (
    "pipeline",
    "pytest_pipeline",
    "pytest_pipeline.strategies",
    "pytest_pipeline.invariance",
)


@dataclass
class Declarations:
    """Records what a plugin declares: stands in for ``pytest.Parser``."""

    #: Group name, option names, keyword arguments.
    options: list[tuple[str, Sequence[str], dict[str, Any]]] = field(
        default_factory=list
    )
    #: Name, help.
    ini_keys: list[tuple[str, str]] = field(default_factory=list)

    def getgroup(self, name: str, *_: Any, **__: Any) -> _Group:
        """Return a group that adds its options here."""
        return _Group(name, self)

    def addoption(self, *names: str, **settings: Any) -> None:
        """Record an option of no group."""
        self.options.append(("pipeline", names, settings))

    def addini(self, name: str, help: str, *_: Any, **__: Any) -> None:  # noqa: A002 - named by pytest
        """Record an ini key."""
        self.ini_keys.append((name, help))


@dataclass
class _Group:
    name: str
    declarations: Declarations

    def addoption(self, *names: str, **settings: Any) -> None:
        self.declarations.options.append((self.name, names, settings))


@cache
def declarations() -> Declarations:
    """Return what the plugin declares."""
    from pytest_pipeline import plugin

    recorded: Any = Declarations()
    plugin.pytest_addoption(recorded)
    assert isinstance(recorded, Declarations)  # noqa: S101 - narrows the type
    return recorded


@cache
def pytest_lists(*options: str) -> list[str]:
    """Return the lines that pytest prints for ``--markers`` or ``--fixtures``."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(  # noqa: S603 - our own words
            [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options],
            cwd=folder,
            capture_output=True,
            check=False,
            text=True,
        )
    lines = done.stdout.splitlines()
    if not any("pipeline" in line for line in lines):
        raise RuntimeError(f"pytest {' '.join(options)}: {done.stdout}{done.stderr}")
    return lines


class _Generated(SphinxDirective):
    """Parses generated MyST in place of the directive."""

    def lines(self) -> Iterator[str]:
        raise NotImplementedError

    def run(self) -> list[nodes.Node]:
        content = StringList(list(self.lines()), source=f"<{self.name}>")
        container = nodes.Element()
        self.state.nested_parse(content, self.content_offset, container)
        return container.children


class PytestOptions(_Generated):
    """Lists the options of one group: ``pipeline`` or ``pipeline-gate``."""

    required_arguments = 1

    def lines(self) -> Iterator[str]:
        """Yield a definition for each option."""
        keys = {name for name, _ in declarations().ini_keys}
        yield from ["```{program} pytest", "```", ""]
        for group, names, settings in declarations().options:
            if group != self.arguments[0]:
                continue
            metavar = settings.get("metavar")
            values = f" {metavar}" if metavar else ""
            yield f"````{{option}} {', '.join(name + values for name in names)}"
            yield from [escaped(settings.get("help", "")), ""]
            key = names[-1].removeprefix("--").replace("-", "_")
            if key in keys:
                yield f"Ini key: {{confval}}`{key}`."
            yield from ["````", ""]


class PytestIniKeys(_Generated):
    """Lists the ini keys."""

    def lines(self) -> Iterator[str]:
        """Yield a definition for each ini key."""
        for name, text in declarations().ini_keys:
            yield f"```{{confval}} {name}"
            linked = re.sub(r"(--pipeline[a-z-]+)", r"{option}`pytest \1`", text)
            yield from [linked, "```", ""]


class PytestMarkers(_Generated):
    """Lists the markers."""

    def lines(self) -> Iterator[str]:
        """Yield a definition for each marker."""
        for line in pytest_lists("--markers"):
            if marker := re.match(r"@pytest\.mark\.(pipeline\w*)(.*?): (.*)", line):
                name, arguments, text = marker.groups()
                yield f"```{{pytest-marker}} {name}"
                yield f"`@pytest.mark.{name}{arguments}`"
                yield from ["", escaped(text), "```", ""]


class PytestFixtures(_Generated):
    """Lists the fixtures."""

    def lines(self) -> Iterator[str]:
        """Yield a definition for each fixture, in the order of their module."""
        in_plugin = False
        open_ = False
        for line in pytest_lists("--fixtures", "-v"):
            if line.startswith("---"):
                in_plugin = "pytest_pipeline" in line
            elif not in_plugin:
                continue
            elif fixture := re.match(r"(\w+)(?: \[(\w+) scope\])? -- ", line):
                if open_:
                    yield from ["````", ""]
                name, scope = fixture.groups()
                yield f"````{{pytest-fixture}} {name}"
                yield from [f"*Scope: {scope or 'function'}.*", ""]
                open_ = True
            elif open_ and not line.startswith("="):
                yield literal(line.strip())
        if open_:
            yield "````"


class ConformanceChecks(_Generated):
    """Lists the checks of one kind of stage, or those of every kind, with reasons.

    The argument is a kind, or "every" for the checks that all kinds share.
    """

    required_arguments = 1

    def lines(self) -> Iterator[str]:
        """Yield a definition for each check, in the order in which they run."""
        from pytest_pipeline.conformance.catalogue import CHECKS

        shared = set.intersection(*map(set, CHECKS.values()))
        kind = self.arguments[0]
        of_every = kind == "every"
        for check in CHECKS["sink" if of_every else kind].values():
            if (check.id in shared) == of_every:
                yield from [
                    f"```{{conformance-check}} {check.id}",
                    check.why,
                    "```",
                    "",
                ]


class PublicNames(_Generated):
    """Documents every name in the ``__all__`` of a module."""

    required_arguments = 1

    def lines(self) -> Iterator[str]:
        """Yield an autodoc directive for each name."""
        module_name = self.arguments[0]
        module = import_module(module_name)
        yield "```{eval-rst}"
        for name in sorted(module.__all__, key=str.casefold):
            # Each name is documented once, where it is best looked for.
            if home_of(name) == module_name:
                yield from documented(module_name, name, getattr(module, name))
        yield "```"


def documented(module_name: str, name: str, value: Any) -> Iterator[str]:
    """Yield the reStructuredText that documents a public name."""
    full_name = f"{module_name}.{name}"
    if name == "__version__":
        yield from [f".. py:data:: {full_name}", "   :type: str", ""]
        yield "   The version of the distribution, such as ``0.1.0``."
    elif inspect.isclass(value) and issubclass(value, Message):
        proto = value.DESCRIPTOR.file.name.rpartition("/")[2]
        yield from [f".. py:class:: {full_name}", ""]
        yield f"   A message of ``{proto}``; see :doc:`/reference/wire-contract`."
    elif inspect.isclass(value):
        is_error = issubclass(value, BaseException)
        yield f".. {'autoexception' if is_error else 'autoclass'}:: {full_name}"
        yield "   :members:"
    elif callable(value):
        yield f".. autofunction:: {full_name}"
    else:
        yield from [f".. autodata:: {full_name}", "   :no-value:"]
    yield ""


def hide_signature_of_protocols(
    _app: Sphinx, what: str, _name: str, value: Any, *_: Any
) -> tuple[str, None] | None:
    """Leave out ``(*args, **kwargs)``, which autodoc finds for each protocol."""
    is_protocol = what == "class" and getattr(value, "_is_protocol", False)
    return ("", None) if is_protocol else None


@cache
def home_of(name: str) -> str | None:
    """Return the public module under which a name is documented."""
    for module_name in PUBLIC_MODULES:
        if name in getattr(import_module(module_name), "__all__", ()):
            return module_name
    return None


def escaped(text: str) -> str:
    """Return a help text as MyST: option names are code, brackets are brackets."""
    text = re.sub(r"(?<![\w-])(--[a-z][a-z-]*)", r"`\1`", text)
    return text.replace("[", r"\[").replace("]", r"\]")


def literal(line: str) -> str:
    """Return a line of a docstring as MyST: double backticks are single ones."""
    return line.replace("``", "`")


def link_names(
    _app: Sphinx, _what: str, _name: str, _obj: Any, _options: Any, lines: list[str]
) -> None:
    """Turn `name` in a docstring into a link where the name is public."""

    def link(match: re.Match[str]) -> str:
        text = match[1]
        last = text.removesuffix("()").rpartition(".")[2]
        home = home_of(last)
        if home is None:
            return f"``{text}``"
        return f":py:obj:`~{home}.{last}`"

    for at, line in enumerate(lines):
        lines[at] = re.sub(r"(?<![`:\w])`([^`<>]+)`(?!`|__?\b)", link, line)


def resolve_names(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, content: nodes.TextElement
) -> nodes.Node | None:
    """Link a public name from wherever it is defined; leave other projects' alone."""
    if node.get("refdomain") != "py":
        return None
    target = str(node.get("reftarget", ""))
    last = target.rpartition(".")[2]
    home = home_of(last)
    if home is not None and target != f"{home}.{last}":
        domain = env.domains.python_domain
        return domain.resolve_xref(
            env,
            node["refdoc"],
            app.builder,
            "obj",
            f"{home}.{last}",
            node,
            content,
        )
    # A reference written on a page must resolve; one made from an annotation may
    # name another project's type, or a private alias.
    return content if node.get("reftype") == "class" else None


def check_complete(_app: Sphinx, env: BuildEnvironment) -> None:
    """Warn of each option, ini key, fixture and check that no page documents.

    A group of options or a list of fixtures that is new would be missed otherwise.
    """
    documented = {name for name, *_ in env.domains.standard_domain.get_objects()}
    wanted = {
        *(f"pytest.{names[-1]}" for _, names, _ in declarations().options),
        *(name for name, _ in declarations().ini_keys),
        *(
            line.split()[0]
            for line in pytest_lists("--fixtures", "-q")
            if re.match(r"\w+.* -- .*pytest_pipeline", line)
        ),
    }
    for name in sorted(wanted - documented):
        logger.warning("%s is on no page of the reference", name)


def read_root_pages(app: Sphinx, docname: str, source: list[str]) -> None:
    """Read a page that stands at the root of the repository, with its links mended."""
    name = next((name for name, page in ROOT_PAGES.items() if page == docname), None)
    if name is None:
        return
    path = app.srcdir.parent / name
    app.env.note_dependency(path)
    text = path.read_text(encoding="utf-8")
    up = "../" * docname.count("/")
    for other, page in ROOT_PAGES.items():
        text = text.replace(f"]({other}", f"]({up}{page}.md")
    source[0] = text.replace("](docs/", f"]({up}")


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register the directives."""
    app.add_directive("pytest-options", PytestOptions)
    app.add_directive("pytest-ini-keys", PytestIniKeys)
    app.add_directive("pytest-markers", PytestMarkers)
    app.add_directive("pytest-fixtures", PytestFixtures)
    app.add_directive("public-names", PublicNames)
    app.add_directive("conformance-checks", ConformanceChecks)
    app.add_object_type("conformance-check", "check", objname="conformance check")
    app.add_object_type("pytest-fixture", "fixture", objname="pytest fixture")
    app.add_object_type("pytest-marker", "marker", objname="pytest marker")
    # After napoleon, which has priority 500, has made its sections of the docstring.
    app.connect("autodoc-process-docstring", link_names, priority=600)
    app.connect("autodoc-process-signature", hide_signature_of_protocols)
    app.connect("source-read", read_root_pages)
    app.connect("missing-reference", resolve_names)
    app.connect("env-check-consistency", check_complete)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
