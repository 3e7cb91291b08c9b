"""The fixtures. What they need is imported when a test asks for one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal, Protocol

import pytest

from pytest_pipeline.options import (
    Hosting,
    PipelineSettings,
    Transport,
    is_address,
    settings_of,
    with_values,
)

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

    from pipeline.stage import Workload
    from pytest_pipeline.measure.comparison import Comparer
    from pytest_pipeline.measure.results import Measured, Record
    from pytest_pipeline.servers.driver import FakeClock, StageDriver
    from pytest_pipeline.servers.handle import Server
    from pytest_pipeline.servers.pool import ServerPool
    from pytest_pipeline.servers.runs import PipelineRunner

#: The servers of a session, from when a test first asks for one.
POOL: pytest.StashKey[ServerPool] = pytest.StashKey()
#: What each test has measured, by the name of the test.
MEASURED: pytest.StashKey[dict[str, Measured]] = pytest.StashKey()

Scope = Literal["session", "package", "module", "class", "function"]


class StageServerFactory(Protocol):
    """Starts servers; see the fixture ``stage_server``."""

    def __call__(
        self,
        what: Any,
        *,
        name: str | None = None,
        workload: str | None = None,
        add_to_server: Callable[[Any, Any], object] | None = None,
        stub: Callable[[Any], Any] | None = None,
        servers: Hosting | None = None,
        transport: Transport | None = None,
        start_timeout: float | None = None,
        tls_root: str | None = None,
    ) -> Server:
        """Start a server and return its handle.

        ``what`` is the name of a stage of ``workload``; a `pipeline.stage.Stage`; an
        instance of any gRPC servicer, thread-based or asyncio, with the generated
        function that adds it to a server; a command, as text or as a list of words; or
        the address of a server that runs already.

        Raises UsageError for anything else, StageError where the server does not start.
        """


@pytest.fixture(scope="session")
def pipeline_settings(request: pytest.FixtureRequest) -> PipelineSettings:
    """What is in force: options, ini file and the test's ``pipeline`` marker."""
    settings: PipelineSettings = getattr(request, "param", settings_of(request.config))
    return settings


@pytest.fixture(scope="session")
def pipeline_workload(
    request: pytest.FixtureRequest, pipeline_settings: PipelineSettings
) -> Workload:
    """The workload, once for each of --pipeline-workload."""
    from pipeline.workloads import workload_named

    return workload_named(getattr(request, "param", pipeline_settings.workload[0]))


@pytest.fixture(scope="session")
def pipeline_batch_size(
    request: pytest.FixtureRequest, pipeline_settings: PipelineSettings
) -> int:
    """Records in a batch, once for each of --pipeline-batch-sizes."""
    size: int = getattr(request, "param", pipeline_settings.batch_sizes[0])
    return size


@pytest.fixture(scope="session")
def pipeline_servers(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerPool]:
    """All servers of this session; the other fixtures start theirs here."""
    _need("psutil", "stage servers")
    from pytest_pipeline.servers.pool import ServerPool

    pool = ServerPool(tmp_path_factory.getbasetemp())
    request.config.stash[POOL] = pool
    yield pool
    del request.config.stash[POOL]
    pool.close()


@pytest.fixture(scope="session")
def pipeline_stages(
    pipeline_servers: ServerPool,
    pipeline_settings: PipelineSettings,
    pipeline_workload: Workload,
) -> Mapping[str, Server]:
    """Servers of all stages of the workload, by name, in the order of a run."""
    return pipeline_servers.stages(
        pipeline_settings, pipeline_workload, pipeline_workload.stage_names
    )


@pytest.fixture(scope="session")
def ingest_stage(
    pipeline_servers: ServerPool,
    pipeline_settings: PipelineSettings,
    pipeline_workload: Workload,
) -> Server:
    """A live server of ingest."""
    return _stage("ingest", pipeline_servers, pipeline_settings, pipeline_workload)


@pytest.fixture(scope="session")
def parse_stage(
    pipeline_servers: ServerPool,
    pipeline_settings: PipelineSettings,
    pipeline_workload: Workload,
) -> Server:
    """A live server of parse."""
    return _stage("parse", pipeline_servers, pipeline_settings, pipeline_workload)


@pytest.fixture(scope="session")
def rules_stage(
    pipeline_servers: ServerPool,
    pipeline_settings: PipelineSettings,
    pipeline_workload: Workload,
) -> Server:
    """A live server of rules."""
    return _stage("rules", pipeline_servers, pipeline_settings, pipeline_workload)


@pytest.fixture(scope="session")
def aggregate_stage(
    pipeline_servers: ServerPool,
    pipeline_settings: PipelineSettings,
    pipeline_workload: Workload,
) -> Server:
    """A live server of aggregate."""
    return _stage("aggregate", pipeline_servers, pipeline_settings, pipeline_workload)


@pytest.fixture(scope="session")
def sink_stage(
    pipeline_servers: ServerPool,
    pipeline_settings: PipelineSettings,
    pipeline_workload: Workload,
) -> Server:
    """A live server of the sink."""
    return _stage("sink", pipeline_servers, pipeline_settings, pipeline_workload)


def _stage(
    name: str, pool: ServerPool, settings: PipelineSettings, workload: Workload
) -> Server:
    return pool.stages(settings, workload, [name])[name]


@pytest.fixture(scope="session")
def run_pipeline(
    pipeline_servers: ServerPool,
    pipeline_settings: PipelineSettings,
    pipeline_workload: Workload,
    pipeline_batch_size: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> PipelineRunner:
    """Run the workload on live servers: ``run_pipeline(data).results``."""
    from pytest_pipeline.servers.runs import PipelineRunner

    return PipelineRunner(
        pipeline_workload,
        pipeline_batch_size,
        pipeline_settings.events,
        tmp_path_factory.getbasetemp(),
        lambda replicas: pipeline_servers.replicated(
            pipeline_settings, pipeline_workload, replicas
        ),
    )


@pytest.fixture
def stage_server(
    pipeline_servers: ServerPool, pipeline_settings: PipelineSettings
) -> Iterator[StageServerFactory]:
    """Start a server of your own for this test: ``stage_server(Greeter(), ...)``."""
    with _Factory(pipeline_servers, pipeline_settings) as factory:
        yield factory


@pytest.fixture
def stage_driver() -> Iterator[Callable[..., StageDriver]]:
    """Drive a stage without a socket, message by message, under a fake clock."""
    _need("grpc_testing", "stage_driver")
    from contextlib import ExitStack

    from pytest_pipeline.servers.driver import FakeClock, StageDriver

    with ExitStack() as stack:

        def drive(
            stage: Any, clock: FakeClock | None = None, **settings: Any
        ) -> StageDriver:
            driver = StageDriver(stage, clock or FakeClock(), **settings)
            return stack.enter_context(driver)

        yield drive


@pytest.fixture
def fake_clock() -> FakeClock:
    """Time that moves only when it is told to, for ``stage_driver``."""
    from pytest_pipeline.servers.driver import FakeClock

    return FakeClock()


@pytest.fixture
def pipeline_record(
    request: pytest.FixtureRequest, benchmark: BenchmarkFixture
) -> Iterator[Record]:
    """What this test has measured: for pytest-benchmark's JSON, and for the report."""
    from pytest_pipeline.measure.results import Record, to_extra_info

    record = Record()
    yield record
    if record.measured is not None:
        benchmark.extra_info |= to_extra_info(record.measured)
        name = request.node.nodeid.rpartition("::")[2]
        request.config.stash[MEASURED][name] = record.measured


@pytest.fixture
def pipeline_compare(benchmark: BenchmarkFixture, pipeline_record: Record) -> Comparer:
    """Compare two callables: ``compare(a, b).faster_than(b, by=3.0)``."""
    _need("scipy", "pipeline_compare")
    from pytest_pipeline.measure.comparison import Answer, Comparer

    def answering(find: Callable[[], Answer]) -> Answer:
        if benchmark.disabled:
            pytest.skip(
                "a comparison takes time, and benchmarks are disabled here "
                "(--benchmark-disable, or xdist)"
            )
        # Under pytest-benchmark nothing traces what is measured, and the test counts as
        # a benchmark; the second question of a test has to do without.
        answer: Answer = benchmark.pedantic(find) if benchmark.stats is None else find()
        pipeline_record.answered(answer.compared)
        return answer

    return Comparer(answering=answering)


def stage_fixture(what: Any, *, scope: Scope = "session", **settings: Any) -> Any:
    """Make a fixture of a server of your own.

    ::

        greeter = stage_fixture(Greeter(), add_to_server=add_GreeterServicer_to_server)

    Takes what ``stage_server`` takes. The server stays up for ``scope`` and is brought
    back for each test.
    """

    @pytest.fixture(scope=scope)
    def stage(
        pipeline_servers: ServerPool, pipeline_settings: PipelineSettings
    ) -> Iterator[Server]:
        with _Factory(pipeline_servers, pipeline_settings) as factory:
            yield factory(what, **settings)

    return stage


def _need(module: str, what: str) -> None:
    """Raise pytest.UsageError where a module of the ``test`` extra is not installed."""
    if find_spec(module) is None:
        raise pytest.UsageError(
            f"{what}: needs {module}; pip install 'pytest-grpc-pipeline[test]'"
        )


class _Factory:
    """Starts servers and ends them together."""

    def __init__(self, pool: ServerPool, settings: PipelineSettings) -> None:
        self._pool = pool
        self._settings = settings
        self._started: list[Server] = []

    def __enter__(self) -> StageServerFactory:
        return self.start

    def __exit__(self, *_: object) -> None:
        for server in reversed(self._started):
            self._pool.release(server)

    def start(
        self,
        what: Any,
        *,
        name: str | None = None,
        workload: str | None = None,
        add_to_server: Callable[[Any, Any], object] | None = None,
        stub: Callable[[Any], Any] | None = None,
        servers: Hosting | None = None,
        transport: Transport | None = None,
        start_timeout: float | None = None,
        tls_root: str | None = None,
    ) -> Server:
        """Start a server; see `StageServerFactory`."""
        settings = with_values(
            self._settings,
            "stage_server",
            workload=workload,
            servers=servers,
            transport=transport,
            start_timeout=start_timeout,
            tls_root=tls_root,
        )
        if _names_a_stage(what):
            from pipeline.workloads import workload_named

            server = self._pool.serve_stage(
                what, workload_named(settings.workload[0]), settings
            )
        else:
            server = self._pool.serve(
                what, settings, name=name, add_to_server=add_to_server, stub=stub
            )
        self._started.append(server)
        return server


def _names_a_stage(what: str | Sequence[str] | object) -> bool:
    """Say whether a word is meant as the name of a stage: no address, no command."""
    return isinstance(what, str) and not is_address(what) and what.isidentifier()
