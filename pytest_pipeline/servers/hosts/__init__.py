"""Hosts: a server in threads of this process, in a process, or started elsewhere.

A host starts one server from its specification, and can pause it, end it and start it
again. Tests never see the host: their handle is `Server`.
"""

from __future__ import annotations

from pytest_pipeline.servers.hosts.base import Host
from pytest_pipeline.servers.hosts.external import ExternalHost
from pytest_pipeline.servers.hosts.in_process import InProcessHost
from pytest_pipeline.servers.hosts.process import ProcessHost
from pytest_pipeline.servers.specification import Address, Command, ServerSpec
from pytest_pipeline.servers.workspace import Workspace

__all__ = ["ExternalHost", "Host", "InProcessHost", "ProcessHost", "new_host"]


def new_host(spec: ServerSpec, workspace: Workspace) -> Host:
    """Return the host that a specification asks for; its server is not started yet.

    Raises:
        UsageError: The servicer can't be pickled, or trustme is needed and missing.
    """
    what = spec.what
    if isinstance(what, Address):
        return ExternalHost(spec.name, what.text)
    if isinstance(what, Command) or spec.hosting == "subprocess":
        return ProcessHost(spec, what, workspace)
    return InProcessHost(spec, what, workspace)
